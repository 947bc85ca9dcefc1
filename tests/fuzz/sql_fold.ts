/**
 * The rows that captured transactions make, by the words of docs/protocol.md alone, and the rows that
 * are in the database, both in one comparable form.
 *
 * @module
 */

import type {
  Delta,
  JsonValue,
  MergeKind,
  Schema,
  Table,
  Transaction,
  Value,
} from "@lakesync/core";
import { rowIdOf } from "@lakesync/core";
import assert from "node:assert/strict";
import { toValue } from "../../client/convert.ts";
import type { SqliteConnection } from "../../client/database/driver.ts";
import type { Rows as VisibleRows } from "../../client/testing_local.ts";
import { quoted } from "./sql_tables.ts";

/** A row's cells in comparable form, by column. */
export type Row = Readonly<Record<string, string>>;

/** Rows by table and rowId. */
export type Rows = Map<string, Row>;

function elements(list: Value | undefined): string[] {
  return ((list ?? []) as readonly JsonValue[]).map((element) =>
    wellFormed(JSON.stringify(element))
  );
}

/** SQL and JavaScript write half of a surrogate pair, which the wire cannot, as replacements. */
function wellFormed(text: string): string {
  return text.replace(/\\ud[89a-f][0-9a-f]{2}|\ufffd+/g, "\ufffd");
}

/** A counter that was never written is 0, a set empty, and of a set the order is nobody's. */
function comparable(kind: MergeKind, value: Value): string {
  if (kind === "counter") return String(value ?? 0);
  if (kind === "set") return [...new Set(elements(value))].sort().join();
  if (value instanceof Uint8Array) return value.toHex();
  return typeof value === "bigint" ? String(value) : JSON.stringify(value);
}

function written(kind: MergeKind, before: string | undefined, value: Value): string {
  if (kind === "counter") {
    const { add = 0 } = (value ?? {}) as { readonly add?: string | number };
    return String(BigInt(before ?? 0) + BigInt(add));
  }
  if (kind === "set") {
    const { add, remove } = (value ?? {}) as { readonly [list: string]: Value };
    const had = new Set(
      before === undefined || before === "" ? [] : elements(JSON.parse(`[${before}]`)),
    );
    return [...had.difference(new Set(elements(remove))).union(new Set(elements(add)))].sort()
      .join();
  }
  return comparable(kind, value);
}

function nameOf(table: Table, rowId: string): string {
  return `${table.name} ${rowId}`;
}

function apply(rows: Rows, table: Table, { shape, rowId, values }: Delta): void {
  const name = nameOf(table, rowId);
  const before = rows.get(name);
  assert.equal(before !== undefined, shape.op !== "INSERT", `${shape.op} of ${name}`);
  if (shape.op === "DELETE") {
    assert.equal(shape.columns.length, 0);
    rows.delete(name);
    return;
  }
  const cells: Record<string, string> = { ...before };
  for (const [i, column] of shape.columns.entries()) {
    const kind = table.byName.get(column)?.merge ?? "lww";
    cells[column] = written(kind, cells[column], values[i] ?? null);
  }
  if (shape.op === "INSERT") {
    assert.equal(shape.columns.length, table.columns.length - table.primaryKey.length);
  } else assert.ok(shape.columns.length > 0, "An UPDATE of nothing");
  rows.set(name, cells);
}

/**
 * Applies captured transactions.
 *
 * @param rows is changed
 * @param transactions those that follow
 * @param schema tells keys and merge kinds
 */
export function fold(rows: Rows, transactions: readonly Transaction[], schema: Schema): void {
  for (const { deltas } of transactions) {
    for (const delta of deltas) {
      const table = schema.tables.get(delta.shape.table);
      assert.ok(table !== undefined);
      apply(rows, table, delta);
    }
  }
}

/** Brings a gateway's rows into the same form. */
export function comparableRows(visible: VisibleRows, schema: Schema): Rows {
  const rows: Rows = new Map();
  for (const table of schema.tables.values()) {
    const prefix = `${table.name} `;
    for (const [name, cells] of visible) {
      if (!name.startsWith(prefix)) continue;
      const row: Record<string, string> = {};
      for (const { name, merge, key } of table.columns) {
        if (!key) row[name] = comparable(merge, cells[name] ?? null);
      }
      rows.set(name, row);
    }
  }
  return rows;
}

/** Reads the rows of all synced tables. */
export async function readRows(db: SqliteConnection, schema: Schema): Promise<Rows> {
  const rows: Rows = new Map();
  for (const table of schema.tables.values()) {
    const names = table.columns.map(({ name }) => quoted(name)).join(", ");
    for (const cells of await db.values(`SELECT ${names} FROM ${quoted(table.name)}`)) {
      const values = table.columns.map(({ type }, i) => toValue(cells[i] ?? null, type));
      const key = table.primaryKey.map((column) => values[table.columns.indexOf(column)] ?? null);
      const row: Record<string, string> = {};
      for (const [i, { name, merge, key }] of table.columns.entries()) {
        if (!key) row[name] = comparable(merge, values[i] ?? null);
      }
      rows.set(nameOf(table, rowIdOf(table, key)), row);
    }
  }
  return rows;
}
