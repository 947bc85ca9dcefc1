/**
 * The app's SQL. It finds out where the app's transactions end, whether they are made by a
 * function, by BEGIN and COMMIT, or are one statement, so that each is sealed before it commits.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { type AsyncContext, loadAsyncContext } from "./async_context.ts";
import type { RunResult, SqliteConnection, SqlParam, SqlRow } from "./database/driver.ts";
import { Mutex } from "./mutex.ts";
import { seal } from "./seal.ts";
import type { Session } from "./session.ts";
import { inspectStatement, type StatementInfo } from "./statement.ts";
import { slicer } from "./timer.ts";
import { Touched } from "./touched.ts";

/** SQL inside one transaction. */
export interface Transacted {
  /** Reads, and sees what the transaction has written. */
  query(sql: string, params?: readonly SqlParam[]): Promise<SqlRow[]>;
  /** Writes. BEGIN, COMMIT and ROLLBACK are refused; savepoints are fine. */
  exec(sql: string, params?: readonly SqlParam[]): Promise<RunResult>;
}

/** How long statements that cannot be tried again block for another connection. */
const BLOCKING_BUSY_MS = 5_000;
const NOTHING: RunResult = { changes: 0, lastInsertRowid: 0 };

type Run<T> = (db: SqliteConnection) => Promise<T>;

/** A transaction that the app began by hand. */
interface HandMade {
  readonly release: () => void;
  readonly touched: Touched;
}

/** Runs the app's SQL on a session. */
export class AppSql implements Transacted {
  readonly #session: Session;
  readonly #context: AsyncContext<Handle>;
  readonly #order = new Mutex();
  readonly #pause = slicer();
  #handMade: HandMade | undefined;

  /**
   * @param session the connections
   * @param context tells whether code runs inside a transaction's function
   */
  constructor(session: Session, context: AsyncContext<Handle>) {
    this.#session = session;
    this.#context = context;
  }

  /** Makes it, with what this runtime offers. */
  static async over(session: Session): Promise<AppSql> {
    return new AppSql(session, await loadAsyncContext<Handle>());
  }

  /** Reads on the connection that sees what the caller may see. */
  async query(sql: string, params: readonly SqlParam[] = []): Promise<SqlRow[]> {
    const { reader, writer, lock } = this.#session;
    this.#session.checkOpen();
    const info = inspectStatement(sql);
    const inOwn = this.#handMade !== undefined || info.ends;
    if (!inOwn && reader !== writer) {
      try {
        return await reader.all(sql, params);
      } catch (error) {
        if (!needsWriter(error)) throw error;
      }
    }
    if (!inOwn && info.kind === "read") {
      this.#refuseInside();
      return await lock.hold(() => writer.all(sql, params));
    }
    return await this.#statement(sql, info, (db) => db.all(sql, params));
  }

  /** Writes, in the app's open transaction or in one of its own. */
  async exec(sql: string, params: readonly SqlParam[] = []): Promise<RunResult> {
    this.#session.checkOpen();
    const info = inspectStatement(sql);
    const result = await this.#statement(sql, info, runner(sql, params, info));
    await this.#pause();
    return result;
  }

  /** A write by the database inside a transaction's function would wait for that function. */
  #refuseInside(): void {
    if (!this.#context.current()?.isOpen) return;
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "Inside transaction(fn) use the handle that fn is given, not the database itself",
    );
  }

  async #statement<T>(sql: string, info: StatementInfo, run: Run<T>): Promise<T> {
    this.#refuseInside();
    return await this.#order.hold(async () => {
      if (this.#handMade !== undefined) {
        return await this.#inHandMade(this.#handMade, sql, info, run);
      }
      const release = await this.#session.lock.acquire();
      try {
        this.#session.checkOpen();
        if (info.kind === "write" && !info.several) return await this.#alone(sql, info, run);
        return await this.#loose(sql, info, run, release);
      } finally {
        if (this.#handMade === undefined) release();
      }
    });
  }

  /**
   * One writing statement, in a transaction of its own. One that fails has undone what it did,
   * except by OR FAIL, which keeps the rows before the one at fault: SQLite commits then too.
   */
  async #alone<T>(sql: string, info: StatementInfo, run: Run<T>): Promise<T> {
    const touched = new Touched(this.#session);
    const { outcome, sealed } = await this.#session.transact(async (db) => {
      const outcome = await settled(() => touched.track(sql, info, run));
      if ("error" in outcome && !db.inTransaction) throw outcome.error;
      return { outcome, sealed: await seal(db) };
    });
    this.#session.announce({ sealed, tables: touched.tables });
    if ("error" in outcome) throw outcome.error;
    return outcome.result;
  }

  /** Anything else outside a transaction; it may begin one. */
  async #loose<T>(
    sql: string,
    info: StatementInfo,
    run: Run<T>,
    release: () => void,
  ): Promise<T> {
    const { writer } = this.#session;
    const touched = new Touched(this.#session);
    await this.#session.waitForDisk();
    await writer.script(`PRAGMA busy_timeout = ${BLOCKING_BUSY_MS}`);
    if (info.several || info.kind === "other") await this.#session.setNow();
    try {
      return await touched.track(sql, info, run);
    } finally {
      this.#session.forgetSynchronous();
      if (writer.inTransaction) this.#handMade = { release, touched };
      else await this.#ended(info.kind === "read" ? undefined : touched);
    }
  }

  /** A statement in a transaction that the app began by hand. */
  async #inHandMade<T>(
    { touched, release }: HandMade,
    sql: string,
    info: StatementInfo,
    run: Run<T>,
  ): Promise<T> {
    try {
      if (info.kind === "commit" && !info.several) return await this.#commit(touched, run);
      if (info.kind === "write" || info.several) await this.#session.setNow();
      return await touched.track(sql, info, run);
    } finally {
      if (!this.#session.writer.inTransaction) {
        this.#handMade = undefined;
        try {
          await this.#ended(info.kind === "rollback" ? undefined : touched);
        } finally {
          release();
        }
      }
    }
  }

  /** Seals before COMMIT; a COMMIT that fails leaves nothing sealed. */
  async #commit<T>(touched: Touched, run: Run<T>): Promise<T> {
    const { writer } = this.#session;
    await writer.script("SAVEPOINT _lakesync_seal");
    try {
      touched.sealed = await seal(writer);
      return await run(writer);
    } catch (error) {
      if (writer.inTransaction) {
        await writer.script("ROLLBACK TO _lakesync_seal; RELEASE _lakesync_seal");
      }
      throw error;
    }
  }

  /** Outside a transaction again: seals what is not, mends triggers, tells of a commit. */
  async #ended(touched: Touched | undefined): Promise<void> {
    await this.#session.writer.script("PRAGMA busy_timeout = 0");
    await this.#session.refreshSchema();
    const leftOver = await this.#session.sealLeftOver();
    if (touched === undefined && !leftOver) return;
    this.#session.announce({
      sealed: leftOver || (touched?.sealed ?? false),
      tables: touched?.tables,
    });
  }

  /** Runs a function in one transaction. */
  async transaction<T>(work: (tx: Transacted) => Promise<T>): Promise<T> {
    this.#refuseInside();
    const touched = new Touched(this.#session);
    const { result, sealed } = await this.#session.lock.hold(async () => {
      this.#session.checkOpen();
      return await this.#session.transact(async (db) => {
        const handle = new Handle(db, touched, this.#pause);
        try {
          const result = await this.#context.run(handle, () => work(handle));
          return { result, sealed: await seal(db) };
        } finally {
          handle.end();
        }
      });
    });
    this.#session.announce({ sealed, tables: touched.tables });
    return result;
  }

  /** Gives up what the app began by hand. */
  close(): void {
    const release = this.#handMade?.release;
    this.#handMade = undefined;
    release?.();
  }
}

/** The app's handle on its transaction; it ends with the function. */
class Handle implements Transacted {
  readonly #writer: SqliteConnection;
  readonly #touched: Touched;
  readonly #pause: () => Promise<void>;
  #open = true;

  constructor(writer: SqliteConnection, touched: Touched, pause: () => Promise<void>) {
    this.#writer = writer;
    this.#touched = touched;
    this.#pause = pause;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  end(): void {
    this.#open = false;
  }

  #inspect(sql: string): StatementInfo {
    if (!this.#open || !this.#writer.inTransaction) {
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        "The transaction has ended; begin another one",
      );
    }
    const info = inspectStatement(sql);
    if (info.ends) {
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        "Return from the function to commit and throw to roll back",
      );
    }
    return info;
  }

  async query(sql: string, params: readonly SqlParam[] = []): Promise<SqlRow[]> {
    const info = this.#inspect(sql);
    return await this.#touched.track(sql, info, (db) => db.all(sql, params));
  }

  async exec(sql: string, params: readonly SqlParam[] = []): Promise<RunResult> {
    const info = this.#inspect(sql);
    const result = await this.#touched.track(sql, info, runner(sql, params, info));
    await this.#pause();
    return result;
  }
}

async function settled<T>(
  work: () => Promise<T>,
): Promise<{ readonly result: T } | { readonly error: unknown }> {
  try {
    return { result: await work() };
  } catch (error) {
    return { error };
  }
}

function runner(sql: string, params: readonly SqlParam[], info: StatementInfo): Run<RunResult> {
  if (!info.several) return (db) => db.run(sql, params);
  if (params.length > 0) {
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

/** Whether a query turned out to write, or to read a temporary table, which is the writer's. */
function needsWriter(error: unknown): boolean {
  return error instanceof Error && /readonly database|no such table/.test(error.message);
}
