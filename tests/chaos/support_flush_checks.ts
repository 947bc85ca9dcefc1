/**
 * What must hold of a database that a gateway flushes to: at any time nothing is there in part, and
 * in the end everything is there once and as the gateway has it.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  canonicalJson,
  type Column,
  deltaIdOf,
  type Hlc,
  type JsonValue,
  keyOf,
  parseSchema,
  type Table,
  toPlainJson,
  type Value,
} from "@lakesync/core";
import { fromStoredValue } from "../../adapters/database/stored_value.ts";
import type { Product } from "../servers/tests.ts";
import { pullPage } from "./support_flush_reader.ts";
import type { FlushSite } from "./support_flush_site.ts";
import { SCHEMA } from "./support_flush_values.ts";

const TABLES = parseSchema(SCHEMA).tables;

/** Rows of `lakesync_deltas` that are read at once. */
const PAGE = 500;

/**
 * In one statement, and so in one snapshot: the marks of each writer, its head, which each of its
 * transactions sets, and the changes that made the marks.
 */
const WHOLE = `
  SELECT h.id, h.n AS head, m.count AS marks, m.last, d.count AS changes
  FROM heads h
  LEFT JOIN (SELECT writer, count(*) AS count, max(n) AS last FROM marks GROUP BY writer) m
    ON m.writer = h.id
  LEFT JOIN (SELECT client_id, count(*) AS count FROM lakesync_deltas
    WHERE table_name = 'marks' GROUP BY client_id) d ON d.client_id = h.id`;

/**
 * Checks that no flush is there in part: of each writer there are the first marks without a gap, as
 * many as its head says and as there are changes.
 */
export async function checkWhole(site: FlushSite): Promise<void> {
  for (const row of await site.query(WHOLE)) {
    const head = Number(row["head"]);
    const { id, ...counts } = row;
    const numbers = Object.fromEntries(Object.entries(counts).map(([k, v]) => [k, Number(v)]));
    assert.deepEqual(numbers, { head, marks: head, last: head, changes: head }, String(id));
  }
}

/**
 * Checks, once everything has arrived, that the database holds every acknowledged change once, and
 * the gateway's rows, value for value, but for those whose parents are not there.
 */
export async function checkAll(site: FlushSite): Promise<{ changes: number; rows: number }> {
  await checkWhole(site);
  const changes = await checkChanges(site);
  const rows = await checkRows(site);
  return { changes, rows };
}

async function checkChanges(site: FlushSite): Promise<number> {
  const left = new Map(site.writers.flatMap(({ acknowledged }) => [...acknowledged]));
  const count = left.size;
  const asText = site.product === "postgres"
    ? { id: "encode(delta_id, 'hex')", row: "row_id", columns: "columns::text", char: "text" }
    : {
      id: "LOWER(HEX(delta_id))",
      row: "CAST(row_id AS CHAR CHARACTER SET utf8mb4)",
      columns: "columns",
      char: "char",
    };
  let place = "(-1, 0, 0)";
  for (;;) {
    const rows = await site.query(
      `SELECT ${asText.id} AS id, op, table_name, ${asText.row} AS row_id, ${asText.columns} AS
         columns, CAST(hlc AS ${asText.char}) AS hlc, client_id, mutation_id, seq, slice, n
       FROM lakesync_deltas WHERE (seq, slice, n) > ${place} ORDER BY seq, slice, n LIMIT ${PAGE}`,
    );
    for (const row of rows) {
      const [id, clientId] = [String(row["id"]), String(row["client_id"])];
      assert.equal(left.get(id), `${clientId} ${row["mutation_id"]}`, `${id}: sent so, and once`);
      left.delete(id);
      const columns: Record<string, JsonValue> = JSON.parse(String(row["columns"]));
      const shape = {
        op: String(row["op"]) as "INSERT",
        table: String(row["table_name"]),
        columns: Object.keys(columns),
      };
      const rowId = String(row["row_id"]);
      const values = Object.values(columns).map(fromStoredValue);
      const hlc = BigInt(String(row["hlc"])) as Hlc;
      const delta = { shape, rowId, hlc, values, deltaId: undefined };
      assert.equal(deltaIdOf(clientId, delta, hlc), id, `${id}: as it was sent`);
    }
    const last = rows.at(-1);
    if (last === undefined) break;
    place = `(${last["seq"]}, ${last["slice"]}, ${last["n"]})`;
  }
  assert.deepEqual([...left], [], "acknowledged, and not in the database");
  return count;
}

/** What is wrong with which rows. */
const PROBLEMS: Readonly<Record<Product, string>> = {
  postgres: `SELECT t.name, s.row_id, s.problem AS kind FROM lakesync_state s
    JOIN lakesync_tables t ON t.id = s.table_id WHERE s.problem IS NOT NULL`,
  mariadb: `SELECT t.name, CAST(p.row_id AS CHAR CHARACTER SET utf8mb4) AS row_id, p.kind
    FROM lakesync_problems p JOIN lakesync_tables t ON t.id = p.table_id`,
};

/** A row by the names of its columns, each value as one text for one value. */
type Shown = ReadonlyMap<string, string | null>;

async function checkRows(site: FlushSite): Promise<number> {
  const expected = await gatewayRows(site);
  const missing = withoutParents(expected);
  const problems = await site.query(PROBLEMS[site.product]);
  assert.deepEqual(
    problems.map(({ name, row_id, kind }) => `${kind} ${name} ${row_id}`).sort(),
    [...missing].map((row) => `parked ${row}`).sort(),
  );
  let count = 0;
  for (const table of TABLES.values()) {
    const wanted = new Map<string, Shown>();
    for (const [rowId, row] of expected.get(table.name) ?? []) {
      if (missing.has(`${table.name} ${rowId}`)) continue;
      wanted.set(
        nameOf(table, shownRow(table, row, site.product)),
        shownRow(table, row, site.product),
      );
    }
    const found = await databaseRows(site, table);
    assert.deepEqual([...found.keys()].sort(), [...wanted.keys()].sort(), table.name);
    for (const [name, row] of wanted) {
      for (const [column, value] of row) {
        const other = found.get(name)?.get(column);
        // Not by deepEqual: a value may be a mebibyte.
        assert.ok(
          other === value,
          `${table.name} ${name} ${column}: ${cut(other)}, not ${cut(value)}`,
        );
      }
    }
    count += wanted.size;
  }
  return count;
}

function cut(text: string | null | undefined): string {
  return `${text}`.slice(0, 200);
}

/** The rows as a new client would be sent them: table, rowId, column. */
export async function gatewayRows(
  site: { readonly server: { readonly url: string } },
): Promise<Map<string, Map<string, Map<string, Value>>>> {
  const tables = new Map([...TABLES.keys()].map((name) => [name, new Map()]));
  let cursor: string | undefined;
  for (;;) {
    const page = await pullPage(site.server.url, "checker", cursor);
    for (const { shape, rowId, values } of page.changes) {
      const table = TABLES.get(shape.table);
      const rows = tables.get(shape.table);
      if (table === undefined || rows === undefined) throw new Error(`No table ${shape.table}`);
      if (shape.op === "REMOVE") {
        rows.delete(rowId);
        continue;
      }
      const key = keyOf(table, rowId);
      if (typeof key === "string") throw new Error(key);
      const row = rows.get(rowId) ?? new Map();
      for (const [i, column] of table.primaryKey.entries()) row.set(column.name, key[i]);
      for (const [i, name] of shape.columns.entries()) row.set(name, values[i]);
      rows.set(rowId, row);
    }
    if (page.complete) return tables;
    cursor = page.cursor;
  }
}

/** The rows that foreign keys keep out, and those that they keep out in turn: `table rowId`. */
function withoutParents(
  all: ReadonlyMap<string, ReadonlyMap<string, ReadonlyMap<string, Value>>>,
): Set<string> {
  const missing = new Set<string>();
  for (let before = -1; before !== missing.size;) {
    before = missing.size;
    for (const [name, rows] of all) {
      const references = TABLES.get(name)?.columns.filter((column) => column.references) ?? [];
      for (const [rowId, row] of rows) {
        for (const { name: column, references: parent = "" } of references) {
          const key = row.get(column) ?? null;
          const there = all.get(parent)?.has(String(key)) && !missing.has(`${parent} ${key}`);
          if (key !== null && !there) missing.add(`${name} ${rowId}`);
        }
      }
    }
  }
  return missing;
}

function shownRow(table: Table, row: ReadonlyMap<string, Value>, product: Product): Shown {
  return new Map(
    table.columns.map((
      column,
    ) => [column.name, shown(column, row.get(column.name) ?? null, product)]),
  );
}

function nameOf(table: Table, row: Shown): string {
  return JSON.stringify(table.primaryKey.map(({ name }) => row.get(name)));
}

/** A value of the gateway as a text that no other value of its type has. */
function shown({ type }: Column, value: Value, product: Product): string | null {
  if (value === null) return null;
  switch (type) {
    case "number":
      // MySQL has no -0.
      return Object.is(value, -0) && product === "postgres" ? "-0" : String(value);
    case "timestamp":
      return micros(String(value));
    case "bytes":
      return value instanceof Uint8Array ? value.toHex() : "";
    case "json":
      return canonicalJson(value);
    default:
      return type.startsWith("decimal") ? digits(String(value)) : String(toPlainJson(value));
  }
}

function micros(time: string): string {
  const [, seconds = "", fraction = ""] = /^(.{19})(?:\.(\d+))?Z$/.exec(time) ?? [];
  return `${seconds}.${fraction.padEnd(6, "0")}Z`;
}

function digits(decimal: string): string {
  const short = decimal.includes(".") ? decimal.replace(/\.?0+$/, "") : decimal;
  return short === "-0" ? "0" : short;
}

/** The rows of a table, as the database shows them to anybody. */
async function databaseRows(site: FlushSite, table: Table): Promise<Map<string, Shown>> {
  const columns = table.columns.map((column, i) => `${EXPRESSIONS[site.product](column)} AS c${i}`);
  const rows = await site.query(`SELECT ${columns.join(", ")} FROM ${table.name}`);
  const found = new Map<string, Shown>();
  for (const row of rows) {
    const read = new Map(
      table.columns.map((column, i) => [column.name, readBack(column, row[`c${i}`])]),
    );
    found.set(nameOf(table, read), read);
  }
  assert.equal(found.size, rows.length, `${table.name} has a key twice`);
  return found;
}

const EXPRESSIONS: Readonly<Record<Product, (column: Column) => string>> = {
  postgres: ({ name, type }) => {
    if (type === "timestamp") {
      return `to_char(${name} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
    }
    return type === "bytes" ? `encode(${name}, 'hex')` : `${name}::text`;
  },
  mariadb: ({ name, type }) => {
    if (type === "timestamp") return `DATE_FORMAT(${name}, '%Y-%m-%dT%H:%i:%s.%fZ')`;
    if (type === "bytes") return `LOWER(HEX(\`${name}\`))`;
    if (type === "number") return `\`${name}\``;
    if (type === "boolean") return `IF(${name}, 'true', IF(${name} IS NULL, NULL, 'false'))`;
    return `CAST(\`${name}\` AS CHAR)`;
  },
};

function readBack({ type }: Column, value: unknown): string | null {
  if (value === null || value === undefined) return null;
  const text = Object.is(value, -0) ? "-0" : String(value);
  if (type === "number") return text === "-0" ? text : String(Number(text));
  if (type === "json") return canonicalJson(JSON.parse(text));
  return type.startsWith("decimal") ? digits(text) : text;
}
