/**
 * Random statements of an app.
 *
 * @module
 */

import type { Choices } from "./choices.ts";
import { quoted } from "./sql_tables.ts";
import { goodValue, someValue } from "./sql_values.ts";
import type { AppColumn, AppTable, World } from "./sql_world.ts";

/** How a statement is run and what of its outcome is compared. */
export type StatementKind = "write" | "insert" | "rows" | "control";

/** One statement. */
export interface Statement {
  /** `insert` gives a rowid; `rows` gives rows; of `control` only success is compared. */
  readonly kind: StatementKind;
  /** Its text. */
  readonly sql: string;
}

/** What the app does next. */
export type Step =
  | { readonly do: "statement"; readonly statement: Statement }
  | {
    readonly do: "transaction";
    readonly statements: readonly Statement[];
    readonly fails: boolean;
  }
  | { readonly do: "script"; readonly sql: string }
  /** Another connection to the file commits statements, as one transaction. */
  | { readonly do: "other"; readonly statements: readonly Statement[] }
  /** The database is closed and opened again. */
  | { readonly do: "reopen" };

const OR = ["", "OR IGNORE ", "OR REPLACE ", "OR FAIL ", "OR ABORT ", "OR ROLLBACK "] as const;

function literal(c: Choices, { type, merge }: AppColumn): string {
  return someValue(c, type, merge === "set");
}

function good(c: Choices, { type, merge }: AppColumn): string {
  return goodValue(c, type, merge === "set");
}

/** A new value of a column, often one made of the old. */
function expression(c: Choices, table: AppTable, column: AppColumn): string {
  const x = quoted(column.name);
  const [name = ""] = column.type.split("(");
  const computed: Readonly<Record<string, readonly string[]>> = {
    string: [`${x} || 'x'`, `upper(${x})`, `substr(${x}, 2)`],
    integer: [`${x} + 1`, `${x} - 2`, `coalesce(${x}, 0) + 5`, `-${x}`, `${x} * 2`],
    number: [`${x} / 3`, `${x} + 1`, `round(${x})`],
    boolean: [`NOT ${x}`],
    json: column.merge === "set"
      ? [
        `json_insert(${x}, '$[#]', 'z')`,
        `json_remove(${x}, '$[0]')`,
        `json_insert('[]', '$[#]', 7)`,
      ]
      : [`json_set(${x}, '$.k', 1)`, `json_array(${x})`, `json_object('v', ${x})`],
    bytes: [`CAST(hex(${x}) AS BLOB)`],
    date: [`date(${x}, '+1 day')`],
    timestamp: [`strftime('%Y-%m-%dT%H:%M:%fZ', ${x}, '+1 hour')`],
  };
  return c.weighted<() => string>([
    [5, () => literal(c, column)],
    [3, () => c.pick(computed[name] ?? [x])],
    [1, () => `(SELECT max(${x}) FROM ${quoted(table.name)})`],
    [1, () => `CASE WHEN ${condition(c, table)} THEN ${good(c, column)} ELSE ${x} END`],
  ])();
}

function condition(c: Choices, table: AppTable): string {
  const column = c.pick(table.columns);
  const x = quoted(column.name);
  return c.weighted<() => string>([
    [6, () => "1"],
    [3, () => `${x} IS ${good(c, column)}`],
    [1, () => `${x} > ${good(c, column)}`],
    [1, () => `${x} IN (${good(c, column)}, ${good(c, column)})`],
    [1, () => `${x} IS NOT NULL AND EXISTS (SELECT 1 FROM own)`],
    [1, () => (table.hasRowid ? "rowid % 2" : `length(${x}) > 1`)],
  ])();
}

function writtenColumns(c: Choices, table: AppTable): AppColumn[] {
  const keys = table.columns.filter(({ key }) => key);
  const others = table.columns.filter(({ key }) => !key);
  return [...(c.oneIn(12) ? [] : keys), ...(others.length === 0 ? [] : c.some(others))];
}

function returning(c: Choices, statement: Statement): Statement {
  if (!c.oneIn(6)) return statement;
  return { kind: "rows", sql: `${statement.sql} RETURNING ${c.pick(["*", "7 AS seven"])}` };
}

function upsert(c: Choices, table: AppTable, columns: readonly AppColumn[]): string {
  const keys = table.columns.filter(({ key }) => key).map(({ name }) => quoted(name));
  const target = keys.length > 0 && c.oneIn(2) ? ` (${keys.join(", ")})` : "";
  const set = columns.filter(({ key }) => !key).map(({ name }) =>
    `${quoted(name)} = excluded.${quoted(name)}`
  );
  if (set.length === 0 || c.oneIn(4)) return ` ON CONFLICT${target} DO NOTHING`;
  return ` ON CONFLICT${target} DO UPDATE SET ${set.join(", ")}${
    c.oneIn(4) ? ` WHERE ${set.length} > 1` : ""
  }`;
}

function insert(c: Choices, table: AppTable): Statement {
  const columns = writtenColumns(c, table);
  if (columns.length === 0) {
    return { kind: "write", sql: `INSERT INTO ${quoted(table.name)} DEFAULT VALUES` };
  }
  const names = columns.map(({ name }) => quoted(name)).join(", ");
  const rows = c.list(1, 3, () => `(${columns.map((column) => literal(c, column)).join(", ")})`);
  const into = `INTO ${quoted(table.name)} (${names})`;
  const from = c.weighted<() => string>([
    [6, () => `VALUES ${rows.join(", ")}`],
    [1, () => `SELECT * FROM (VALUES ${rows.join(", ")}) WHERE 1`],
    [1, () => `SELECT ${names} FROM ${quoted(table.name)} WHERE 1`],
  ])();
  const isView = table.name === "shown";
  switch (c.below(6)) {
    case 1:
      return returning(c, { kind: "write", sql: `INSERT ${c.pick(OR)}${into} ${from}` });
    case 2:
      return returning(c, { kind: "write", sql: `REPLACE ${into} ${from}` });
    case 3:
      if (isView) break;
      return returning(c, {
        kind: "write",
        sql: `INSERT ${into} ${from}${upsert(c, table, columns)}`,
      });
    case 4:
      return {
        kind: "write",
        sql: `WITH picked (${names}) AS (${from}) INSERT OR IGNORE ${into} SELECT * FROM picked`,
      };
  }
  const kind = table.hasRowid && from.startsWith("VALUES") ? "insert" : "write";
  return returning(c, { kind, sql: `INSERT ${into} ${from}` });
}

/**
 * Which rows are left when one fails or replaces others depends on their order, which is SQLite's to
 * choose, by an index or not, and is another with triggers.
 */
function inOrder({ name }: AppTable): string {
  return quoted(name) + (name === "shown" ? "" : " NOT INDEXED");
}

function update(c: Choices, table: AppTable): Statement {
  const name = quoted(table.name);
  const columns = table.columns.filter(({ key }) => !key || c.oneIn(6));
  const chosen = c.some(columns.length === 0 ? table.columns : columns);
  const set = chosen.map((column) => `${quoted(column.name)} = ${expression(c, table, column)}`);
  const head = `UPDATE ${c.oneIn(3) ? c.pick(OR) : ""}${inOrder(table)} SET ${set.join(", ")}`;
  switch (c.below(6)) {
    case 1:
      return returning(c, {
        kind: "write",
        sql: `${head} FROM (SELECT count(*) AS many FROM own) AS other ` +
          `WHERE other.many >= 0 AND ${name}.${quoted(chosen[0]?.name ?? "id")} IS NOT NULL`,
      });
    case 2:
      return {
        kind: "write",
        sql: `WITH some AS (SELECT ${quoted(chosen[0]?.name ?? "id")} AS x FROM ${name} LIMIT 2) ` +
          `${head} WHERE ${quoted(chosen[0]?.name ?? "id")} IN (SELECT x FROM some)`,
      };
    default:
      return returning(c, { kind: "write", sql: `${head} WHERE ${condition(c, table)}` });
  }
}

function remove(c: Choices, table: AppTable): Statement {
  const where = c.oneIn(6) ? "" : ` WHERE ${condition(c, table)}`;
  return returning(c, { kind: "write", sql: `DELETE FROM ${inOrder(table)}${where}` });
}

function write(c: Choices, world: World): Statement {
  const table = c.pick(c.oneIn(4) ? world.tables : world.tables.filter(({ synced }) => synced));
  return c.weighted<() => Statement>([
    [6, () => insert(c, table)],
    [7, () => update(c, table)],
    [2, () => remove(c, table)],
    [1, () => ({ kind: "rows", sql: `SELECT * FROM ${quoted(table.name)} ORDER BY 1, 2` })],
  ])();
}

const CONTROL = [
  "BEGIN",
  "COMMIT",
  "SAVEPOINT s1",
  "RELEASE s1",
  "ROLLBACK TO s1",
  "ROLLBACK",
  "BEGIN IMMEDIATE",
  "END TRANSACTION",
  "SAVEPOINT s2",
  "ROLLBACK TRANSACTION TO SAVEPOINT s2",
  "/* ; */ COMMIT -- ;",
] as const;

const PRAGMAS = [
  "foreign_keys = OFF",
  "foreign_keys = ON",
  "defer_foreign_keys = ON",
  "case_sensitive_like = ON",
  "reverse_unordered_selects = ON",
  "ignore_check_constraints = ON",
  "temp_store = MEMORY",
  "user_version = 7",
  "cache_size = 10",
  "synchronous = NORMAL",
  "automatic_index = OFF",
  "legacy_alter_table = ON",
  "trusted_schema = OFF",
  "busy_timeout = 100",
  "wal_checkpoint",
  "optimize",
  "shrink_memory",
] as const;

function alter(c: Choices, world: World): Statement {
  const table = quoted(c.pick(world.tables).name);
  const sql = c.pick([
    `ALTER TABLE ${table} ADD COLUMN later TEXT DEFAULT 'later'`,
    `ALTER TABLE ${table} RENAME COLUMN note TO noted`,
    `CREATE INDEX ${c.pick(["i1", "i2"])} ON ${table} (1)`,
    `CREATE TABLE copy AS SELECT * FROM ${table}`,
    "DROP TABLE IF EXISTS copy",
    "DROP INDEX IF EXISTS i1",
    `ALTER TABLE ${table} DROP COLUMN later`,
    "VACUUM",
    "REINDEX",
    "ANALYZE",
    ...world.lateDdl,
    ...world.lateDdl,
  ]);
  return { kind: "control", sql };
}

/** Makes the app's first steps: a few rows in each table, its views and triggers before or after. */
export function firstSteps(c: Choices, world: World): Step[] {
  const rows = world.tables.filter(({ synced }) => synced).map(({ name, columns }) => {
    const row = () => `(${columns.map((column) => good(c, column)).join(", ")})`;
    const names = columns.map((column) => quoted(column.name)).join(", ");
    return `INSERT OR IGNORE INTO ${quoted(name)} (${names}) VALUES ${
      c.list(1, 4, row).join(", ")
    }`;
  });
  const step = (kind: StatementKind) => (sql: string): Step => ({
    do: "statement",
    statement: { kind, sql },
  });
  const made = c.weighted([[2, world.lateDdl], [1, []]]).map(step("control"));
  const filled = rows.map(step("write"));
  return c.oneIn(2) ? [...made, ...filled] : [...filled, ...made];
}

/** Makes what the app does next. */
export function makeStep(c: Choices, world: World): Step {
  const statement = (statement: Statement): Step => ({ do: "statement", statement });
  return c.weighted<() => Step>([
    [20, () => statement(write(c, world))],
    [5, () => statement({ kind: "control", sql: c.pick(CONTROL) })],
    [1, () => statement({ kind: "control", sql: `PRAGMA ${c.pick(PRAGMAS)}` })],
    [2, () => statement(alter(c, world))],
    [4, () => ({
      do: "transaction",
      statements: c.list(
        1,
        4,
        () =>
          c.oneIn(6)
            ? { kind: "control", sql: c.pick(["SAVEPOINT s1", "RELEASE s1", "ROLLBACK TO s1"]) }
            : write(c, world),
      ),
      fails: c.oneIn(6),
    })],
    [1, () => ({ do: "other", statements: c.list(1, 3, () => write(c, world)) })],
    [1, () => ({ do: "reopen" })],
    [1, () => ({
      do: "script",
      sql: c.list(2, 4, () => c.oneIn(3) ? c.pick(CONTROL.slice(0, 6)) : write(c, world).sql).join(
        ";\n",
      ),
    })],
  ])();
}
