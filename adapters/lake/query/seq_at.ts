/**
 * Finds the commit of a moment, and says why a moment cannot be shown.
 *
 * @module
 */

import { CHANGE_FIELDS, COMMITTED_AT } from "../flush/layout.ts";
import type { Lake } from "../flush/lake.ts";
import type { LakeFiles } from "../iceberg/lake_files.ts";
import { planScan } from "../iceberg/scan.ts";
import { type Duck, QueryError } from "./duck.ts";
import type { FileCache } from "./file_cache.ts";
import { type LakeState, seqOf, snapshotIn } from "./lake_state.ts";
import { type AsOf, microsOf, type SeqBounds, seqBounds } from "./moment.ts";
import { relationSql } from "./relation.ts";
import type { TailState } from "./tail_files.ts";

/** What a moment is looked for in. */
export interface Timeline {
  /** Where objects are, and the clock. */
  readonly lake: LakeFiles & Pick<Lake, "now">;
  /** Gives them paths. */
  readonly cache: FileCache;
  /** Starts a DuckDB. */
  readonly open: () => Promise<Duck>;
  /** The lake. */
  readonly state: LakeState;
  /** What is not in it. */
  readonly tail: TailState | undefined;
}

/**
 * Finds the last commit of a moment.
 *
 * @param timeline where to look
 * @param asOf the moment; now when undefined
 * @throws {QueryError} when it is none, or when the lake does not reach there
 */
export async function seqAt(timeline: Timeline, asOf: AsOf | undefined): Promise<number> {
  const { state, tail } = timeline;
  const last = Math.max(state.seq, tail?.seq ?? 0);
  if (asOf === undefined) return last;
  const seq = await seqOfMoment(timeline, asOf);
  if (!Number.isSafeInteger(seq) || seq < 0) {
    throw new QueryError("A commit is a whole number from 0");
  }
  if (seq > last) throw new QueryError(`Commit ${seq} is after the last one, which is ${last}`);
  if (seq < state.floor) await checkFilled(timeline, seq);
  return seq;
}

async function seqOfMoment(timeline: Timeline, asOf: AsOf): Promise<number> {
  if (typeof asOf === "string" || asOf instanceof Date) {
    return await seqAtTime(timeline, microsOf(asOf));
  }
  if ("seq" in asOf) return asOf.seq;
  const snapshot = snapshotIn(timeline.state, asOf.snapshot);
  const seq = snapshot && seqOf(snapshot);
  if (seq === undefined) {
    throw new QueryError(`The lake has no snapshot ${asOf.snapshot} of LakeSync's any more`);
  }
  return Math.min(seq, timeline.state.seq);
}

async function seqAtTime(timeline: Timeline, micros: bigint): Promise<number> {
  const { state, tail } = timeline;
  if (micros > BigInt(timeline.lake.now()) * 1000n) await checkPast(timeline, micros);
  const late = tail?.commits.findLast(([seq, ms]) =>
    seq > state.seq && seq <= tail.seq && BigInt(ms) * 1000n <= micros
  );
  if (late !== undefined) return late[0];
  const known = await boundsOf(timeline, micros);
  const whole = known.filter(({ toMicros, toSeq }) =>
    toMicros !== undefined && toMicros <= micros && toSeq !== undefined
  );
  const torn = known.filter((bounds) => !whole.includes(bounds));
  const seqs = whole.map(({ toSeq = 0 }) => toSeq);
  const inFiles = await lastIn(timeline, torn, `epoch_us(_committed_at) <= ${micros}`);
  return Math.min(Math.max(0, inFiles, ...seqs), state.seq);
}

/** What is to come is not known; another clock may be ahead of this one, but not of its commits. */
async function checkPast(timeline: Timeline, micros: bigint): Promise<void> {
  const { state, tail } = timeline;
  const known = await boundsOf(timeline, undefined);
  const times = [
    ...known.map(({ toMicros = 0n }) => Number(toMicros / 1000n)),
    ...(tail?.commits ?? []).map(([_, ms]) => ms),
  ];
  const newestMs = times.reduce((a, b) => Math.max(a, b), 0);
  if (micros <= BigInt(newestMs) * 1000n) return;
  const newest = newestMs === 0
    ? "nothing was committed yet"
    : `the newest moment is ${new Date(newestMs).toISOString()}, commit ${
      Math.max(state.seq, tail?.seq ?? 0)
    }`;
  throw new QueryError(`This moment is in the future; ${newest}`);
}

/** Files of changes that may have some of a time or before it. */
async function boundsOf(
  { lake, state }: Timeline,
  micros: bigint | undefined,
): Promise<readonly SeqBounds[]> {
  const ranges = micros === undefined ? [] : [{ fieldId: COMMITTED_AT, upper: micros }];
  const bounds: SeqBounds[] = [];
  for (const { loaded } of state.tables.changes.values()) {
    if (loaded.snapshot === undefined) continue;
    for await (const { entry } of planScan(lake, loaded.metadata, { ranges })) {
      bounds.push(seqBounds(entry.dataFile));
    }
  }
  return bounds;
}

/** The last commit in some files that a condition holds for. */
async function lastIn(
  { cache, open }: Timeline,
  bounds: readonly SeqBounds[],
  condition: string,
): Promise<number> {
  if (bounds.length === 0) return 0;
  const { paths, release } = await cache.hold(
    bounds.map(({ file }) => ({ location: file.filePath, bytes: file.fileSizeInBytes })),
  );
  const duck = await open();
  try {
    const files = [...paths].map(([location, path]) => ({ path, location, deletes: [] }));
    const relation = relationSql(CHANGE_FIELDS, files);
    const [row] = await duck.rows(`SELECT max(_seq) FROM (${relation}) WHERE ${condition}`);
    return Number(row?.[0] ?? 0);
  } finally {
    duck.close();
    release();
  }
}

/** Before a lake was filled from rows it knows only what it had been given. */
async function checkFilled(timeline: Timeline, seq: number): Promise<void> {
  const { floor } = timeline.state;
  const known = await boundsOf(timeline, undefined);
  const before = known.flatMap(({ toSeq }) => toSeq !== undefined && toSeq < floor ? [toSeq] : []);
  const last = Math.max(0, ...before);
  if (seq <= last) return;
  throw new QueryError(
    `The lake was filled from rows at commit ${floor}; of the changes after commit ${last} and before that it may lack some, so commit ${seq} cannot be shown`,
  );
}
