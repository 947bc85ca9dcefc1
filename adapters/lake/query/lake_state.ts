/**
 * What a lake holds at the moment it is asked: its tables, and up to which commit all of them are
 * complete.
 *
 * @module
 */

import type { FlushPosition, PositionLife } from "../../adapter.ts";
import { partedAfter } from "../../flush/resume.ts";
import { comparePlaces } from "../../place.ts";
import type { LoadedTable } from "../catalog/catalog.ts";
import { forgottenSeqOf } from "../flush/forget.ts";
import type { Lake } from "../flush/lake.ts";
import { positionOf, PROPERTY, SUMMARY, unsettledKeys } from "../flush/properties.ts";
import { type LakeTables, loadTables, ownPosition, POSITION_TABLE } from "../flush/tables.ts";
import type { Long, Snapshot } from "../iceberg/metadata.ts";
import { standingOf } from "../table/standing.ts";
import { QueryError } from "./duck.ts";

/** What a lake holds. */
export interface LakeState {
  /** Its tables. */
  readonly tables: LakeTables;
  /** The last commit that is there whole in every table; 0 before the first flush. */
  readonly seq: number;
  /** The lives of the gateway's history, oldest first. */
  readonly lives: readonly PositionLife[];
  /** Changes at or before this commit may be missing; 0 when none are. */
  readonly floor: number;
  /** Rows are made of those that were set at or after this commit and changes after it, unless 0. */
  readonly refill: number;
  /** Up to this commit changes were forgotten on purpose; 0 when all are there. */
  readonly forgotten: number;
}

/** So often the tables are read again while the lake goes back to an earlier place. */
const TRIES = 5;

/**
 * Reads what a lake holds. The position is read before the tables, which only gain changes after
 * that, unless the lake goes back at the same time; then all is read again.
 *
 * @param lake the lake
 * @throws {QueryError} when it does not come to rest
 */
export async function readState(lake: Lake): Promise<LakeState> {
  for (let tries = 0; tries < TRIES; tries++) {
    const name = { namespace: lake.namespace, name: POSITION_TABLE };
    const main = await lake.catalog.load(name);
    const tables = await loadTables(lake);
    const before = main && positionOf(main.metadata);
    if (!wentBack(before, ownPosition(tables))) return stateOf(tables, before);
  }
  throw new QueryError("The lake goes back to an earlier place at this moment, try again");
}

function wentBack(before: FlushPosition | undefined, now: FlushPosition | undefined): boolean {
  if (before === undefined) return false;
  return now === undefined || comparePlaces(now, before) < 0 ||
    partedAfter(now.lives, before) < before.seq;
}

function stateOf(tables: LakeTables, position: FlushPosition | undefined): LakeState {
  const properties = tables.main?.metadata.properties;
  const { seq = 0, slice, lives = [], floor = 0, filled } = position ?? {};
  const whole = slice === undefined ? seq : seq - 1;
  return {
    tables,
    seq: filled === undefined ? whole : Math.min(whole, ...mergedSeqs(tables)),
    lives,
    floor,
    refill: filled === undefined ? Number(properties?.[PROPERTY.refillSeq] ?? 0) : 0,
    forgotten: forgottenSeqOf(tables),
  };
}

/** While a lake is filled, readers see the rows of before: up to where each table was merged. */
function mergedSeqs({ rows }: LakeTables): readonly number[] {
  return [...rows.values()].map(({ metadata }) => standingOf(metadata)?.position?.seq ?? 0);
}

/**
 * The commit of a snapshot: the last one that it has whole.
 *
 * @param snapshot a snapshot of LakeSync's
 * @returns undefined when it does not say
 */
export function seqOf({ summary }: Snapshot): number | undefined {
  const seq = summary[SUMMARY.seq];
  if (seq === undefined) return undefined;
  return summary[SUMMARY.slice] === undefined ? Number(seq) : Number(seq) - 1;
}

/**
 * Finds a snapshot among all tables.
 *
 * @param state the lake
 * @param id the snapshot's id
 */
export function snapshotIn({ tables }: LakeState, id: Long): Snapshot | undefined {
  const all = [tables.main, ...tables.rows.values(), ...loadedOf(tables)];
  for (const table of all) {
    const found = table?.metadata.snapshots?.find((snapshot) =>
      String(snapshot["snapshot-id"]) === String(id)
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

function loadedOf({ changes }: LakeTables): readonly LoadedTable[] {
  return [...changes.values()].map(({ loaded }) => loaded);
}

/** Rows as they were at an earlier commit. */
export interface BaseRows {
  /** The snapshot that has them. */
  readonly snapshot: Snapshot;
  /** The commit. */
  readonly seq: number;
  /** After which slice of it; undefined after all of them. */
  readonly slice: number | undefined;
}

/**
 * Finds the newest rows at or before a commit. Rows that went back after a restore hold what was lost
 * until it is set; what was shown before them is left to the changes.
 *
 * @param state the lake
 * @param table the tables of rows and of changes
 * @param seq the commit
 * @returns undefined when there are none that can be gone on from
 */
export function baseAt(
  state: LakeState,
  { rows, changes }: { readonly rows: LoadedTable; readonly changes: LoadedTable | undefined },
  seq: number,
): BaseRows | undefined {
  const { snapshots = [] } = rows.metadata;
  const bases = snapshots.flatMap((snapshot) => baseOf(state, snapshot, seq) ?? []);
  const isUnsettled = changes !== undefined && unsettledKeys(changes.metadata).length > 0;
  const backs = snapshots.filter(({ summary }) => {
    const at = Number(summary[SUMMARY.seq]);
    return Number(summary[SUMMARY.fromSeq]) > at && (isUnsettled || at >= seq);
  });
  const first = Math.min(...backs.map((back) => back["sequence-number"]));
  const clean = bases.filter(({ snapshot }) => snapshot["sequence-number"] < first);
  return newest(clean.length > 0 || state.forgotten === 0 ? clean : bases);
}

/** A snapshot as rows to go on from up to a commit; undefined when it is none. */
function baseOf(
  { lives, refill, forgotten }: LakeState,
  snapshot: Snapshot,
  to: number,
): BaseRows | undefined {
  const { summary } = snapshot;
  const seq = Number(summary[SUMMARY.seq] ?? NaN);
  const slice = summary[SUMMARY.slice] === undefined ? undefined : Number(summary[SUMMARY.slice]);
  if (!(seq <= to) || (slice !== undefined && seq === to)) return undefined;
  if (to >= refill && seq < refill) return undefined;
  if (seq < forgotten && to > seq) return undefined;
  return isOurs(lives, summary[SUMMARY.life], seq) ? { snapshot, seq, slice } : undefined;
}

function newest(bases: readonly BaseRows[]): BaseRows | undefined {
  const sequence = ({ snapshot }: BaseRows) => snapshot["sequence-number"];
  return bases.toSorted((a, b) => a.seq - b.seq || sequence(a) - sequence(b)).at(-1);
}

/** So many lives are kept at least before any is left out. */
const KEPT_LIVES = 32;

/** Whether a commit of a life is of this history. */
function isOurs(lives: readonly PositionLife[], life: string | undefined, seq: number): boolean {
  const at = lives.findIndex(({ id }) => id === life);
  if (at < 0) return false;
  // Lives may be missing after the first one, so nobody knows where it ended.
  if (at === 0 && lives.length >= KEPT_LIVES) return false;
  const next = lives[at + 1];
  return next === undefined || seq <= next.fromSeq;
}
