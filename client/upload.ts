/**
 * Sends local transactions, one push after the other. Nothing here ever waits for a download.
 *
 * Every wait is bounded: by a timer, or by an event that is named in the status.
 *
 * @module
 */

import {
  type ErrorCode,
  type ErrorDetails,
  LakeSyncError,
  type PushRequest,
  type PushResult,
  type Transaction,
} from "@lakesync/core";
import { problemOf } from "./download.ts";
import type { ClientEnvironment } from "./environment.ts";
import { backOffMs, reconnectMs, REFUSED, STOPPED } from "./machine.ts";
import { lastCommon } from "./parting.ts";
import type { Batch, BatchLimits, BatchPosition, Replica, ReplicaState } from "./replica.ts";
import type { StatusValue } from "./status.ts";
import type { HttpTransport } from "./transport/http.ts";
import { remedyFor } from "./transport/problem.ts";

/**
 * How much one push holds. The gateway has the last 64 links of a client's chain at hand, and a push
 * whose answer was lost must lie within them.
 */
const FULL_BATCH: BatchLimits = { transactions: 64, deltas: 5_000, bytes: 4 * 1024 * 1024 };

/** A push under way for so long is sent again when the gateway was reached anew, in milliseconds. */
const STALLED_MS = 10_000;

/** How often in a row stamps are mended before the client waits. */
const MAX_RESTAMPS = 5;

/** How often in a row the client mends what the gateway sees differently before it waits. */
const MAX_MENDED = 16;

/** What says that the gateway and this database have another history. */
const HISTORY_CODES: readonly ErrorCode[] = ["CLIENT_FORKED", "MUTATION_GAP"];

/** What uploading works with. */
export interface UploadContext {
  /** Clock, timers, randomness. */
  readonly env: ClientEnvironment;
  /** The local database. */
  readonly replica: Replica;
  /** Requests over HTTP. */
  readonly http: HttpTransport;
  /** Where the state is shown. */
  readonly status: StatusValue;
  /** Told of the gateway's time. */
  readonly onServerTime: (serverTime: string, sentMs: number) => Promise<void>;
  /** Told when the token was refused and a fresh one too. */
  readonly onNeedsToken: () => void;
  /** Told after the gateway answered a push. */
  readonly onPushed: () => Promise<void>;
  /** Runs a step that gives this database another clientId while nothing is received. */
  readonly rename: (step: () => Promise<void>) => Promise<void>;
}

/**
 * What a wait ends by beside its time, the app's `resume` and `close`: nothing, the gateway being
 * reached again, or something to send.
 */
type Rest = "timed" | "offline" | "idle";

/** Sends what was written locally. */
export class Upload {
  readonly #context: UploadContext;
  #held = true;
  #closed = false;
  #rest: { readonly kind: Rest; readonly end: () => void } | undefined;
  #news = false;
  #pushingSinceMs: number | undefined;
  #abort = new AbortController();
  #failures = 0;
  #stops = 0;
  #restamps = 0;
  #mended = 0;
  /** Smaller once something on the way took no body of the full size. */
  #limits = FULL_BATCH;
  /** Where the last answered push ended. A failure leaves it: parts that arrived are kept there. */
  #position: BatchPosition | undefined;
  #loop: Promise<void> | undefined;

  /** @param context what it works with */
  constructor(context: UploadContext) {
    this.#context = context;
  }

  /** Goes on, or begins. */
  resume(): void {
    this.#held = false;
    this.#loop ??= this.#run();
    this.#endRest("timed", "offline", "idle");
  }

  /** Holds until {@linkcode Upload.resume}; a push under way is given up, and sent again then. */
  hold(): void {
    this.#held = true;
    this.#interrupt();
  }

  /** Says that there may be something to send. */
  wake(): void {
    this.#news = true;
    this.#endRest("idle");
  }

  /** Says that the gateway was reached. A push on a connection that died before is sent again. */
  reached(): void {
    const sinceMs = this.#pushingSinceMs;
    if (sinceMs !== undefined && this.#context.env.now() - sinceMs > STALLED_MS) this.#interrupt();
    this.#endRest("offline", "idle");
  }

  /** Ends it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#interrupt();
    this.#endRest("timed", "offline", "idle");
    await this.#loop;
  }

  #interrupt(): void {
    this.#abort.abort();
    this.#abort = new AbortController();
  }

  #endRest(...kinds: readonly Rest[]): void {
    if (this.#rest !== undefined && kinds.includes(this.#rest.kind)) this.#rest.end();
  }

  /** Waits until something ends it, at most so long. */
  async #wait(kind: Rest, ms?: number): Promise<void> {
    if (this.#closed || (kind === "idle" && this.#news)) return;
    await new Promise<void>((resolve) => {
      const cancel = ms === undefined ? () => {} : this.#context.env.setTimer(ms, resolve);
      const end = () => {
        cancel();
        resolve();
      };
      this.#rest = { kind, end };
    });
    this.#rest = undefined;
  }

  async #run(): Promise<void> {
    const { env, status } = this.#context;
    while (!this.#closed) {
      if (this.#held) {
        await this.#wait("timed");
        continue;
      }
      const { signal } = this.#abort;
      try {
        await this.#step(signal);
      } catch (error) {
        this.#pushingSinceMs = undefined;
        status.set({ uploading: false });
        if (signal.aborted) continue;
        status.setProblem("up", problemOf(error, env.now()));
        await this.#recover(error).catch((failure) => this.#recoverLater(failure));
      }
    }
  }

  /** What a failure asks for may fail as well: the device's disk may be full. */
  async #recoverLater(failure: unknown): Promise<void> {
    const { env, status } = this.#context;
    if (this.#closed) return;
    status.setProblem("up", problemOf(failure, env.now()));
    await this.#wait("timed", reconnectMs(++this.#failures, env.random()));
  }

  /** Sends one batch, or waits until there is one. */
  async #step(signal: AbortSignal): Promise<void> {
    const { env, replica, http, status, onServerTime, onPushed } = this.#context;
    this.#news = false;
    await replica.seal();
    const state = await replica.state();
    if (state.doubts > 0) return await this.#ask(state, signal);
    const batch = await replica.nextBatch(this.#after(state), this.#limits);
    if (batch === undefined) {
      status.setProblem("up", undefined, { uploading: false });
      return await this.#wait("idle");
    }
    status.set({ uploading: true });
    const sentMs = env.now();
    this.#pushingSinceMs = sentMs;
    const { transactions } = batch;
    const result = await http.push(pushOf(state, transactions), signal);
    this.#pushingSinceMs = undefined;
    await onServerTime(result.serverTime, sentMs);
    await replica.pushed(result, sentThrough(state, batch));
    this.#failures = 0;
    this.#mended = 0;
    this.#position = batch.next;
    status.set({ online: true });
    await onPushed();
    await this.#mend(result);
  }

  /**
   * Asks whether the gateway still has what it accepted from here, by repeating the last of it: its
   * checkpoints count transactions that are not this database's. Copies make that so, and so does a
   * gateway that was put back and has been given another copy's transactions since.
   */
  async #ask(state: ReplicaState, signal: AbortSignal): Promise<void> {
    const { env, replica } = this.#context;
    const { settledMutationId: last, doubts } = state;
    const chain = (await replica.chains(last, last)).get(last);
    if (chain !== undefined) {
      this.#pushingSinceMs = env.now();
      await this.#repeat(state, { mutationId: last, deltas: [], chain }, signal);
      this.#pushingSinceMs = undefined;
    }
    await replica.trust(doubts);
  }

  async #repeat(
    state: ReplicaState,
    transaction: Transaction,
    signal: AbortSignal = this.#abort.signal,
  ): Promise<void> {
    await this.#context.http.push(pushOf(state, [transaction]), signal);
  }

  /**
   * Where to go on: where the last push ended, unless the gateway has forgotten what it had
   * accepted, for then that comes first.
   */
  #after({ settledMutationId }: ReplicaState): BatchPosition {
    const position = this.#position;
    if (position !== undefined && position.mutationId <= settledMutationId) return position;
    return { mutationId: settledMutationId, part: 0 };
  }

  /** Does what a push that was stopped asks for. */
  async #mend({ stopped }: PushResult): Promise<void> {
    const { env, replica, status } = this.#context;
    if (stopped === undefined) {
      this.#restamps = 0;
      this.#stops = 0;
      return status.setProblem("up", undefined);
    }
    this.#position = undefined;
    const { code, message, mutationId } = stopped;
    if (code === "CLOCK_DRIFT") {
      await replica.restamp(mutationId);
      if (this.#restamps++ < MAX_RESTAMPS) return;
    }
    status.setProblem("up", { code, message, atMs: env.now() }, { uploading: false });
    await this.#wait("timed", backOffMs(STOPPED, ++this.#stops, env.random()));
  }

  async #recover(error: unknown): Promise<void> {
    const { env, onNeedsToken } = this.#context;
    if (error instanceof LakeSyncError && this.#mended++ < MAX_MENDED) {
      if (await this.#mendHistory(error)) return;
    }
    const remedy = remedyFor(error);
    if (remedy.kind === "token") {
      this.#held = true;
      return onNeedsToken();
    }
    const random = env.random();
    this.#failures++;
    if (remedy.kind === "mend") {
      const noSchema = error instanceof LakeSyncError && error.code === "SCHEMA_ERROR";
      return await this.#wait(
        "timed",
        backOffMs(noSchema ? STOPPED : REFUSED, this.#failures, random),
      );
    }
    const ms = reconnectMs(this.#failures, random, remedy.atLeastMs);
    await this.#wait(error instanceof LakeSyncError ? "timed" : "offline", ms);
  }

  /** Mends what the gateway and this database see differently; whether the next push can go at once. */
  async #mendHistory({ code, details }: LakeSyncError): Promise<boolean> {
    const { replica } = this.#context;
    const { settledMutationId } = await replica.state();
    const { lastMutationId = settledMutationId } = details;
    switch (code) {
      case "CLIENT_FORKED":
        await this.#part(details);
        return true;
      case "MUTATION_GAP":
        return await this.#closeGap(lastMutationId);
      case "PAYLOAD_TOO_LARGE": {
        const { transactions, deltas, bytes } = this.#limits;
        if (deltas <= 1) return false;
        this.#position = undefined;
        this.#limits = {
          transactions: Math.max(1, Math.floor(transactions / 2)),
          deltas: Math.max(1, Math.floor(deltas / 2)),
          bytes: Math.max(64 * 1024, Math.floor(bytes / 2)),
        };
        return true;
      }
      default:
        return false;
    }
  }

  /** Goes on under another name than the gateway knows another history by. */
  async #part(details: ErrorDetails): Promise<void> {
    const { replica } = this.#context;
    const { clientId } = details;
    if (clientId !== undefined) return await this.#rename(() => replica.goBack(clientId));
    const state = await replica.state();
    const repeat = (transaction: Transaction) => this.#repeat(state, transaction);
    const last = await lastCommon({ replica, repeat }, details, state.settledMutationId);
    if (await this.#settle(last)) await this.#rename(() => replica.fork(last));
  }

  /**
   * Learns the outcomes of what is common, by sending it once more: some of it may have been refused
   * when another copy sent it, and nobody asks for it under the new name.
   *
   * @param last the last common transaction
   * @returns whether outcomes through it are known; if not, the gateway has gone back meanwhile
   */
  async #settle(last: number): Promise<boolean> {
    const { replica, http } = this.#context;
    this.#position = undefined;
    let position: BatchPosition | undefined;
    while (true) {
      const state = await replica.state();
      if (state.settledMutationId >= last) return true;
      const after = position ?? { mutationId: state.settledMutationId, part: 0 };
      const transactions = Math.min(this.#limits.transactions, last - after.mutationId);
      const batch = await replica.nextBatch(after, { ...this.#limits, transactions });
      if (batch === undefined) return true;
      try {
        const result = await http.push(pushOf(state, batch.transactions), this.#abort.signal);
        await replica.pushed(result, sentThrough(state, batch));
        if (result.stopped !== undefined) return false;
      } catch (error) {
        if (error instanceof LakeSyncError && HISTORY_CODES.includes(error.code)) return false;
        throw error;
      }
      position = batch.next;
    }
  }

  async #rename(step: () => Promise<void>): Promise<void> {
    const { rename, onPushed } = this.#context;
    await rename(step);
    this.#position = undefined;
    await onPushed();
  }

  /** Goes on after what the gateway has; under a new name where that is not kept any more. */
  async #closeGap(last: number): Promise<boolean> {
    const { replica } = this.#context;
    await replica.forgotten(last);
    this.#position = { mutationId: last, part: 0 };
    try {
      return await replica.nextBatch(this.#position, FULL_BATCH) !== undefined;
    } catch (error) {
      if (!(error instanceof LakeSyncError) || error.code !== "MUTATION_GAP") throw error;
      await this.#rename(() => replica.fork(last));
      return true;
    }
  }
}

function pushOf(
  { clientId, schemaVersion, refusalsSeen, origin }: ReplicaState,
  transactions: readonly Transaction[],
): PushRequest {
  const begins = origin !== undefined && transactions[0]?.mutationId === 1;
  const push = { clientId, schemaVersion, refusalsSeen, transactions };
  return begins ? { ...push, origin } : push;
}

/**
 * How far an answer can be about what was sent. Where another device goes on under this clientId the
 * gateway has more, of which nothing is known here: transactions of the same numbers may be others.
 */
function sentThrough({ settledMutationId }: ReplicaState, { transactions }: Batch): number {
  return Math.max(settledMutationId, transactions.at(-1)?.mutationId ?? 0);
}
