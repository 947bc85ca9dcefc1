/**
 * The one merge. A row is a set of cells, each with the stamp of the write that won it, and two
 * stamps of its own: `born`, the greatest INSERT, and `died`, the greatest DELETE. Merging is
 * commutative and associative, so any order of the same changes gives the same row; but for
 * counters it is idempotent too.
 *
 * Columns of other kinds than `lww` have a state each ({@linkcode MergedCell}). A write to a
 * counter, `max` or `min` column belongs to one life of the row, named by its tag: for an INSERT its
 * own stamp, for an UPDATE the smaller of its own stamp and `born` at the moment it is accepted. So
 * the law of order holds for changes with their tags, and who replays a history gives the tags
 * ({@linkcode tagOf}) along.
 *
 * Source: Shapiro et al., "A comprehensive study of Convergent and Commutative Replicated Data
 * Types" (2011), last-writer-wins registers, counters and element sets.
 *
 * @module
 */

import { canonicalJson, type Op } from "./delta.ts";
import { cellValue, isOversized, livingCell, type MergedCell, writeCell } from "./merge_cells.ts";
import type { CellKind } from "./merge_kind.ts";
import { compareStamps, type Stamp } from "./merge_stamp.ts";
import type { Value } from "./value.ts";

export {
  type CellPlace,
  type CounterCell,
  type ExtremeCell,
  type MergedCell,
  type SetCell,
} from "./merge_cells.ts";
export { type CellKind, type ExtremeKind, kindOf, orderOf, type ValueOrder } from "./merge_kind.ts";
export type { CounterPairs, ExtremePairs, Pair } from "./merge_pairs.ts";
export type { SetEntry, SetState } from "./merge_set.ts";
export { compareStamps, type Stamp } from "./merge_stamp.ts";
export {
  counterAdd,
  MAX_SET_ELEMENTS_PER_DELTA,
  type SetElement,
  type SetWrite,
  setWrite,
  writtenMisfit,
} from "./merge_written.ts";

/** Cells that one change won and still holds. */
export interface CellGroup extends Stamp {
  /** The gateway's commit number at which the cells were won. */
  readonly seq: number;
  /** The ids of the columns, without doubles. */
  readonly columns: readonly number[];
  /** One value for each column. */
  readonly values: readonly Value[];
}

/** All that is known of a row. */
export interface RowState {
  /** The greatest INSERT, if the row is visible or was never deleted. */
  readonly born: Stamp | undefined;
  /** The greatest DELETE. */
  readonly died: Stamp | undefined;
  /** The cells, grouped by the change that won them. */
  readonly cells: readonly CellGroup[];
  /** The cells of other kinds than `lww`, by column; not there when there are none. */
  readonly merged?: readonly MergedCell[];
}

/** One change to one row, its columns as ids. */
export interface Change extends Stamp {
  /** What it does. */
  readonly op: Op;
  /** The gateway's commit number. */
  readonly seq: number;
  /** The ids of the columns it writes, without the key's and without doubles. */
  readonly columns: readonly number[];
  /** One value for each column. */
  readonly values: readonly Value[];
  /** One kind for each column; not there when all are `lww`. */
  readonly kinds?: readonly CellKind[] | undefined;
  /** The tag it was accepted under; {@linkcode tagOf} gives it when it is not there. */
  readonly tag?: Stamp | undefined;
}

/** A row of which nothing is known. */
export const EMPTY_ROW: RowState = {
  born: undefined,
  died: undefined,
  cells: [],
};

/**
 * Tells whether a row is visible: inserted, and not deleted since.
 *
 * @param row the row
 * @returns whether `born` is greater than `died`
 */
export function isVisible(row: RowState): boolean {
  if (row.born === undefined) return false;
  return row.died === undefined || compareStamps(row.born, row.died) > 0;
}

function greater(a: Stamp | undefined, b: Stamp): Stamp {
  return a !== undefined && compareStamps(a, b) >= 0 ? a : { hlc: b.hlc, clientId: b.clientId };
}

/**
 * The tag under which a row accepts a change.
 *
 * @param row the row as it is before the change
 * @param change the change
 * @returns for an INSERT its own stamp, else the smaller of its own and, unless the change has one,
 * the row's `born`
 */
export function tagOf(row: RowState, change: Change): Stamp {
  const tag = change.op === "INSERT" ? undefined : change.tag ?? row.born;
  return tag !== undefined && compareStamps(tag, change) < 0 ? tag : change;
}

/**
 * Merges one change into a row.
 *
 * @param row the row as it was
 * @param change the change
 * @returns the row as it is then; the same object when the change has no effect
 */
export function merge(row: RowState, change: Change): RowState {
  return change.op === "DELETE" ? mergeDelete(row, change) : mergeWrite(row, change);
}

/**
 * Visits every cell that a reader of the row sees; whether the row itself is to be seen, ask
 * {@linkcode isVisible}.
 *
 * @param row the row
 * @param visit takes the column's id, the value and the seq of the commit that last changed it
 */
export function forEachCell(
  row: RowState,
  visit: (column: number, value: Value, seq: number) => void,
): void {
  for (const { columns, values, seq } of row.cells) {
    for (let i = 0; i < columns.length; i++) visit(columns[i] as number, values[i] ?? null, seq);
  }
  for (const cell of row.merged ?? []) visit(cell.column, cellValue(cell), cell.seq);
}

/**
 * The value of a column of another kind than `lww`, as the merge left it.
 *
 * @param row the row
 * @param column the column's id
 * @returns its value, null when nothing is known of it
 */
export function mergedValue(row: RowState, column: number): Value {
  const cell = row.merged?.find((cell) => cell.column === column);
  return cell === undefined ? null : cellValue(cell);
}

/**
 * Finds a set that has grown beyond what one value may be, for the gateway to refuse the change.
 *
 * @param before the row before the change; its cells are not judged again
 * @param after the row after it
 * @returns the column's id, undefined when every set is within `maxValueBytes`
 */
export function oversizedColumn(before: RowState, after: RowState): number | undefined {
  return after.merged?.find((cell) => !before.merged?.includes(cell) && isOversized(cell))?.column;
}

function rowOf(
  born: Stamp | undefined,
  died: Stamp | undefined,
  cells: readonly CellGroup[],
  merged: readonly MergedCell[] | undefined,
): RowState {
  return merged === undefined || merged.length === 0
    ? { born, died, cells }
    : { born, died, cells, merged };
}

function mergeDelete(row: RowState, change: Change): RowState {
  if (row.died !== undefined && compareStamps(change, row.died) <= 0) {
    return row;
  }
  const died = { hlc: change.hlc, clientId: change.clientId };
  const cells = row.cells.filter((group) => compareStamps(group, died) > 0);
  const merged = row.merged?.flatMap((cell) => livingCell(cell, died, change.seq) ?? []);
  const born = row.born !== undefined && compareStamps(row.born, died) > 0 ? row.born : undefined;
  return rowOf(born, died, cells, merged);
}

function mergeWrite(row: RowState, change: Change): RowState {
  if (row.died !== undefined && compareStamps(change, row.died) <= 0) {
    return row;
  }
  const born = change.op === "INSERT" ? greater(row.born, change) : row.born;
  const plain = change.kinds === undefined ? change : lwwPart(change, change.kinds);
  const cells = plain.columns.length === 0
    ? row.cells
    : row.cells.length === 0
    ? [groupOf(plain)]
    : mergeCells(row.cells, plain);
  const merged = change.kinds === undefined ? row.merged : mergeKinds(row, change, change.kinds);
  if (cells === row.cells && merged === row.merged && born === row.born) return row;
  return rowOf(born, row.died, cells, merged);
}

function lwwPart(change: Change, kinds: readonly CellKind[]): Change {
  const columns: number[] = [];
  const values: Value[] = [];
  for (let i = 0; i < kinds.length; i++) {
    if (kinds[i] !== "lww") continue;
    columns.push(change.columns[i] as number);
    values.push(change.values[i] ?? null);
  }
  return { ...change, columns, values };
}

function mergeKinds(
  row: RowState,
  change: Change,
  kinds: readonly CellKind[],
): readonly MergedCell[] | undefined {
  const { columns, values, seq } = change;
  const tag = tagOf(row, change);
  const ended = row.died !== undefined && compareStamps(tag, row.died) <= 0;
  const cells = new Map(row.merged?.map((cell) => [cell.column, cell]));
  let changed = false;
  for (const [i, kind] of kinds.entries()) {
    if (kind === "lww") continue;
    const column = columns[i] as number;
    const value = values[i] ?? null;
    const before = cells.get(column);
    const write = { column, kind, value, stamp: change, tag: ended ? undefined : tag, seq };
    const after = writeCell(before, write);
    if (after === undefined || after === before) continue;
    cells.set(column, after);
    changed = true;
  }
  return changed ? [...cells.values()].sort((a, b) => a.column - b.column) : row.merged;
}

function groupOf(change: Change): CellGroup {
  const { hlc, clientId, seq, columns, values } = change;
  return { hlc, clientId, seq, columns, values };
}

/** Up to so many columns are found fastest by looking at each. */
const FEW_COLUMNS = 256;

/** Tells where columns are among those a change writes, below 0 for those that are not. */
function placesOf(columns: readonly number[]): (column: number) => number {
  if (columns.length <= FEW_COLUMNS) return (column) => columns.indexOf(column);
  const places = new Map<number, number>();
  for (let i = 0; i < columns.length; i++) places.set(columns[i] as number, i);
  return (column) => places.get(column) ?? -1;
}

function mergeCells(
  cells: readonly CellGroup[],
  change: Change,
): readonly CellGroup[] {
  const placeOf = placesOf(change.columns);
  const lost = new Set<number>();
  const held = new Set<number>();
  for (const group of cells) {
    const order = compareStamps(group, change);
    for (let i = 0; i < group.columns.length; i++) {
      const column = group.columns[i] as number;
      const at = placeOf(column);
      if (at < 0) continue;
      const keeps = order > 0 ||
        (order === 0 &&
          !beats(change.values[at] ?? null, group.values[i] ?? null));
      (keeps ? held : lost).add(column);
    }
  }
  if (held.size === change.columns.length) return cells;
  const kept: CellGroup[] = [];
  for (const group of cells) {
    const rest = lost.size === 0 ? group : without(group, lost);
    if (rest !== undefined) kept.push(rest);
  }
  const won = held.size === 0 ? groupOf(change) : without(groupOf(change), held);
  if (won !== undefined) kept.push(won);
  return kept;
}

/** Equal stamps with unequal values come only from a broken sender; any total order converges. */
function beats(value: Value, other: Value): boolean {
  const [text, otherText] = [canonicalJson(value), canonicalJson(other)];
  return text === otherText ? Object.is(value, 0) && Object.is(other, -0) : text > otherText;
}

function without(
  group: CellGroup,
  dropped: ReadonlySet<number>,
): CellGroup | undefined {
  const columns: number[] = [];
  const values: Value[] = [];
  for (let i = 0; i < group.columns.length; i++) {
    const column = group.columns[i] as number;
    if (dropped.has(column)) continue;
    columns.push(column);
    values.push(group.values[i] ?? null);
  }
  if (columns.length === 0) return undefined;
  return columns.length === group.columns.length ? group : { ...group, columns, values };
}
