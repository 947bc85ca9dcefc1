/**
 * Which tables a transaction of the app has changed, for live queries.
 *
 * @module
 */

import type { SqliteConnection } from "./database/driver.ts";
import type { Session } from "./session.ts";
import type { StatementInfo } from "./statement.ts";

/** Collects the tables that statements changed. */
export class Touched {
  /** Whether the transaction was sealed. */
  sealed = false;
  readonly #session: Session;
  readonly #tables = new Set<string>();
  #known = true;

  /** @param session where the statements run */
  constructor(session: Session) {
    this.#session = session;
  }

  /** The tables in lower case; undefined: it cannot be known. */
  get tables(): ReadonlySet<string> | undefined {
    return this.#known ? this.#tables : undefined;
  }

  /**
   * Runs a statement on the writer and notes what it changed.
   *
   * @param sql the statement
   * @param info what kind it is
   * @param run runs it
   * @returns what it gave
   */
  async track<T>(
    sql: string,
    info: StatementInfo,
    run: (db: SqliteConnection) => Promise<T>,
  ): Promise<T> {
    const { tracking, writer } = this.#session;
    if (info.kind === "other" || info.several) {
      this.#known = false;
      const result = await run(writer);
      if (writer.inTransaction) await this.#session.refreshSchemaInside();
      return result;
    }
    if (!tracking) return await run(writer);
    if (info.kind !== "write" || !this.#known) return await run(writer);
    const { writes, unknown } = await this.#session.footprints.of(sql);
    const before = await this.#totalChanges();
    try {
      return await run(writer);
    } finally {
      if (await this.#totalChanges() !== before) {
        if (unknown) this.#known = false;
        for (const table of writes) this.#tables.add(table);
      }
    }
  }

  async #totalChanges(): Promise<unknown> {
    const [row] = await this.#session.writer.values("SELECT total_changes()");
    return row?.[0];
  }
}
