/**
 * The one place where requests begin and end: it counts those that are under way, limits their
 * time, and tells whoever watches. A request is under way until its answer has left, streams
 * included, and the work for it has ended, also when nobody waits for it any more.
 *
 * @module
 */

import type { ErrorCode, LakeSyncError } from "@lakesync/core";
import type { PeerAddress } from "../live/peer_sockets.ts";
import { Deadline, type DeadlineClock, RUNTIME_CLOCK } from "./deadline.ts";
import { RequestScope } from "./request_scope.ts";

/** Where a request comes from. */
export interface RequestOrigin {
  /** The address; empty where that is not known. */
  readonly ip: string;
  /** The other end of its socket, which may be a proxy, where that is known. */
  readonly peer?: PeerAddress;
  /** Aborts when its caller is gone; it may abort as well once the answer has left. */
  readonly signal?: AbortSignal;
  /** Settles when the answer has left, or never will. */
  readonly completed?: Promise<unknown>;
}

/**
 * How a request ended: with what was asked for (`ok`), refused with a 4xx (`refused`), with a 5xx
 * (`failed`), turned away for want of memory (`shed`), given up since its time was over (`timeout`),
 * without anybody to answer to (`aborted`).
 */
export type RequestOutcome = "ok" | "refused" | "failed" | "shed" | "timeout" | "aborted";

/**
 * What is noted for a request whose caller had gone, or was cut off when the server stopped, before
 * there was an answer; nobody gets it. It is no failure of ours.
 */
export const CALLER_GONE_STATUS = 499;

/** How a request ended. */
export interface RequestEnd {
  /** The status of its answer; {@linkcode CALLER_GONE_STATUS} when nobody was there to get it. */
  readonly status: number;
  /** The code of its answer, when it was refused. */
  readonly code: ErrorCode | undefined;
  /** How long it took until its answer had left, in milliseconds. */
  readonly ms: number;
  /** How it ended. */
  readonly outcome: RequestOutcome;
}

/** Watches requests. */
export interface RequestObserver {
  /** A request has arrived. */
  begin(scope: RequestScope): void;
  /** Does the work for it, for instance inside a span; must give back what the work gives. */
  run<T>(scope: RequestScope, work: () => Promise<T>): Promise<T>;
  /** Its answer has left. What became known of it is in the scope. */
  end(scope: RequestScope, end: RequestEnd): void;
}

/** What a lifecycle is made of. */
export interface LifecycleOptions {
  /** How long a request may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Answers; whatever refuses a request is made an answer of there. */
  readonly answer: (scope: RequestScope) => Promise<Response>;
  /** Makes the answer for a request whose time is over. */
  readonly refuse: (scope: RequestScope, error: LakeSyncError) => Response;
  /** Watches; nobody unless given. */
  readonly observer?: RequestObserver | undefined;
  /** What time goes by; the runtime's clock unless given. */
  readonly clock?: DeadlineClock | undefined;
}

function requestIdOf(headers: Headers): string {
  const given = headers.get("X-Request-Id");
  return given !== null && /^[\x21-\x7e]{1,128}$/.test(given) ? given : crypto.randomUUID();
}

/** Those requests that are under way at some moment. */
export interface RequestsUnderWay {
  /** How many they were. */
  readonly count: number;
  /** How many of them still are. */
  readonly left: number;
  /** Resolves when none of them is. */
  readonly ended: Promise<void>;
}

/** All requests of a server. */
export class RequestLifecycle {
  readonly #options: LifecycleOptions;
  readonly #underWay = new Set<Promise<void>>();

  /** @param options what answers, and in which time */
  constructor(options: LifecycleOptions) {
    this.#options = options;
  }

  /** How many requests are under way. */
  get active(): number {
    return this.#underWay.size;
  }

  /** Those that are under way now; others that come are not among them. */
  underWay(): RequestsUnderWay {
    const now = new Set(this.#underWay);
    const count = now.size;
    const ends = [...now].map((ended) => ended.then(() => void now.delete(ended)));
    return {
      count,
      get left() {
        return now.size;
      },
      ended: Promise.all(ends).then(() => {}),
    };
  }

  /**
   * Answers a request.
   *
   * @param request the request
   * @param origin where it comes from
   * @returns the answer; it never rejects
   */
  handle(request: Request, { ip, peer, signal, completed }: RequestOrigin): Promise<Response> {
    const { timeoutMs, observer, answer, clock = RUNTIME_CLOCK } = this.#options;
    const startMs = clock.now();
    const deadline = new Deadline(timeoutMs, clock);
    const id = requestIdOf(request.headers);
    const scope = new RequestScope({ id, request, ip, peer, deadline });
    observer?.begin(scope);
    const work = observer === undefined ? answer(scope) : observer.run(scope, () => answer(scope));
    const response = this.#respond(scope, work, signal);
    const sent = completed?.then(() => {}, () => {});
    const left = response.then(async ({ status: answered }) => {
      // A stream that was given up is read by nobody, but the runtime holds on to it.
      await (scope.stream === undefined ? sent : Promise.race([sent, deadline.passed]));
      deadline.end();
      const ms = clock.now() - startMs;
      const status = deadline.isGone ? CALLER_GONE_STATUS : answered;
      observer?.end(scope, { status, code: scope.code, ms, outcome: outcomeOf(scope, status) });
    });
    const ended: Promise<void> = Promise.allSettled([work, left]).then(() => {
      this.#underWay.delete(ended);
    });
    this.#underWay.add(ended);
    return response;
  }

  async #respond(
    scope: RequestScope,
    work: Promise<Response>,
    signal: AbortSignal | undefined,
  ): Promise<Response> {
    const { deadline } = scope;
    const gone = () => deadline.gone();
    signal?.addEventListener("abort", gone);
    const late = deadline.passed.then((error) => this.#options.refuse(scope, error));
    const response = await Promise.race([work, late]);
    // The runtime aborts the signal of every request once its answer has left.
    signal?.removeEventListener("abort", gone);
    // What is left to do is the runtime's, but for a stream, whose chunks have their time each.
    if (scope.stream === undefined) deadline.end();
    return response;
  }
}

function outcomeOf({ deadline, stream, isShed }: RequestScope, status: number): RequestOutcome {
  if (deadline.isOver) return "timeout";
  if (deadline.isGone || stream === "open" || stream === "cut") return "aborted";
  if (isShed) return "shed";
  if (status >= 500) return "failed";
  return status >= 400 ? "refused" : "ok";
}
