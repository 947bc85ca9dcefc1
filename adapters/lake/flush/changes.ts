/**
 * Changes and rows as rows of a table of changes, and back. What is written is there for people and
 * engines: who did what, when, and the values by the names that the columns have now. What those do
 * not tell is beside them as JSON, so that nothing is lost: `_changed`, `_raw` and `_effect`. Pure
 * functions.
 *
 * `_changed` is a JSON array of the names that were written, as the writer's schema has them. A name
 * stands for the column that had it first (`ChangesLayout.names`); `#7` is column 7 without a name.
 *
 * `_raw` is a JSON object of values by those names, each as it was written, where the column does not
 * say it: since it is no value of the column (an element added to a set), since the table has no such
 * column, or since the column has the same value in another form (`12.5` is `12.50` there).
 *
 * `_effect` is described in `effects.ts`.
 *
 * @module
 */

import {
  type ColumnType,
  type Hlc,
  type JsonValue,
  keyOf,
  type MergeKind,
  type Op,
  type Table,
  type Value,
} from "@lakesync/core";
import type { Change, Place, RowEffect } from "../../adapter.ts";
import { fromStoredValue, toStoredValue } from "../../database/stored_value.ts";
import {
  type DecodedChange,
  decodeEffect,
  decodeSet,
  encodeEffect,
  encodeSet,
  type WrittenCell,
} from "./effects.ts";
import { type Form, formsOf } from "./forms.ts";
import { isSameValue } from "./values.ts";

/** A column of a synced table, as tables of the lake have it. */
export interface LayoutColumn {
  /** Its number, which it keeps when it is renamed. */
  readonly number: number;
  /** Its name in the newest schema, or in the last one that had it. */
  readonly name: string;
  /** The type of its values. */
  readonly type: ColumnType;
  /** How concurrent writes become one. */
  readonly merge: MergeKind;
  /** Whether it is part of the key. */
  readonly isKey: boolean;
}

/** What must be known of a table to write and read its changes. */
export interface ChangesLayout {
  /** The table's number. */
  readonly table: number;
  /** The name that it had first; `_effect` tells where a change knows it by another. */
  readonly firstName: string;
  /** The names that columns had first, with their numbers; a name never changes its number here. */
  readonly names: ReadonlyMap<string, number>;
  /** Its columns, those that the schema no longer has among them. */
  readonly columns: readonly LayoutColumn[];
  /** The newest form of the table, for the key's values. */
  readonly newest: Table | undefined;
  /** The version of the newest schema. */
  readonly version: number;
}

/** A row of a table of changes. */
export interface ChangeRow {
  /** What was done; `SET` when the row was set whole beside the changes. */
  readonly op: Op | "SET";
  /** The row. */
  readonly rowId: string;
  /** Who wrote it; null for `SET`, as the stamp, the identities and the version. */
  readonly clientId: string | null;
  /** When it was written. */
  readonly hlc: bigint | null;
  /** The commit. */
  readonly seq: number;
  /** The slice of the commit; null when it is after all of them. */
  readonly slice: number | null;
  /** In which of the client's transactions. */
  readonly mutationId: number | null;
  /** The change's identity. */
  readonly deltaId: string | null;
  /** When it was committed, or set; in milliseconds since 1970. */
  readonly committedMs: number;
  /** The schema version whose names it uses. */
  readonly schemaVersion: number | null;
  /** The names that were written, as JSON. */
  readonly changed: string | null;
  /** What columns do not say, as JSON; null when there is nothing. */
  readonly raw: string | null;
  /** What the change made of its row, as JSON; null when it is what the change says. */
  readonly effect: string | null;
  /** A value for each column of the layout. */
  readonly values: readonly Value[];
}

/** A row of a table of changes, as what it was made from. */
export type DecodedRow =
  | { readonly kind: "change"; readonly change: Change }
  | {
    readonly kind: "set";
    /** What the row became. */
    readonly row: RowEffect;
    /** After all changes at or before this place. */
    readonly at: Place;
    /** When, in milliseconds since 1970. */
    readonly committedMs: number;
    /** Whether it is to be set again all the same. */
    readonly isUnsettled: boolean;
  };

/**
 * Makes a row of a change.
 *
 * @param layout the table
 * @param change the change
 */
export function encodeChange(layout: ChangesLayout, change: Change): ChangeRow {
  const { schemaVersion, columns, columnIds } = change;
  const form = formsOf(layout).of(
    Object.keys(columns),
    columnIds,
    schemaVersion === layout.version,
  );
  const written = form.names.map((name) => columns[name] ?? null);
  const { values, raw } = splitValues(layout, change.rowId, form, written);
  return {
    op: change.op,
    rowId: change.rowId,
    clientId: change.clientId,
    hlc: change.hlc,
    seq: change.seq,
    slice: change.slice,
    mutationId: change.mutationId,
    deltaId: change.deltaId,
    committedMs: change.committedMs,
    schemaVersion,
    changed: form.changed,
    raw,
    effect: encodeEffect(layout, change, form, written),
    values,
  };
}

/**
 * Makes a row of a row that is set beside the changes.
 *
 * @param layout the table
 * @param row what the row is after all changes at or before the place
 * @param at the place
 * @param nowMs when, in milliseconds since 1970
 * @param isUnsettled whether it is to be set again all the same
 */
export function encodeRow(
  layout: ChangesLayout,
  row: RowEffect,
  at: Place,
  nowMs: number,
  isUnsettled = false,
): ChangeRow {
  const numbers = row.cells.map(([number]) => number);
  const names = numbers.map((number) => nameOf(layout, number));
  const form = formsOf(layout).of(names, numbers, false);
  const written = row.cells.map(([, value]) => value);
  const { values, raw } = splitValues(layout, row.key.rowId, form, written);
  return {
    op: "SET",
    rowId: row.key.rowId,
    clientId: null,
    hlc: null,
    seq: at.seq,
    slice: at.slice ?? null,
    mutationId: null,
    deltaId: null,
    committedMs: nowMs,
    schemaVersion: null,
    changed: form.changed,
    raw,
    effect: encodeSet(row, form, isUnsettled),
    values,
  };
}

/**
 * Reads a row of a table of changes.
 *
 * @param layout the table
 * @param row a row that {@linkcode encodeChange} or {@linkcode encodeRow} made, with this layout or
 * an earlier one of the same table
 */
export function decodeChangeRow(layout: ChangesLayout, row: ChangeRow): DecodedRow {
  const { op, rowId, seq, slice, committedMs } = row;
  const raw = parseObject(row.raw);
  const names = parseNames(row.changed);
  const effect = parseObject(row.effect);
  const written = names.map((name, i): WrittenCell => {
    const number = writtenNumber(layout, effect, name, i);
    const stored = Object.hasOwn(raw, name) ? raw[name] : undefined;
    const value = stored === undefined ? valueOf(layout, row, number) : fromStoredValue(stored);
    return { name, number, value };
  });
  const key = { table: layout.table, rowId };
  if (op === "SET") {
    const { row: set, isUnsettled } = decodeSet(layout, key, effect, written);
    const at = slice === null ? { seq } : { seq, slice };
    return { kind: "set", row: set, at, committedMs, isUnsettled };
  }
  const hlc = (row.hlc ?? 0n) as Hlc;
  const clientId = row.clientId ?? "";
  const decoded: DecodedChange = decodeEffect(
    layout,
    { key, op, stamp: { hlc, clientId } },
    effect,
    written,
  );
  const columnIds = written.flatMap(({ number }) => number ?? []);
  return {
    kind: "change",
    change: {
      deltaId: row.deltaId ?? "",
      op,
      table: typeof effect.table === "string" ? effect.table : layout.firstName,
      rowId,
      columns: Object.fromEntries(written.map(({ name, value }) => [name, value])),
      hlc,
      clientId,
      mutationId: row.mutationId ?? 0,
      seq,
      slice: slice ?? 0,
      committedMs,
      schemaVersion: row.schemaVersion ?? 0,
      ...(columnIds.length === written.length ? { columnIds } : {}),
      ...decoded,
    },
  };
}

/**
 * The number of the column that a name of `_changed` stands for.
 *
 * @param layout the table
 * @param effect the change's `_effect`, parsed
 * @param name the name
 * @param i its place in `_changed`
 * @returns undefined when nobody knows it
 */
export function writtenNumber(
  layout: ChangesLayout,
  effect: Readonly<Record<string, JsonValue>>,
  name: string,
  i: number,
): number | undefined {
  return Array.isArray(effect.numbers) ? numberAt(effect.numbers, i) : numberOf(layout, name);
}

function numberOf(layout: ChangesLayout, name: string): number | undefined {
  return name.startsWith("#") ? Number(name.slice(1)) : layout.names.get(name);
}

function nameOf(layout: ChangesLayout, number: number): string {
  const name = layout.columns.find((column) => column.number === number)?.name;
  return name !== undefined && layout.names.get(name) === number ? name : `#${number}`;
}

function valueOf(layout: ChangesLayout, row: ChangeRow, number: number | undefined): Value {
  const at = layout.columns.findIndex((column) => column.number === number);
  return row.values[at] ?? null;
}

/** Parts what columns say from what they do not say. */
function splitValues(
  layout: ChangesLayout,
  rowId: string,
  { names, places }: Form,
  written: readonly Value[],
): Pick<ChangeRow, "values" | "raw"> {
  const forms = formsOf(layout);
  const values: Value[] = new Array(layout.columns.length).fill(null);
  let rest: Record<string, JsonValue> | undefined;
  for (let i = 0; i < written.length; i++) {
    const value = written[i] ?? null;
    if (value === null) continue;
    const at = places[i] ?? -1;
    const kept = at < 0 ? undefined : forms.read(at, value);
    if (kept !== undefined) values[at] = kept;
    if (kept !== undefined && isSameValue(kept, value)) continue;
    rest ??= {};
    rest[names[i] ?? ""] = toStoredValue(value);
  }
  const { keyPlaces } = forms;
  const key = layout.newest === undefined ? undefined : keyOf(layout.newest, rowId);
  if (keyPlaces !== undefined && typeof key === "object") {
    for (let i = 0; i < keyPlaces.length; i++) {
      const at = keyPlaces[i] ?? -1;
      if (at >= 0) values[at] = key[i] ?? null;
    }
  }
  return { values, raw: rest === undefined ? null : JSON.stringify(rest) };
}

function parseObject(json: string | null): Readonly<Record<string, JsonValue>> {
  return json === null ? {} : JSON.parse(json);
}

function parseNames(json: string | null): readonly string[] {
  return json === null ? [] : JSON.parse(json);
}

function numberAt(numbers: readonly JsonValue[], i: number): number | undefined {
  const number = numbers[i];
  return typeof number === "number" ? number : undefined;
}
