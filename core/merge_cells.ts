/**
 * Cells of columns that are merged by other kinds than `lww`: each has its own state, and the seq of
 * the commit that last changed what a reader sees of it.
 *
 * @module
 */

import { DEFAULT_LIMITS } from "./limits.ts";
import type { CellKind, ExtremeKind } from "./merge_kind.ts";
import {
  addToCounter,
  type CounterPairs,
  counterValue,
  type ExtremePairs,
  extremeValue,
  livingPairs,
  offer,
} from "./merge_pairs.ts";
import {
  livingSet,
  sameElements,
  setBytes,
  type SetState,
  setValue,
  writeSet,
} from "./merge_set.ts";
import type { Stamp } from "./merge_stamp.ts";
import { counterAdd, setWrite } from "./merge_written.ts";
import type { Value } from "./value.ts";

/** Where a cell is, and since when it has its value. */
export interface CellPlace {
  /** The column's id. */
  readonly column: number;
  /** The gateway's commit number at which its value last changed. */
  readonly seq: number;
}

/** A cell of a counter. */
export interface CounterCell extends CellPlace {
  /** How its writes merge. */
  readonly kind: "counter";
  /** Its state; never empty. */
  readonly pairs: CounterPairs;
}

/** A cell of a `max` or `min` column. */
export interface ExtremeCell extends CellPlace {
  /** How its writes merge. */
  readonly kind: ExtremeKind;
  /** Its state; never empty. */
  readonly pairs: ExtremePairs;
}

/** A cell of a set. */
export interface SetCell extends CellPlace {
  /** How its writes merge. */
  readonly kind: "set";
  /** Its state. */
  readonly state: SetState;
}

/** A cell that is merged by another kind than `lww`. */
export type MergedCell = CounterCell | ExtremeCell | SetCell;

/** A write to one cell. */
export interface CellWrite {
  /** The column's id. */
  readonly column: number;
  /** How its writes merge. */
  readonly kind: Exclude<CellKind, "lww">;
  /** What the delta carries for it. */
  readonly value: Value;
  /** The write's own stamp. */
  readonly stamp: Stamp;
  /** The life of the row that it belongs to; undefined when that life has ended. */
  readonly tag: Stamp | undefined;
  /** The gateway's commit number. */
  readonly seq: number;
}

/**
 * Merges a write into a cell.
 *
 * @param cell the cell, undefined when there is none
 * @param write the write
 * @returns the cell then; the same object when the write has no effect
 */
export function writeCell(
  cell: MergedCell | undefined,
  write: CellWrite,
): MergedCell | undefined {
  const { column, kind, value, stamp, tag, seq } = write;
  if (value === null) return cell;
  if (kind === "set") {
    const elements = setWrite(value);
    const known = cell?.kind === "set" ? cell : undefined;
    if (elements === undefined) return cell;
    const state = writeSet(known?.state, stamp, elements);
    return state === known?.state ? known : settled(known, { column, seq, kind, state });
  }
  if (tag === undefined) return cell;
  if (kind === "counter") {
    const by = counterAdd(value);
    const known = cell?.kind === "counter" ? cell : undefined;
    if (by === undefined) return cell;
    const pairs = addToCounter(known?.pairs ?? [], tag, by);
    return pairs === known?.pairs ? known : settled(known, { column, seq, kind, pairs });
  }
  const known = cell?.kind === kind ? cell : undefined;
  const pairs = offer(known?.pairs ?? [], kind, tag, value);
  return pairs === known?.pairs ? known : settled(known, { column, seq, kind, pairs });
}

/**
 * Drops what a DELETE takes away from a cell.
 *
 * @param cell the cell
 * @param died the DELETE's stamp
 * @param seq the DELETE's commit number
 * @returns the cell then, undefined when nothing is left, the same object when nothing is dropped
 */
export function livingCell(cell: MergedCell, died: Stamp, seq: number): MergedCell | undefined {
  if (cell.kind === "set") {
    const state = livingSet(cell.state, died);
    if (state === cell.state) return cell;
    return state === undefined ? undefined : settled(cell, { ...cell, seq, state });
  }
  if (cell.kind === "counter") {
    const pairs = livingPairs(cell.pairs, died);
    if (pairs === cell.pairs) return cell;
    return pairs.length === 0 ? undefined : settled(cell, { ...cell, seq, pairs });
  }
  const pairs = livingPairs(cell.pairs, died);
  if (pairs === cell.pairs) return cell;
  return pairs.length === 0 ? undefined : settled(cell, { ...cell, seq, pairs });
}

/**
 * What a reader sees of a cell.
 *
 * @param cell the cell
 * @returns its value; of a counter the sum, of a set a sorted array
 */
export function cellValue(cell: MergedCell): Value {
  switch (cell.kind) {
    case "counter":
      return counterValue(cell.pairs);
    case "set":
      return setValue(cell.state);
    default:
      return extremeValue(cell.pairs);
  }
}

/**
 * Tells whether a set has grown beyond what one value may be.
 *
 * @param cell the cell
 * @returns whether its value is larger than `maxValueBytes`
 */
export function isOversized(cell: MergedCell): boolean {
  return cell.kind === "set" && setBytes(cell.state) > DEFAULT_LIMITS.maxValueBytes;
}

/** A change that no reader can see keeps the seq, so that nobody is told of it. */
function settled<C extends MergedCell>(before: C | undefined, after: C): MergedCell {
  if (before === undefined || !sameValue(before, after)) return after;
  return { ...after, seq: before.seq };
}

function sameValue(a: MergedCell, b: MergedCell): boolean {
  if (a.kind === "set" && b.kind === "set") return sameElements(a.state, b.state);
  return Object.is(cellValue(a), cellValue(b));
}
