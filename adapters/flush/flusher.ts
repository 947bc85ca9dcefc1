/**
 * Brings the changes of a source to a destination, each once and in order, for as long as it is
 * open. It keeps nothing of its own: where the destination stands is what the destination says, and
 * after anything that went wrong it is asked again. A write names the position it follows, so a
 * second flusher, or a write that arrives late, fails instead of writing twice.
 *
 * @module
 */

import {
  type Destination,
  DestinationError,
  type FlushBatch,
  type FlushPosition,
  type Place,
  type RowEffect,
} from "../adapter.ts";
import { Backlog, type BacklogSize } from "./backlog.ts";
import { cutBatch } from "./batch.ts";
import { closed, lacking, silent, taken } from "./errors.ts";
import { ReadAhead } from "./read_ahead.ts";
import type { FlushState, FlushStatus } from "./status.ts";
import { isOfAnother, partedAfter, positionAt } from "./resume.ts";
import {
  backoffMs,
  DEFAULT_FLUSH,
  type DestinationCall,
  type FlushEnvironment,
  type FlushSettings,
} from "./settings.ts";
import type { ChangeSource, SourceHead, SourcePage } from "./source.ts";
import { Signal, within } from "./wait.ts";
import { Waiters } from "./waiters.ts";

/** What a flusher is made of. */
export interface FlusherOptions {
  /** What is followed. */
  readonly source: ChangeSource;
  /** Where to. */
  readonly destination: Destination;
  /** Time and chance. */
  readonly env: FlushEnvironment;
  /** How; what is not given is as the destination wants it, or as in {@linkcode DEFAULT_FLUSH}. */
  readonly settings?: Partial<FlushSettings>;
}

/** Rows to be set beside changes, and how far a walk over all rows has come with them. */
interface Settling {
  readonly rows: readonly RowEffect[];
  /** No commit after this one has touched them. */
  readonly seq: number;
  /** Where a walk over all rows stands with them; not there when they are not of a walk. */
  readonly filled?: string | undefined;
  readonly isWalk?: true;
}

const NO_ROWS: Settling = { rows: [], seq: 0 };

const NO_BACKLOG: BacklogSize = { changes: 0, bytes: 0 };

const NOTHING_FORGOTTEN = Promise.resolve(0);

/** So often in a row what failed for another transaction's sake is tried again at once. */
const AT_ONCE = 3;

/** Failures after which the wait is as long as it may be. */
const MANY = 30;

/** Calls that write; one that was given up may still do so. */
const WRITES: ReadonlySet<DestinationCall> = new Set(["write", "schema", "rewind", "refill"]);

/** After so many times the longest time for an answer, a call that was given up is taken to be lost. */
const LOST_AFTER = 10;

/** The least share of a batch that is tried after writes took too long. */
const LEAST_SHARE = 1 / 64;

/** Flushes to one destination. */
export class Flusher {
  readonly #source: ChangeSource;
  readonly #destination: Destination;
  readonly #env: FlushEnvironment;
  readonly #settings: FlushSettings;
  readonly #ahead: ReadAhead;
  readonly #wake = new Signal();
  readonly #waiters = new Waiters();
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
  /** Whether the last page of the log was read to its end. */
  #isNear = true;
  /** Everything at or before it has arrived; also commits that brought no change. */
  #arrivedSeq = 0;
  #headSeq = 0;
  #waitsSinceMs: number | undefined;
  #schemaVersion = 0;
  #failures = 0;
  #lastError: FlushStatus["lastError"];
  #hurries = false;
  /** A call that was given up and has not ended. */
  #late: Promise<unknown> | undefined;
  /** The share of a batch that is written at once: less after writes that took too long. */
  #share = 1;
  /** Whoever waits for the destination to be filled anew. */
  #anew: PromiseWithResolvers<void> | undefined;
  /** Bytes that came since the flusher began to rest. */
  #waitingBytes = 0;
  readonly #backlog = new Backlog();

  /**
   * Begins to flush.
   *
   * @param options gateway, destination and world
   */
  constructor({ source, destination, env, settings }: FlusherOptions) {
    this.#source = source;
    this.#ahead = new ReadAhead(source);
    this.#destination = destination;
    this.#env = env;
    this.#settings = { ...DEFAULT_FLUSH, ...destination.flushSettings, ...settings };
    this.#writer = Math.floor(env.random() * 2 ** 53).toString(36);
    this.#stops = [
      source.keepAfter(() => this.#position === undefined ? 0 : this.#position.seq - 1),
      source.onCommit((news) => {
        this.#headSeq = Math.max(this.#headSeq, news.seq);
        this.#waitingBytes += news.bytes ?? 0;
        this.#backlog.grew(news);
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
    const { changes, bytes } = lagCommits === 0 ? NO_BACKLOG : this.#backlog.size;
    return {
      destination: this.#destination.name,
      state: this.#state === "flushing" && this.#isSettled && lagCommits === 0
        ? "idle"
        : this.#state,
      position: this.#position,
      lagCommits,
      lagChanges: changes,
      lagBytes: bytes,
      lagMs: since === undefined ? 0 : Math.max(0, this.#env.now() - since),
      failures: this.#failures,
      lastError: this.#lastError,
    };
  }

  /**
   * Flushes without waiting for more changes, nor after a failure, and resolves when everything has
   * arrived that was committed before the call.
   *
   * @throws {LakeSyncError} `RESYNC_REQUIRED` when the log no longer holds what the destination
   * lacks, `DRAINING` when the flusher is closed first
   * @throws {DestinationError} `stop` when somebody has to mend something first
   */
  async flushNow(): Promise<void> {
    const { seq } = await this.#source.head();
    if (this.#state === "closed") throw closed();
    const arrived = this.#waiters.wait(seq);
    this.#hurries = true;
    this.#wake.give();
    await arrived;
  }

  /**
   * Fills the destination from all rows anew, whatever it holds; changes that it has stay. It is for
   * destinations whose rows are not made of the changes they hold. Resolves when the destination has noted that it is to be filled, from when on nothing stops it.
   *
   * @throws {LakeSyncError} `DRAINING` when the flusher is closed first
   * @throws {DestinationError} when the destination fails first
   */
  async fillAnew(): Promise<void> {
    if (this.#state === "closed") throw closed();
    this.#anew ??= Promise.withResolvers<void>();
    const { promise } = this.#anew;
    this.#hurries = true;
    this.#wake.give();
    await promise;
  }

  /** Forgets where the destination stands, and asks it. */
  askAnew(): void {
    this.#isKnown = false;
    this.#hurries = true;
    this.#wake.give();
  }

  /** Ends the flushing, after the write that is under way. What has not arrived stays in the log. */
  async close(): Promise<void> {
    this.#state = "closed";
    for (const stop of this.#stops) stop();
    this.#wake.give();
    this.#waiters.fail(closed());
    this.#anew?.reject(closed());
    this.#anew = undefined;
    await this.#running;
  }

  get #isClosed(): boolean {
    return this.#state === "closed";
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      await this.#lateEnds();
      if (this.#isClosed) break;
      this.#waiters.begin();
      try {
        const more = await this.#step();
        if (this.#failures > 0) this.#env.observer?.recovered(this.#failures);
        this.#failures = 0;
        this.#lastError = undefined;
        if (!more && this.#state !== "gap") this.#enter("idle");
        if (this.#isSettled) this.#waiters.arrived(this.#arrivedSeq);
        if (!more) await this.#rest();
      } catch (error) {
        await this.#failed(error);
      }
    }
    await this.#ahead.take(undefined);
  }

  #enter(state: FlushState): void {
    if (!this.#isClosed) this.#state = state;
  }

  /** Waits for commits, and then for others to join them. */
  async #rest(): Promise<void> {
    if (this.#waiters.isEmpty) await this.#wake.wait();
    const isFull = () => this.#waitingBytes >= this.#settings.maxBytes;
    await this.#passes(this.#settings.everyMs, () => this.#hurries || isFull());
    this.#hurries = false;
    this.#waitingBytes = 0;
  }

  async #failed(error: unknown): Promise<void> {
    this.#isKnown = false;
    this.#isSettled = false;
    this.#schemaVersion = 0;
    this.#failures++;
    this.#anew?.reject(error);
    this.#anew = undefined;
    const message = error instanceof Error ? error.message : String(error);
    this.#lastError = { message, atMs: this.#env.now() };
    const retry = error instanceof DestinationError ? error.retry : "later";
    const { name } = this.#destination;
    this.#env.onError?.(
      retry === "stop"
        ? `Flushing to ${name} stopped until this is mended`
        : `Flushing to ${name} failed, it is tried again`,
      error,
    );
    this.#env.observer?.failed();
    if (retry === "now" && this.#failures <= AT_ONCE) return;
    const { openAfter } = this.#settings;
    this.#enter(
      retry === "stop" ? "stopped" : this.#failures >= openAfter ? "open" : "retrying",
    );
    const failures = retry === "stop" ? MANY : this.#failures;
    if (retry === "stop" && error instanceof Error) this.#waiters.refuse(error);
    // Whoever asks for a flush meanwhile may have mended it.
    this.#hurries = retry === "stop" && !this.#waiters.isEmpty;
    if (!this.#backlog.isKnown) await this.#countWaiting();
    const wait = backoffMs(failures, this.#settings, this.#env.random());
    await this.#passes(wait, () => this.#hurries);
  }

  /** Counts what waits by a page of it. */
  #count({ entries, throughSeq }: Pick<SourcePage, "entries" | "throughSeq">, after: number): void {
    const waiting = Math.max(0, this.#headSeq - after);
    this.#backlog.read(entries, { commits: throughSeq - after, waiting });
  }

  /** Counts what waits in the log for a destination that does not say where it stands. */
  async #countWaiting(): Promise<void> {
    const { maxChanges, maxBytes } = this.#settings;
    const limit = { changes: maxChanges, bytes: maxBytes };
    try {
      const after = this.#position ?? { seq: 0 };
      const page = await this.#source.read(after, limit);
      const { trimmed, keptAfter } = page;
      const isCut = trimmed && keptAfter !== undefined;
      const kept = isCut ? await this.#source.read({ seq: keptAfter }, limit) : page;
      this.#count(kept, isCut ? keptAfter : wholeSeq(after));
    } catch {
      // A source that fails is told of with the next try.
    }
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
    const ahead = await this.#ahead.take(this.#isKnown ? this.#position : undefined);
    const before = ahead?.before ?? await this.#source.head();
    // It may be lower than it was, after the source went back.
    if (ahead === undefined) this.#headSeq = before.seq;
    const from = await this.#known(before.lives);
    const settling = await this.#settling(from);
    const { maxChanges, maxBytes } = this.#settings;
    const limit = { changes: maxChanges, bytes: maxBytes };
    const page = ahead?.page ?? await this.#source.read(from, limit);
    const { entries, trimmed, throughSeq } = page;
    // A life that began meanwhile may show that the destination has followed another history, so
    // what was read is judged by the lives of after the reading. What is beyond its head the source
    // does not have, whether or not a life tells.
    const { seq, lives } = await this.#source.head();
    if (this.#isClosed) return false;
    // What was read before the source went back is of a history that is lost, changes and rows.
    if (seq < before.seq || partedAfter(lives, before) < before.seq) return true;
    const parted = Math.min(partedAfter(lives, from), seq);
    if (parted < from.seq) return await this.#rewind(from, parted, lives);
    const lost = lostOf(from.ahead ?? [], { seq, lives });
    if (lost < Infinity) return await this.#rewind(from, lost, lives);
    if (this.#anew !== undefined) return await this.#refillAnew(this.#anew, from, lives);
    // A destination that was filled does not know which rows older changes touched.
    const isBeforeFloor = from.seq < (from.floor ?? 0);
    if (trimmed || isBeforeFloor) {
      const kept = trimmed ? page.keptAfter ?? seq : 0;
      return await this.#fill(from, { seq: Math.max(kept, wholeSeq(from)), lives });
    }
    this.#enter(from.filled === undefined ? "flushing" : "filling");
    const cut = cutBatch(entries, {
      maxChanges: this.#settings.maxChanges * this.#share,
      maxBytes: this.#settings.maxBytes * this.#share,
    });
    const wasFar = !this.#isNear;
    this.#isNear = cut.entries.length === entries.length;
    this.#count(page, wholeSeq(from));
    const last = cut.entries.at(-1);
    if (last === undefined && settling === NO_ROWS) {
      this.#arrived(before.seq);
      // While the log was far ahead nobody asked for rows that are still to be set.
      return wasFar || this.#headSeq > before.seq;
    }
    this.#waitsSinceMs = cut.entries[0]?.committedMs;
    const end: Place = last === undefined ? from : cut.isWhole ? { seq: last.seq } : last;
    await this.#ensureSchema();
    if (this.#isClosed) return false;
    // Rows that are newer than the batch would be of a history that may yet be lost unnoticed.
    const reached = this.#isNear ? throughSeq : wholeSeq(end);
    const isSettling = settling !== NO_ROWS && settling.seq <= reached;
    if (last === undefined && !isSettling) return true;
    const { filled: place, ...held } = from;
    const filled = isSettling && settling.isWalk ? settling.filled : place;
    const to = this.#at(lives, end, filled === undefined ? held : { ...held, filled });
    const rows = isSettling ? settling.rows : [];
    const changes = cut.entries.flatMap(({ changes }) => changes);
    if (wholeSeq(to) < throughSeq || throughSeq < this.#headSeq) this.#ahead.begin(to, limit);
    const startMs = this.#env.now();
    await this.#insert({ from, to, rows, changes, isWhole: to.slice === undefined });
    this.#backlog.arrived(cut.entries);
    const ms = Math.max(0, this.#env.now() - startMs);
    this.#env.observer?.flushed({ changes: changes.length, rows: rows.length, ms });
    if (changes.some(({ unsettles }) => unsettles !== undefined)) this.#isSettled = false;
    this.#arrived(wholeSeq(to));
    return true;
  }

  async #insert(batch: FlushBatch): Promise<FlushPosition> {
    await this.#answer("write", this.#destination.insertDeltas(batch));
    this.#share = Math.min(1, this.#share * 2);
    return this.#moved(batch.to);
  }

  /** A position of this flusher, with what the one before it says of having been filled. */
  #at(
    lives: FlushPosition["lives"],
    place: Place,
    { filled, floor }: Pick<FlushPosition, "filled" | "floor"> = {},
  ): FlushPosition {
    return {
      ...positionAt(lives, place, this.#writer),
      ...(filled === undefined ? {} : { filled }),
      ...(floor === undefined ? {} : { floor }),
    };
  }

  /** Where the destination stands; asked where that is not known, and claimed the first time. */
  async #known(lives: FlushPosition["lives"]): Promise<FlushPosition> {
    if (this.#isKnown && this.#position !== undefined) return this.#position;
    const from = await this.#answer("position", this.#destination.position());
    if (from?.writer === this.#writer) this.#isClaimed = true;
    if (from !== undefined && isOfAnother(lives, from)) throw taken(this.#destination.name);
    if (from !== undefined && this.#isClaimed) return this.#moved(from);
    const start = from ?? positionAt(lives, { seq: 0 }, this.#writer);
    const to = { ...start, writer: this.#writer };
    const isWhole = to.slice === undefined;
    await this.#insert({ from, to, rows: [], changes: [], isWhole });
    this.#isClaimed = true;
    return to;
  }

  #moved(position: FlushPosition): FlushPosition {
    this.#position = position;
    this.#isKnown = true;
    this.#arrivedSeq = wholeSeq(position);
    return position;
  }

  #arrived(seq: number): void {
    this.#arrivedSeq = seq;
    if (seq < this.#headSeq) return;
    this.#waitsSinceMs = undefined;
    this.#backlog.cleared();
  }

  /** Goes back to where the destination's history left the source's. */
  async #rewind(
    from: FlushPosition,
    parted: number,
    lives: FlushPosition["lives"],
  ): Promise<boolean> {
    const asked = this.#destination.forgottenSeq?.() ?? NOTHING_FORGOTTEN;
    const forgotten = await this.#answer("forgotten", asked);
    const floor = Math.max(from.floor ?? 0, forgotten > parted ? forgotten : 0);
    const to = this.#at(lives, { seq: parted }, floor === 0 ? from : { ...from, floor });
    this.#isSettled = false;
    await this.#answer("rewind", this.#destination.rewind({ from, to }));
    this.#backlog.lost();
    // Where only a part of it went back, it stands as before.
    if (parted <= from.seq) this.#moved(to);
    else this.#isKnown = false;
    return true;
  }

  /**
   * Begins to fill the destination from rows, since the log lacks what it lacks. It goes on with the
   * changes after a commit, of which the log still has all.
   */
  async #fill(from: FlushPosition, { seq, lives }: SourceHead): Promise<boolean> {
    if (!this.#settings.fillGaps) return this.#gap();
    this.#env.onError?.(
      `${this.#destination.name} is filled from rows, changes before ${seq} may be missing there`,
      lacking(),
    );
    return await this.#refill(from, this.#at(lives, { seq }, { filled: "", floor: seq }));
  }

  async #refillAnew(
    anew: PromiseWithResolvers<void>,
    from: FlushPosition,
    lives: FlushPosition["lives"],
  ): Promise<boolean> {
    // It lacks no change, so what it says of that stays.
    const place = { seq: wholeSeq(from) };
    await this.#refill(from, this.#at(lives, place, { ...from, filled: "" }));
    if (!this.#isClosed) anew.resolve();
    this.#anew = undefined;
    return true;
  }

  async #refill(from: FlushPosition, to: FlushPosition): Promise<boolean> {
    await this.#ensureSchema();
    if (this.#isClosed) return false;
    this.#isSettled = false;
    await this.#answer("refill", this.#destination.refill({ from, to }));
    this.#backlog.lost();
    this.#moved(to);
    return true;
  }

  /** Some of the rows that hold what was lost, or that are to be filled, as the source has them. */
  async #settling(from: FlushPosition): Promise<Settling> {
    // While the log is far ahead its rows are newer than any batch.
    if (this.#isSettled || !this.#isNear) return NO_ROWS;
    const { maxChanges } = this.#settings;
    if (from.filled !== undefined) {
      const { rows, seq, place } = await this.#source.walk(from.filled, maxChanges);
      return { rows, seq, filled: place, isWalk: true };
    }
    const keys = await this.#answer("unsettled", this.#destination.unsettled(maxChanges));
    this.#isSettled = keys.length === 0;
    return this.#isSettled ? NO_ROWS : await this.#source.rows(keys);
  }

  async #ensureSchema(): Promise<void> {
    const { schema } = this.#source;
    if (schema.version === this.#schemaVersion) return;
    await this.#answer("schema", this.#destination.ensureSchema(schema));
    this.#schemaVersion = schema.version;
  }

  /** The log lacks what the destination lacks; looked at again with every wake. */
  #gap(): boolean {
    if (this.#state !== "gap") {
      this.#env.onError?.(`Flushing to ${this.#destination.name} stopped`, lacking());
    }
    this.#enter("gap");
    this.#isKnown = false;
    this.#waiters.fail(lacking());
    return false;
  }

  /** Waits until a call that was given up has ended: it may yet write, and two never write at once. */
  async #lateEnds(): Promise<void> {
    if (this.#late === undefined) return;
    let isLost = false;
    const cancel = this.#env.setTimer(LOST_AFTER * this.#settings.answerMs, () => {
      isLost = true;
      this.#wake.give();
    });
    while (this.#late !== undefined && !isLost && !this.#isClosed) await this.#wake.wait();
    cancel();
    this.#late = undefined;
  }

  #giveUp(call: DestinationCall, answer: Promise<unknown>): void {
    if (!WRITES.has(call)) return;
    const ended = () => {
      if (this.#late === answer) this.#late = undefined;
      this.#wake.give();
    };
    this.#late = answer;
    answer.then(ended, ended);
    if (call !== "write") return;
    this.#share = Math.max(LEAST_SHARE, this.#share / 2);
    this.#destination.abandon?.().catch(() => {});
  }

  async #answer<T>(call: DestinationCall, answer: Promise<T>): Promise<T> {
    const { answerMs } = this.#settings;
    const late = () => {
      this.#giveUp(call, answer);
      return silent(this.#destination.name, answerMs);
    };
    const startMs = this.#env.now();
    let ok = false;
    try {
      const answered = await within(answer, answerMs, this.#env.setTimer, late);
      ok = true;
      return answered;
    } finally {
      this.#env.observer?.called(call, Math.max(0, this.#env.now() - startMs), ok);
    }
  }
}

/** The lowest seq after which parts that are ahead hold what the source does not have. */
function lostOf(ahead: NonNullable<FlushPosition["ahead"]>, { seq, lives }: SourceHead): number {
  const lost = ahead.map((part) => [part.seq, Math.min(partedAfter(lives, part), seq)] as const);
  return Math.min(...lost.map(([reached, parted]) => parted < reached ? parted : Infinity));
}

/** The last commit of which everything has arrived. */
function wholeSeq({ seq, slice }: Place): number {
  return slice === undefined ? seq : seq - 1;
}
