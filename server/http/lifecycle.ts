/**
 * The one place where requests begin and end: it counts those that are under way, limits their
 * time, and tells whoever watches. A request is under way until its answer has left, streams
 * included, and the work for it has ended, also when nobody waits for it any more.
 *
 * @module
 */

import type { ErrorCode, LakeSyncError } from "@lakesync/core";
import type { PeerAddress } from "../live/peer_sockets.ts";
import { Deadline } from "./deadline.ts";
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
 * (`failed`), given up since its time was over (`timeout`), without anybody to answer to (`aborted`).
 */
export type RequestOutcome = "ok" | "refused" | "failed" | "timeout" | "aborted";

/** How a request ended. */
export interface RequestEnd {
  /** The status of its answer. */
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
}

function requestIdOf(headers: Headers): string {
  const given = headers.get("X-Request-Id");
  return given !== null && /^[\x21-\x7e]{1,128}$/.test(given) ? given : crypto.randomUUID();
}

/** All requests of a server. */
export class RequestLifecycle {
  readonly #options: LifecycleOptions;
  #active = 0;
  #idle: PromiseWithResolvers<void> | undefined;

  /** @param options what answers, and in which time */
  constructor(options: LifecycleOptions) {
    this.#options = options;
  }

  /** How many requests are under way. */
  get active(): number {
    return this.#active;
  }

  /** Waits until no request is under way. */
  async idle(): Promise<void> {
    if (this.#active === 0) return;
    await (this.#idle ??= Promise.withResolvers<void>()).promise;
  }

  /**
   * Answers a request.
   *
   * @param request the request
   * @param origin where it comes from
   * @returns the answer; it never rejects
   */
  async handle(request: Request, { ip, peer, signal, completed }: RequestOrigin): Promise<Response> {
    const { timeoutMs, observer } = this.#options;
    const startMs = performance.now();
    const deadline = new Deadline(timeoutMs);
    const id = requestIdOf(request.headers);
    const scope = new RequestScope({ id, request, ip, peer, deadline });
    this.#active++;
    observer?.begin(scope);
    const gone = () => deadline.gone();
    signal?.addEventListener("abort", gone);
    const work = observer === undefined
      ? this.#options.answer(scope)
      : observer.run(scope, () => this.#options.answer(scope));
    const response = await Promise.race([work, this.#late(scope)]);
    // After the answer the runtime aborts the signal of every request.
    signal?.removeEventListener("abort", gone);
    // What is left to do is the runtime's, but for a stream, whose chunks have their time each.
    if (scope.stream === undefined) deadline.end();
    const { status } = response;
    const left = () => {
      deadline.end();
      const ms = performance.now() - startMs;
      observer?.end(scope, { status, code: scope.code, ms, outcome: outcomeOf(scope, status) });
    };
    const ended = Promise.allSettled([work, (completed ?? Promise.resolve()).finally(left)]);
    ended.then(() => this.#ended());
    return response;
  }

  async #late(scope: RequestScope): Promise<Response> {
    return this.#options.refuse(scope, await scope.deadline.passed);
  }

  #ended(): void {
    this.#active--;
    if (this.#active > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  }
}

function outcomeOf({ deadline, stream }: RequestScope, status: number): RequestOutcome {
  if (deadline.isOver) return "timeout";
  if (deadline.isGone || stream === "open" || stream === "cut") return "aborted";
  if (status >= 500) return "failed";
  return status >= 400 ? "refused" : "ok";
}
