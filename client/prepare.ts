/**
 * Bringing a database file to a schema: sidecar tables, the app's tables, capture.
 *
 * @module
 */

import { canonicalJson, type JsonValue, LakeSyncError, type Schema } from "@lakesync/core";
import { adoptTables } from "./adopt.ts";
import { alterTables } from "./alter.ts";
import { installTriggers } from "./capture.ts";
import { captureExisting } from "./capture_existing.ts";
import { forgetCheckpoint, forgetStaged } from "./checkpoint.ts";
import type { SqliteConnection } from "./database/driver.ts";
import { type Layout, placedTable, placeSchema, type TableChange } from "./layout.ts";
import { keepOwn } from "./scope.ts";
import { seal } from "./seal.ts";
import { createSidecars, type Stored, widenSidecars } from "./sidecar.ts";

/** Sets what every connection that writes needs. */
export async function setUpWriter(
  db: SqliteConnection,
  inMemory: boolean,
): Promise<void> {
  await db.script("PRAGMA busy_timeout = 5000");
  if (!inMemory) await db.values("PRAGMA journal_mode = WAL");
  await db.script(
    `PRAGMA synchronous = FULL;
     PRAGMA recursive_triggers = ON;
     PRAGMA foreign_keys = OFF;
     PRAGMA cache_size = -32768`,
  );
}

/** Checks that a schema may follow the stored one, and gives the stored version, 0 for none. */
function checkVersion(stored: Stored, schema: Schema): number {
  const before: JsonValue = JSON.parse(stored.schema);
  const version = before !== null && typeof before === "object" &&
      "version" in before
    ? Number(before["version"])
    : 0;
  if (version > schema.version) {
    throw new LakeSyncError(
      "SCHEMA_ERROR",
      `This database was opened with schema version ${version} before, which is newer than ${schema.version}; update the app`,
    );
  }
  const now: JsonValue = JSON.parse(JSON.stringify(schema.spec));
  if (
    version === schema.version && canonicalJson(before) !== canonicalJson(now)
  ) {
    throw new LakeSyncError(
      "SCHEMA_ERROR",
      `This database knows schema version ${version} with other tables; raise the version with every change`,
    );
  }
  return version;
}

/**
 * Chunks and pages that are stored use the names before the change, so they are pulled again. Where versions
 * were skipped, a name that is gone may have been renamed in between without this schema saying so:
 * then the base is replaced by the next checkpoint.
 */
async function forgetNames(
  db: SqliteConnection,
  changes: readonly TableChange[],
  skipped: boolean,
): Promise<void> {
  if (changes.length === 0) return;
  if (skipped && changes.some(({ to, dropped }) => to === undefined || dropped.length > 0)) {
    return await forgetCheckpoint(db);
  }
  await forgetStaged(db);
}

async function bring(
  db: SqliteConnection,
  schema: Schema,
  clientId: string,
  withExisting: boolean,
): Promise<Layout> {
  const stored = await createSidecars(db, clientId);
  const version = checkVersion(stored, schema);
  const { layout, stored: places, changes } = placeSchema(stored.layout, schema);
  await widenSidecars(db, layout);
  await alterTables(db, changes);
  await forgetNames(db, changes, schema.version > version + 1);
  const adopted = await adoptTables(db, schema);
  await installTriggers(db, layout);
  const known = new Set(stored.layout.filter(({ gone }) => !gone).map(({ id }) => id));
  for (const name of adopted) {
    const table = placedTable(layout, name);
    if (known.has(table.id)) continue;
    if (withExisting) await captureExisting(db, layout, table);
    else await keepOwn(db, table);
  }
  // Where nothing is new nothing is written, so that opening does not wait for the disk.
  await db.run(
    "UPDATE _lakesync_state SET schema = ?1, layout = ?2 WHERE schema <> ?1 OR layout <> ?2",
    [JSON.stringify(schema.spec), JSON.stringify(places)],
  );
  await db.run("UPDATE _lakesync_clock SET fixed_ms = NULL WHERE fixed_ms IS NOT NULL");
  await seal(db);
  return layout;
}

/**
 * Brings a database to a schema, in one transaction.
 *
 * @param db the writer
 * @param schema the schema
 * @param clientId names the database when it is new
 * @param withExisting whether rows are captured that were in a table before it was synced
 * @returns where columns are kept
 * @throws {LakeSyncError} `SCHEMA_ERROR` when the database does not fit the schema
 */
export async function prepareDatabase(
  db: SqliteConnection,
  schema: Schema,
  clientId: string,
  withExisting: boolean,
): Promise<Layout> {
  await db.script("BEGIN IMMEDIATE");
  try {
    const layout = await bring(db, schema, clientId, withExisting);
    await db.script("COMMIT");
    await db.script("PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 0");
    return layout;
  } catch (error) {
    if (db.inTransaction) await db.script("ROLLBACK");
    throw error;
  }
}
