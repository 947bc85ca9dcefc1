/**
 * Connections to Postgres. Statements of a transaction run on a connection that nobody else uses
 * and that is never opened again: were it, the rest of a transaction whose connection broke would
 * be committed statement by statement.
 *
 * @module
 */

import { connect, type Socket } from "node:net";
import postgres from "postgres";
import { DestinationError } from "../adapter.ts";
import { destinationError } from "./errors.ts";
import { addressOf, type PostgresSettings } from "./options.ts";

/** What a statement takes; arrays are given as text. */
export type Parameter = string | number | bigint | boolean | null;

/** A row that was read. */
export type ReadRow = Readonly<Record<string, unknown>>;

/** Runs statements one after the other. */
export interface Session {
  /** Runs one statement; without parameters it may be several. */
  run(text: string, parameters?: readonly Parameter[]): Promise<readonly ReadRow[]>;
  /** Lets statements take as long as they need until the transaction ends. */
  takeTime(): Promise<void>;
}

/** What is told of a statement before it is run, for tests. */
export type StatementListener = (text: string, parameters: readonly Parameter[]) => void;

/** How much longer than the server's own limit a statement is waited for, in milliseconds. */
const GRACE_MS = 5_000;

/** The connections of an adapter. */
export class Client {
  readonly #settings: PostgresSettings;
  readonly #listener: StatementListener | undefined;
  #reader: postgres.Sql | undefined;
  #writer: { readonly sql: postgres.Sql; readonly untilMs: number } | undefined;
  /** Transactions run one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;
  readonly #open = new Map<postgres.Sql, Pool>();

  /**
   * @param settings how to reach and use the database
   * @param listener told of every statement
   */
  constructor(settings: PostgresSettings, listener?: StatementListener) {
    this.#settings = settings;
    this.#listener = listener;
  }

  /**
   * Reads outside of a transaction.
   *
   * @throws what the driver throws
   */
  async read(text: string, parameters: readonly Parameter[] = []): Promise<readonly ReadRow[]> {
    this.#check();
    const sql = this.#reader ??= this.#connect(this.#settings.poolMax - 1);
    try {
      return await this.#run(sql, sql, text, parameters);
    } catch (error) {
      // After a break the driver may send the rest of what was cut on the next connection.
      if (!isOfDatabase(error)) await this.#end(sql);
      throw error;
    }
  }

  /**
   * Runs a transaction, after those that were begun before.
   *
   * @param run what it does; it must not catch failures of statements but by a savepoint
   * @throws {DestinationError} when it was not committed, or when that is not known
   */
  async transact<T>(run: (session: Session) => Promise<T>): Promise<T> {
    const before = this.#last;
    const result = (async () => {
      await before;
      return await this.#transact(run);
    })();
    this.#last = result.catch(() => {});
    return await result;
  }

  /** Ends the connection that writes; a transaction on it fails. The next one gets another. */
  async abandon(): Promise<void> {
    if (this.#writer !== undefined) await this.#end(this.#writer.sql);
  }

  /** Ends all connections; what is under way fails. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#open.keys()].map((sql) => this.#end(sql)));
    await this.#last;
  }

  async #transact<T>(run: (session: Session) => Promise<T>): Promise<T> {
    let isClean = false;
    const sql = this.#write();
    let reserved: postgres.ReservedSql | undefined;
    try {
      reserved = await this.#reserve(sql);
      const on = reserved;
      const { signal } = this.#open.get(sql)?.broken ?? new AbortController();
      let hasTime = false;
      const send: Session["run"] = async (text, parameters = []) => {
        // What is sent after a break is never answered, or ends the process: the driver's ways.
        signal.throwIfAborted();
        return await this.#run(sql, on, text, parameters, signal, !hasTime);
      };
      const session: Session = {
        run: send,
        async takeTime() {
          await send("SET LOCAL statement_timeout = 0");
          hasTime = true;
        },
      };
      await send("BEGIN");
      let result: T;
      try {
        result = await run(session);
      } catch (error) {
        if (error instanceof DestinationError || isOfDatabase(error)) {
          await send("ROLLBACK").then(() => isClean = true, () => {});
        }
        throw error;
      }
      await send("COMMIT");
      isClean = true;
      return result;
    } catch (error) {
      throw destinationError(error);
    } finally {
      reserved?.release();
      if (!isClean) await this.#end(sql);
    }
  }

  /** The connection that writes; another one when it is too old. */
  #write(): postgres.Sql {
    this.#check();
    const { maxLifetimeMs } = this.#settings;
    if (this.#writer !== undefined && performance.now() > this.#writer.untilMs) {
      void this.#end(this.#writer.sql);
    }
    this.#writer ??= { sql: this.#connect(1), untilMs: performance.now() + maxLifetimeMs };
    return this.#writer.sql;
  }

  async #reserve(sql: postgres.Sql): Promise<postgres.ReservedSql> {
    const { connectionTimeoutMs } = this.#settings;
    return await this.#within(sql, sql.reserve(), connectionTimeoutMs + GRACE_MS);
  }

  async #run(
    sql: postgres.Sql,
    on: postgres.Sql,
    text: string,
    parameters: readonly Parameter[],
    broken?: AbortSignal,
    isBounded = true,
  ): Promise<readonly ReadRow[]> {
    this.#check();
    this.#listener?.(text, parameters);
    const { prepare, statementTimeoutMs } = this.#settings;
    const given = parameters.map((value) =>
      typeof value === "string" || value === null ? value : String(value)
    );
    const query = on.unsafe(text, given, { prepare });
    const answer = broken === undefined ? query : unlessAborted(query, broken);
    if (!isBounded) return await answer;
    return await this.#within(sql, answer, statementTimeoutMs + GRACE_MS);
  }

  /** Ends the connection when a server says nothing at all, which no limit of its own can end. */
  async #within<T>(sql: postgres.Sql, answer: PromiseLike<T>, ms: number): Promise<T> {
    const timer = setTimeout(() => void this.#end(sql), ms);
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends connections; what is under way on them fails. */
  async #end(sql: postgres.Sql): Promise<void> {
    if (this.#writer?.sql === sql) this.#writer = undefined;
    if (this.#reader === sql) this.#reader = undefined;
    const pool = this.#open.get(sql);
    if (pool !== undefined) await (pool.ending ??= this.#cut(sql, pool));
  }

  async #cut(sql: postgres.Sql, { sockets }: Pool): Promise<void> {
    const closed = [...sockets].map((socket) =>
      new Promise<void>((resolve) => socket.once("close", () => resolve()))
    );
    await sql.end({ timeout: 0 });
    for (const socket of sockets) socket.destroy();
    await Promise.all(closed);
    this.#open.delete(sql);
  }

  #check(): void {
    if (!this.#isClosed) return;
    throw new DestinationError("later", `${this.#settings.name} is closed, open it again`);
  }

  #connect(max: number): postgres.Sql {
    const address = addressOf(this.#settings.url);
    const { tls, idleTimeoutMs, connectionTimeoutMs, maxLifetimeMs, prepare } = this.#settings;
    const limit = String(this.#settings.statementTimeoutMs);
    const { verify = true, ...certificates } = typeof tls === "object" ? tls : {};
    const pool: Pool = { sockets: new Set(), opens: 0, broken: new AbortController() };
    const options: DriverOptions = {
      max,
      prepare,
      idle_timeout: idleTimeoutMs / 1000,
      connect_timeout: connectionTimeoutMs / 1000,
      max_lifetime: maxLifetimeMs / 1000,
      backoff: () => 0,
      // Arrays are given as text, so their types need not be known. But the driver never reserves a
      // new connection unless it asks for them.
      fetch_types: max === 1,
      onnotice: () => {},
      onclose: () => {
        pool.broken.abort(new Error("The connection was closed"));
        pool.broken = new AbortController();
      },
      socket: (to) => openSocket({ ...to, ...address.at }, pool),
      ...tls === undefined
        ? {}
        : { ssl: tls === false ? false : { ...certificates, rejectUnauthorized: verify } },
      connection: {
        application_name: "lakesync",
        statement_timeout: limit,
        // Below that of statements, so that a failure says what it waited for.
        lock_timeout: String(Math.ceil(this.#settings.statementTimeoutMs * 0.9)),
        idle_in_transaction_session_timeout: limit,
        TimeZone: "UTC",
        DateStyle: "ISO",
        bytea_output: "hex",
        jit: "off",
        // Whatever is read is found by an index, however few rows the statistics expect.
        enable_seqscan: "off",
        enable_hashjoin: "off",
        enable_mergejoin: "off",
      },
    };
    const sql = postgres(address.url, options);
    this.#open.set(sql, pool);
    return sql;
  }
}

/** Options that the driver has and its types have not. */
type DriverOptions = Omit<postgres.Options<Record<string, postgres.PostgresType>>, "connection"> & {
  readonly connection: Readonly<Record<string, string>>;
  readonly socket: (to: Target) => Socket;
};

/** What the connections of the driver have come to. */
interface Pool {
  readonly sockets: Set<Socket>;
  opens: number;
  /** Tells of the next connection that is closed. */
  broken: AbortController;
  ending?: Promise<void>;
}

/** Where the driver wants to connect to. */
interface Target {
  readonly host: readonly string[];
  readonly port: readonly number[];
  readonly path: string | undefined;
}

/** Opens a socket that can be cut, whatever the driver and the server make of it. */
function openSocket({ host: hosts, port, path }: Target, pool: Pool): Socket {
  const at = pool.opens++ % Math.max(1, hosts.length);
  const host = hosts[at] ?? "localhost";
  const socket = path ? connect({ path }) : connect({ host, port: port[at] ?? 5432 });
  pool.sockets.add(socket);
  socket.once("close", () => pool.sockets.delete(socket));
  // The driver checks the server's certificate against this name.
  return Object.assign(socket, { host });
}

/** An answer, or a failure as soon as a signal is given. */
async function unlessAborted<T>(answer: PromiseLike<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    return await Promise.race([answer, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
    // It fails later, or never ends.
    answer.then(undefined, () => {});
  }
}

/** Whether the database itself said what is wrong, over a connection that goes on. */
function isOfDatabase(error: unknown): boolean {
  return error instanceof Error && "severity" in error && error.severity === "ERROR";
}
