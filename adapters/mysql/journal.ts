/**
 * Steps of a schema change, noted as they are done. Each step ends whatever transaction it is in, so
 * what a crash leaves behind is told by these notes: before a step what it is about to do, and after
 * it what the tables are then.
 *
 * @module
 */

import type { StoredTable } from "../database/schema_plan.ts";
import { type ExistingTables, storedTables } from "./catalog.ts";
import type { Session } from "./client.ts";
import { text, textOrNull } from "./literals.ts";
import { POSITION, TABLES } from "./names.ts";

/** A step that is about to be done. */
interface Doing {
  /** The table that is there when it is done. */
  readonly table: string;
  /** The column that is there then. */
  readonly column: string | undefined;
  /** What is known of the table then. */
  readonly after: StoredTable;
}

/** The notes of a schema change. */
export class Journal {
  readonly #session: Session;
  readonly #stored = new Map<number, StoredTable>();

  /** @param session where it is kept */
  constructor(session: Session) {
    this.#session = session;
  }

  /**
   * Reads what is known of the tables, after a step was brought to its end that a crash cut off.
   *
   * @param existing what is there
   */
  async read(existing: ExistingTables): Promise<readonly StoredTable[]> {
    const [row] = await this.#session.run(`SELECT doing FROM ${POSITION} WHERE only_row = 1`);
    const doing: Doing | undefined = typeof row?.[0] === "string" ? JSON.parse(row[0]) : undefined;
    if (doing !== undefined) {
      const columns = existing.get(doing.table);
      const isDone = columns !== undefined &&
        (doing.column === undefined || columns.has(doing.column));
      if (isDone) await this.note(doing.after, false);
      await this.#put(undefined);
    }
    const stored = await storedTables(this.#session);
    for (const table of stored) this.#stored.set(table.id, table);
    return stored;
  }

  /** What is known of a table. */
  named(name: string): StoredTable | undefined {
    return [...this.#stored.values()].find((table) => table.name === name);
  }

  /**
   * Does a step.
   *
   * @param run does it, by one statement
   * @param after what is known of the table then
   * @param column the column that is there then and was not before
   */
  async step(
    run: () => Promise<void>,
    after: StoredTable,
    column?: string,
  ): Promise<void> {
    await this.#put({ table: after.name, column, after });
    await run();
    await this.note(after, false);
    await this.#put(undefined);
  }

  /**
   * Notes what is known of a table.
   *
   * @param table the table
   * @param isFilled whether its rows are there; undefined when that is as it was
   */
  async note(table: StoredTable, isFilled?: boolean): Promise<void> {
    const { id, name, isAdopted, extras, columns } = table;
    await this.#session.run(
      `INSERT INTO ${TABLES} (id, name, is_adopted, is_filled, extras, columns) VALUES (${id}, ` +
        `${text(name)}, ${isAdopted}, ${isFilled ?? true}, ${text(JSON.stringify(extras))}, ` +
        `${text(JSON.stringify(columns))}) ON DUPLICATE KEY UPDATE name = VALUES(name), ` +
        `is_adopted = VALUES(is_adopted), extras = VALUES(extras), columns = VALUES(columns)` +
        (isFilled === undefined ? "" : ", is_filled = VALUES(is_filled)"),
    );
    // What had the name before was dropped by somebody, once it was gone from the schema.
    for (const other of this.#stored.values()) {
      if (other.name === name) this.#stored.delete(other.id);
    }
    this.#stored.set(id, table);
  }

  /** Forgets all other tables. */
  async keepOnly(ids: readonly number[]): Promise<void> {
    const others = ids.length === 0 ? "" : ` AND id NOT IN (${ids.join(",")})`;
    await this.#session.run(`DELETE FROM ${TABLES} WHERE id > 0${others}`);
  }

  /** The numbers of tables whose rows are not all there. */
  async unfilled(): Promise<ReadonlySet<number>> {
    const rows = await this.#session.run(`SELECT id FROM ${TABLES} WHERE NOT is_filled`);
    return new Set(rows.map(([id]) => Number(id)));
  }

  /** Notes that the rows of tables are there. */
  async filled(ids: readonly number[]): Promise<void> {
    if (ids.length === 0) return;
    await this.#session.run(`UPDATE ${TABLES} SET is_filled = 1 WHERE id IN (${ids.join(",")})`);
  }

  async #put(doing: Doing | undefined): Promise<void> {
    const json = doing === undefined ? null : JSON.stringify(doing);
    await this.#session.run(
      `UPDATE ${POSITION} SET doing = ${textOrNull(json)} WHERE only_row = 1`,
    );
  }
}
