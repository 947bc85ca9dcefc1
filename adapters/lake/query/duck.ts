/**
 * DuckDB behind a small port: loaded when it is needed, and locked before foreign SQL runs.
 *
 * @module
 */

import type { DuckDBConnection, DuckDBInstance, DuckDBResult } from "@duckdb/node-api";
import type { Value } from "@lakesync/core";
import { reader } from "./duck_values.ts";
import { textSql } from "./sql.ts";

/** A column of a result. */
export interface ResultColumn {
  /** Its name. */
  readonly name: string;
  /** Its type, as DuckDB calls it. */
  readonly type: string;
}

/** Rows of a result. */
export type ResultRows = readonly (readonly Value[])[];

/** A result whose rows come in pieces. */
export interface ResultStream {
  /** Its columns. */
  readonly columns: readonly ResultColumn[];
  /** Its rows, some thousand at a time. */
  readonly rows: AsyncIterable<ResultRows>;
}

/** What a DuckDB may use. */
export interface DuckOptions {
  /** How much memory, in bytes. */
  readonly memoryBytes: number;
  /** Where it puts what does not fit into memory; nowhere unless given. */
  readonly spillFolder?: string;
}

/** The SQL that somebody wrote is not answered. */
export class QueryError extends Error {
  /** Always `QueryError`. */
  override readonly name: string = "QueryError";
}

/** The gateway's log does not fit to the lake at this moment. */
export class TailError extends QueryError {}

/** DuckDB's number of the only kind of statement that is answered. */
const SELECT = 1;

/** A statement that writes or opens something, behind what may be before it. */
const WRITES =
  /^(\s|;|--[^\n]*(\n|$)|\/\*[^]*?\*\/)*(copy|attach|detach|export|import|install|load|use)\b/i;

const ONLY_READS =
  "A query only reads: begin with SELECT, WITH or FROM; an answer becomes a file by --out, " +
  "or by writeParquet in code";

/** A DuckDB in memory. */
export class Duck {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection) {
    this.#instance = instance;
    this.#connection = connection;
  }

  /**
   * Loads and starts one.
   *
   * @param options what it may use
   */
  static async open({ memoryBytes, spillFolder }: DuckOptions): Promise<Duck> {
    const { DuckDBInstance } = await import("@duckdb/node-api");
    const instance = await DuckDBInstance.create(":memory:", {
      autoinstall_known_extensions: "false",
      autoload_known_extensions: "false",
      memory_limit: `${Math.ceil(memoryBytes / 1024)}KiB`,
      temp_directory: spillFolder ?? "",
    });
    try {
      const duck = new Duck(instance, await instance.connect());
      await duck.run("SET TimeZone = 'UTC'");
      return duck;
    } catch (error) {
      instance.closeSync();
      throw error;
    }
  }

  /** Runs a statement of ours. */
  async run(sql: string): Promise<void> {
    await this.#connection.run(sql);
  }

  /** Runs a statement of ours and reads its rows. */
  async rows(sql: string): Promise<ResultRows> {
    const all: (readonly Value[])[] = [];
    for await (const rows of rowsOf(await this.#connection.stream(sql))) all.push(...rows);
    return all;
  }

  /**
   * Forbids everything but reading these files: no other file, no network, no setting.
   *
   * @param paths the files
   */
  async lock(paths: readonly string[]): Promise<void> {
    await this.run(`SET allowed_paths = [${paths.map(textSql).join(", ")}]`);
    await this.run("SET enable_external_access = false");
    await this.run("SET lock_configuration = true");
  }

  /**
   * Runs a statement that somebody wrote.
   *
   * @param sql one statement that reads
   * @throws {QueryError} for any other, and for what DuckDB does not understand
   */
  async select(sql: string): Promise<ResultStream> {
    await this.#checkReads(sql);
    const result = await asQueryError(this.#connection.stream(sql));
    const types = result.columnTypes();
    return {
      columns: result.columnNames().map((name, i) => ({ name, type: String(types[i]) })),
      rows: rowsOf(result),
    };
  }

  /** Writes what a statement reads to a file, before {@linkcode lock} or to a path it allows. */
  async copy(sql: string, path: string): Promise<void> {
    await this.#checkReads(sql);
    // The line break ends a comment that the statement may end with.
    const query = sql.trim().replace(/;+$/, "");
    // A file that is there would be written beside it first, where nothing may be written.
    const how = "FORMAT parquet, CODEC zstd, USE_TMP_FILE false";
    await asQueryError(this.#connection.run(`COPY (${query}\n) TO ${textSql(path)} (${how})`));
  }

  /** Ends it; files that it has open are closed. */
  close(): void {
    this.#connection.closeSync();
    this.#instance.closeSync();
  }

  async #checkReads(sql: string): Promise<void> {
    const statements = await asQueryError(this.#connection.extractStatements(sql));
    if (statements.count !== 1) throw new QueryError("A query is one statement");
    // Of some that write DuckDB says, before it tells what they are, that it is locked.
    if (WRITES.test(sql)) throw new QueryError(ONLY_READS);
    const statement = await asQueryError(statements.prepare(0));
    const type = Number(statement.statementType);
    statement.destroySync();
    if (type !== SELECT) throw new QueryError(ONLY_READS);
  }
}

async function* rowsOf(result: DuckDBResult): AsyncGenerator<ResultRows> {
  const readers = result.columnTypes().map(reader);
  for await (const chunk of result) {
    yield chunk.getRows().map((row) => row.map((value, i) => readers[i]?.(value) ?? null));
  }
}

async function asQueryError<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new QueryError(message.trim(), { cause });
  }
}
