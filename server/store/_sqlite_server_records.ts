/**
 * Records of a server in a SQLite file of their own, which is opened when they are first used: a
 * server whose records cannot be opened syncs its clients all the same.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { isDiskFull, storeClosed, writeFailed } from "./_errors.ts";
import { syncLeftLog } from "./_left_log.ts";
import { checkRecordBatch } from "./_record_bounds.ts";
import { asNumber, asText, Connection, type SqlRow, type Statement } from "./_sqlite.ts";
import { type SqliteOptions, syncFolder } from "./_sqlite_layout.ts";
import type { RecordBatch, RecordRange, RecordStore, ServerRecord } from "./records.ts";

/** How records are kept. */
export interface SqliteRecordsOptions extends Pick<SqliteOptions, "synchronous"> {
  /** The clock that records expire by, in milliseconds since 1970; the system's unless given. */
  readonly now?: () => number;
}

const LAYOUT_VERSION = 1;

/** Texts are compared by their UTF-8 bytes. `head.version` counts all writes there ever were. */
const LAYOUT = `
CREATE TABLE head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL
) STRICT;
CREATE TABLE records (
  key TEXT NOT NULL UNIQUE,
  value TEXT NOT NULL,
  version INTEGER NOT NULL,
  expires_ms INTEGER
) STRICT;
CREATE INDEX records_by_expiry ON records (expires_ms) WHERE expires_ms IS NOT NULL;
INSERT INTO head VALUES (1, 0);
PRAGMA user_version = ${LAYOUT_VERSION};
`;

/** The write-ahead log is copied into the database once it has so many pages of 4 KiB. */
const CHECKPOINT_PAGES = 250;

/** How long a commit waits for a command that writes the same file, in milliseconds. */
const BUSY_TIMEOUT_MS = 1_000;

/** Expired records that a commit removes, more than it may write, so that they come to an end. */
const SWEPT_BY_COMMIT = 200;

/** The statements of one open database. */
interface Opened {
  readonly db: Connection;
  readonly get: Statement;
  readonly ascending: Statement;
  readonly descending: Statement;
  readonly nextVersion: Statement;
  readonly set: Statement;
  readonly remove: Statement;
  readonly sweep: Statement;
}

/** Records in one SQLite file. */
export class SqliteRecords implements RecordStore {
  readonly shared = false;
  readonly #file: string;
  readonly #synchronous: string;
  readonly #now: () => number;
  #opening: Promise<Opened> | undefined;
  #open = true;

  /**
   * @param file the path of the database, which need not be there
   * @param options the clock
   */
  constructor(file: string, { now = Date.now, synchronous = "FULL" }: SqliteRecordsOptions = {}) {
    this.#file = file;
    this.#now = now;
    this.#synchronous = synchronous;
  }

  async get(key: string): Promise<ServerRecord | undefined> {
    const { get } = await this.#opened();
    return recordOf(get.get(key, this.#now()));
  }

  async list(
    { from, to, limit, reverse = false }: RecordRange,
  ): Promise<readonly ServerRecord[]> {
    const { ascending, descending } = await this.#opened();
    const rows = (reverse ? descending : ascending).all(from, to, this.#now(), limit);
    return rows.flatMap((row) => recordOf(row) ?? []);
  }

  async commit(batch: RecordBatch): Promise<boolean> {
    checkRecordBatch(batch);
    const opened = await this.#opened();
    try {
      return opened.db.transaction("IMMEDIATE", () => this.#apply(opened, batch));
    } catch (cause) {
      throw writeFailed(cause);
    }
  }

  /** Closes the file. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#opening?.then(({ db }) => db.close(), () => {});
  }

  #apply(opened: Opened, { checks = [], set = [], remove = [] }: RecordBatch): boolean {
    const nowMs = this.#now();
    for (const { key, version } of checks) {
      if ((recordOf(opened.get.get(key, nowMs))?.version ?? null) !== version) return false;
    }
    opened.sweep.run(nowMs, SWEPT_BY_COMMIT);
    for (const key of remove) opened.remove.run(key);
    for (const { key, value, expiresMs = Infinity } of set) {
      const version = asNumber(opened.nextVersion.get()?.[0]);
      opened.set.run(key, value, version, expiresMs === Infinity ? null : Math.ceil(expiresMs));
    }
    return true;
  }

  async #opened(): Promise<Opened> {
    if (!this.#open) throw storeClosed();
    const opening = this.#opening ??= openRecords(this.#file, this.#synchronous);
    try {
      const opened = await opening;
      if (!this.#open) throw storeClosed();
      return opened;
    } catch (error) {
      if (this.#opening === opening && this.#open) this.#opening = undefined;
      throw writeFailed(error);
    }
  }
}

function recordOf(row: SqlRow | undefined): ServerRecord | undefined {
  if (row === undefined) return undefined;
  const [key, value, version] = row;
  return { key: asText(key), value: asText(value), version: String(asNumber(version)) };
}

async function openRecords(file: string, synchronous: string): Promise<Opened> {
  await syncLeftLog(file);
  const db = new Connection(file, { statements: 0, rowsRead: 0 });
  try {
    db.exec(`
      PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS};
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${synchronous};
      PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};
      PRAGMA cache_size = -1024;
      PRAGMA temp_store = MEMORY;
    `);
    const version = asNumber(db.prepare("PRAGMA user_version").get()?.[0]);
    if (version === 0) db.transaction("IMMEDIATE", () => db.exec(LAYOUT));
    else if (version !== LAYOUT_VERSION) throw otherLayout(file, version);
    await syncFolder(file.slice(0, file.lastIndexOf("/")));
    return { db, ...statementsOf(db) };
  } catch (error) {
    db.close();
    throw error instanceof LakeSyncError || isDiskFull(error) ? error : unreadable(file, error);
  }
}

function statementsOf(db: Connection): Omit<Opened, "db"> {
  const there = "(expires_ms IS NULL OR expires_ms > ?)";
  const inRange = `SELECT key, value, version FROM records
    WHERE key >= ? AND key < ? AND ${there} ORDER BY key`;
  return {
    get: db.prepare(`SELECT key, value, version FROM records WHERE key = ? AND ${there}`),
    ascending: db.prepare(`${inRange} LIMIT ?`),
    descending: db.prepare(`${inRange} DESC LIMIT ?`),
    nextVersion: db.prepare("UPDATE head SET version = version + 1 RETURNING version"),
    set: db.prepare(
      `INSERT INTO records (key, value, version, expires_ms) VALUES (?, ?, ?, ?)
      ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version,
        expires_ms = excluded.expires_ms`,
    ),
    remove: db.prepare("DELETE FROM records WHERE key = ?"),
    sweep: db.prepare(
      `DELETE FROM records WHERE rowid IN
      (SELECT rowid FROM records WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?)`,
    ),
  };
}

function unreadable(file: string, cause: unknown): LakeSyncError {
  return new LakeSyncError(
    "INTERNAL_ERROR",
    `${file} cannot be opened as the records of a server, restore it from a copy`,
    {},
    { cause },
  );
}

function otherLayout(file: string, version: number): LakeSyncError {
  return new LakeSyncError(
    "INTERNAL_ERROR",
    `${file} has the layout ${version} and this program knows only ${LAYOUT_VERSION}, open it with the version of LakeSync that wrote it`,
  );
}
