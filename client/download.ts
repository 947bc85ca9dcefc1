/**
 * Receives changes: does what each state of `machine.ts` asks for. WebSocket first; HTTP pulls that
 * wait for news where sockets are blocked.
 *
 * @module
 */

import { LakeSyncError, type PullResult, type ServerFrame } from "@lakesync/core";
import type { ClientEnvironment } from "./environment.ts";
import {
  backOffMs,
  type ConnectionEvent,
  type ConnectionState,
  RECONNECT,
  REFUSED,
  transition,
} from "./machine.ts";
import type { Applied, Replica } from "./replica.ts";
import type { StatusValue, SyncProblem } from "./status.ts";
import type { HttpTransport } from "./transport/http.ts";
import { NeedsTokenError, OfflineError, remedyFor, toError } from "./transport/problem.ts";
import { LiveSocket } from "./transport/socket.ts";
import type { TokenKeeper } from "./transport/token.ts";

/** How long a pull waits for news, in seconds. */
const WAIT_SECONDS = 25;

/** How long HTTP serves before a socket is tried again, in milliseconds. */
const SOCKET_AGAIN_MS = 60_000;

/** Rows of one pulled page. */
const PAGE_ROWS = 5_000;

/** The close code of a token that ended. */
const TOKEN_ENDED = 4401;

/** The close code of a right that ended. */
const RIGHT_ENDED = 4403;

/** What a connection works with. */
export interface DownloadContext {
  /** Clock, timers, randomness, sockets. */
  readonly env: ClientEnvironment;
  /** The local database. */
  readonly replica: Replica;
  /** Requests over HTTP. */
  readonly http: HttpTransport;
  /** The token. */
  readonly tokens: TokenKeeper;
  /** Where the state is shown. */
  readonly status: StatusValue;
  /** The gateway's live URL, `ws:` or `wss:`. */
  readonly liveUrl: string;
  /** Told of the gateway's time: how far it is ahead, in milliseconds. */
  readonly onServerTime: (serverTime: string, sentMs: number) => Promise<void>;
  /** Told after the gateway answered, however. */
  readonly onOnline: () => void;
  /** Told after each checkpoint. */
  readonly onCheckpoint: (applied: Applied) => void;
}

/** What a failure is called in the status. */
export function problemOf(error: unknown, atMs: number): SyncProblem {
  if (error instanceof LakeSyncError) return { code: error.code, message: error.message, atMs };
  if (error instanceof NeedsTokenError) return { code: "AUTH_ERROR", message: error.message, atMs };
  if (error instanceof OfflineError) return { code: "OFFLINE", message: error.message, atMs };
  const message = error instanceof Error ? error.message : "The local database failed";
  return { code: "LOCAL", message, atMs };
}

/** The connection of one client. */
export class Download {
  readonly #context: DownloadContext;
  #state: ConnectionState = "paused";
  #abort = new AbortController();
  #failures = 0;
  #atLeastMs = 0;
  #working: Promise<void> = Promise.resolve();

  /** @param context what it works with */
  constructor(context: DownloadContext) {
    this.#context = context;
  }

  /** Where the connection is. */
  get state(): ConnectionState {
    return this.#state;
  }

  /** Says that something happened. */
  fire(event: ConnectionEvent): void {
    const next = transition(this.#state, event);
    if (next === this.#state) return;
    const left = this.#abort;
    this.#state = next;
    this.#abort = new AbortController();
    left.abort();
    const { status } = this.#context;
    const connected = next === "live";
    status.set({ state: next, connected, ...(next === "waiting" ? { online: false } : {}) });
    this.#enter(next, this.#abort.signal);
  }

  /** Resolves when nothing is under way any more, after `pause` or `close`. */
  async settled(): Promise<void> {
    await this.#working;
  }

  #enter(state: ConnectionState, signal: AbortSignal): void {
    switch (state) {
      case "connecting":
        return this.#work(signal, () => this.#connect(signal));
      case "polling":
        return this.#work(signal, () => this.#poll(signal));
      case "waiting":
        return this.#retryAfter(RECONNECT, signal);
      case "refused":
        return this.#retryAfter(REFUSED, signal);
      case "live":
      case "paused":
      case "needs-token":
      case "closed":
        return;
    }
  }

  #work(signal: AbortSignal, task: () => Promise<void>): void {
    this.#working = this.#working.then(task).catch((error) => {
      if (!signal.aborted) this.#failed(error);
    });
  }

  #retryAfter(backOff: typeof RECONNECT, signal: AbortSignal): void {
    const { env } = this.#context;
    this.#failures++;
    const ms = backOffMs(backOff, this.#failures, env.random(), this.#atLeastMs);
    this.#atLeastMs = 0;
    const cancel = env.setTimer(ms, () => this.fire("timer"));
    signal.addEventListener("abort", cancel, { once: true });
  }

  #failed(error: unknown): void {
    const { env, status } = this.#context;
    status.set({ lastError: problemOf(error, env.now()) });
    const remedy = remedyFor(error);
    if (remedy.kind === "retry") this.#atLeastMs = remedy.atLeastMs;
    this.fire(
      remedy.kind === "token" ? "unauthorized" : remedy.kind === "mend" ? "refuse" : "unreachable",
    );
  }

  #reached(): void {
    this.#context.status.set({ online: true });
    this.#context.onOnline();
  }

  async #connect(signal: AbortSignal): Promise<void> {
    const { env, replica, tokens, liveUrl } = this.#context;
    const { openSocket } = env;
    if (openSocket === undefined) return this.fire("blocked");
    const token = await tokens.get();
    const state = await replica.state();
    if (signal.aborted) return;
    const sentMs = env.now();
    const socket: LiveSocket = new LiveSocket(env, openSocket, liveUrl, token, {
      frame: (frame) => this.#frame(frame, socket, sentMs),
      ended: ({ code, error }) => this.#ended(code, error, token),
    });
    const stop = () => {
      if (this.#state !== "live") socket.close();
    };
    signal.addEventListener("abort", stop, { once: true });
    const { clientId, cursor, schemaVersion, refusalsSeen } = state;
    socket.hello({
      type: "hello",
      hello: { clientId, schemaVersion, refusalsSeen, ...(cursor === undefined ? {} : { cursor }) },
    });
  }

  #ended(code: number, error: unknown, token: string): void {
    const live = this.#state === "live";
    if (!live && this.#state !== "connecting") return;
    if (error !== undefined) return this.#failed(error);
    if (code === TOKEN_ENDED) {
      this.#working = this.#working.then(async () => {
        await this.#context.tokens.refresh(token);
      }).then(() => this.fire("lost"), (failure) => this.#failed(failure));
      return;
    }
    if (code === RIGHT_ENDED) {
      return this.#failed(new LakeSyncError("FORBIDDEN", "The gateway ended this client's access"));
    }
    this.fire(live ? "lost" : "blocked");
  }

  async #frame(frame: ServerFrame, socket: LiveSocket, sentMs: number): Promise<void> {
    const { replica, onServerTime } = this.#context;
    switch (frame.type) {
      case "welcome":
        await onServerTime(frame.serverTime, sentMs);
        this.fire("opened");
        this.#abort.signal.addEventListener("abort", () => socket.close(), { once: true });
        return this.#reached();
      case "changes":
        await this.#receive(frame.result);
        return socket.send({ type: "ack", cursor: frame.result.cursor });
      case "resync":
        await replica.resync();
        return this.fire("lost");
      case "error":
        throw toError(frame.error);
      case "draining":
        return this.fire("lost");
      case "pushResult":
      case "rejected":
      case "pong":
        return;
    }
  }

  async #receive(page: PullResult): Promise<void> {
    const { env, replica, status, onCheckpoint } = this.#context;
    const applied = await replica.receive(page);
    this.#failures = 0;
    if (!applied.complete) {
      return status.set({ receiving: status.value.receiving + applied.rows });
    }
    status.set({
      receiving: 0,
      lastError: undefined,
      ...(applied.seq === undefined
        ? {}
        : { lastCheckpoint: { seq: applied.seq, atMs: env.now() } }),
    });
    onCheckpoint(applied);
  }

  async #poll(signal: AbortSignal): Promise<void> {
    const { env, replica, http } = this.#context;
    const untilMs = env.now() + SOCKET_AGAIN_MS;
    let wait = 0;
    while (!signal.aborted) {
      const { clientId, cursor, schemaVersion } = await replica.state();
      try {
        const page = await http.pull({
          clientId,
          schemaVersion,
          wait,
          limit: PAGE_ROWS,
          ...(cursor === undefined ? {} : { cursor }),
        }, signal);
        if (signal.aborted) return;
        this.#reached();
        await this.#receive(page);
        this.fire("answered");
        wait = page.complete ? WAIT_SECONDS : 0;
      } catch (error) {
        if (!(error instanceof LakeSyncError) || error.code !== "RESYNC_REQUIRED") throw error;
        await replica.resync();
        wait = 0;
      }
      if (wait > 0 && env.openSocket !== undefined && env.now() > untilMs) {
        return this.fire("timer");
      }
    }
  }
}
