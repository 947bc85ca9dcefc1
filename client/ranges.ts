/**
 * Going through a table in the order it is stored in, some rows at a time, so that no statement holds
 * up the event loop for as long as the table is large.
 *
 * @module
 */

import type { SqliteConnection, SqlValue } from "./database/driver.ts";
import type { SyncedTable } from "./layout.ts";
import { TableFact } from "./schema_facts.ts";
import { quoteName } from "./sql.ts";

/** Rows that one statement goes through. */
export const RANGE = 5_000;

/** Some rows of a table. */
export interface RowRange {
  /** A condition on the table's columns, with `?` for each parameter. */
  readonly where: string;
  /** Its parameters. */
  readonly params: readonly SqlValue[];
}

/** What a table's rows are stored by, as SQL: reading them in steps by it takes no sorting. */
export const STORED_BY: TableFact<readonly string[]> = new TableFact(async (db, table) => {
  const columns = await db.values("SELECT name, pk FROM pragma_table_info(?)", [table.name]);
  const [kind] = await db.values(
    "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND lower(name) = lower(?)",
    [table.name],
  );
  const names = new Set(columns.map(([name]) => String(name).toLowerCase()));
  const rowid = ["rowid", "_rowid_", "oid"].find((name) => !names.has(name));
  if (kind?.[0] === 0 && rowid !== undefined) return [rowid];
  return columns.filter(([, pk]) => pk !== 0).sort(([, a], [, b]) => Number(a) - Number(b))
    .map(([name]) => quoteName(String(name)));
});

/**
 * Divides a table's rows into ranges. Rows of a range may be deleted before the next one is asked for.
 *
 * @param db any connection, in a transaction
 * @param table the table
 * @param rows rows of one range
 */
export async function* rowRanges(
  db: SqliteConnection,
  table: SyncedTable,
  rows: number,
): AsyncGenerator<RowRange> {
  const order = await STORED_BY.of(db, table);
  const by = order.join(", ");
  const marks = order.map(() => "?").join(", ");
  let where = "1";
  let params: readonly SqlValue[] = [];
  for (;;) {
    const [last] = await db.values(
      `SELECT ${by} FROM ${quoteName(table.name)} WHERE ${where} ORDER BY ${by}
       LIMIT 1 OFFSET ${rows - 1}`,
      params,
    );
    if (last === undefined) break;
    yield { where: `${where} AND (${by}) <= (${marks})`, params: [...params, ...last] };
    where = `(${by}) > (${marks})`;
    params = last;
  }
  yield { where, params };
}
