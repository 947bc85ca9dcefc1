/**
 * Cursors: opaque to clients, here what a client holds and the place a pull goes on from.
 *
 * As a text: positional JSON, sealed by cursor_seal.ts before it leaves the gateway,
 * `[3, life, base, lastMutationId, version, held, paging?]`. `held` is the numbers of the buckets,
 * each as the difference to the one before, then the exceptions `[base, residual, buckets]`.
 * `paging` is `[start, version, heads, pages, through, order, groups, current, position?]`: scans that stand
 * at the same place are one group, so a client of a thousand buckets has a cursor of some kilobytes.
 *
 * @module
 */

import type { JsonValue } from "@lakesync/core";
import type { ScanPosition } from "../store/store.ts";

/** A bucket of which a client holds the content. */
export interface HeldBucket {
  /** Its number. */
  readonly bucket: number;
  /** The commit at which the client's content of it is true. */
  readonly base: number;
  /** What its residual conditions compared with. */
  readonly residual: readonly JsonValue[];
}

/** How far one bucket was scanned for the checkpoint under way. */
export interface ScanState {
  /** The bucket's number. */
  readonly bucket: number;
  /** Whether it is granted. */
  readonly granted: boolean;
  /** Whether it is to be sent whole because the client asked for that. */
  readonly repair: boolean;
  /** The page of this checkpoint, from 0, from which on it was granted or not as it is now. */
  readonly page: number;
  /** The head when it began to be granted, or ceased to be, for this checkpoint. */
  readonly since: number;
  /** The head from which on pages may have brought its rows; -1: none has. */
  readonly sentFrom: number;
  /** Rows in it that last changed through this commit were told. */
  readonly memberAfter: number;
  /** Rows that left it through this commit were told. */
  readonly goneAfter: number;
  /** What its residual conditions compare with. */
  readonly residual: readonly JsonValue[];
  /** Rows in it that last changed through this commit came in chunks of the bucket alone. */
  readonly snapshotSeq?: number;
  /**
   * When no page could bring its rows though pages before had: pairs of the head of the last page that
   * could and the head at which it was granted again; the last pair is open when that is missing.
   */
  readonly unsent?: readonly number[];
  /** What its residual conditions compared with on earlier pages, each through a head. */
  readonly past?: readonly PastResidual[];
}

/** What residual conditions compared with on the pages read through a head. */
export type PastResidual = readonly [through: number, residual: readonly JsonValue[]];

/** Where a checkpoint of several pages stands. */
export interface Paging {
  /** The head when the first page was read. */
  readonly start: number;
  /** The heads at which pages were read, in runs: pairs of a first and a last one, ascending. */
  readonly heads: readonly number[];
  /** How many pages were read. */
  readonly pages: number;
  /**
   * What was sent may lack rows because of commits through this one, which the tail is to tell, so
   * the cursor is of no use to a history without it; 0: none after those that the rest names.
   */
  readonly through: number;
  /** The schema version the pages are read for. */
  readonly version: number;
  /** The buckets; one added later is at the end. */
  readonly scans: readonly ScanState[];
  /** The scan that the next page goes on with, by its place. */
  readonly current: number;
  /** Where that scan stands, when it has begun. */
  readonly position?: { readonly gone: boolean; readonly after: ScanPosition };
}

/** Where a pull goes on from. */
export interface Cursor {
  /** The life of the gateway's data in which it was written. */
  readonly life: string;
  /** The checkpoint the client has; 0: none. */
  readonly base: number;
  /** The client's lastMutationId at that checkpoint. */
  readonly lastMutationId: number;
  /** The schema version of the client at that checkpoint; 0: it did not say. */
  readonly version: number;
  /** The buckets the client held at that checkpoint. */
  readonly held: readonly HeldBucket[];
  /** Set between the pages of one checkpoint. */
  readonly paging?: Paging;
}

/** More runs of heads run together, the oldest first. */
const MAX_RUNS = 64;

/**
 * Adds the head of a page to those before it.
 *
 * @param heads runs of heads
 * @param head the head, at least the last one of them
 */
export function withHead(heads: readonly number[], head: number): readonly number[] {
  if (heads.at(-1) === head) return heads;
  const next = [...heads, head, head];
  if (next.length > 2 * MAX_RUNS) next.splice(1, 2);
  return next;
}

/** The cursor of a client that has nothing. */
export const NO_CURSOR: Cursor = { life: "", base: 0, lastMutationId: 0, version: 0, held: [] };

function writeHeld(held: readonly HeldBucket[], base: number): JsonValue {
  const sorted = [...held].sort((a, b) => a.bucket - b.bucket);
  let last = 0;
  const numbers = sorted.map(({ bucket }) => {
    const step = bucket - last;
    last = bucket;
    return step;
  });
  const others = sorted.filter((bucket) => bucket.base !== base || bucket.residual.length > 0);
  // Buckets of one kind are compared with one list of values, which may be long.
  const groups = Map.groupBy(others, ({ base, residual }) => JSON.stringify([base, residual]));
  const written = [...groups].map(([state, buckets]): JsonValue => [
    ...JSON.parse(state),
    buckets.map(({ bucket }) => bucket),
  ]);
  return [numbers, written];
}

function writePaging(paging: Paging): JsonValue {
  const { start, version, heads, pages, through, scans, current, position } = paging;
  const groups = Map.groupBy(
    scans.keys(),
    (i) => {
      const scan = scans[i] as ScanState;
      const { granted, repair, page, since, sentFrom, memberAfter, goneAfter, residual } = scan;
      const flags = (granted ? 1 : 0) + (repair ? 2 : 0) + 4 * page;
      const state: JsonValue[] = [flags, since, sentFrom, memberAfter, goneAfter, residual];
      const { snapshotSeq, unsent, past } = scan;
      if (snapshotSeq !== undefined || unsent !== undefined || past !== undefined) {
        state.push(snapshotSeq ?? null, unsent ?? [], past ?? []);
      }
      return JSON.stringify(state);
    },
  );
  const order = scans.map(({ bucket }) => bucket);
  const written = [...groups].map(([state, places]) => {
    let last = 0;
    const steps = places.map((place) => {
      const step = place - last;
      last = place;
      return step;
    });
    return [JSON.parse(state), steps];
  });
  const at = position === undefined ? [] : [
    position.gone,
    position.after.seq,
    position.after.tie,
  ];
  return [start, version, heads, pages, through, order, written, current, ...at];
}

/** Writes a cursor as a text. */
export function writeCursor(cursor: Cursor): string {
  const { life, base, lastMutationId, version, held, paging } = cursor;
  const fields: JsonValue[] = [3, life, base, lastMutationId, version, writeHeld(held, base)];
  if (paging !== undefined) fields.push(writePaging(paging));
  return JSON.stringify(fields);
}

class NoCursor extends Error {}

function count(value: unknown, least = 0): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= least) return value;
  throw new NoCursor();
}

function list(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new NoCursor();
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw new NoCursor();
}

function json(value: unknown): readonly JsonValue[] {
  return list(value) as readonly JsonValue[];
}

function readHeld(input: unknown, base: number): readonly HeldBucket[] {
  const [numbers, others] = list(input);
  const exceptions = new Map(
    list(others).flatMap((other) => {
      const [base, residual, buckets] = list(other);
      const held = { base: count(base), residual: json(residual) };
      return list(buckets).map((bucket) => [count(bucket), held] as const);
    }),
  );
  let last = 0;
  return list(numbers).map((step) => {
    const bucket = last + count(step, 1);
    last = bucket;
    return { bucket, base, residual: [], ...exceptions.get(bucket) };
  });
}

function readPast(input: unknown): PastResidual {
  const [through, residual] = list(input);
  return [count(through), json(residual)];
}

function readPaging(input: unknown): Paging {
  const [start, version, heads, pages, through, order, groups, current, gone, seq, tie] = list(
    input,
  );
  const buckets = list(order).map((bucket) => count(bucket, 1));
  const scans: (ScanState | undefined)[] = buckets.map(() => undefined);
  for (const group of list(groups)) {
    const [state, steps] = list(group);
    const [flags, since, sentFrom, memberAfter, goneAfter, residual, ...more] = list(state);
    const [snapshotSeq, unsent = [], past = []] = more;
    let place = 0;
    for (const step of list(steps)) {
      place += count(step);
      if (place >= scans.length) throw new NoCursor();
      scans[place] = {
        bucket: buckets[place] ?? 0,
        granted: (count(flags) & 1) !== 0,
        repair: (count(flags) & 2) !== 0,
        page: Math.floor(count(flags) / 4),
        since: count(since),
        sentFrom: count(sentFrom, -1),
        memberAfter: count(memberAfter),
        goneAfter: count(goneAfter),
        residual: json(residual),
        ...(snapshotSeq === undefined || snapshotSeq === null
          ? {}
          : { snapshotSeq: count(snapshotSeq) }),
        ...(list(unsent).length === 0 ? {} : { unsent: list(unsent).map((seq) => count(seq)) }),
        ...(list(past).length === 0 ? {} : { past: list(past).map(readPast) }),
      };
    }
  }
  const all = scans.filter((scan) => scan !== undefined);
  if (all.length !== buckets.length || count(current) > all.length) throw new NoCursor();
  const paging = {
    start: count(start),
    version: count(version),
    heads: list(heads).map((head) => count(head)),
    pages: count(pages),
    through: count(through),
    scans: all,
    current: count(current),
  };
  if (gone === undefined) return paging;
  if (typeof gone !== "boolean") throw new NoCursor();
  return { ...paging, position: { gone, after: { seq: count(seq), tie: text(tie) } } };
}

function parse(fields: readonly unknown[]): Cursor {
  const [format, life, base, lastMutationId, version, held, paging] = fields;
  if (format !== 3) throw new NoCursor();
  const cursor = {
    life: text(life),
    base: count(base),
    lastMutationId: count(lastMutationId),
    version: count(version),
    held: readHeld(held, count(base)),
  };
  return paging === undefined ? cursor : { ...cursor, paging: readPaging(paging) };
}

/**
 * Reads a cursor.
 *
 * @returns the cursor, or undefined for a text that was never one
 */
export function readCursor(written: string): Cursor | undefined {
  try {
    return parse(list(JSON.parse(written)));
  } catch {
    return undefined;
  }
}
