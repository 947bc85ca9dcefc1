/**
 * The two databases of a fuzzed app: the client's, and a plain SQLite of the same tables.
 *
 * @module
 */

import type { Transacted } from "../../client/app_sql.ts";
import type { SqliteConnection, SqliteDriver, SqlValue } from "../../client/database/driver.ts";
import { loadDriver } from "../../client/database/open.ts";
import type { Statement } from "./sql_statements.ts";
import { quoted } from "./sql_tables.ts";
import type { World } from "./sql_world.ts";

/** What a statement came to. */
export type Outcome = { readonly error: string } | { readonly gave: unknown };

/** Where in the text an error is; a binding may know or not. */
const PLACE = / in [^]* at offset \d+$/;

/** Runs something that may fail as SQL does. */
export async function outcomeOf(work: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { gave: await work() };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { error: error.message.replace(PLACE, "") };
  }
}

/** The error of an outcome, if it is one. */
export function errorOf(outcome: Outcome): string | undefined {
  return "error" in outcome ? outcome.error : undefined;
}

/** Runs a statement and gives what is to be compared of it. */
export async function run(db: Transacted, { kind, sql }: Statement): Promise<unknown> {
  if (kind === "rows") return (await db.query(sql)).map((row) => Object.entries(row));
  const { changes, lastInsertRowid } = await db.exec(sql);
  if (kind === "control") return undefined;
  return kind === "insert" && changes > 0 ? { changes, lastInsertRowid } : { changes };
}

/** Plain SQLite in the form of a client's database. */
export function transacted(db: SqliteConnection): Transacted {
  return {
    query: (sql) => db.all(sql),
    async exec(sql) {
      if (!/^(CREATE TRIGGER|BEGIN;)/.test(sql)) return await db.run(sql);
      await db.script(sql);
      return { changes: 0, lastInsertRowid: 0 };
    },
  };
}

/** A driver whose first connection, the writer, finds the app's tables. */
export class AppDriver implements SqliteDriver {
  readonly #world: World;
  #opened = false;
  /** The connection that was opened first, since this was made undefined. */
  writer: SqliteConnection | undefined;

  constructor(world: World) {
    this.#world = world;
  }

  async open(path: string): Promise<SqliteConnection> {
    const connection = await (await loadDriver()).open(path);
    if (this.writer !== undefined) return connection;
    this.writer = connection;
    if (this.#opened) return connection;
    this.#opened = true;
    for (const sql of this.#world.ddl) await connection.script(sql);
    for (const sql of this.#world.rows) await outcomeOf(() => connection.script(sql));
    return connection;
  }
}

/** What plain SQLite has by itself where a client's connection has been opened anew. */
const OWN_PRAGMAS = [
  "case_sensitive_like = OFF",
  "reverse_unordered_selects = OFF",
  "ignore_check_constraints = OFF",
  "legacy_alter_table = OFF",
  "trusted_schema = ON",
  "foreign_keys = ON",
  "recursive_triggers = ON",
];

/** Sets a connection up as a client's is. */
export async function setUp(db: SqliteConnection): Promise<void> {
  for (const pragma of OWN_PRAGMAS) await db.script(`PRAGMA ${pragma}`);
}

/** Opens a plain database with the tables and rows of a client's. */
export async function openPlain(
  from: SqliteConnection,
  { rows }: World,
): Promise<SqliteConnection> {
  const plain = await (await loadDriver()).open(":memory:");
  await setUp(plain);
  const made = await from.values(
    `SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND type IN ('table', 'index')
       AND name NOT GLOB '_lakesync_*' AND name NOT GLOB 'sqlite_*'
       AND tbl_name NOT GLOB '_lakesync_*' ORDER BY rowid`,
  );
  for (const [sql] of made) await plain.script(String(sql));
  for (const sql of rows) await outcomeOf(() => plain.script(sql));
  return plain;
}

function text(cell: SqlValue): string {
  return cell instanceof Uint8Array ? `x'${cell.toHex()}'` : `${typeof cell} ${cell}`;
}

/** All rows of the app's tables, as texts. */
export async function allRows(db: SqliteConnection): Promise<unknown> {
  const tables = await db.values(
    "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB '_lakesync_*'",
  );
  const all: Record<string, string[]> = {};
  for (const [name, sql] of tables) {
    if (String(name).startsWith("sqlite_")) continue;
    const rowid = /WITHOUT ROWID/.test(String(sql)) ? "" : "rowid AS rowid_, ";
    const rows = await db.all(`SELECT ${rowid}* FROM ${quoted(String(name))}`);
    all[String(name)] = rows.map((row) => Object.values(row).map(text).join(" | ")).sort();
  }
  return all;
}
