/**
 * The sidecar tables, in which LakeSync keeps its own state beside the app's tables.
 *
 * | table | holds |
 * | --- | --- |
 * | `_lakesync_clock` | one row: what the capture triggers read and count |
 * | `_lakesync_state` | one row: where this database stands with its gateway |
 * | `_lakesync_tx` | a row for each sealed transaction: its range of outbox numbers |
 * | `_lakesync_outbox` | a row for each captured change, in the order of writing |
 * | `_lakesync_base` | the server's version of rows with pending writes that had one |
 * | `_lakesync_page` | pages of a checkpoint that is not complete yet |
 * | `_lakesync_stream`, `_lakesync_chunk` | the chunks that come before its pages (chunks.ts) |
 * | `_lakesync_bucket` | the buckets of the last checkpoint (buckets.ts) |
 * | `_lakesync_set`, `_lakesync_home`, `_lakesync_scope` | which of them hold which row (scope.ts) |
 * | `_lakesync_dead`, `_lakesync_dead_change` | refused transactions and what they had written |
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { SqliteConnection } from "./database/driver.ts";
import { type Layout, maskNames, type StoredLayout, valueNames } from "./layout.ts";

/** The version of the sidecar tables themselves. */
const FORMAT = 1;

const TABLES = `
CREATE TABLE IF NOT EXISTS _lakesync_clock (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  n INTEGER NOT NULL DEFAULT 0,
  hlc INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  sealed_n INTEGER NOT NULL DEFAULT 0,
  covered_n INTEGER NOT NULL DEFAULT 0,
  applying INTEGER NOT NULL DEFAULT 0,
  offset_ms INTEGER NOT NULL DEFAULT 0,
  fixed_ms INTEGER
);
CREATE TABLE IF NOT EXISTS _lakesync_state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  format INTEGER NOT NULL,
  client_id TEXT NOT NULL,
  schema TEXT NOT NULL DEFAULT '{"version":0,"tables":{}}',
  layout TEXT NOT NULL DEFAULT '[]',
  cursor TEXT,
  staged_cursor TEXT,
  replacing INTEGER NOT NULL DEFAULT 0,
  last_mutation_id INTEGER NOT NULL DEFAULT 0,
  told_mutation_id INTEGER NOT NULL DEFAULT 0,
  told_chain TEXT NOT NULL DEFAULT '',
  doubts INTEGER NOT NULL DEFAULT 0,
  origins TEXT NOT NULL DEFAULT '[]',
  settled_mutation_id INTEGER NOT NULL DEFAULT 0,
  highest_mutation_id INTEGER NOT NULL DEFAULT 0,
  refusals_seen INTEGER NOT NULL DEFAULT 0,
  received_hlc INTEGER NOT NULL DEFAULT 0,
  purged_n INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS _lakesync_tx (
  mutation_id INTEGER PRIMARY KEY,
  first_n INTEGER NOT NULL,
  last_n INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  sealed_ms INTEGER NOT NULL,
  refused INTEGER NOT NULL DEFAULT 0,
  chain TEXT,
  parts TEXT
);
CREATE TABLE IF NOT EXISTS _lakesync_page (
  id INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS _lakesync_stream (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  etag TEXT NOT NULL,
  total_rows INTEGER NOT NULL,
  buckets INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS _lakesync_chunk (
  n INTEGER PRIMARY KEY,
  place INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  bytes BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS _lakesync_bucket (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  rows INTEGER NOT NULL DEFAULT 0,
  checksum INTEGER,
  columns TEXT NOT NULL DEFAULT '{}',
  version INTEGER NOT NULL DEFAULT 0,
  due INTEGER NOT NULL DEFAULT 0,
  told INTEGER NOT NULL DEFAULT 0,
  sent INTEGER NOT NULL DEFAULT 0,
  repair INTEGER NOT NULL DEFAULT 0,
  tries INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS _lakesync_set (
  set_id INTEGER PRIMARY KEY AUTOINCREMENT,
  buckets TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS _lakesync_home (
  tbl INTEGER PRIMARY KEY,
  set_id INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS _lakesync_scope (
  tbl INTEGER NOT NULL,
  row_id TEXT NOT NULL,
  set_id INTEGER NOT NULL,
  PRIMARY KEY (tbl, row_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _lakesync_dead (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  mutation_id INTEGER NOT NULL,
  code TEXT NOT NULL,
  message TEXT NOT NULL,
  delta INTEGER NOT NULL,
  refused_ms INTEGER NOT NULL,
  dismissed INTEGER NOT NULL DEFAULT 0
);
`;

/** A table that holds changes or rows of all synced tables: its own columns, and what follows. */
interface WideTable {
  readonly name: string;
  readonly own: string;
  readonly masks: boolean;
  readonly end: string;
  readonly after: string;
}

const WIDE: readonly WideTable[] = [
  {
    name: "_lakesync_outbox",
    own: "n INTEGER PRIMARY KEY, hlc INTEGER NOT NULL, tbl INTEGER NOT NULL, " +
      "op INTEGER NOT NULL, row_id TEXT NOT NULL",
    masks: true,
    end: ")",
    after: "CREATE INDEX _lakesync_outbox_row ON _lakesync_outbox (tbl, row_id)",
  },
  {
    name: "_lakesync_base",
    own: "tbl INTEGER NOT NULL, row_id TEXT NOT NULL, present INTEGER NOT NULL, blocked TEXT",
    masks: false,
    end: ", PRIMARY KEY (tbl, row_id)) WITHOUT ROWID",
    after: "CREATE INDEX _lakesync_base_blocked ON _lakesync_base (tbl, row_id) " +
      "WHERE blocked IS NOT NULL",
  },
  {
    name: "_lakesync_dead_change",
    own: "dead INTEGER NOT NULL, n INTEGER NOT NULL, hlc INTEGER NOT NULL, tbl INTEGER NOT NULL, " +
      "op INTEGER NOT NULL, row_id TEXT NOT NULL",
    masks: true,
    end: ", PRIMARY KEY (dead, n)) WITHOUT ROWID",
    after: "",
  },
];

/** What is stored of a database that was opened before. */
export interface Stored {
  /** The schema's JSON. */
  readonly schema: string;
  /** Where columns are kept. */
  readonly layout: StoredLayout;
}

/**
 * Makes the sidecar tables that are not there. Runs inside a transaction.
 *
 * @param db the writer
 * @param clientId names the database when it is new
 * @returns what an earlier life stored
 */
export async function createSidecars(
  db: SqliteConnection,
  clientId: string,
): Promise<Stored> {
  await db.script(TABLES);
  await db.run("INSERT OR IGNORE INTO _lakesync_clock (id) VALUES (1)");
  await db.run(
    "INSERT OR IGNORE INTO _lakesync_state (id, format, client_id) VALUES (1, ?, ?)",
    [FORMAT, clientId],
  );
  const [row] = await db.all("SELECT format, schema, layout FROM _lakesync_state");
  if (row?.["format"] !== FORMAT) {
    throw new LakeSyncError(
      "SCHEMA_ERROR",
      "This database was written by a newer version of LakeSync; update the app",
    );
  }
  return {
    schema: String(row?.schema),
    layout: JSON.parse(String(row?.layout)),
  };
}

async function columnsOf(
  db: SqliteConnection,
  table: string,
): Promise<Set<string>> {
  const rows = await db.values("SELECT name FROM pragma_table_info(?)", [
    table,
  ]);
  return new Set(rows.map(([name]) => String(name)));
}

/**
 * Makes the tables that hold changes and rows, or adds the columns that a layout needs. Runs
 * inside a transaction.
 *
 * @param db the writer
 * @param layout the layout
 */
export async function widenSidecars(db: SqliteConnection, layout: Layout): Promise<void> {
  const values = valueNames(layout);
  const masks = [
    "written INTEGER",
    ...maskNames(layout).map((name) => `${name} INTEGER NOT NULL DEFAULT 0`),
  ];
  for (const { name, own, masks: withMasks, end, after } of WIDE) {
    const wanted = withMasks ? [...masks, ...values] : values;
    const there = await columnsOf(db, name);
    if (there.size === 0) {
      await db.script(`CREATE TABLE ${name} (${[own, ...wanted].join(", ")}${end}; ${after}`);
      continue;
    }
    for (const column of wanted) {
      if (there.has(column.split(" ")[0] ?? "")) continue;
      await db.script(`ALTER TABLE ${name} ADD COLUMN ${column}`);
    }
  }
}
