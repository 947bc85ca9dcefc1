/**
 * Capturing rows that were in a table before it was synced.
 *
 * @module
 */

import { insertBody } from "./capture.ts";
import type { SqliteConnection } from "./database/driver.ts";
import type { Layout, SyncedTable } from "./layout.ts";
import { quoteName } from "./sql.ts";

/**
 * Captures all rows of a table as if they had been inserted now. Runs inside a transaction.
 *
 * @param db the writer
 * @param layout where columns are kept
 * @param table the table
 */
export async function captureExisting(
  db: SqliteConnection,
  layout: Layout,
  table: SyncedTable,
): Promise<void> {
  const names = table.table.columns.map(({ name }) => quoteName(name));
  await db.script(
    `CREATE TEMP VIEW _lakesync_existing AS SELECT ${
      names.map((name) => `NULL AS ${name}`).join(", ")
    };
     CREATE TEMP TRIGGER _lakesync_existing_insert INSTEAD OF INSERT ON _lakesync_existing
     BEGIN ${insertBody(table, layout)} END;
     INSERT INTO temp._lakesync_existing SELECT ${names.join(", ")} FROM main.${
      quoteName(table.name)
    };
     DROP VIEW temp._lakesync_existing`,
  );
}
