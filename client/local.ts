/**
 * The local database: the app's SQLite, captured and kept ready for syncing. It works without any
 * connection to a gateway; the sync loop uses it through `Replica`.
 *
 * @module
 */

import { parseSchema, type Schema, type SchemaSpec } from "@lakesync/core";
import type {
  RunResult,
  SqliteConnection,
  SqliteDriver,
  SqlParam,
  SqlRow,
} from "./database/driver.ts";
import { AppSql, type Transacted } from "./app_sql.ts";
import { loadDriver } from "./database/open.ts";
import { loadHash } from "./hash.ts";
import { placedTable } from "./layout.ts";
import { LiveQueries, type LiveQuery } from "./live.ts";
import { LocalReplica } from "./local_replica.ts";
import { prepareDatabase, setUpWriter } from "./prepare.ts";
import { type DeadChange, dismissDeadLetter, readDeadLetters } from "./refusals.ts";
import type { DeadLetter, Replica } from "./replica.ts";
import { issueAgain } from "./retry.ts";
import { Session } from "./session.ts";
import { readState } from "./state.ts";
import { tableHelpers, type Tables } from "./tables.ts";
import { systemTimer, type Timer } from "./timer.ts";
import { Watch } from "./watch.ts";

export type {
  RunResult,
  SqliteConnection,
  SqliteDriver,
  SqlParam,
  SqlRow,
  SqlValue,
} from "./database/driver.ts";
export type { LiveQuery } from "./live.ts";
export type { DeadChange } from "./refusals.ts";
export type { Transacted } from "./app_sql.ts";
export type { ColumnTypeOf, KeyValue, TableHelper, Tables, Writable } from "./tables.ts";
export type { Timer } from "./timer.ts";
export type { Drift, DriftRemedy, Verified } from "./verify.ts";

/** How to open a local database. */
export interface LocalOptions<S extends SchemaSpec = SchemaSpec> {
  /** A file, made when it is not there, or `:memory:`. */
  readonly database: string;
  /** The tables that are synced. The app may have others beside them. */
  readonly schema: S;
  /** Days for which accepted transactions are kept, so that a gateway restored from a backup can
   * be given back what it lost; 7 unless given. */
  readonly keepAcceptedDays?: number;
  /**
   * Captures rows that were in a table before it was synced for the first time, as one
   * transaction. Without it they stay local, and go when the gateway asks for a resync.
   */
  readonly captureExisting?: boolean;
  /** How often commits of other connections are looked for, in milliseconds; 100 unless given, 0:
   * only by {@linkcode AnyLocalDatabase.check}. */
  readonly watchMs?: number;
  /** Milliseconds since 1970, in place of SQLite's own clock. */
  readonly now?: () => number;
  /** 0 to 1, in place of the runtime's randomness. */
  readonly random?: () => number;
  /** Passes time, in place of the runtime's timers. */
  readonly timer?: Timer;
  /** Opens SQLite, in place of the runtime's own binding. */
  readonly driver?: SqliteDriver;
}

/** SQL inside one transaction. */
export interface LocalTransaction<S extends SchemaSpec> extends Transacted {
  /** Typed helpers that write in this transaction. */
  readonly tables: Tables<S>;
}

/** Whether a row's local writes have reached the gateway, and the gateway's the row. */
export type RowState = "synced" | "pending" | "blocked";

/** A row that the gateway has and that a constraint of the app's tables keeps out. */
export interface BlockedRow {
  /** Its table. */
  readonly table: string;
  /** Its rowId. */
  readonly rowId: string;
  /** What SQLite said. */
  readonly reason: string;
}

/** Changes the writes of a dead letter before they are issued again; undefined leaves one out. */
export type EditChange = (change: DeadChange) => DeadChange | undefined;

/** A local database of any schema. */
export interface AnyLocalDatabase extends Replica {
  /**
   * Reads, on a connection that sees what is committed; while the app has begun a transaction by
   * hand, in that transaction.
   */
  query(sql: string, params?: readonly SqlParam[]): Promise<SqlRow[]>;
  /**
   * Runs any SQL. A writing statement is its own transaction, unless BEGIN was executed before;
   * then everything until COMMIT is one. What a script of several statements writes into a table
   * that it makes itself is not captured; run such statements one by one.
   */
  exec(sql: string, params?: readonly SqlParam[]): Promise<RunResult>;
  /**
   * Runs a function in one transaction. It commits when the function returns and rolls back when
   * it throws. Inside, use its parameter only: a write by the database itself would wait for the
   * transaction's end.
   */
  transaction<T>(work: (tx: Transacted) => Promise<T>): Promise<T>;
  /**
   * Reports a query's rows: at first, then after each applied checkpoint or local commit that
   * changed a table it reads.
   */
  live(
    sql: string,
    params: readonly SqlParam[],
    onRows: (rows: SqlRow[]) => void,
  ): LiveQuery;
  /** Whether a row has pending writes, or is kept out by a constraint. */
  pendingOf(table: string, rowId: string): Promise<RowState>;
  /** How many transactions have no known outcome yet. */
  pendingCount(): Promise<number>;
  /** Rows of the gateway that constraints of the app's tables keep out, at most 1,000. */
  blockedRows(): Promise<BlockedRow[]>;
  /** Refused transactions, the oldest first; of each at most its first 1,000 changes. */
  deadLetters(): Promise<DeadLetter[]>;
  /** Forgets a refused transaction; gives whether there was one. */
  dismiss(id: number): Promise<boolean>;
  /**
   * Issues the writes of a refused transaction again, as a new transaction, and forgets it.
   *
   * @throws {LakeSyncError} `NOT_FOUND` when there is none of that id
   */
  retry(id: number, edit?: EditChange): Promise<void>;
  /** Called with each refusal, after it was undone. Gives what ends it. */
  onRejected(listener: (letter: DeadLetter) => void): () => void;
  /** Looks for commits of other connections now; gives whether there were any. */
  check(): Promise<boolean>;
  /** Waits for what is under way, rolls back what was left open, and closes the file. */
  close(): Promise<void>;
}

/** A local database, with helpers typed by its schema. */
export interface LocalDatabase<S extends SchemaSpec> extends AnyLocalDatabase {
  /** Typed helpers, one for each table of the schema. */
  readonly tables: Tables<S>;
  /** Runs a function in one transaction; its parameter has the typed helpers too. */
  transaction<T>(work: (tx: LocalTransaction<S>) => Promise<T>): Promise<T>;
}

const DAY_MS = 24 * 60 * 60 * 1_000;
const KEEP_ACCEPTED_DAYS = 7;
const WATCH_MS = 100;
const MAX_BLOCKED = 1_000;

class Local<S extends SchemaSpec> extends LocalReplica implements LocalDatabase<S> {
  readonly tables: Tables<S>;
  readonly #schema: Schema;
  readonly #session: Session;
  readonly #sql: AppSql;
  readonly #live: LiveQueries;
  readonly #watch: Watch;

  constructor(
    schema: Schema,
    session: Session,
    sql: AppSql,
    watch: Watch,
    replica: ConstructorParameters<typeof LocalReplica>[0],
  ) {
    super(replica);
    this.#schema = schema;
    this.#session = session;
    this.#sql = sql;
    this.#watch = watch;
    this.#live = new LiveQueries(session, sql);
    this.tables = tableHelpers<S>(schema, this);
  }

  query(sql: string, params?: readonly SqlParam[]): Promise<SqlRow[]> {
    return this.#sql.query(sql, params);
  }

  exec(sql: string, params?: readonly SqlParam[]): Promise<RunResult> {
    return this.#sql.exec(sql, params);
  }

  transaction<T>(
    work: (tx: LocalTransaction<S>) => Promise<T>,
  ): Promise<T> {
    return this.#sql.transaction((tx) =>
      work({
        query: (sql, params) => tx.query(sql, params),
        exec: (sql, params) => tx.exec(sql, params),
        tables: tableHelpers<S>(this.#schema, tx),
      })
    );
  }

  live(
    sql: string,
    params: readonly SqlParam[],
    onRows: (rows: SqlRow[]) => void,
  ): LiveQuery {
    return this.#live.start(sql, params, onRows);
  }

  async pendingOf(table: string, rowId: string): Promise<RowState> {
    const { id } = placedTable(this.#session.layout, table);
    return await this.#session.peek(async (db): Promise<RowState> => {
      const [row] = await db.values(
        `SELECT EXISTS (SELECT 1 FROM _lakesync_outbox WHERE tbl = ?1 AND row_id = ?2
            AND n > (SELECT covered_n FROM _lakesync_clock)),
          EXISTS (SELECT 1 FROM _lakesync_base WHERE tbl = ?1 AND row_id = ?2
            AND blocked IS NOT NULL)`,
        [id, rowId],
      );
      if (row?.[1] === 1) return "blocked";
      return row?.[0] === 1 ? "pending" : "synced";
    });
  }

  async pendingCount(): Promise<number> {
    const { highestMutationId, settledMutationId } = await this.#session.peek(
      readState,
    );
    return highestMutationId - settledMutationId;
  }

  async blockedRows(): Promise<BlockedRow[]> {
    const rows = await this.#session.peek((db) =>
      db.values(
        `SELECT tbl, row_id, blocked FROM _lakesync_base WHERE blocked IS NOT NULL LIMIT ${MAX_BLOCKED}`,
      )
    );
    return rows.map(([table, rowId, reason]) => ({
      table: this.#session.layout.byId.get(Number(table))?.name ?? "",
      rowId: String(rowId),
      reason: String(reason),
    }));
  }

  async deadLetters(): Promise<DeadLetter[]> {
    return await this.#session.peek((db) => readDeadLetters(db, this.#session.layout));
  }

  async dismiss(id: number): Promise<boolean> {
    return await this.#session.step((db) => dismissDeadLetter(db, id), true);
  }

  async retry(
    id: number,
    edit: EditChange = (change) => change,
  ): Promise<void> {
    await this.#sql.transaction((tx) => issueAgain(tx, this.#session, id, edit));
  }

  check(): Promise<boolean> {
    return this.#watch.check();
  }

  async close(): Promise<void> {
    this.#watch.stop();
    this.#live.close();
    this.#sql.close();
    await this.#session.close();
    await this.verified();
  }
}

function randomClientId(random: (() => number) | undefined): string {
  if (random === undefined) return crypto.randomUUID();
  const digits = Array.from(
    { length: 32 },
    () => Math.floor(random() * 16).toString(16),
  );
  return digits.join("");
}

/**
 * Opens a local database: makes or adopts the tables of the schema and begins to capture every
 * change to them, whatever statement or connection makes it.
 *
 * Other connections to the same file are welcome. They must set `PRAGMA recursive_triggers = ON`
 * when they use REPLACE, because SQLite otherwise deletes rows without saying so.
 *
 * @param options where the database is, what is synced, and ports
 * @returns the database; close it when it is no longer used
 * @throws {LakeSyncError} `SCHEMA_ERROR` when the schema is not valid, is older than the one the
 * database was opened with before, or does not fit the tables that are there
 *
 * @example
 * ```ts
 * import { openLocal } from "@lakesync/client";
 * import { defineSchema } from "@lakesync/core";
 *
 * const schema = defineSchema({
 *   version: 1,
 *   tables: {
 *     todos: { primaryKey: ["id"], columns: { id: "string", title: "string", done: "boolean" } },
 *   },
 * });
 * const local = await openLocal({ database: ":memory:", schema });
 * await local.exec("INSERT INTO todos (id, title) VALUES (?, ?)", ["t1", "Buy milk"]);
 * await local.tables.todos.update("t1", { done: true });
 * console.assert((await local.tables.todos.get("t1"))?.done === true);
 * await local.close();
 * ```
 */
export async function openLocal<const S extends SchemaSpec>(
  options: LocalOptions<S>,
): Promise<LocalDatabase<S>> {
  const schema = parseSchema(options.schema);
  const driver = options.driver ?? await loadDriver();
  const inMemory = options.database === ":memory:" || options.database === "";
  const newClientId = () => randomClientId(options.random);
  const writer = await driver.open(options.database);
  let reader: SqliteConnection = writer;
  try {
    await setUpWriter(writer, inMemory);
    const layout = await prepareDatabase(
      writer,
      schema,
      newClientId(),
      options.captureExisting ?? false,
    );
    const openReader = async () => {
      const connection = await driver.open(options.database);
      try {
        await connection.script("PRAGMA busy_timeout = 5000; PRAGMA query_only = ON");
        return connection;
      } catch (error) {
        await connection.close();
        throw error;
      }
    };
    if (!inMemory) reader = await openReader();
    const timer = options.timer ?? systemTimer;
    const session = new Session({
      writer,
      reader,
      layout,
      timer,
      random: options.random ?? Math.random,
      now: options.now,
    });
    await session.refreshSchema();
    const watch = new Watch(
      session,
      timer,
      inMemory ? 0 : options.watchMs ?? WATCH_MS,
    );
    await watch.start();
    return new Local<S>(schema, session, await AppSql.over(session), watch, {
      session,
      schemaVersion: schema.version,
      hash: await loadHash(),
      keepMs: (options.keepAcceptedDays ?? KEEP_ACCEPTED_DAYS) * DAY_MS,
      newClientId,
      ...(inMemory ? {} : { openReader }),
    });
  } catch (error) {
    if (reader !== writer) await reader.close();
    await writer.close();
    throw error;
  }
}
