/**
 * Copies of a gateway's SQLite file, made beside a server that runs, and what is in them. A copy is
 * the file as of one commit: it is read by one snapshot and holds no write-ahead log.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { dirname } from "node:path";
import { asNumber, asText, Connection, type SqlCounters } from "./_sqlite.ts";
import { fileNameOf, gatewayIdOf } from "./_file_name.ts";
import { createDatabase, openDatabase, syncFolder } from "./_sqlite_layout.ts";
import { SqliteReads } from "./_sqlite_reads.ts";
import { SqliteStore } from "./_sqlite_store.ts";
import { SqliteThread } from "./_sqlite_thread.ts";
import type { LogEntry, LogPosition, Store } from "./store.ts";

export { createDatabase, fileNameOf, gatewayIdOf, syncFolder };

/** What is in a gateway's file. */
export interface FileFacts {
  /** One unbroken life of the data. */
  readonly epoch: string;
  /** The last commit number. */
  readonly seq: number;
  /** Rows, deleted ones that are remembered included. */
  readonly rows: number;
  /** Entries of the log. */
  readonly logEntries: number;
  /** When the last of them was committed, in milliseconds since 1970. */
  readonly lastCommitMs: number | undefined;
  /** Clients that are known. */
  readonly clients: number;
}

function counters(): SqlCounters {
  return { statements: 0, rowsRead: 0 };
}

function damaged(file: string, what: string, cause?: unknown): LakeSyncError {
  return new LakeSyncError(
    "INTERNAL_ERROR",
    `${file} is damaged: ${what}; take another copy`,
    {},
    cause === undefined ? {} : { cause },
  );
}

/**
 * Copies an SQLite file, also one that another process writes to at this moment. The copy is durable
 * when the promise resolves.
 *
 * @param from the file
 * @param to the copy, which must not be there
 */
export async function copyDatabase(from: string, to: string): Promise<void> {
  const db = new Connection(from, counters(), true);
  try {
    db.exec("PRAGMA busy_timeout = 5000");
    await db.copyTo(to);
  } finally {
    db.close();
  }
  withoutLog(to);
  await syncFile(to);
}

/** Lets a file be read where nothing can be written beside it. */
function withoutLog(file: string): void {
  const db = new Connection(file, counters());
  try {
    db.exec("PRAGMA journal_mode = DELETE");
  } finally {
    db.close();
  }
}

/** Makes a file and its name durable. */
export async function syncFile(file: string): Promise<void> {
  {
    using handle = await Deno.open(file, { read: true, write: true });
    await handle.sync();
  }
  await syncFolder(dirname(file));
}

/**
 * Reads an SQLite file from its beginning to its end and holds it to its own rules.
 *
 * @param file a file that nobody writes to
 * @throws {LakeSyncError} `INTERNAL_ERROR` when it is damaged
 */
export function checkDatabase(file: string): void {
  try {
    const db = new Connection(file, counters(), true);
    try {
      const found = asText(db.prepare("PRAGMA integrity_check(1)").get()?.[0]);
      if (found !== "ok") throw damaged(file, found);
    } finally {
      db.close();
    }
  } catch (error) {
    throw error instanceof LakeSyncError ? error : damaged(file, "it cannot be read", error);
  }
}

/**
 * Reads a gateway's file whole, and tells what is in it.
 *
 * @param file a file that nobody writes to
 * @throws {LakeSyncError} `INTERNAL_ERROR` when it is damaged or of another layout
 */
export function inspectGateway(file: string): FileFacts {
  checkDatabase(file);
  const db = openReading(file);
  try {
    const { epoch, seq } = new SqliteReads(db).head();
    const count = (table: string) =>
      asNumber(db.prepare(`SELECT count(*) FROM ${table}`).get()?.[0]);
    const counted = db.prepare("SELECT log_entries, clients FROM head").get();
    const [logEntries, clients] = [count("log"), count("clients")];
    if (asNumber(counted?.[0]) !== logEntries || asNumber(counted?.[1]) !== clients) {
      throw damaged(file, "it does not hold what its head has counted");
    }
    const last = db.prepare("SELECT committed_ms FROM log ORDER BY seq DESC LIMIT 1").get()?.[0];
    return {
      epoch,
      seq,
      rows: count("rows"),
      logEntries,
      lastCommitMs: last === undefined ? undefined : asNumber(last),
      clients,
    };
  } finally {
    db.close();
  }
}

function openReading(file: string): Connection {
  return openDatabase(file, counters(), { readOnly: true });
}

/** One snapshot of a gateway's file, which others may write to meanwhile. */
export interface FileSnapshot extends Disposable {
  /** The head. */
  readonly head: ReturnType<SqliteReads["head"]>;
  /** Reads a small record. */
  meta(name: string): string | undefined;
  /** Reads clients. */
  clients(ids: readonly string[]): ReturnType<SqliteReads["clients"]>;
  /** The names of all clients. */
  clientIds(): readonly string[];
  /** Reads log entries after a place. */
  log(after: LogPosition, limit: number): readonly LogEntry[];
}

/**
 * Opens one snapshot of a gateway's file.
 *
 * @param file the file, which a server may have open
 * @throws {LakeSyncError} `INTERNAL_ERROR` when it is of another layout
 */
export function openSnapshot(file: string): FileSnapshot {
  const db = openReading(file);
  try {
    db.exec("BEGIN DEFERRED");
    const reads = new SqliteReads(db);
    return {
      head: reads.head(),
      meta: (name) => reads.meta(name),
      clients: (ids) => reads.clients(ids),
      clientIds: () => db.prepare("SELECT client_id FROM clients").all().map(([id]) => asText(id)),
      log: (after, limit) => reads.log(after, limit),
      [Symbol.dispose]: () => {
        db.rollback();
        db.close();
      },
    };
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Names another epoch in a file that nobody has open.
 *
 * @param file the file
 * @param epoch the new epoch
 */
export function renewEpoch(file: string, epoch: string): void {
  const db = openDatabase(file, counters(), {});
  try {
    db.transaction("IMMEDIATE", () => db.prepare("UPDATE head SET epoch = ?").run(epoch));
  } finally {
    db.close();
  }
}

/** A store that is open by itself, without the folder around it. */
export interface LoneStore extends AsyncDisposable {
  /** The store. */
  readonly store: Store;
}

/**
 * Opens the store in a file that nobody else has open. What is committed is durable only once it is
 * closed: half of it is never served.
 *
 * @param file the file
 */
export function openLoneStore(file: string): LoneStore {
  const thread = new SqliteThread();
  const store = new SqliteStore(file, {
    options: { synchronous: "OFF" },
    thread,
    closed: () => {},
  });
  return {
    store,
    async [Symbol.asyncDispose]() {
      await store.close();
      thread.close();
      await syncFile(file);
    },
  };
}
