/**
 * Live queries: run once at first, then again after each commit that changed a table they read.
 *
 * @module
 */

import type { SqlParam, SqlRow } from "./database/driver.ts";
import { type Footprint, Footprints } from "./footprint.ts";
import type { Transacted } from "./app_sql.ts";
import type { Commit, Session } from "./session.ts";

/** A live query that runs. */
export interface LiveQuery {
  /** Done once the first rows were reported; fails when the statement is not valid. */
  readonly ready: Promise<void>;
  /** Ends it; nothing is reported afterwards. */
  close(): void;
}

/** Whether a commit concerns a query: surely, perhaps, or not. */
type Concern = "yes" | "perhaps" | "no";

function concern(footprint: Footprint, commit: Commit): Concern {
  const { tables } = commit;
  if (tables?.size === 0) return "no";
  if (tables === undefined || footprint.unknown) return "perhaps";
  for (const table of tables) {
    if (footprint.reads.has(table)) return "yes";
  }
  return "no";
}

function sameCell(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    return a.length === b.length && a.every((byte, i) => byte === b[i]);
  }
  return Object.is(a, b);
}

function sameRows(a: readonly SqlRow[], b: readonly SqlRow[]): boolean {
  return a.length === b.length && a.every((row, i) => {
    const other = b[i] ?? {};
    const names = Object.keys(row);
    return names.length === Object.keys(other).length &&
      names.every((name) => sameCell(row[name], other[name]));
  });
}

class Running implements LiveQuery {
  readonly ready: Promise<void>;
  readonly #queries: LiveQueries;
  readonly #sql: string;
  readonly #params: readonly SqlParam[];
  readonly #onRows: (rows: SqlRow[]) => void;
  #last: SqlRow[] | undefined;
  #due: Concern = "yes";
  #busy = false;
  #closed = false;

  constructor(
    queries: LiveQueries,
    sql: string,
    params: readonly SqlParam[],
    onRows: (rows: SqlRow[]) => void,
  ) {
    this.#queries = queries;
    this.#sql = sql;
    this.#params = params;
    this.#onRows = onRows;
    this.ready = this.#run();
  }

  async consider(commit: Commit): Promise<void> {
    const { session, footprints } = this.#queries;
    if (this.#closed || session.closed) return;
    const found = concern(await footprints.of(this.#sql), commit);
    if (found === "no") return;
    if (found === "yes" || this.#due === "no") this.#due = found;
    await this.#run();
  }

  /** Runs until nothing is due; commits meanwhile make it due once more. */
  async #run(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#due !== "no" && !this.#closed) await this.#once();
    } catch (error) {
      if (!this.#closed && !this.#queries.session.closed) throw error;
    } finally {
      this.#busy = false;
    }
  }

  async #once(): Promise<void> {
    const due = this.#due;
    this.#due = "no";
    const rows = await this.#queries.sql.query(this.#sql, this.#params);
    if (this.#closed) return;
    const last = this.#last;
    this.#last = rows;
    if (due === "perhaps" && last && sameRows(last, rows)) return;
    this.#onRows(rows);
  }

  close(): void {
    this.#closed = true;
    this.#queries.remove(this);
  }
}

/** All live queries of one database. */
export class LiveQueries {
  readonly session: Session;
  readonly sql: Transacted;
  readonly footprints: Footprints;
  readonly #running = new Set<Running>();

  /**
   * @param session tells of commits
   * @param sql where they read
   */
  constructor(session: Session, sql: Transacted) {
    this.session = session;
    this.sql = sql;
    this.footprints = new Footprints(session.reader);
    session.listeners.add((commit) => {
      for (const query of this.#running) void query.consider(commit);
    });
  }

  /**
   * Starts a live query.
   *
   * @param sql one reading statement
   * @param params its parameters
   * @param onRows called with all rows, first with those of now
   * @returns ends it
   */
  start(
    sql: string,
    params: readonly SqlParam[],
    onRows: (rows: SqlRow[]) => void,
  ): LiveQuery {
    this.session.tracking = true;
    const query = new Running(this, sql, params, onRows);
    this.#running.add(query);
    return query;
  }

  /** Forgets a query that ended. */
  remove(query: Running): void {
    this.#running.delete(query);
    this.session.tracking = this.#running.size > 0;
  }

  /** Ends all. */
  close(): void {
    for (const query of [...this.#running]) query.close();
  }
}
