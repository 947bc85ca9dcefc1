/**
 * Brings the changes of a gateway to a destination, each once and in order, for as long as it is
 * open. It keeps nothing of its own: where the destination stands is what the destination says, and
 * after anything that went wrong it is asked again. A write names the position it follows, so a
 * second flusher, or a write that arrives late, fails instead of writing twice.
 *
 * @module
 */

import type { Destination, FlushPosition, RowEffect } from "@lakesync/adapters";
import { LakeSyncError } from "@lakesync/core";
import type { Gateway } from "../gateway/gateway.ts";
import { changesOf, cutBatch } from "./batch.ts";
import type { FlushState, FlushStatus } from "./status.ts";
import { partedAfter, positionAt } from "./resume.ts";
import { backoffMs, DEFAULT_FLUSH, type FlushEnvironment, type FlushSettings } from "./settings.ts";
import { Signal, within } from "./wait.ts";

/** The part of a gateway that a flusher needs. */
export type FlushSource = Pick<Gateway, "history" | "onCommit">;

/** What a flusher is made of. */
export interface FlusherOptions {
  /** The gateway. */
  readonly source: FlushSource;
  /** Where to. */
  readonly destination: Destination;
  /** Time and chance. */
  readonly env: FlushEnvironment;
  /** How; what is not given is as in {@linkcode DEFAULT_FLUSH}. */
  readonly settings?: Partial<FlushSettings>;
}

interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: LakeSyncError) => void;
}

/** Flushes to one destination. */
export class Flusher {
  readonly #source: FlushSource;
  readonly #destination: Destination;
  readonly #env: FlushEnvironment;
  readonly #settings: FlushSettings;
  readonly #wake = new Signal();
  readonly #waiters = new Set<Waiter>();
  readonly #stops: readonly (() => void)[];
  readonly #running: Promise<void>;
  /** Its name, unlike that of any flusher before it. */
  readonly #writer: string;
  #isClaimed = false;
  #state: FlushState = "flushing";
  #position: FlushPosition | undefined;
  /** Whether the position is what the destination said last, and nothing failed since. */
  #isKnown = false;
  /** Whether no row holds what was lost, as far as nothing failed since it was asked. */
  #isSettled = false;
  /** Everything at or before it has arrived; also commits that brought no change. */
  #arrivedSeq = 0;
  #headSeq = 0;
  #waitsSinceMs: number | undefined;
  #schemaVersion = 0;
  #failures = 0;
  #lastError: FlushStatus["lastError"];
  #hurries = false;

  /**
   * Begins to flush.
   *
   * @param options gateway, destination and world
   */
  constructor({ source, destination, env, settings }: FlusherOptions) {
    this.#source = source;
    this.#destination = destination;
    this.#env = env;
    this.#settings = { ...DEFAULT_FLUSH, ...settings };
    this.#writer = Math.floor(env.random() * 2 ** 53).toString(36);
    this.#stops = [
      source.history.keepAfter(() => this.#position === undefined ? 0 : this.#position.seq - 1),
      source.onCommit(({ seq }) => {
        this.#headSeq = Math.max(this.#headSeq, seq);
        this.#waitsSinceMs ??= env.now();
        this.#wake.give();
      }),
    ];
    this.#running = this.#run();
  }

  /** How the flush stands. */
  get status(): FlushStatus {
    const lagCommits = Math.max(0, this.#headSeq - this.#arrivedSeq);
    const since = lagCommits === 0 ? undefined : this.#waitsSinceMs;
    return {
      destination: this.#destination.name,
      state: this.#state,
      position: this.#position,
      lagCommits,
      lagMs: since === undefined ? 0 : Math.max(0, this.#env.now() - since),
      failures: this.#failures,
      lastError: this.#lastError,
    };
  }

  /**
   * Flushes without waiting for more changes, and resolves when everything has arrived that was
   * committed before the call.
   *
   * @throws {LakeSyncError} `RESYNC_REQUIRED` when the log no longer holds what the destination
   * lacks, `DRAINING` when the flusher is closed first
   */
  async flushNow(): Promise<void> {
    const { seq } = await this.#source.history.head();
    if (this.#state === "closed") throw closed();
    await new Promise<void>((resolve, reject) => {
      this.#waiters.add({ seq, resolve, reject });
      this.#hurries = true;
      this.#wake.give();
    });
  }

  /** Ends the flushing, after the write that is under way. What has not arrived stays in the log. */
  async close(): Promise<void> {
    this.#state = "closed";
    for (const stop of this.#stops) stop();
    this.#wake.give();
    this.#settle(() => closed());
    await this.#running;
  }

  get #isClosed(): boolean {
    return this.#state === "closed";
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      try {
        const more = await this.#step();
        this.#failures = 0;
        this.#lastError = undefined;
        this.#settle();
        if (!more) await this.#rest();
      } catch (error) {
        await this.#failed(error);
      }
    }
  }

  #enter(state: FlushState): void {
    if (!this.#isClosed) this.#state = state;
  }

  /** Waits for commits, and then for others to join them. */
  async #rest(): Promise<void> {
    if (this.#state !== "gap") this.#enter("idle");
    if (this.#waiters.size === 0) await this.#wake.wait();
    await this.#passes(this.#settings.everyMs, () => this.#hurries);
    this.#hurries = false;
  }

  async #failed(error: unknown): Promise<void> {
    this.#isKnown = false;
    this.#isSettled = false;
    this.#schemaVersion = 0;
    this.#failures++;
    const message = error instanceof Error ? error.message : String(error);
    this.#lastError = { message, atMs: this.#env.now() };
    this.#env.onError?.(`Flushing to ${this.#destination.name} failed, it is tried again`, error);
    this.#enter("retrying");
    await this.#passes(backoffMs(this.#failures, this.#settings, this.#env.random()));
  }

  /** Lets a time pass, in milliseconds, by a timer: the clock may be set back meanwhile, by hours. */
  async #passes(ms: number, isOver: () => boolean = () => false): Promise<void> {
    let passed = false;
    const cancel = this.#env.setTimer(ms, () => {
      passed = true;
      this.#wake.give();
    });
    while (!passed && !this.#isClosed && !isOver()) await this.#wake.wait();
    cancel();
  }

  /** Moves the destination on by one batch; tells whether there may be more. */
  async #step(): Promise<boolean> {
    if (this.#state !== "gap") this.#enter("flushing");
    const { history } = this.#source;
    const before = await history.head();
    this.#headSeq = Math.max(this.#headSeq, before.seq);
    const from = await this.#known(before.lives);
    const rows = await this.#unsettled();
    const { maxChanges, maxBytes } = this.#settings;
    const limit = { changes: maxChanges, bytes: maxBytes };
    const { entries, trimmed, throughSeq } = await history.read(from, limit);
    // A life that began meanwhile may show that the destination has followed another history, so
    // what was read is judged by the lives of after the reading.
    const { lives } = await history.head();
    if (this.#isClosed) return false;
    const parted = partedAfter(lives, from);
    if (parted < from.seq) return await this.#rewind(from, parted, lives);
    if (trimmed) return this.#gap();
    this.#enter("flushing");
    const cut = cutBatch(entries, this.#settings);
    const last = cut.entries.at(-1);
    if (last === undefined && rows.rows.length === 0) {
      this.#arrived(before.seq);
      return this.#headSeq > before.seq;
    }
    this.#waitsSinceMs = cut.entries[0]?.committedMs;
    const end = last === undefined ? from : cut.isWhole ? { seq: last.seq } : last;
    const to = positionAt(lives, end, this.#writer);
    await this.#ensureSchema();
    if (this.#isClosed) return false;
    // Rows that are newer than the batch would be of a history that may yet be lost unnoticed.
    const reached = cut.entries.length === entries.length ? throughSeq : wholeSeq(to);
    const settled = rows.seq <= reached ? rows.rows : [];
    if (last === undefined && settled.length === 0) return true;
    const changes = changesOf(cut.entries);
    const batch = { from, to, rows: settled, changes, isWhole: to.slice === undefined };
    await this.#answer(this.#destination.write(batch));
    this.#moved(to);
    this.#arrived(wholeSeq(to));
    return true;
  }

  /** Where the destination stands; asked where that is not known, and claimed the first time. */
  async #known(lives: FlushPosition["lives"]): Promise<FlushPosition> {
    if (this.#isKnown && this.#position !== undefined) return this.#position;
    const from = await this.#answer(this.#destination.position());
    if (from?.writer === this.#writer) this.#isClaimed = true;
    if (from !== undefined && this.#isClaimed) return this.#moved(from);
    const start = from ?? positionAt(lives, { seq: 0 }, this.#writer);
    const to = { ...start, writer: this.#writer };
    const isWhole = to.slice === undefined;
    await this.#answer(this.#destination.write({ from, to, rows: [], changes: [], isWhole }));
    this.#isClaimed = true;
    return this.#moved(to);
  }

  #moved(position: FlushPosition): FlushPosition {
    this.#position = position;
    this.#isKnown = true;
    this.#arrivedSeq = wholeSeq(position);
    return position;
  }

  #arrived(seq: number): void {
    this.#arrivedSeq = seq;
    if (seq >= this.#headSeq) this.#waitsSinceMs = undefined;
  }

  /** Goes back to where the destination's history left the gateway's. */
  async #rewind(
    from: FlushPosition,
    parted: number,
    lives: FlushPosition["lives"],
  ): Promise<boolean> {
    const to = positionAt(lives, { seq: parted }, this.#writer);
    this.#isSettled = false;
    await this.#answer(this.#destination.rewind({ from, to }));
    this.#moved(to);
    return true;
  }

  /** Some of the rows that hold what was lost, as the gateway has them now. */
  async #unsettled(): Promise<{ readonly rows: readonly RowEffect[]; readonly seq: number }> {
    const keys = this.#isSettled
      ? []
      : await this.#answer(this.#destination.unsettled(this.#settings.maxChanges));
    this.#isSettled = keys.length === 0;
    if (this.#isSettled) return { rows: [], seq: 0 };
    const { rows, seq } = await this.#source.history.rows(keys);
    return { rows: rows.map((row) => ({ ...row, replaces: true })), seq };
  }

  async #ensureSchema(): Promise<void> {
    const { schema } = this.#source.history;
    if (schema.version === this.#schemaVersion) return;
    await this.#answer(this.#destination.ensureSchema(schema));
    this.#schemaVersion = schema.version;
  }

  /** The log lacks what the destination lacks; looked at again with every wake. */
  #gap(): boolean {
    if (this.#state !== "gap") {
      this.#env.onError?.(`Flushing to ${this.#destination.name} stopped`, lacking());
    }
    this.#enter("gap");
    this.#isKnown = false;
    this.#settle(() => lacking());
    return false;
  }

  /** Ends the waiting of those whose commits have arrived, or of all with an error. */
  #settle(failure?: () => LakeSyncError): void {
    for (const waiter of this.#waiters) {
      const hasArrived = this.#isSettled && waiter.seq <= this.#arrivedSeq;
      if (failure === undefined && !hasArrived) continue;
      this.#waiters.delete(waiter);
      if (failure === undefined) waiter.resolve();
      else waiter.reject(failure());
    }
  }

  #answer<T>(answer: Promise<T>): Promise<T> {
    const { answerMs } = this.#settings;
    return within(answer, answerMs, this.#env.setTimer, () =>
      new LakeSyncError(
        "TIMEOUT",
        `${this.#destination.name} did not answer within ${answerMs} ms, it is asked again`,
      ));
  }
}

/** The last commit of which everything has arrived. */
function wholeSeq({ seq, slice }: FlushPosition): number {
  return slice === undefined ? seq : seq - 1;
}

function closed(): LakeSyncError {
  return new LakeSyncError("DRAINING", "The flush is closed, try again");
}

function lacking(): LakeSyncError {
  return new LakeSyncError(
    "RESYNC_REQUIRED",
    "The log no longer holds what the destination lacks, fill the destination anew",
  );
}
