/**
 * Sends local transactions, one push after the other. Nothing here ever waits for a download.
 *
 * Every wait is bounded: by a timer, or by an event that is named in the status.
 *
 * @module
 */

import { LakeSyncError, type PushResult } from "@lakesync/core";
import { problemOf } from "./download.ts";
import type { ClientEnvironment } from "./environment.ts";
import { backOffMs, RECONNECT, REFUSED } from "./machine.ts";
import type { BatchLimits, BatchPosition, Replica } from "./replica.ts";
import type { StatusValue } from "./status.ts";
import type { HttpTransport } from "./transport/http.ts";
import { remedyFor } from "./transport/problem.ts";

/**
 * How much one push holds. The gateway keeps the last 64 links of a client's chain, and a push
 * whose answer was lost must lie within them.
 */
const FULL_BATCH: BatchLimits = { transactions: 64, deltas: 5_000, bytes: 4 * 1024 * 1024 };

/** How often in a row stamps are mended before the client waits. */
const MAX_RESTAMPS = 5;

/** How often in a row the client mends what the gateway sees differently before it waits. */
const MAX_MENDED = 16;

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
}

/** Sends what was written locally. */
export class Upload {
  readonly #context: UploadContext;
  #held = true;
  #closed = false;
  #wake: () => void = () => {};
  #woken = false;
  #abort = new AbortController();
  #failures = 0;
  #restamps = 0;
  #mended = 0;
  #limits = FULL_BATCH;
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
    this.wake();
  }

  /** Holds until {@linkcode Upload.resume}; a push under way is given up, and sent again then. */
  hold(): void {
    this.#held = true;
    this.#interrupt();
  }

  /** Says that there may be something to send, or that the gateway was reached. */
  wake(): void {
    this.#woken = true;
    this.#wake();
  }

  /** Ends it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#interrupt();
    this.wake();
    await this.#loop;
  }

  #interrupt(): void {
    this.#abort.abort();
    this.#abort = new AbortController();
  }

  /** Waits to be woken, at most so long. */
  async #sleep(ms: number | undefined): Promise<void> {
    if (!this.#woken) {
      await new Promise<void>((resolve) => {
        const cancel = ms === undefined ? () => {} : this.#context.env.setTimer(ms, resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
    }
    this.#woken = false;
    this.#wake = () => {};
  }

  async #run(): Promise<void> {
    const { env, status } = this.#context;
    while (!this.#closed) {
      if (this.#held) {
        await this.#sleep(undefined);
        continue;
      }
      const { signal } = this.#abort;
      try {
        const waitMs = await this.#step(signal);
        if (waitMs !== 0) await this.#sleep(waitMs);
      } catch (error) {
        this.#position = undefined;
        status.set({ uploading: false });
        if (signal.aborted) continue;
        status.set({ lastError: problemOf(error, env.now()) });
        await this.#recover(error);
      }
    }
  }

  /** Sends one batch; gives how long to wait then: not at all, so long, or until woken. */
  async #step(signal: AbortSignal): Promise<number | undefined> {
    const { env, replica, http, status, onServerTime, onPushed } = this.#context;
    await replica.seal();
    const state = await replica.state();
    const after = this.#position ?? { mutationId: state.settledMutationId, part: 0 };
    const batch = await replica.nextBatch(after, this.#limits);
    if (batch === undefined) {
      status.set({ uploading: false });
      return undefined;
    }
    status.set({ uploading: true });
    const sentMs = env.now();
    const { clientId, schemaVersion, refusalsSeen } = state;
    const { transactions } = batch;
    const result = await http.push({ clientId, schemaVersion, refusalsSeen, transactions }, signal);
    await onServerTime(result.serverTime, sentMs);
    await replica.pushed(result);
    this.#failures = 0;
    this.#mended = 0;
    this.#limits = FULL_BATCH;
    this.#position = batch.next;
    status.set({ online: true });
    await onPushed();
    return await this.#mend(result);
  }

  /** Does what a push that was stopped asks for. */
  async #mend({ stopped }: PushResult): Promise<number | undefined> {
    const { env, replica, status } = this.#context;
    if (stopped === undefined) {
      this.#restamps = 0;
      return 0;
    }
    this.#position = undefined;
    const { code, message, mutationId } = stopped;
    if (code === "CLOCK_DRIFT" && this.#restamps++ < MAX_RESTAMPS) {
      await replica.restamp(mutationId);
      return 0;
    }
    status.set({ uploading: false, lastError: { code, message, atMs: env.now() } });
    return backOffMs(REFUSED, ++this.#failures, env.random());
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
    const backOff = remedy.kind === "retry" ? RECONNECT : REFUSED;
    const atLeastMs = remedy.kind === "retry" ? remedy.atLeastMs : 0;
    this.#woken = false;
    await this.#sleep(backOffMs(backOff, ++this.#failures, env.random(), atLeastMs));
  }

  /** Mends what the gateway and this database see differently; whether the next push can go at once. */
  async #mendHistory({ code, details }: LakeSyncError): Promise<boolean> {
    const { replica } = this.#context;
    const { settledMutationId, highestMutationId } = await replica.state();
    const { lastMutationId = settledMutationId, mutationId } = details;
    switch (code) {
      case "CLIENT_FORKED":
        await replica.fork((mutationId ?? settledMutationId + 1) - 1);
        return true;
      case "MUTATION_GAP":
        return await this.#closeGap(lastMutationId, settledMutationId, highestMutationId);
      case "PAYLOAD_TOO_LARGE": {
        const { transactions, deltas, bytes } = this.#limits;
        if (deltas <= 1) return false;
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

  async #closeGap(last: number, settled: number, highest: number): Promise<boolean> {
    const { replica } = this.#context;
    if (last > highest) {
      await replica.fork(settled);
      return true;
    }
    this.#position = { mutationId: last, part: 0 };
    try {
      const batch = await replica.nextBatch(this.#position, FULL_BATCH);
      if (batch !== undefined) return true;
    } catch (error) {
      if (!(error instanceof LakeSyncError) || error.code !== "MUTATION_GAP") throw error;
      await replica.fork(settled);
      this.#position = undefined;
      return true;
    }
    return false;
  }
}
