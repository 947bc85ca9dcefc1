/**
 * Which tables a statement reads and writes, with everything that its triggers and cascades do,
 * from SQLite's own program for it: `EXPLAIN` names the root pages that are opened, and
 * sqlite_schema the tables they belong to. SQLite's functions that read JSON as a table, which
 * capture uses too, hold nothing themselves.
 *
 * @module
 */

import type { SqliteConnection } from "./database/driver.ts";

/** The tables of a statement, in lower case. */
export interface Footprint {
  /** Tables it reads or writes. */
  readonly reads: ReadonlySet<string>;
  /** Tables it may write. */
  readonly writes: ReadonlySet<string>;
  /** Whether it touches what cannot be known: virtual tables, attached databases, the schema. */
  readonly unknown: boolean;
}

const MAX_KNOWN = 1_000;
const UNKNOWN: Footprint = {
  reads: new Set(),
  writes: new Set(),
  unknown: true,
};

/** Finds footprints over one connection and remembers them while the schema stays. */
export class Footprints {
  readonly #db: SqliteConnection;
  #version: unknown;
  #tables: ReadonlyMap<unknown, string> = new Map();
  readonly #known = new Map<string, Footprint>();

  /** @param db any connection to the database */
  constructor(db: SqliteConnection) {
    this.#db = db;
  }

  /**
   * Finds the tables of a statement.
   *
   * @param sql one statement
   * @returns its tables
   */
  async of(sql: string): Promise<Footprint> {
    await this.#refresh();
    let found = this.#known.get(sql);
    if (found === undefined) {
      found = await this.#explain(sql);
      if (this.#known.size >= MAX_KNOWN) this.#known.clear();
      this.#known.set(sql, found);
    }
    return found;
  }

  async #refresh(): Promise<void> {
    const [row] = await this.#db.values("PRAGMA schema_version");
    if (row?.[0] === this.#version) return;
    this.#version = row?.[0];
    this.#known.clear();
    const roots = await this.#db.values(
      "SELECT rootpage, lower(tbl_name) FROM sqlite_schema WHERE rootpage > 0",
    );
    this.#tables = new Map(
      roots.map(([root, table]) => [root, String(table)]),
    );
  }

  /** Which virtual table is opened is told by its address in memory alone. */
  async #isJson(address: unknown): Promise<boolean> {
    const steps = await this.#db.values("EXPLAIN SELECT 1 FROM json_each('[]'), json_tree('[]')");
    return steps.some(([, opcode, , , , p4]) =>
      opcode === "VOpen" && typeof p4 === "string" && p4 === address
    );
  }

  async #explain(sql: string): Promise<Footprint> {
    const reads = new Set<string>();
    const writes = new Set<string>();
    for (const step of await this.#db.values(`EXPLAIN ${sql}`)) {
      const [, opcode, p1, p2, p3, p4] = step;
      const opened = opcode === "OpenRead" || opcode === "OpenWrite" ||
        opcode === "ReopenIdx";
      if (opcode === "VOpen" && await this.#isJson(p4)) continue;
      if (
        opcode === "VOpen" || opcode === "VUpdate" || opcode === "ParseSchema"
      ) return UNKNOWN;
      if (!opened && opcode !== "Clear") continue;
      const [root, database] = opened ? [p2, p3] : [p1, p2];
      if (database === 1) continue;
      const table = database === 0 ? this.#tables.get(root) : undefined;
      if (table === undefined) {
        if (database === 0 && root === 1) continue;
        return UNKNOWN;
      }
      reads.add(table);
      if (opcode !== "OpenRead" && opcode !== "ReopenIdx") writes.add(table);
    }
    return { reads, writes, unknown: false };
  }
}
