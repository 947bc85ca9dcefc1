/**
 * The column `_effect` of a table of changes: what the gateway's merge made of a change. It is null
 * where that is what the change says: an INSERT replaces the row and shows it, an UPDATE sets what it
 * names in a row that is shown, a DELETE takes the row away. Else a JSON object with what differs:
 *
 * - `visible`, `replaces`: whether the row is shown, and whether it has no other cells;
 * - `lost`: numbers of columns that were written and did not win;
 * - `cells`: cells that became something else than what was written, as `stored_cells.ts` has them;
 * - `numbers`: the columns' numbers in the order of `_changed`, where the names alone do not tell;
 * - `table`: the table by the name the writer knew it by, where that is not its first;
 * - `unsettles`: only the row is known, it is to be set; `unknown`: not even that;
 * - of `SET` also `stamps`: `[[hlc, clientId, [column, …]], …]`.
 *
 * Pure functions.
 *
 * @module
 */

import type { Hlc, JsonValue, Op, Stamp, Value } from "@lakesync/core";
import type { Cell, Change, DestinationKey, RowEffect } from "../../adapter.ts";
import { decodeCells, encodeCells, type KeptCell, portCells } from "../../database/stored_cells.ts";
import type { ChangesLayout } from "./changes.ts";
import type { Form } from "./forms.ts";
import { isSameValue } from "./values.ts";

/** A value that was written. */
export interface WrittenCell {
  /** The column by the name its writer knows. */
  readonly name: string;
  /** The column's number; undefined when nobody knows it. */
  readonly number: number | undefined;
  /** The value. */
  readonly value: Value;
}

/** What is known of what a change did. */
export type DecodedChange = Pick<Change, "effect" | "unsettles">;

/** The members of the JSON. */
type EffectJson = Readonly<Record<string, JsonValue>>;

/** What a change of a kind makes of its row, if nothing else is said. */
function usual(op: Op): Pick<RowEffect, "isVisible" | "replaces"> {
  return { isVisible: op !== "DELETE", replaces: op !== "UPDATE" };
}

/** The cells of a change that wins everywhere. */
function usualCells(
  { columns }: ChangesLayout,
  written: readonly WrittenCell[],
  stamp: Stamp | undefined,
): Map<number, KeptCell> {
  const cells = new Map<number, KeptCell>();
  for (const { number, value } of written) {
    if (number === undefined) continue;
    const isKey = columns.some((column) => column.number === number && column.isKey);
    if (!isKey) cells.set(number, { value, stamp });
  }
  return cells;
}

/**
 * Writes what a change made of its row.
 *
 * @param layout the table
 * @param change the change
 * @param form its form
 * @param written what it wrote, a value for each name of the form
 * @returns null when it is what the change says
 */
export function encodeEffect(
  layout: ChangesLayout,
  change: Change,
  form: Form,
  written: readonly Value[],
): string | null {
  const members: string[] = [];
  if (change.table !== layout.firstName) members.push(`"table":${JSON.stringify(change.table)}`);
  if (!form.isTold) members.push(numbersOf(form));
  const { effect, unsettles, op } = change;
  if (effect === undefined) {
    members.push(unsettles === undefined ? '"unknown":true' : '"unsettles":true');
    return `{${members}}`;
  }
  const isShown = op !== "DELETE";
  const replaces = op !== "UPDATE";
  if (effect.isVisible !== isShown) members.push(`"visible":${effect.isVisible}`);
  if (effect.replaces !== replaces) members.push(`"replaces":${effect.replaces}`);
  if (!winsAll(change, effect.cells, form, written)) {
    members.push(...differing(change, effect.cells, form, written));
  }
  return members.length === 0 ? null : `{${members}}`;
}

/** Whether the cells are just those that were written, in the same order. */
function winsAll(
  { hlc, clientId }: Change,
  cells: readonly Cell[],
  form: Form,
  written: readonly Value[],
): boolean {
  if (cells.length !== form.cells.length) return false;
  let last: Stamp | undefined;
  for (let k = 0; k < cells.length; k++) {
    const [column, value, stamp] = cells[k] ?? [];
    const i = form.cells[k] ?? 0;
    if (column !== form.numbers[i] || !Object.is(value, written[i])) return false;
    if (stamp === undefined) return false;
    if (stamp !== last && (stamp.hlc !== hlc || stamp.clientId !== clientId)) return false;
    last = stamp;
  }
  return true;
}

function differing(
  { hlc, clientId }: Change,
  cells: readonly Cell[],
  form: Form,
  written: readonly Value[],
): string[] {
  const stamp = { hlc, clientId };
  const expected = new Map<number, KeptCell>();
  for (const i of form.cells) {
    const number = form.numbers[i];
    if (number !== undefined) expected.set(number, { value: written[i] ?? null, stamp });
  }
  const over = new Map<number, KeptCell>();
  for (const [column, value, stamp] of cells) {
    const usual = expected.get(column);
    expected.delete(column);
    const isSame = usual !== undefined && isSameStamp(usual.stamp, stamp) &&
      isSameValue(usual.value, value);
    if (!isSame) over.set(column, { value, stamp });
  }
  return [
    ...expected.size === 0 ? [] : [`"lost":[${[...expected.keys()]}]`],
    ...over.size === 0 ? [] : [`"cells":${encodeCells(over)}`],
  ];
}

/**
 * Reads what a change made of its row.
 *
 * @param layout the table
 * @param change its row, what it did, and its stamp
 * @param json what {@linkcode encodeEffect} wrote, parsed
 * @param written what it wrote
 */
export function decodeEffect(
  layout: ChangesLayout,
  { key, op, stamp }: {
    readonly key: DestinationKey;
    readonly op: Op;
    readonly stamp: Stamp;
  },
  json: EffectJson,
  written: readonly WrittenCell[],
): DecodedChange {
  if (json.unknown === true) return { effect: undefined };
  if (json.unsettles === true) return { effect: undefined, unsettles: key };
  const { isVisible, replaces } = usual(op);
  const cells = usualCells(layout, written, stamp);
  if (Array.isArray(json.lost)) { for (const column of json.lost) cells.delete(Number(column)); }
  if (json.cells !== undefined) {
    for (const [column, cell] of decodeCells(JSON.stringify(json.cells))) cells.set(column, cell);
  }
  return {
    effect: {
      key,
      isVisible: typeof json.visible === "boolean" ? json.visible : isVisible,
      replaces: typeof json.replaces === "boolean" ? json.replaces : replaces,
      cells: portCells(cells),
    },
  };
}

/**
 * Writes what is to be known of a row that is set, beside its values.
 *
 * @param row the row
 * @param form the form of its cells
 * @param isUnsettled whether it is to be set again all the same
 * @returns null when it is shown, and no stamp is known
 */
export function encodeSet(
  { isVisible, cells }: RowEffect,
  form: Form,
  isUnsettled: boolean,
): string | null {
  const members = form.isTold ? [] : [numbersOf(form)];
  if (!isVisible) members.push('"visible":false');
  if (isUnsettled) members.push('"unsettles":true');
  const stamps = new Map<string, number[]>();
  for (const [column, , stamp] of cells) {
    if (stamp === undefined) continue;
    const name = `"${stamp.hlc}",${JSON.stringify(stamp.clientId)}`;
    const group = stamps.get(name);
    if (group === undefined) stamps.set(name, [column]);
    else group.push(column);
  }
  if (stamps.size > 0) {
    members.push(`"stamps":[${[...stamps].map(([name, columns]) => `[${name},[${columns}]]`)}]`);
  }
  return members.length === 0 ? null : `{${members}}`;
}

/**
 * Reads a row that was set.
 *
 * @param layout the table
 * @param key the row
 * @param json what {@linkcode encodeSet} wrote, parsed
 * @param written its cells
 */
export function decodeSet(
  layout: ChangesLayout,
  key: DestinationKey,
  json: EffectJson,
  written: readonly WrittenCell[],
): { readonly row: RowEffect; readonly isUnsettled: boolean } {
  const cells = usualCells(layout, written, undefined);
  for (const group of Array.isArray(json.stamps) ? json.stamps : []) {
    const [hlc, clientId, columns]: readonly JsonValue[] = Array.isArray(group) ? group : [];
    const stamp = { hlc: BigInt(String(hlc)) as Hlc, clientId: String(clientId) };
    for (const column of Array.isArray(columns) ? columns : []) {
      const cell = cells.get(Number(column));
      if (cell !== undefined) cells.set(Number(column), { ...cell, stamp });
    }
  }
  const row = { key, isVisible: json.visible !== false, replaces: true, cells: portCells(cells) };
  return { row, isUnsettled: json.unsettles === true };
}

/** Tells the columns' numbers, where their names stand for others. */
function numbersOf({ numbers }: Form): string {
  return `"numbers":${JSON.stringify(numbers.map((number) => number ?? null))}`;
}

function isSameStamp(a: Stamp | undefined, b: Stamp | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.hlc === b.hlc &&
    a.clientId === b.clientId);
}
