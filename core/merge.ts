/**
 * The one merge. A row is a set of cells, each with the stamp of the write that won it, and two
 * stamps of its own: `born`, the greatest INSERT, and `died`, the greatest DELETE. Merging is
 * commutative, associative and idempotent, so any order of the same changes gives the same row.
 *
 * Source: Shapiro et al., "A comprehensive study of Convergent and Commutative Replicated Data
 * Types" (2011), last-writer-wins registers and element sets.
 *
 * @module
 */

import type { Hlc } from "./clock.ts";
import { canonicalJson, type Op } from "./delta.ts";
import type { Value } from "./value.ts";

/** When something was written and by whom; the order of conflicts. */
export interface Stamp {
  /** The writer's hybrid logical clock. */
  readonly hlc: Hlc;
  /** Breaks ties between equal clocks. */
  readonly clientId: string;
}

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
}

/** A row of which nothing is known. */
export const EMPTY_ROW: RowState = {
  born: undefined,
  died: undefined,
  cells: [],
};

/**
 * Orders two stamps: by clock, then by clientId (UTF-16 code units).
 *
 * @param a a stamp
 * @param b a stamp
 * @returns negative, zero or positive as `a` is less than, equal to or greater than `b`
 */
export function compareStamps(a: Stamp, b: Stamp): number {
  if (a.hlc !== b.hlc) return a.hlc < b.hlc ? -1 : 1;
  if (a.clientId === b.clientId) return 0;
  return a.clientId < b.clientId ? -1 : 1;
}

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
 * Merges one change into a row.
 *
 * @param row the row as it was
 * @param change the change
 * @returns the row as it is then; the same object when the change has no effect
 */
export function merge(row: RowState, change: Change): RowState {
  return change.op === "DELETE" ? mergeDelete(row, change) : mergeWrite(row, change);
}

function mergeDelete(row: RowState, change: Change): RowState {
  if (row.died !== undefined && compareStamps(change, row.died) <= 0) {
    return row;
  }
  const died = { hlc: change.hlc, clientId: change.clientId };
  const cells = row.cells.filter((group) => compareStamps(group, died) > 0);
  const born = row.born !== undefined && compareStamps(row.born, died) > 0 ? row.born : undefined;
  return { born, died, cells };
}

function mergeWrite(row: RowState, change: Change): RowState {
  if (row.died !== undefined && compareStamps(change, row.died) <= 0) {
    return row;
  }
  const born = change.op === "INSERT" ? greater(row.born, change) : row.born;
  if (row.cells.length === 0) {
    if (change.columns.length === 0 && born === row.born) return row;
    return {
      born,
      died: row.died,
      cells: change.columns.length === 0 ? [] : [groupOf(change)],
    };
  }
  const cells = mergeCells(row.cells, change);
  return cells === row.cells && born === row.born ? row : { born, died: row.died, cells };
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
