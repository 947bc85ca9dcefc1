/**
 * Brings an older copy of a gateway's data to a later moment, by the log of newer data: which part of
 * the log that is, and whether it can be had.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { Head, LogEntry, LogPosition, Store } from "../store/store.ts";
import { type Base, loadBase, readBase } from "./base.ts";
import { type Edit, EDITS_META, readEdits } from "./edits.ts";
import type { GatewayEnvironment } from "./environment.ts";
import { ALL_SLICES } from "./history.ts";
import { isOurs, type Life, lifeOf } from "./lives.ts";
import { Replay } from "./replay.ts";
import type { ReplaySource } from "./replay_clients.ts";

/** A moment in a history: a time in milliseconds since 1970, or a commit. */
export type Moment = { readonly ms: number } | { readonly seq: number };

/** What is replayed. */
export interface ReplayOptions {
  /** The older copy, which nobody else has open. */
  readonly store: Store;
  /** Whether the copy holds nothing, since the gateway was made later. */
  readonly isNew?: boolean;
  /** The newer data. */
  readonly source: ReplaySource & { head(): Promise<Head> };
  /** The moment. */
  readonly until: Moment;
  /** When the newer data end, in milliseconds since 1970: what is later they do not know. */
  readonly endMs: number;
  /** The world. */
  readonly env: GatewayEnvironment;
}

/** Where a replay has ended. */
export interface Replayed {
  /** The last commit. */
  readonly seq: number;
  /** When it was made, in milliseconds since 1970; undefined when nothing was replayed. */
  readonly lastMs: number | undefined;
  /** Transactions that were replayed. */
  readonly transactions: number;
  /** The lives of the history up to there. */
  readonly lives: readonly Life[];
}

/** So much is read at once: entries, and bytes by what the largest one before took. */
const PAGE = { entries: 256, bytes: 4_000_000 };

/** So many transactions, or bytes of them, are committed together. */
const GROUP = { transactions: 256, bytes: 1_000_000 };

function refuse(message: string): LakeSyncError {
  return new LakeSyncError("VALIDATION_ERROR", message);
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** The log, entry by entry. */
class LogReader {
  readonly #source: Pick<Store, "readLog">;
  #after: LogPosition;
  #read: LogEntry[] = [];
  #isOver = false;
  #largest = PAGE.bytes;

  constructor(source: Pick<Store, "readLog">, afterSeq: number) {
    this.#source = source;
    this.#after = { seq: afterSeq, slice: ALL_SLICES };
  }

  async peek(): Promise<LogEntry | undefined> {
    if (this.#read.length === 0 && !this.#isOver) {
      const count = Math.max(1, Math.min(PAGE.entries, Math.floor(PAGE.bytes / this.#largest)));
      this.#read = [...await this.#source.readLog(this.#after, count)];
      this.#largest = Math.max(1, ...this.#read.map(({ payload }) => payload.length));
      this.#isOver = this.#read.length === 0;
      this.#after = this.#read.at(-1) ?? this.#after;
    }
    return this.#read[0];
  }

  take(): void {
    this.#read.shift();
  }

  /** The entries of one commit that are left. */
  async *rest(seq: number): AsyncGenerator<LogEntry> {
    for (;;) {
      const entry = await this.peek();
      if (entry?.seq !== seq) return;
      this.take();
      yield entry;
    }
  }
}

/** When the last thing happened that a copy knows of. */
async function latestMs(store: Store, { head }: Base): Promise<number> {
  const edits = readEdits(await store.readMeta(EDITS_META))?.edits ?? [];
  const reader = new LogReader(store, head.seq - 1);
  let ms = edits.at(-1)?.ms ?? 0;
  for await (const entry of reader.rest(head.seq)) ms = Math.max(ms, entry.committedMs);
  return ms;
}

async function checkUntil(
  { store, until, endMs }: ReplayOptions,
  before: Base,
  newest: Base,
): Promise<number> {
  const ms = await latestMs(store, before);
  if ("seq" in until) {
    if (until.seq < before.head.seq) {
      throw refuse(
        `The backup is from after commit ${until.seq}, it ends with ${before.head.seq}; ` +
          "use an older backup",
      );
    }
    if (until.seq <= newest.head.seq) return ms;
    throw refuse(`The log ends with commit ${newest.head.seq}, there is no commit ${until.seq}`);
  }
  if (until.ms < ms) {
    throw refuse(
      `The backup is from after ${timeOf(until.ms)}, its last commit was made ${timeOf(ms)}; ` +
        "use an older backup",
    );
  }
  if (until.ms <= endMs) return ms;
  throw refuse(`What --log names knows nothing after ${timeOf(endMs)}, give an earlier time`);
}

function checkHistory({ isNew = false }: ReplayOptions, before: Base, newest: Base): void {
  const { head, lives } = before;
  const isOfIt = isNew || isOurs(newest.lives, lifeOf(lives, head.seq), head.seq);
  if (!isOfIt || newest.head.seq < head.seq) {
    throw refuse("The log is not one that goes on from the backup, it is of another history");
  }
  if (newest.trimmedSeq > head.seq) {
    throw refuse(
      `The backup ends with commit ${head.seq}, and the log has been trimmed through commit ` +
        `${newest.trimmedSeq}: those between are gone; use a backup that ends with or after it`,
    );
  }
}

function sameRules(before: Base, newest: Base): boolean {
  return before.catalog?.store() === newest.catalog?.store() &&
    JSON.stringify(before.book?.spec) === JSON.stringify(newest.book?.spec);
}

/** The schemas and rules that came into force after the copy was made. */
async function editsAfter(
  { source }: ReplayOptions,
  before: Base,
  newest: Base,
): Promise<readonly Edit[]> {
  const known = readEdits(await source.readMeta(EDITS_META));
  const { seq } = before.head;
  if (known === undefined || known.sinceSeq > seq) {
    if (sameRules(before, newest)) return [];
    throw refuse(
      "Schema or rules were put after the backup, and it is not known when; use a newer backup",
    );
  }
  const version = before.catalog?.schema.version ?? 0;
  return known.edits.filter((edit) =>
    edit.kind === "rules" ? edit.seq > seq : edit.seq >= seq && versionOf(edit) > version
  );
}

function versionOf({ spec }: Edit): number {
  const isObject = typeof spec === "object" && spec !== null && "version" in spec;
  return isObject ? Number(spec["version"]) : 0;
}

function isBeyond(until: Moment, item: { readonly seq: number; readonly ms: number }): boolean {
  return "ms" in until ? item.ms > until.ms : item.seq > until.seq;
}

/** A schema came after the commit whose number it has, so it counts as of the next one. */
function placeOf({ kind, seq, ms }: Edit): { readonly seq: number; readonly ms: number } {
  return { seq: kind === "schema" ? seq + 1 : seq, ms };
}

/**
 * Replays newer data's log onto an older copy, up to the first commit that was made after a moment.
 *
 * @param options copy, log and moment
 * @returns where it ended
 * @throws {LakeSyncError} `VALIDATION_ERROR` when something that is needed is missing
 */
export async function replayLog(options: ReplayOptions): Promise<Replayed> {
  const { store, source, until, env } = options;
  const before = await loadBase(store);
  const newest = await readBase({
    head: await source.head(),
    meta: (name) => source.readMeta(name),
  });
  checkHistory(options, before, newest);
  const latest = await checkUntil(options, before, newest);
  const edits = [...await editsAfter(options, before, newest)];
  const replay = await Replay.begin(store, source, env);
  const reader = new LogReader(source, before.head.seq);
  const untilMs = "ms" in until ? until.ms : Infinity;
  let transactions = 0;
  let lastMs: number | undefined;
  let group: LogEntry[] = [];
  let bytes = 0;
  const flush = async () => {
    await replay.transactions(group);
    group = [];
    bytes = 0;
  };
  for (;;) {
    const entry = await reader.peek();
    const [edit] = edits;
    if (edit !== undefined && (entry === undefined || placeOf(edit).seq <= entry.seq)) {
      if (isBeyond(until, placeOf(edit))) break;
      await flush();
      await replay.edit(edit);
      edits.shift();
      lastMs = edit.ms;
      continue;
    }
    if (entry === undefined || isBeyond(until, { seq: entry.seq, ms: entry.committedMs })) break;
    reader.take();
    const next = await reader.peek();
    if (next?.seq === entry.seq) {
      await flush();
      const committedMs = await replay.sliced(entry, reader.rest(entry.seq), untilMs);
      if (committedMs === undefined) break;
      transactions++;
      lastMs = committedMs;
      continue;
    }
    transactions++;
    lastMs = entry.committedMs;
    group.push(entry);
    bytes += entry.payload.length;
    if (group.length >= GROUP.transactions || bytes >= GROUP.bytes) await flush();
  }
  await flush();
  await replay.refused("ms" in until ? until.ms : lastMs ?? latest);
  const { seq } = await store.head();
  const lives = newest.lives.filter(({ fromSeq }, i) => i === 0 || fromSeq < seq);
  return { seq, lastMs, transactions, lives };
}
