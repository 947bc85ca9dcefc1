/**
 * One connection to a server, with the settings that all else relies on.
 *
 * @module
 */

import mysql from "mysql2";
import { DestinationError } from "../adapter.ts";
import type { MysqlSettings } from "./options.ts";

/** A row that was read: its values in the order of the statement. */
export type ReadRow = readonly unknown[];

/** What is told of a statement before it is run, for tests. */
export type StatementListener = (statement: string) => void;

/** What is particular to a server. */
export interface ServerFacts {
  readonly isMariadb: boolean;
  /** The largest statement, in bytes. */
  readonly maxPacketBytes: number;
  /** Compares texts byte by byte, trailing spaces included. */
  readonly collation: string;
  /** Whether names of tables are written in lower case. */
  readonly foldsNames: boolean;
}

/** How much longer than the server's own limit a statement is waited for, in milliseconds. */
const GRACE_MS = 5_000;

/** How long a connection may take to end in good order, in milliseconds. */
const END_MS = 1_000;

const ENDED = "The connection to the database ended";

const SQL_MODE = [
  "STRICT_TRANS_TABLES",
  "STRICT_ALL_TABLES",
  "NO_ZERO_IN_DATE",
  "NO_ZERO_DATE",
  "ERROR_FOR_DIVISION_BY_ZERO",
  "NO_ENGINE_SUBSTITUTION",
].join(",");

/** A connection. */
export class Connection {
  readonly facts: ServerFacts;
  /** Until when it may be used, by `performance.now()`. */
  readonly untilMs: number;
  readonly #wire: Wire;
  readonly #settings: MysqlSettings;
  readonly #listener: StatementListener | undefined;

  private constructor(
    wire: Wire,
    settings: MysqlSettings,
    facts: ServerFacts,
    listener: StatementListener | undefined,
  ) {
    this.#wire = wire;
    this.#settings = settings;
    this.#listener = listener;
    this.facts = facts;
    this.untilMs = performance.now() + settings.maxLifetimeMs;
  }

  /** Whether it cannot be used any more. */
  get isBroken(): boolean {
    return this.#wire.isBroken;
  }

  /**
   * Opens a connection.
   *
   * @throws what the driver throws
   */
  static async open(settings: MysqlSettings, listener?: StatementListener): Promise<Connection> {
    const wire = new Wire(optionsOf(settings));
    try {
      const limit = settings.connectionTimeoutMs;
      const [[version, bytes, folds] = []] = await wire.send(
        "SELECT VERSION(), @@max_allowed_packet, @@lower_case_table_names",
        limit,
      );
      const isMariadb = /mariadb/i.test(String(version));
      checkVersion(String(version), isMariadb);
      for (const statement of setUp(settings, isMariadb)) await wire.send(statement, limit);
      const facts: ServerFacts = {
        isMariadb,
        maxPacketBytes: Number(bytes),
        collation: isMariadb ? "utf8mb4_nopad_bin" : "utf8mb4_0900_bin",
        foldsNames: Number(folds) === 1,
      };
      return new Connection(wire, settings, facts, listener);
    } catch (error) {
      wire.destroy();
      throw error;
    }
  }

  /**
   * Runs a statement.
   *
   * @param statement one statement
   * @param isBounded whether it may take no longer than the settings say
   * @returns its rows; none for one that writes
   */
  async run(statement: string, isBounded = true): Promise<readonly ReadRow[]> {
    this.#listener?.(statement);
    const { statementTimeoutMs } = this.#settings;
    try {
      return await this.#wire.send(
        statement,
        isBounded ? statementTimeoutMs + GRACE_MS : undefined,
      );
    } catch (error) {
      if (!(error instanceof Error) || !("sqlState" in error) || isFatal(error)) this.destroy();
      throw error;
    }
  }

  /** Lets statements take as long as they need; it is not to be used for others afterwards. */
  async takeTime(): Promise<void> {
    await this.run(
      this.facts.isMariadb
        ? "SET SESSION max_statement_time = 0"
        : "SET SESSION max_execution_time = 0",
    );
  }

  /** Ends it in good order. */
  async end(): Promise<void> {
    await this.#wire.end();
  }

  /** Ends it at once; what is under way fails. */
  destroy(): void {
    this.#wire.destroy();
  }
}

function isFatal(error: Error): boolean {
  return "fatal" in error && error.fatal === true;
}

/** The wire to a server. Statements run in the order in which they are sent. */
class Wire {
  isBroken = false;
  readonly #connection: mysql.Connection;
  /** What fails the statements that are under way. */
  readonly #underWay = new Set<(error: unknown) => void>();

  constructor(options: mysql.ConnectionOptions) {
    this.#connection = mysql.createConnection(options);
    // The statement that waits is told as well.
    this.#connection.on("error", () => this.isBroken = true);
  }

  /** Sends a statement, and fails when the server says nothing for too long. */
  async send(sql: string, limitMs: number | undefined): Promise<readonly ReadRow[]> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let fail: ((error: unknown) => void) | undefined;
    try {
      return await new Promise((resolve, reject) => {
        this.#underWay.add(fail = reject);
        if (this.isBroken) reject(new DestinationError("later", ENDED));
        if (limitMs !== undefined) {
          timer = setTimeout(() => {
            const text = `The database did not answer within ${limitMs} ms`;
            reject(new DestinationError("later", text));
            this.destroy();
          }, limitMs);
        }
        this.#connection.query({ sql, rowsAsArray: true }, (error, rows) => {
          if (error) reject(error);
          else resolve(Array.isArray(rows) ? rows as readonly ReadRow[] : []);
        });
      });
    } finally {
      clearTimeout(timer);
      if (fail !== undefined) this.#underWay.delete(fail);
    }
  }

  async end(): Promise<void> {
    if (this.isBroken) return;
    this.isBroken = true;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#connection.destroy();
        resolve();
      }, END_MS);
      this.#connection.end(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** The driver does not tell the statements that are under way. */
  destroy(): void {
    this.isBroken = true;
    this.#connection.destroy();
    for (const fail of this.#underWay) fail(new DestinationError("later", ENDED));
  }
}

function optionsOf(settings: MysqlSettings): mysql.ConnectionOptions {
  const { address, connectionTimeoutMs, tls } = settings;
  const { verify = true, ...certificates } = typeof tls === "object" ? tls : {};
  return {
    ...address,
    charset: "UTF8MB4_BIN",
    connectTimeout: connectionTimeoutMs,
    supportBigNumbers: true,
    dateStrings: true,
    ...tls === false
      ? {}
      : { ssl: { ...certificates, rejectUnauthorized: verify, verifyIdentity: verify } },
  };
}

function checkVersion(version: string, isMariadb: boolean): void {
  const [major = 0, minor = 0, patch = 0] = /(\d+)\.(\d+)\.(\d+)/.exec(version)
    ?.slice(1).map(Number) ?? [];
  const number = major * 1e6 + minor * 1e3 + patch;
  if (number >= (isMariadb ? 10_006_000 : 8_000_019)) return;
  throw new DestinationError(
    "stop",
    `The server is ${version}: LakeSync needs MySQL 8.0.19, MariaDB 10.6 or later`,
  );
}

function setUp(
  { statementTimeoutMs, idleTimeoutMs }: MysqlSettings,
  isMariadb: boolean,
): readonly string[] {
  const seconds = Math.ceil(statementTimeoutMs / 1_000);
  const idleSeconds = Math.ceil(Math.max(idleTimeoutMs, statementTimeoutMs) / 1_000) + 60;
  return [
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    `SET SESSION sql_mode = '${SQL_MODE}', time_zone = '+00:00', autocommit = 1, ` +
    `foreign_key_checks = 1, unique_checks = 1, innodb_lock_wait_timeout = ${seconds}, ` +
    `lock_wait_timeout = ${seconds}, wait_timeout = ${idleSeconds}, ` +
    (isMariadb
      // A list of more keys than the threshold is looked up by a join, which may walk the table.
      ? `max_statement_time = ${statementTimeoutMs / 1_000}, in_predicate_conversion_threshold = 0`
      : `max_execution_time = ${Math.ceil(statementTimeoutMs)}, range_optimizer_max_mem_size = 0`),
  ];
}
