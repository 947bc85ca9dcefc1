/**
 * A driver that counts the calls to SQLite, for tests and benchmarks of what a step costs.
 *
 * @module
 */

import type { SqliteConnection, SqliteDriver } from "./database/driver.ts";
import { loadDriver } from "./database/open.ts";

/** Counts every call on the connections it opens, a script as one. */
export class CountingDriver implements SqliteDriver {
  /** How often each text was run since they were counted last. */
  readonly calls: Map<string, number> = new Map();

  #count<T>(sql: string, call: () => Promise<T>): Promise<T> {
    this.calls.set(sql, (this.calls.get(sql) ?? 0) + 1);
    return call();
  }

  /** Opens a connection whose calls are counted. */
  async open(path: string): Promise<SqliteConnection> {
    const inner = await (await loadDriver()).open(path);
    return {
      get inTransaction() {
        return inner.inTransaction;
      },
      script: (sql) => this.#count(sql, () => inner.script(sql)),
      run: (sql, params) => this.#count(sql, () => inner.run(sql, params)),
      runMany: (sql, rows) => this.#count(sql, () => inner.runMany(sql, rows)),
      values: (sql, params) => this.#count(sql, () => inner.values(sql, params)),
      all: (sql, params) => this.#count(sql, () => inner.all(sql, params)),
      close: () => inner.close(),
    };
  }

  /**
   * Counts what a function makes of calls.
   *
   * @param work what to do
   * @returns how many calls it made
   */
  async during(work: () => Promise<unknown>): Promise<number> {
    this.calls.clear();
    await work();
    return this.calls.values().reduce((sum, count) => sum + count, 0);
  }
}
