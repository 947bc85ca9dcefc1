/**
 * What the merge must do, said without it: a model that looks at the whole history at once, and
 * histories that collide often.
 *
 * @module
 */

import fc from "fast-check";
import type { Hlc } from "./clock.ts";
import { canonicalJson, type Op } from "./delta.ts";
import {
  type Change,
  compareStamps,
  EMPTY_ROW,
  forEachCell,
  isVisible,
  type RowState,
  type Stamp,
} from "./merge.ts";
import type { Value } from "./value.ts";

/** The merge, or a broken one. */
export type Merge = (row: RowState, change: Change) => RowState;

/** What a reader sees of a row: its visible cells by column, or undefined when it is not there. */
export type View = ReadonlyMap<number, Value> | undefined;

/** A history before it was given an order of arrival. */
export type Written = Omit<Change, "seq">;

/**
 * The row that a reader sees.
 *
 * @param row a row
 * @returns its view
 */
export function viewOf(row: RowState): View {
  if (!isVisible(row)) return undefined;
  const view = new Map<number, Value>();
  forEachCell(row, (column, value) => view.set(column, value));
  return new Map([...view].sort(([a], [b]) => a - b));
}

/**
 * Merges changes one after the other, each with the next seq.
 *
 * @param merge the merge
 * @param changes in order of arrival
 * @returns the row
 */
export function mergeAll(merge: Merge, changes: readonly Written[]): RowState {
  return changes.reduce(
    (row, change, i) => merge(row, { ...change, seq: i + 1 }),
    EMPTY_ROW,
  );
}

function greatest(stamps: readonly Stamp[]): Stamp | undefined {
  return [...stamps].sort(compareStamps).at(-1);
}

/** A total order of values, as text: equal stamps are decided by it. */
function rank(value: Value): string {
  return canonicalJson(value) + (Object.is(value, -0) ? "" : "+");
}

/**
 * The view that semantics.md asks for, from the whole history at once.
 *
 * @param history all changes, in any order
 * @returns the view
 */
export function modelOf(history: readonly Written[]): View {
  const born = greatest(history.filter((change) => change.op === "INSERT"));
  const died = greatest(history.filter((change) => change.op === "DELETE"));
  if (!born || (died && compareStamps(born, died) <= 0)) return undefined;
  const view = new Map<number, Value>();
  for (const column of [0, 1, 2]) {
    const writes = history.flatMap((change) => {
      const at = change.op === "DELETE" ? -1 : change.columns.indexOf(column);
      return at < 0 ? [] : [{ change, value: change.values[at] ?? null }];
    });
    writes.sort((a, b) =>
      compareStamps(a.change, b.change) ||
      (rank(a.value) < rank(b.value) ? -1 : 1)
    );
    const winner = writes.at(-1);
    if (winner && (!died || compareStamps(winner.change, died) > 0)) {
      view.set(column, winner.value);
    }
  }
  return view;
}

const VALUES: readonly fc.Arbitrary<Value>[] = [
  fc.constantFrom<Value>("", "a", "b", "\uffff", "😀", null),
  fc.constantFrom<Value>(0, -0, 1, -1, 2n ** 53n, null),
  fc.constantFrom<Value>({}, { a: 1 }, { a: [2] }, [], true, null),
];

function changeOf(op: Op, stamp: Stamp, cells: readonly Value[][]): Written {
  const carried = op === "DELETE"
    ? []
    : cells.flatMap((cell, column) =>
      cell.length === 0 ? [] : [{ column, value: cell[0] ?? null }]
    );
  return {
    op,
    ...stamp,
    columns: carried.map(({ column }) => column),
    values: carried.map(({ value }) => value),
  };
}

/** One change by one of three clients, at one of eight instants. */
export const written: fc.Arbitrary<Written> = fc.tuple(
  fc.constantFrom<Op>("INSERT", "UPDATE", "UPDATE", "DELETE"),
  fc.record({
    hlc: fc.bigInt({ min: 1n, max: 8n }).map((hlc) => hlc as Hlc),
    clientId: fc.constantFrom("a", "b", "B"),
  }),
  fc.tuple(...VALUES.map((value) => fc.array(value, { maxLength: 1 }))),
).map(([op, stamp, cells]) => changeOf(op, stamp, cells));

/**
 * A history of one row and the same history in another order.
 *
 * @param change the changes it is made of
 * @returns the two histories
 */
export function shuffledOf(
  change: fc.Arbitrary<Written>,
): fc.Arbitrary<readonly [Written[], Written[]]> {
  return fc.array(change, { minLength: 1, maxLength: 9 }).chain((history) =>
    fc.tuple(
      fc.constant(history),
      fc.shuffledSubarray(history, { minLength: history.length }),
    )
  );
}

/** {@linkcode shuffledOf} changes of `lww` columns. */
export const shuffled: fc.Arbitrary<readonly [Written[], Written[]]> = shuffledOf(written);
