/**
 * The layout of a gateway's SQLite file, and opening one. Only this layout's version is opened.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { asNumber, Connection, type SqlCounters } from "./_sqlite.ts";

/** How a file is opened. */
export interface SqliteOptions {
  /**
   * When SQLite waits for the disk. Only `FULL` keeps the promise that a commit is durable; `OFF`
   * exists to show that the tests of that promise fail without it.
   */
  readonly synchronous?: "FULL" | "OFF";
  /** How long a view may hold a transaction before it is taken back, in milliseconds. */
  readonly maxViewMs?: number;
  /** Whether it is only read; then nothing of the file is changed, also when it is closed. */
  readonly readOnly?: boolean;
}

const LAYOUT_VERSION = 3;

/**
 * `rows.rid` is the handle of a row; an entry of `bucket_rows` is found by what it is ordered by.
 * `head` holds the counts too, so that they cost the same whatever is stored.
 */
const LAYOUT = `
CREATE TABLE head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,
  hlc TEXT NOT NULL,
  log_entries INTEGER NOT NULL,
  log_bytes INTEGER NOT NULL,
  clients INTEGER NOT NULL
) STRICT;
CREATE TABLE rows (
  rid INTEGER PRIMARY KEY,
  tbl INTEGER NOT NULL,
  row_id TEXT NOT NULL,
  data TEXT NOT NULL,
  UNIQUE (tbl, row_id)
) STRICT;
CREATE TABLE bucket_rows (
  bucket INTEGER NOT NULL,
  gone INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  rid INTEGER NOT NULL,
  PRIMARY KEY (bucket, gone, seq, rid)
) STRICT, WITHOUT ROWID;
CREATE TABLE log (
  seq INTEGER NOT NULL,
  slice INTEGER NOT NULL,
  client_id TEXT NOT NULL,
  mutation_id INTEGER NOT NULL,
  committed_ms INTEGER NOT NULL,
  payload BLOB NOT NULL,
  UNIQUE (seq, slice)
) STRICT;
CREATE TABLE clients (
  client_id TEXT PRIMARY KEY,
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE buckets (
  bucket INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  seq INTEGER NOT NULL,
  row_count INTEGER NOT NULL,
  data TEXT NOT NULL
) STRICT;
CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE parts (
  client_id TEXT NOT NULL,
  mutation_id INTEGER NOT NULL,
  part INTEGER NOT NULL,
  parts INTEGER NOT NULL,
  deltas INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  staged_ms INTEGER NOT NULL,
  payload BLOB NOT NULL,
  UNIQUE (client_id, mutation_id, part)
) STRICT;
CREATE INDEX parts_by_age ON parts (staged_ms);
CREATE TABLE answers (
  key TEXT PRIMARY KEY,
  record TEXT NOT NULL,
  expires_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX answers_by_expiry ON answers (expires_ms);
PRAGMA user_version = ${LAYOUT_VERSION};
`;

/** After a checkpoint the write-ahead log's file keeps at most so many bytes. */
const MAX_IDLE_WAL_BYTES = 16 * 1024 * 1024;

/** How long one connection waits for another of this process. */
const BUSY_TIMEOUT_MS = 5_000;

/** Pages kept in memory by one connection, in KiB. */
const CACHE_KIB = 8 * 1024;

/** The same for a connection that only holds views. */
const VIEW_CACHE_KIB = 1024;

/**
 * Makes the file of a new gateway: under another name until it is whole, so that a crash leaves
 * either no gateway or a complete one.
 *
 * @param file the path it gets
 * @param epoch the new gateway's epoch
 */
export async function createDatabase(
  file: string,
  epoch: string,
): Promise<void> {
  const unfinished = `${file}.new`;
  for (const path of [unfinished, `${unfinished}-journal`]) {
    await removeIfThere(path);
  }
  const db = new Connection(unfinished, { statements: 0, rowsRead: 0 });
  try {
    db.exec("PRAGMA synchronous = FULL");
    db.transaction("IMMEDIATE", () => {
      db.exec(LAYOUT);
      db.prepare("INSERT INTO head VALUES (1, ?, 0, '0', 0, 0, 0)").run(epoch);
    });
  } finally {
    db.close();
  }
  await Deno.rename(unfinished, file);
  await syncFolder(file.slice(0, file.lastIndexOf("/")));
}

/**
 * Opens the file of a gateway.
 *
 * @param file its path
 * @param counters where executions are counted
 * @param options how
 * @returns the connection
 * @throws {LakeSyncError} `INTERNAL_ERROR` for a file of another layout or program
 */
export function openDatabase(
  file: string,
  counters: SqlCounters,
  options: SqliteOptions,
): Connection {
  const db = new Connection(file, counters, options.readOnly);
  try {
    checkLayout(db, file);
    if (options.readOnly) {
      db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
      return db;
    }
    db.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${options.synchronous ?? "FULL"};
      PRAGMA wal_autocheckpoint = 0;
      PRAGMA journal_size_limit = ${MAX_IDLE_WAL_BYTES};
      PRAGMA cache_size = -${CACHE_KIB};
      PRAGMA temp_store = MEMORY;
      PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS};
    `);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Opens the file of a gateway once more, to read.
 *
 * @param file its path
 * @param counters where executions are counted
 * @returns the connection, which cannot write
 */
export function openForViews(file: string, counters: SqlCounters): Connection {
  const db = openDatabase(file, counters, {});
  db.upkeep(`PRAGMA cache_size = -${VIEW_CACHE_KIB}; PRAGMA query_only = ON`);
  return db;
}

function checkLayout(db: Connection, file: string): void {
  let version: number;
  try {
    version = asNumber(db.prepare("PRAGMA user_version").get()?.[0]);
  } catch (cause) {
    throw new LakeSyncError(
      "INTERNAL_ERROR",
      `${file} cannot be read as a gateway's database, restore it from a backup`,
      {},
      { cause },
    );
  }
  if (version !== LAYOUT_VERSION) {
    throw new LakeSyncError(
      "INTERNAL_ERROR",
      `${file} has the layout ${version} and this program knows only ${LAYOUT_VERSION}, open it with the version of LakeSync that wrote it`,
    );
  }
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Makes the names in a folder durable. Windows has no such call and needs none.
 *
 * @param folder its path
 */
export async function syncFolder(folder: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  using handle = await Deno.open(folder);
  await handle.sync();
}
