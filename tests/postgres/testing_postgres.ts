/**
 * A Postgres adapter under test, with a connection of the test's own beside it.
 *
 * @module
 */

import type { DatabaseAdapter } from "@lakesync/adapters";
import { postgresAdapter, type PostgresOptions } from "@lakesync/adapters/postgres";
import type { SchemaSpec } from "@lakesync/core";
import postgres from "postgres";
import { numbered, TestLog } from "../conformance/testing_log.ts";

/** What a test works with. */
export class Bed implements AsyncDisposable {
  readonly adapter: DatabaseAdapter;
  /** A connection of the test's own. */
  readonly sql: postgres.Sql;
  readonly log: TestLog;

  /**
   * @param url an empty database
   * @param spec the tables
   * @param options more options of the adapter
   */
  constructor(
    readonly url: string,
    spec: SchemaSpec,
    options: Omit<PostgresOptions, "url"> = {},
  ) {
    this.adapter = postgresAdapter({ url, ...options });
    this.sql = postgres(url, { max: 2, onnotice: () => {} });
    this.log = new TestLog(this.adapter, numbered(spec));
  }

  /** Runs a query that gives rows. */
  async rows(text: string): Promise<Record<string, unknown>[]> {
    return [...await this.sql.unsafe(text)].map((row) => ({ ...row }));
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
    await this.sql.end();
  }
}
