/**
 * A MySQL adapter under test, with a connection of the test's own beside it.
 *
 * @module
 */

import type { DatabaseAdapter } from "@lakesync/adapters";
import { mysqlAdapter, type MysqlOptions } from "@lakesync/adapters/mysql";
import type { SchemaSpec } from "@lakesync/core";
import { type Connection, createConnection } from "mysql2/promise";
import { numbered, TestLog } from "../conformance/testing_log.ts";
import { exactDoubles } from "../servers/testing_sql.ts";

/** What a test works with. */
export class Bed implements AsyncDisposable {
  readonly adapter: DatabaseAdapter;
  readonly log: TestLog;
  #connection: Promise<Connection> | undefined;

  /**
   * @param url an empty database
   * @param spec the tables
   * @param options more options of the adapter
   */
  constructor(
    readonly url: string,
    spec: SchemaSpec,
    options: Omit<MysqlOptions, "url"> = {},
  ) {
    this.adapter = mysqlAdapter({ url, ...options });
    this.log = new TestLog(this.adapter, numbered(spec));
  }

  /** Runs a statement on a connection of the test's own; gives its rows. */
  async rows(statement: string): Promise<Record<string, unknown>[]> {
    this.#connection ??= createConnection({
      uri: this.url,
      dateStrings: true,
      supportBigNumbers: true,
      bigNumberStrings: true,
      typeCast: exactDoubles,
    });
    const [rows] = await (await this.#connection).query(statement);
    return Array.isArray(rows) ? rows.map((row) => ({ ...row })) : [];
  }

  /** The problems by the names of their rows. */
  async problems(): Promise<Record<string, string>> {
    const problems = await this.adapter.problems(100);
    return Object.fromEntries(
      problems.map(({ table, key, kind }) => [`${table}/${key.rowId}`, kind]),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.adapter.close();
    await (await this.#connection)?.end();
  }
}
