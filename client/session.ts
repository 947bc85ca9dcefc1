/**
 * The connections to one database and the order in which they are used: one writer, which the
 * app's writes and the sync steps take in turn, and one reader.
 *
 * It finds out where the app's transactions end, so that each is sealed before it commits.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { installTriggers } from "./capture.ts";
import {
  isBusy,
  type RunResult,
  type SqliteConnection,
  type SqlParam,
  type SqlRow,
} from "./database/driver.ts";
import { Footprints } from "./footprint.ts";
import type { Layout } from "./layout.ts";
import { Mutex } from "./mutex.ts";
import { isUnsealed, seal } from "./seal.ts";
import { inspectStatement, type StatementInfo } from "./statement.ts";
import { slicer, type Timer } from "./timer.ts";

/** What a commit changed. */
export interface Commit {
  /** Whether a transaction was sealed that is to be pushed. */
  readonly sealed: boolean;
  /** The tables that may have changed, in lower case; undefined: not known. */
  readonly tables: ReadonlySet<string> | undefined;
}

/** SQL inside one transaction. */
export interface Transacted {
  /** Reads, and sees what the transaction has written. */
  query(sql: string, params?: readonly SqlParam[]): Promise<SqlRow[]>;
  /** Writes. BEGIN, COMMIT and ROLLBACK are refused; savepoints are fine. */
  exec(sql: string, params?: readonly SqlParam[]): Promise<RunResult>;
}

/** What a session needs from outside. */
export interface SessionOptions {
  /** The one connection that writes. */
  readonly writer: SqliteConnection;
  /** The connection that reads; the writer itself for a database in memory. */
  readonly reader: SqliteConnection;
  /** Where columns are kept. */
  readonly layout: Layout;
  /** Passes time. */
  readonly timer: Timer;
  /** 0 to 1, for jitter. */
  readonly random: () => number;
  /** Milliseconds since 1970 in place of SQLite's own clock. */
  readonly now: (() => number) | undefined;
}

/** How long an app's write waits for another connection's, in milliseconds. */
const BUSY_LIMIT_MS = 10_000;
/** How long statements that cannot be tried again block for another connection. */
const BLOCKING_BUSY_MS = 5_000;
const BUSY_STEP_MS = 5;
const BUSY_JITTER_MS = 20;
const NOTHING: RunResult = { changes: 0, lastInsertRowid: 0 };

/** The tables that an open transaction of the app has changed so far. */
class Touched {
  readonly tables = new Set<string>();
  known = true;
  sealed = false;

  get(): ReadonlySet<string> | undefined {
    return this.known ? this.tables : undefined;
  }
}

/** A transaction that the app began by hand. */
interface HandMade {
  readonly release: () => void;
  readonly touched: Touched;
}

/** The connections of one database. */
export class Session {
  readonly writer: SqliteConnection;
  readonly reader: SqliteConnection;
  readonly layout: Layout;
  /** Held by whoever uses the writer. */
  readonly lock: Mutex = new Mutex();
  /** Told after each commit that this session made or noticed. */
  readonly listeners: Set<(commit: Commit) => void> = new Set();
  /** Whether anyone wants to know which tables changed. */
  tracking = false;
  readonly #options: SessionOptions;
  readonly #appOrder = new Mutex();
  readonly #footprints: Footprints;
  #handMade: HandMade | undefined;
  #schemaVersion: unknown;
  #anyForeignKeys = false;
  #closed = false;
  readonly #waits = new Set<() => void>();
  readonly #pause = slicer();

  /** @param options the connections and ports */
  constructor(options: SessionOptions) {
    this.#options = options;
    this.writer = options.writer;
    this.reader = options.reader;
    this.layout = options.layout;
    this.#footprints = new Footprints(options.writer);
  }

  /** Whether the app has begun a transaction by hand and not ended it. */
  get inHandMade(): boolean {
    return this.#handMade !== undefined;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  #checkOpen(): void {
    if (this.#closed) {
      throw new LakeSyncError("DRAINING", "The local database is closed");
    }
  }

  /** Tells everyone about a commit. */
  announce(commit: Commit): void {
    for (const listener of [...this.listeners]) listener(commit);
  }

  async #wait(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = () => {
        this.#waits.delete(stop);
        resolve();
      };
      const cancel = this.#options.timer(ms, done);
      const stop = () => {
        cancel();
        done();
      };
      this.#waits.add(stop);
    });
    this.#checkOpen();
  }

  /** Begins a transaction on the writer; waits while another connection writes. */
  async #begin(limitMs: number): Promise<void> {
    const start = performance.now();
    while (true) {
      this.#checkOpen();
      try {
        return await this.writer.script("BEGIN IMMEDIATE");
      } catch (error) {
        if (!isBusy(error)) throw error;
        if (performance.now() - start > limitMs) {
          throw new LakeSyncError(
            "TIMEOUT",
            "Another connection has held the write lock of the local database for too long",
            {},
            { cause: error },
          );
        }
      }
      await this.#wait(BUSY_STEP_MS + this.#options.random() * BUSY_JITTER_MS);
    }
  }

  async #rollback(): Promise<void> {
    if (this.writer.inTransaction) await this.writer.script("ROLLBACK");
  }

  async #setNow(): Promise<void> {
    const now = this.#options.now;
    if (now === undefined) return;
    await this.writer.run("UPDATE _lakesync_clock SET fixed_ms = ?", [
      Math.floor(now()),
    ]);
  }

  async #tracked<T>(
    sql: string,
    info: StatementInfo,
    touched: Touched,
    run: (db: SqliteConnection) => Promise<T>,
  ): Promise<T> {
    if (!this.tracking || info.kind === "read") return await run(this.writer);
    if (info.several || info.kind === "other") touched.known = false;
    if (info.kind !== "write" || !touched.known) return await run(this.writer);
    const { writes, unknown } = await this.#footprints.of(sql);
    const before = await this.#totalChanges();
    try {
      return await run(this.writer);
    } finally {
      if (await this.#totalChanges() !== before) {
        if (unknown) touched.known = false;
        for (const table of writes) touched.tables.add(table);
      }
    }
  }

  async #totalChanges(): Promise<unknown> {
    const [row] = await this.writer.values("SELECT total_changes()");
    return row?.[0];
  }

  /**
   * Runs a sync step in a transaction of its own, behind everyone who asked before. Nothing is
   * captured and no foreign key cascades meanwhile.
   *
   * @param work what to do
   * @param durable whether the commit waits for the disk; without it a power failure may undo the
   * step as a whole
   * @returns what it gave
   */
  async step<T>(
    work: (db: SqliteConnection) => Promise<T>,
    durable: boolean,
  ): Promise<T> {
    return await this.lock.hold(async () => {
      this.#checkOpen();
      await this.refreshSchema();
      const restore = await this.#suspendForeignKeys();
      await this.writer.script(
        `PRAGMA synchronous = ${durable ? "FULL" : "NORMAL"}`,
      );
      try {
        return await this.#transact(work);
      } finally {
        await this.writer.script(`PRAGMA synchronous = FULL; ${restore}`);
      }
    });
  }

  /**
   * Switches foreign keys off, where there are any: it makes SQLite compile every statement anew.
   *
   * @returns what switches them on again
   */
  async #suspendForeignKeys(): Promise<string> {
    if (!this.#anyForeignKeys) return "";
    const [row] = await this.writer.values("PRAGMA foreign_keys");
    if (row?.[0] !== 1) return "";
    await this.writer.script("PRAGMA foreign_keys = OFF");
    return "PRAGMA foreign_keys = ON";
  }

  /**
   * Reads LakeSync's own state as it was last committed.
   *
   * @param read what to read
   * @returns what it gave
   */
  async peek<T>(read: (db: SqliteConnection) => Promise<T>): Promise<T> {
    this.#checkOpen();
    if (this.reader !== this.writer) return await read(this.reader);
    return await this.lock.hold(() => read(this.writer));
  }

  /**
   * Finds the tables that statements may write, triggers and cascades included.
   *
   * @param statements the statements
   * @returns the tables in lower case, or undefined when that cannot be known
   */
  async writtenBy(
    statements: readonly string[],
  ): Promise<ReadonlySet<string> | undefined> {
    const tables = new Set<string>();
    if (!this.tracking) return tables;
    for (const sql of statements) {
      const { writes, unknown } = await this.#footprints.of(sql);
      if (unknown) return undefined;
      for (const table of writes) tables.add(table);
    }
    return tables;
  }

  async #transact<T>(work: (db: SqliteConnection) => Promise<T>): Promise<T> {
    await this.#begin(Infinity);
    try {
      await this.#setNow();
      await this.writer.run("UPDATE _lakesync_clock SET applying = 1");
      const result = await work(this.writer);
      await this.writer.run("UPDATE _lakesync_clock SET applying = 0");
      await this.writer.script("COMMIT");
      return result;
    } catch (error) {
      await this.#rollback();
      throw error;
    }
  }

  /** Reads on the connection that sees what the caller may see. */
  async query(
    sql: string,
    params: readonly SqlParam[] = [],
  ): Promise<SqlRow[]> {
    this.#checkOpen();
    const info = inspectStatement(sql);
    const all = (db: SqliteConnection) => db.all(sql, params);
    const mayRead = info.kind !== "commit" && info.kind !== "rollback" &&
      info.kind !== "begin";
    if (mayRead && this.#handMade === undefined) {
      if (this.reader === this.writer) {
        if (info.kind === "read") {
          return await this.lock.hold(() => this.writer.all(sql, params));
        }
      } else {
        try {
          return await this.reader.all(sql, params);
        } catch (error) {
          if (!isReadOnly(error)) throw error;
        }
      }
    }
    return await this.#statement(sql, info, all);
  }

  /** Writes, in the app's open transaction or in one of its own. */
  async exec(
    sql: string,
    params: readonly SqlParam[] = [],
  ): Promise<RunResult> {
    this.#checkOpen();
    const info = inspectStatement(sql);
    const result = await this.#statement(sql, info, runner(sql, params, info));
    await this.#pause();
    return result;
  }

  async #statement<T>(
    sql: string,
    info: StatementInfo,
    run: (db: SqliteConnection) => Promise<T>,
  ): Promise<T> {
    return await this.#appOrder.hold(async () => {
      if (this.#handMade !== undefined) {
        return await this.#inHandMade(this.#handMade, sql, info, run);
      }
      const release = await this.lock.acquire();
      try {
        this.#checkOpen();
        if (info.kind === "write" && !info.several) {
          return await this.#alone(sql, info, run);
        }
        return await this.#loose(sql, info, run, release);
      } finally {
        if (this.#handMade === undefined) release();
      }
    });
  }

  /** One writing statement, in a transaction of its own. */
  async #alone<T>(
    sql: string,
    info: StatementInfo,
    run: (db: SqliteConnection) => Promise<T>,
  ): Promise<T> {
    const touched = new Touched();
    await this.#begin(BUSY_LIMIT_MS);
    let result: T;
    let sealed: boolean;
    try {
      await this.#setNow();
      result = await this.#tracked(sql, info, touched, run);
      sealed = await seal(this.writer);
      await this.writer.script("COMMIT");
    } catch (error) {
      await this.#rollback();
      throw error;
    }
    this.announce({ sealed, tables: touched.get() });
    return result;
  }

  /** Anything else outside a transaction; it may begin one. */
  async #loose<T>(
    sql: string,
    info: StatementInfo,
    run: (db: SqliteConnection) => Promise<T>,
    release: () => void,
  ): Promise<T> {
    await this.writer.script(`PRAGMA busy_timeout = ${BLOCKING_BUSY_MS}`);
    const touched = new Touched();
    if (info.several || info.kind === "other") await this.#setNow();
    try {
      return await this.#tracked(sql, info, touched, run);
    } finally {
      if (this.writer.inTransaction) this.#handMade = { release, touched };
      else {
        await this.writer.script("PRAGMA busy_timeout = 0");
        await this.#afterLoose(
          info.kind === "read" ? undefined : { touched },
        );
      }
    }
  }

  /** A statement in a transaction that the app began by hand. */
  async #inHandMade<T>(
    hand: HandMade,
    sql: string,
    info: StatementInfo,
    run: (db: SqliteConnection) => Promise<T>,
  ): Promise<T> {
    const { touched, release } = hand;
    try {
      if (info.kind === "commit" && !info.several) {
        return await this.#commitHandMade(touched, run);
      }
      if (info.kind === "write" || info.several) await this.#setNow();
      return await this.#tracked(sql, info, touched, run);
    } finally {
      if (!this.writer.inTransaction) {
        this.#handMade = undefined;
        try {
          await this.writer.script("PRAGMA busy_timeout = 0");
          await this.#afterLoose(
            info.kind === "rollback" ? undefined : { touched },
          );
        } finally {
          release();
        }
      }
    }
  }

  /** Seals before COMMIT; a COMMIT that fails leaves nothing sealed. */
  async #commitHandMade<T>(
    touched: Touched,
    run: (db: SqliteConnection) => Promise<T>,
  ): Promise<T> {
    await this.writer.script("SAVEPOINT _lakesync_seal");
    try {
      touched.sealed = await seal(this.writer);
      return await run(this.writer);
    } catch (error) {
      if (this.writer.inTransaction) {
        await this.writer.script(
          "ROLLBACK TO _lakesync_seal; RELEASE _lakesync_seal",
        );
      }
      throw error;
    }
  }

  /** After something that may have committed: seals, mends triggers, tells. */
  async #afterLoose(
    committed: { readonly touched: Touched } | undefined,
  ): Promise<void> {
    await this.refreshSchema();
    const sealed = await this.#sealLeftOver();
    if (committed === undefined && !sealed) return;
    this.announce({
      sealed: sealed || (committed?.touched.sealed ?? false),
      tables: committed?.touched.get(),
    });
  }

  async #sealLeftOver(): Promise<boolean> {
    if (!await isUnsealed(this.writer)) return false;
    await this.#begin(Infinity);
    try {
      const sealed = await seal(this.writer);
      await this.writer.script("COMMIT");
      return sealed;
    } catch (error) {
      await this.#rollback();
      throw error;
    }
  }

  /**
   * Seals what other connections committed.
   *
   * @returns whether there was anything
   */
  async sealOthers(): Promise<boolean> {
    return await this.lock.hold(async () => {
      this.#checkOpen();
      await this.refreshSchema();
      return await this.#sealLeftOver();
    });
  }

  /** Makes the triggers anew when someone changed the tables. The lock must be held. */
  async refreshSchema(): Promise<void> {
    const [row] = await this.writer.values("PRAGMA schema_version");
    if (row?.[0] === this.#schemaVersion) return;
    await this.#begin(Infinity);
    try {
      await installTriggers(this.writer, this.layout);
      await this.writer.script("COMMIT");
    } catch (error) {
      await this.#rollback();
      throw error;
    }
    const [after] = await this.writer.values("PRAGMA schema_version");
    this.#schemaVersion = after?.[0];
    const [keys] = await this.writer.values(
      `SELECT EXISTS (SELECT 1 FROM sqlite_schema t, pragma_foreign_key_list(t.name)
       WHERE t.type = 'table')`,
    );
    this.#anyForeignKeys = keys?.[0] === 1;
  }

  /** Runs a function in one transaction. */
  async transaction<T>(work: (tx: Transacted) => Promise<T>): Promise<T> {
    const touched = new Touched();
    const [result, sealed] = await this.lock.hold(
      async (): Promise<[T, boolean]> => {
        this.#checkOpen();
        await this.#begin(BUSY_LIMIT_MS);
        const handle = new Handle(
          this.writer,
          async (sql, info, run) => {
            const result = await this.#tracked(sql, info, touched, run);
            await this.#pause();
            return result;
          },
        );
        try {
          await this.#setNow();
          const result = await work(handle);
          handle.close();
          const sealed = await seal(this.writer);
          await this.writer.script("COMMIT");
          return [result, sealed];
        } catch (error) {
          handle.close();
          await this.#rollback();
          throw error;
        }
      },
    );
    this.announce({ sealed, tables: touched.get() });
    return result;
  }

  /** Waits for what is under way, rolls back what the app left open, and closes. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of [...this.#waits]) stop();
    const hand = this.#handMade;
    this.#handMade = undefined;
    hand?.release();
    await this.lock.hold(async () => {
      await this.#rollback();
      if (this.reader !== this.writer) await this.reader.close();
      await this.writer.close();
    });
  }
}

type Track = <T>(
  sql: string,
  info: StatementInfo,
  run: (db: SqliteConnection) => Promise<T>,
) => Promise<T>;

/** The app's handle on its transaction; it ends with the function. */
class Handle implements Transacted {
  readonly #writer: SqliteConnection;
  readonly #track: Track;
  #open = true;

  constructor(writer: SqliteConnection, track: Track) {
    this.#writer = writer;
    this.#track = track;
  }

  close(): void {
    this.#open = false;
  }

  #check(info: StatementInfo, sql: string): void {
    if (!this.#open || !this.#writer.inTransaction) {
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        "The transaction has ended; begin another one",
      );
    }
    const savepoint = /^\s*(SAVEPOINT|ROLLBACK\s+(TRANSACTION\s+)?TO)\b/i.test(
      sql,
    );
    if (["begin", "commit", "rollback"].includes(info.kind) && !savepoint) {
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        "Return from the function to commit and throw to roll back",
      );
    }
  }

  async query(
    sql: string,
    params: readonly SqlParam[] = [],
  ): Promise<SqlRow[]> {
    const info = inspectStatement(sql);
    this.#check(info, sql);
    return await this.#track(sql, info, (db) => db.all(sql, params));
  }

  async exec(
    sql: string,
    params: readonly SqlParam[] = [],
  ): Promise<RunResult> {
    const info = inspectStatement(sql);
    this.#check(info, sql);
    return await this.#track(sql, info, runner(sql, params, info));
  }
}

function runner(
  sql: string,
  params: readonly SqlParam[],
  info: StatementInfo,
): (db: SqliteConnection) => Promise<RunResult> {
  if (!info.several) return (db) => db.run(sql, params);
  if (params.length > 0 && !/^\s*CREATE\b/i.test(sql)) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "Parameters go to one statement; run several one by one",
    );
  }
  return async (db) => {
    await db.script(sql);
    return NOTHING;
  };
}

function isReadOnly(error: unknown): boolean {
  return error instanceof Error &&
    error.message.includes("readonly database");
}
