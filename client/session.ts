/**
 * The connections to one database and the order in which they are used: one writer, which the
 * app's writes and the sync steps take in turn, and one reader.
 *
 * What the app runs is in app_sql.ts; here is what both sides share, and the sync steps.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { installTriggers } from "./capture.ts";
import { isBusy, type SqliteConnection } from "./database/driver.ts";
import { Footprints } from "./footprint.ts";
import type { Layout } from "./layout.ts";
import { Mutex } from "./mutex.ts";
import { knowingSchema, readSchemaVersion } from "./schema_facts.ts";
import { isUnsealed, seal } from "./seal.ts";
import type { Timer } from "./timer.ts";

/** What a commit changed. */
export interface Commit {
  /** Whether a transaction was sealed that is to be pushed. */
  readonly sealed: boolean;
  /** The tables that may have changed, in lower case; undefined: not known. */
  readonly tables: ReadonlySet<string> | undefined;
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

/** How long a write waits for another connection's, in milliseconds. */
const BUSY_LIMIT_MS = 10_000;
const BUSY_STEP_MS = 5;
const BUSY_JITTER_MS = 20;

/** How the writer's commits wait for the disk; `unknown` after the app may have changed it. */
type Synchronous = "FULL" | "NORMAL" | "unknown";

/** The connections of one database. */
export class Session {
  /** Everything that writes goes through it. */
  readonly writer: SqliteConnection;
  /** Sees what is committed. */
  readonly reader: SqliteConnection;
  /** Where columns are kept. */
  readonly layout: Layout;
  /** Held by whoever uses the writer. */
  readonly lock: Mutex = new Mutex();
  /** Told after each commit that this session made or noticed. */
  readonly listeners: Set<(commit: Commit) => void> = new Set();
  /** Whether anyone wants to know which tables changed. */
  tracking = false;
  /** Finds the tables that statements write. */
  readonly footprints: Footprints;
  readonly #options: SessionOptions;
  #schemaVersion: unknown;
  #anyForeignKeys = false;
  #synchronous: Synchronous = "FULL";
  #closed = false;
  readonly #waits = new Set<() => void>();

  /** @param options the connections and ports */
  constructor(options: SessionOptions) {
    this.#options = options;
    this.writer = options.writer;
    this.reader = options.reader;
    this.layout = options.layout;
    this.footprints = new Footprints(options.writer);
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** @throws {LakeSyncError} `DRAINING` when it was closed */
  checkOpen(): void {
    if (this.#closed) throw new LakeSyncError("DRAINING", "The local database is closed");
  }

  /** Tells everyone about a commit. */
  announce(commit: Commit): void {
    for (const listener of [...this.listeners]) listener(commit);
  }

  async #wait(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const end = () => {
        this.#waits.delete(stop);
        resolve();
      };
      const cancel = this.#options.timer(ms, end);
      const stop = () => {
        cancel();
        end();
      };
      this.#waits.add(stop);
    });
    this.checkOpen();
  }

  /**
   * Begins a transaction on the writer. While another connection writes it waits in short steps,
   * so that the event loop goes on. The lock must be held.
   *
   * @throws {LakeSyncError} `TIMEOUT` after ten seconds, `DRAINING` when it is closed meanwhile
   */
  async begin(): Promise<void> {
    const start = performance.now();
    while (true) {
      this.checkOpen();
      try {
        return await this.writer.script("BEGIN IMMEDIATE");
      } catch (cause) {
        if (!isBusy(cause)) throw cause;
        if (performance.now() - start > BUSY_LIMIT_MS) {
          const message =
            "Another connection has held the write lock of the local database for too long";
          throw new LakeSyncError("TIMEOUT", message, {}, { cause });
        }
      }
      await this.#wait(BUSY_STEP_MS + this.#options.random() * BUSY_JITTER_MS);
    }
  }

  /** Rolls back what is open on the writer. The lock must be held. */
  async rollback(): Promise<void> {
    if (this.writer.inTransaction) await this.writer.script("ROLLBACK");
  }

  /** Shows the injected clock, if there is one, to the triggers. */
  async setNow(): Promise<void> {
    const now = this.#options.now;
    if (now === undefined) return;
    await this.writer.run("UPDATE _lakesync_clock SET fixed_ms = ?", [Math.floor(now())]);
  }

  /** Makes commits wait for the disk again, for what the app does next. The lock must be held. */
  async waitForDisk(): Promise<void> {
    if (this.#synchronous === "NORMAL") await this.#setSynchronous("FULL");
  }

  /** Says that the app may have changed how the writer's commits wait. The lock must be held. */
  forgetSynchronous(): void {
    this.#synchronous = "unknown";
  }

  /** Sets how the commits of a step wait for the disk: it stays so until others need it otherwise. */
  async #setSynchronous(level: "FULL" | "NORMAL"): Promise<void> {
    if (this.#synchronous === level) return;
    this.#synchronous = "unknown";
    await this.writer.script(`PRAGMA synchronous = ${level}`);
    this.#synchronous = level;
  }

  /**
   * Runs a function of the app in a transaction on the writer. The lock must be held.
   *
   * @param work what to do
   */
  async transact<T>(work: (db: SqliteConnection) => Promise<T>): Promise<T> {
    await this.waitForDisk();
    return await this.#inTransaction(async (db) => {
      await this.setNow();
      return await work(db);
    });
  }

  async #inTransaction<T>(work: (db: SqliteConnection) => Promise<T>): Promise<T> {
    await this.begin();
    try {
      const result = await work(this.writer);
      await this.writer.script("COMMIT");
      return result;
    } catch (error) {
      await this.rollback();
      throw error;
    }
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
      for (;;) {
        this.checkOpen();
        const done = await this.#apply(work, durable);
        if (done !== undefined) return done.result;
        await this.refreshSchema();
      }
    });
  }

  /** Gives nothing when someone has changed the tables since the triggers were made. */
  async #apply<T>(
    work: (db: SqliteConnection) => Promise<T>,
    durable: boolean,
  ): Promise<{ readonly result: T } | undefined> {
    const restore = await this.#suspendForeignKeys();
    await this.#setSynchronous(durable ? "FULL" : "NORMAL");
    try {
      return await this.#inTransaction(async (db) => {
        const version = await readSchemaVersion(db);
        if (version !== this.#schemaVersion) return undefined;
        await this.#setApplying();
        const result = await knowingSchema(db, version, () => work(db));
        await db.run("UPDATE _lakesync_clock SET applying = 0");
        return { result };
      });
    } finally {
      if (restore !== "") await this.writer.script(restore);
    }
  }

  /** Switches capture off, and shows the injected clock. */
  async #setApplying(): Promise<void> {
    const now = this.#options.now;
    if (now === undefined) await this.writer.run("UPDATE _lakesync_clock SET applying = 1");
    else {
      await this.writer.run("UPDATE _lakesync_clock SET applying = 1, fixed_ms = ?", [
        Math.floor(now()),
      ]);
    }
  }

  /**
   * Runs a sync step that touches LakeSync's own tables alone and does not ask for the time, in a
   * transaction of its own, behind everyone who asked before. A power failure may undo it as a whole.
   *
   * @param work what to do
   * @returns what it gave
   */
  async note<T>(work: (db: SqliteConnection) => Promise<T>): Promise<T> {
    return await this.lock.hold(async () => {
      this.checkOpen();
      await this.#setSynchronous("NORMAL");
      return await this.#inTransaction(work);
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
   * Reads LakeSync's own state as it was last committed. While nobody uses the writer it reads
   * there, since a commit empties the cache of every connection but the one that made it.
   *
   * @param read what to read
   * @returns what it gave
   */
  async peek<T>(read: (db: SqliteConnection) => Promise<T>): Promise<T> {
    this.checkOpen();
    if (this.reader !== this.writer) return await read(this.reader);
    return await this.lock.hold(() => read(this.writer));
  }

  /**
   * Finds the tables that statements may write, triggers and cascades included.
   *
   * @param statements the statements
   * @returns the tables in lower case, or undefined when that cannot be known
   */
  async writtenBy(statements: readonly string[]): Promise<ReadonlySet<string> | undefined> {
    const tables = new Set<string>();
    if (!this.tracking) return tables;
    for (const sql of statements) {
      const { writes, unknown } = await this.footprints.of(sql);
      if (unknown) return undefined;
      for (const table of writes) tables.add(table);
    }
    return tables;
  }

  /**
   * Seals what is not. The lock must be held.
   *
   * @returns whether there was anything
   */
  async sealLeftOver(): Promise<boolean> {
    if (!await isUnsealed(this.writer)) return false;
    return await this.transact(seal);
  }

  /**
   * Seals what other connections committed.
   *
   * @returns whether there was anything
   */
  async sealOthers(): Promise<boolean> {
    return await this.lock.hold(async () => {
      this.checkOpen();
      await this.refreshSchema();
      return await this.sealLeftOver();
    });
  }

  /** Makes the triggers anew when someone changed the tables. The lock must be held. */
  async refreshSchema(): Promise<void> {
    const version = await readSchemaVersion(this.writer);
    if (version === this.#schemaVersion) return;
    await this.transact((db) => installTriggers(db, this.layout));
    this.#schemaVersion = await readSchemaVersion(this.writer);
    const [keys] = await this.writer.values(
      `SELECT EXISTS (SELECT 1 FROM sqlite_schema t, pragma_foreign_key_list(t.name)
       WHERE t.type = 'table')`,
    );
    this.#anyForeignKeys = keys?.[0] === 1;
  }

  /**
   * Makes the triggers anew within the app's own open transaction, when it changed tables there,
   * so that what it writes next is captured. The lock must be held.
   */
  async refreshSchemaInside(): Promise<void> {
    if (await readSchemaVersion(this.writer) === this.#schemaVersion) return;
    await installTriggers(this.writer, this.layout);
  }

  /** Waits for what is under way, rolls back what was left open, and closes. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of [...this.#waits]) stop();
    await this.lock.hold(async () => {
      await this.rollback();
      if (this.reader !== this.writer) await this.reader.close();
      await this.writer.close();
    });
  }
}
