/**
 * What depends on a database's schema alone, remembered until somebody changes it. Whether it has
 * changed is asked once, at the beginning of a transaction: inside, nobody else can change it.
 *
 * @module
 */

import type { SqliteConnection } from "./database/driver.ts";
import type { SyncedTable } from "./layout.ts";

/** The schema versions of connections that are inside such a transaction. */
const VERSIONS = new WeakMap<SqliteConnection, unknown>();

/** Reads the number that SQLite raises with every change of the schema. */
export async function readSchemaVersion(db: SqliteConnection): Promise<unknown> {
  const [row] = await db.values("PRAGMA schema_version");
  return row?.[0];
}

/**
 * Runs a function during which facts are remembered. It must not change the schema itself.
 *
 * @param db a connection, in a transaction
 * @param version the schema's version, as it was read in this transaction
 * @param work what to do
 * @returns what it gave
 */
export async function knowingSchema<T>(
  db: SqliteConnection,
  version: unknown,
  work: () => Promise<T>,
): Promise<T> {
  VERSIONS.set(db, version);
  try {
    return await work();
  } finally {
    VERSIONS.delete(db);
  }
}

/** Something about each table. */
export class TableFact<T extends NonNullable<unknown>> {
  readonly #read: (db: SqliteConnection, table: SyncedTable) => Promise<T>;
  readonly #known = new WeakMap<SqliteConnection, { version: unknown; byName: Map<string, T> }>();

  /** @param read finds it out */
  constructor(read: (db: SqliteConnection, table: SyncedTable) => Promise<T>) {
    this.#read = read;
  }

  /**
   * Tells it. Outside of {@linkcode knowingSchema} it is found out each time.
   *
   * @param db any connection
   * @param table the table
   */
  async of(db: SqliteConnection, table: SyncedTable): Promise<T> {
    const version = VERSIONS.get(db);
    if (version === undefined) return await this.#read(db, table);
    let known = this.#known.get(db);
    if (known?.version !== version) {
      known = { version, byName: new Map() };
      this.#known.set(db, known);
    }
    const found = known.byName.get(table.name);
    if (found !== undefined) return found;
    const fact = await this.#read(db, table);
    known.byName.set(table.name, fact);
    return fact;
  }
}
