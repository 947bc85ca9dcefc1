/**
 * The app's tables when the schema gets newer: renamed and dropped as it says. What is added is done
 * by adopt.ts, and a wider type needs nothing, since SQLite's columns take it as they are.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { SqliteConnection } from "./database/driver.ts";
import type { TableChange } from "./layout.ts";
import { quoteName, quoteText } from "./sql.ts";

/** Runs a statement that the app's own indexes, triggers and views may stand against. */
async function alter(db: SqliteConnection, table: string, what: string, sql: string) {
  try {
    await db.script(`ALTER TABLE ${quoteName(table)} ${sql}`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LakeSyncError(
      "SCHEMA_ERROR",
      `Table ${table} in this database cannot ${what} (${reason}); change what stands against it before the database is opened with this schema`,
      {},
      { cause: error },
    );
  }
}

async function namesOf(db: SqliteConnection, sql: string): Promise<ReadonlySet<string>> {
  const rows = await db.values(sql);
  return new Set(rows.map(([name]) => String(name).toLowerCase()));
}

/** Whether a name is to be changed; not when the app has changed it itself. */
function isDue(there: ReadonlySet<string>, from: string): boolean {
  return there.has(from.toLowerCase());
}

async function alterColumns(db: SqliteConnection, table: string, change: TableChange) {
  const there = await namesOf(db, `SELECT name FROM pragma_table_xinfo(${quoteText(table)})`);
  for (const name of change.dropped) {
    if (!isDue(there, name)) continue;
    await alter(db, table, `drop column ${name}`, `DROP COLUMN ${quoteName(name)}`);
  }
  for (const [from, to] of change.renamed) {
    if (!isDue(there, from)) continue;
    const sql = `RENAME COLUMN ${quoteName(from)} TO ${quoteName(to)}`;
    await alter(db, table, `rename column ${from} to ${to}`, sql);
  }
}

async function alterTable(db: SqliteConnection, change: TableChange, to: string): Promise<void> {
  const { from } = change;
  const there = await namesOf(db, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')");
  const isRenamed = from.toLowerCase() !== to.toLowerCase();
  if (isRenamed && isDue(there, from)) {
    await alter(db, from, `be renamed to ${to}`, `RENAME TO ${quoteName(to)}`);
  }
  await alterColumns(db, to, change);
}

/** Forgets writes to a table that is not synced any more; its rows stay with the app. */
async function forgetTable(db: SqliteConnection, { id }: TableChange): Promise<void> {
  await db.run("DELETE FROM _lakesync_outbox WHERE tbl = ?", [id]);
  await db.run("DELETE FROM _lakesync_base WHERE tbl = ?", [id]);
  await db.run("DELETE FROM _lakesync_scope WHERE tbl = ?", [id]);
  await db.run("DELETE FROM _lakesync_home WHERE tbl = ?", [id]);
}

/**
 * Renames and drops tables and columns as a newer schema says. Runs inside a transaction, before
 * tables are adopted and triggers installed.
 *
 * @param db the writer
 * @param changes what the schema changes
 * @throws {LakeSyncError} `SCHEMA_ERROR` when something of the app's stands against it
 */
export async function alterTables(
  db: SqliteConnection,
  changes: readonly TableChange[],
): Promise<void> {
  if (changes.length === 0) return;
  const triggers = await db.values(
    `SELECT name FROM sqlite_schema
     WHERE type = 'trigger' AND name LIKE '\\_lakesync\\_%' ESCAPE '\\'`,
  );
  for (const [name] of triggers) await db.script(`DROP TRIGGER ${quoteName(String(name))}`);
  for (const change of changes) {
    if (change.to === undefined) await forgetTable(db, change);
    else await alterTable(db, change, change.to);
  }
}
