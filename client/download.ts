/**
 * Receives changes: does what each state of `machine.ts` asks for. WebSocket first; HTTP pulls that
 * wait for news where sockets are blocked.
 *
 * @module
 */

import { LakeSyncError, type PullResult, type ServerFrame } from "@lakesync/core";
import { Bootstrap } from "./bootstrap.ts";
import type { ClientEnvironment } from "./environment.ts";
import {
  backOffMs,
  type ConnectionEvent,
  type ConnectionState,
  reconnectMs,
  REFUSED,
  SOCKET_AGAIN,
  TOKEN_AGAIN,
  transition,
  UNSTEADY_FAILURES,
} from "./machine.ts";
import type { Applied, PageOrigin, Replica } from "./replica.ts";
import type { StatusValue, SyncProblem } from "./status.ts";
import type { HttpTransport } from "./transport/http.ts";
import { NeedsTokenError, OfflineError, remedyFor, toError } from "./transport/problem.ts";
import { LiveSocket } from "./transport/socket.ts";
import type { TokenKeeper } from "./transport/token.ts";

/** How long a pull waits for news, in seconds. */
const WAIT_SECONDS = 25;

/** Rows of one pulled page. */
const PAGE_ROWS = 5_000;

/** A live connection that lasts so long begins its back-off anew when it is lost, in milliseconds. */
const STEADY_MS = 5_000;

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
  /** Told of the gateway's time, and of the client's when it asked. */
  readonly onServerTime: (serverTime: string, sentMs: number) => Promise<void>;
  /** Told after the gateway answered, however. */
  readonly onOnline: () => void;
  /** Told when the connection needs a new token. */
  readonly onNeedsToken: () => void;
  /** Told with the first checkpoint after a refusal. */
  readonly onAllowed: () => void;
  /** Told after each checkpoint. */
  readonly onCheckpoint: (applied: Applied) => void;
}

/** Where the pages of one connection go on from, and what was asked for with them. */
interface Stream {
  readonly clientId: string;
  cursor: string | undefined;
  readonly repair: readonly string[];
  readonly settledMutationId: number;
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
  readonly #bootstrap: Bootstrap;
  #state: ConnectionState = "paused";
  #abort = new AbortController();
  #socket: LiveSocket | undefined;
  #failures = 0;
  #socketFailures = 0;
  #atLeastMs = 0;
  /** Whether the gateway refused and has given no checkpoint since. */
  #refused = false;
  /** Whether the last page left buckets to be asked for again. */
  #repairs = false;
  #working: Promise<void> = Promise.resolve();

  /** @param context what it works with */
  constructor(context: DownloadContext) {
    this.#context = context;
    const { replica, http, status } = context;
    this.#bootstrap = new Bootstrap({
      replica,
      http,
      status,
      onReached: () => this.#reached(),
      onChunk: () => this.#failures = 0,
    });
  }

  /** Where the connection is. */
  get state(): ConnectionState {
    return this.#state;
  }

  /** Says that something happened. */
  fire(event: ConnectionEvent): void {
    // Uploads are held by this in every state, also where it changes none.
    if (event === "unauthorized") this.#refused = true;
    const next = transition(this.#state, event);
    if (next === this.#state) return;
    this.#leave(next);
    this.#enter(next);
  }

  /**
   * Runs a step that gives this database another clientId. Nothing that was meant for the old one
   * is received once it has begun.
   *
   * @param step gives the other clientId
   */
  async rename(step: () => Promise<void>): Promise<void> {
    const next = transition(this.#state, "renamed");
    const reconnects = next === "connecting";
    if (reconnects) this.#leave(next);
    const renamed = this.#working.then(step);
    this.#working = renamed.catch(() => {});
    if (reconnects) this.#enter(next);
    await renamed;
  }

  /** Resolves when nothing is under way any more, after `pause` or `close`. */
  async settled(): Promise<void> {
    await this.#working;
  }

  #leave(next: ConnectionState): void {
    const left = this.#abort;
    this.#state = next;
    this.#abort = new AbortController();
    left.abort();
    if (next !== "live") this.#dropSocket();
  }

  #dropSocket(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #enter(state: ConnectionState): void {
    const { status, tokens, onNeedsToken } = this.#context;
    const { signal } = this.#abort;
    const online = state === "waiting" ? { online: false } : {};
    status.set({ state, connected: state === "live", ...online });
    switch (state) {
      case "connecting":
        return this.#work(signal, () => this.#connect(signal));
      case "polling":
        this.#trySocketLater(signal);
        return this.#work(signal, () => this.#poll(signal));
      case "waiting":
        return this.#retryAfter(reconnectMs, signal);
      case "refused":
        this.#refused = true;
        return this.#retryAfter((...tries) => backOffMs(REFUSED, ...tries), signal);
      case "live":
        return this.#after(STEADY_MS, signal, () => this.#failures = 0);
      case "needs-token":
        this.#refused = true;
        tokens.forget();
        onNeedsToken();
        return this.#retryAfter((...tries) => backOffMs(TOKEN_AGAIN, ...tries), signal);
      case "paused":
      case "closed":
        return;
    }
  }

  #work(signal: AbortSignal, task: () => Promise<void>): void {
    this.#working = this.#working.then(async () => {
      if (!signal.aborted) await task();
    }).catch((error) => {
      if (!signal.aborted) this.#failed(error);
    });
  }

  #after(ms: number, signal: AbortSignal, callback: () => void): void {
    const cancel = this.#context.env.setTimer(ms, callback);
    signal.addEventListener("abort", cancel, { once: true });
  }

  #retryAfter(waitMs: typeof reconnectMs, signal: AbortSignal): void {
    const ms = waitMs(++this.#failures, this.#context.env.random(), this.#atLeastMs);
    this.#atLeastMs = 0;
    this.#after(ms, signal, () => this.fire("timer"));
  }

  /** While HTTP serves, a socket is tried beside it, so that nothing is late meanwhile. */
  #trySocketLater(signal: AbortSignal): void {
    const { env } = this.#context;
    if (env.openSocket === undefined) return;
    const ms = backOffMs(SOCKET_AGAIN, ++this.#socketFailures, env.random());
    this.#after(ms, signal, () => {
      this.#connect(signal).catch(() => {
        if (!signal.aborted) this.#trySocketLater(signal);
      });
    });
  }

  #failed(error: unknown): void {
    const { env, status } = this.#context;
    status.setProblem("down", problemOf(error, env.now()));
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
    // While HTTP serves, chunks are received there.
    if (this.#bootstrap.running) return this.#blocked(signal);
    if (this.#state === "connecting") await this.#bootstrap.run(signal);
    if (signal.aborted) return;
    const token = await tokens.get(signal);
    const { clientId, cursor, schemaVersion, refusalsSeen, settledMutationId, repair } =
      await replica.state();
    if (signal.aborted) return;
    const sentMs = env.now();
    const stream: Stream = { clientId, cursor, repair, settledMutationId };
    let socket: LiveSocket;
    try {
      socket = new LiveSocket(env, openSocket, liveUrl, token, {
        frame: (frame) => this.#frame(frame, socket, sentMs, stream),
        ended: ({ code, error }) => {
          if (socket === this.#socket) this.#ended(code, error, token);
        },
      });
    } catch {
      return this.#blocked(signal);
    }
    this.#socket = socket;
    socket.hello({
      type: "hello",
      hello: {
        clientId,
        schemaVersion,
        refusalsSeen,
        ...(cursor === undefined ? {} : { cursor }),
        ...(repair.length === 0 ? {} : { repair }),
      },
    });
  }

  #blocked(signal: AbortSignal): void {
    if (this.#state === "polling") this.#trySocketLater(signal);
    else this.fire("blocked");
  }

  #ended(code: number, error: unknown, token: string): void {
    this.#socket = undefined;
    const live = this.#state === "live";
    if (!live && this.#state !== "connecting") return this.#blocked(this.#abort.signal);
    const unauthorized = error instanceof LakeSyncError && error.code === "AUTH_ERROR";
    if (unauthorized || code === TOKEN_ENDED) return this.#renewToken(token);
    if (error !== undefined) return this.#failed(error);
    if (code === RIGHT_ENDED) {
      return this.#failed(new LakeSyncError("FORBIDDEN", "The gateway ended this client's access"));
    }
    if (!live) return this.fire("blocked");
    const { env, status } = this.#context;
    const lost = new OfflineError("The connection to the gateway was lost");
    status.setProblem("down", problemOf(lost, env.now()));
    this.fire("lost");
  }

  /** A live connection ended with its token: asks for another one and connects again. */
  #renewToken(token: string): void {
    const { signal } = this.#abort;
    this.#work(signal, async () => {
      await this.#context.tokens.refresh(token, signal);
      this.fire("lost");
    });
  }

  async #frame(
    frame: ServerFrame,
    socket: LiveSocket,
    sentMs: number,
    stream: Stream,
  ): Promise<void> {
    const { onServerTime } = this.#context;
    if (socket !== this.#socket) return;
    switch (frame.type) {
      case "welcome":
        await onServerTime(frame.serverTime, sentMs);
        if (socket !== this.#socket) return;
        this.#socketFailures = 0;
        this.fire("opened");
        return this.#reached();
      case "changes":
        if (!(await this.#receive(frame.result, stream))) return this.fire("lost");
        if (socket !== this.#socket) return;
        stream.cursor = frame.result.cursor;
        socket.send({ type: "ack", cursor: frame.result.cursor });
        return await this.#askAgain(stream);
      case "resync":
        await this.#resync();
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

  async #resync(): Promise<void> {
    await this.#context.replica.resync();
    this.#context.status.set({ progress: undefined });
  }

  /** Connects again when there are buckets to ask for that this connection did not ask for. */
  async #askAgain({ repair: asked }: Stream): Promise<void> {
    if (!this.#repairs) return;
    const { repair } = await this.#context.replica.state();
    if (repair.some((bucket) => !asked.includes(bucket))) this.fire("repair");
  }

  /** Shows the rows of a page, where the checkpoint has others before it. */
  #showReceived({ changes, complete }: PullResult): void {
    const { status } = this.#context;
    const { progress } = status.value;
    if (complete && progress === undefined) return;
    const rows = (progress?.rows ?? 0) + changes.length;
    const total = progress?.totalRows;
    status.set({
      progress: { rows, ...(total === undefined ? {} : { totalRows: Math.max(total, rows) }) },
    });
  }

  #showApplied(rows: number): void {
    const { status } = this.#context;
    const { progress } = status.value;
    if (progress === undefined) return;
    status.set({ progress: { ...progress, applied: (progress.applied ?? 0) + rows } });
  }

  /** Gives whether the page was taken: it is not when the database has gone on without it. */
  async #receive(
    page: PullResult,
    { clientId, cursor, settledMutationId = 0 }: PageOrigin,
  ): Promise<boolean> {
    const { env, replica, status, onAllowed, onCheckpoint } = this.#context;
    if (page.complete) this.#showReceived(page);
    const applied = await replica.receive(
      page,
      { clientId, cursor, settledMutationId },
      (rows) => this.#showApplied(rows),
    );
    if (applied.dropped) {
      if (page.complete) status.set({ progress: undefined });
      return false;
    }
    this.#repairs = applied.complete && applied.repair === true;
    if (!applied.complete) {
      this.#showReceived(page);
      return true;
    }
    this.#bootstrap.complete();
    this.#failures = Math.min(this.#failures, UNSTEADY_FAILURES);
    const { seq } = applied;
    const checkpoint = seq === undefined ? {} : { lastCheckpoint: { seq, atMs: env.now() } };
    status.setProblem("down", undefined, { progress: undefined, ...checkpoint });
    onCheckpoint(applied);
    if (this.#refused) onAllowed();
    this.#refused = false;
    return true;
  }

  async #poll(signal: AbortSignal): Promise<void> {
    const { replica, http } = this.#context;
    let wait = 0;
    while (!signal.aborted) {
      await this.#bootstrap.run(signal);
      if (signal.aborted) return;
      const { clientId, cursor, schemaVersion, settledMutationId, repair } = await replica.state();
      try {
        const page = await http.pull({
          clientId,
          schemaVersion,
          wait,
          limit: PAGE_ROWS,
          ...(cursor === undefined ? {} : { cursor }),
          ...(repair.length === 0 ? {} : { repair }),
        }, signal);
        if (signal.aborted) return;
        this.#failures = 0;
        this.#reached();
        const taken = await this.#receive(page, { clientId, cursor, settledMutationId });
        wait = taken && page.complete ? WAIT_SECONDS : 0;
      } catch (error) {
        if (!(error instanceof LakeSyncError) || error.code !== "RESYNC_REQUIRED") throw error;
        await this.#resync();
        wait = 0;
      }
    }
  }
}
