/**
 * Typed helpers for the tables of a schema, over plain SQL.
 *
 * @module
 */

import {
  type Column,
  type InsertOf,
  type KeyOf,
  LakeSyncError,
  type RowOf,
  type Schema,
  type SchemaSpec,
  type Table,
  type Value,
} from "@lakesync/core";
import { toCell, toValue } from "./convert.ts";
import type { SqlParam, SqlRow } from "./database/driver.ts";
import type { Transacted } from "./app_sql.ts";
import { quoteName } from "./sql.ts";

/** The type of a column, as the schema names it. */
export type ColumnTypeOf<S extends SchemaSpec, T extends keyof S["tables"], C> = C extends
  keyof S["tables"][T]["columns"]
  ? S["tables"][T]["columns"][C] extends { readonly type: infer Type } ? Type
  : S["tables"][T]["columns"][C]
  : never;

/** What a write takes: a timestamp may also be given as a Date. */
export type Writable<S extends SchemaSpec, T extends keyof S["tables"], Row> = {
  [C in keyof Row]:
    | Row[C]
    | (ColumnTypeOf<S, T, C> extends "timestamp" ? Date : never);
};

/** The key of a row: the value itself, or, for a key of several columns, an object of them. */
export type KeyValue<S extends SchemaSpec, T extends keyof S["tables"]> =
  S["tables"][T]["primaryKey"] extends readonly [infer C]
    ? RowOf<S, T>[Extract<C, keyof RowOf<S, T>>]
    : Pick<RowOf<S, T>, Extract<keyof RowOf<S, T>, KeyOf<S, T>>>;

/** Helpers for one table. */
export interface TableHelper<
  S extends SchemaSpec,
  T extends keyof S["tables"],
> {
  /** Adds a row; columns that are left out are null. */
  insert(row: Writable<S, T, InsertOf<S, T>>): Promise<void>;
  /** Adds a row, or changes the columns given here of the row with its key. */
  upsert(row: Writable<S, T, InsertOf<S, T>>): Promise<void>;
  /** Changes columns of a row; gives whether it was there. */
  update(
    key: KeyValue<S, T>,
    changes: Writable<S, T, Partial<Omit<RowOf<S, T>, KeyOf<S, T>>>>,
  ): Promise<boolean>;
  /** Deletes a row; gives whether it was there. */
  delete(key: KeyValue<S, T>): Promise<boolean>;
  /** Reads a row. */
  get(key: KeyValue<S, T>): Promise<RowOf<S, T> | undefined>;
  /** Reads all rows, in the order of the key. */
  all(): Promise<RowOf<S, T>[]>;
}

/** Helpers for all tables of a schema. */
export type Tables<S extends SchemaSpec> = {
  readonly [T in keyof S["tables"]]: TableHelper<S, T>;
};

type Given = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Given {
  return typeof value === "object" && value !== null &&
    !(value instanceof Date) && !(value instanceof Uint8Array);
}

function invalid(what: string): never {
  throw new LakeSyncError("VALIDATION_ERROR", what);
}

class Helper {
  readonly #table: Table;
  readonly #db: Transacted;
  readonly #select: string;
  readonly #where: string;

  constructor(table: Table, db: Transacted) {
    this.#table = table;
    this.#db = db;
    const names = table.columns.map(({ name }) => quoteName(name));
    this.#select = `SELECT ${names.join(", ")} FROM ${quoteName(table.name)}`;
    this.#where = table.primaryKey.map(({ name }) => `${quoteName(name)} = ?`)
      .join(" AND ");
  }

  #cell(column: Column, value: unknown): SqlParam {
    if (value === null) return null;
    if (value instanceof Date && column.type === "timestamp") {
      return value.toISOString();
    }
    const given = value as Value;
    const misfit = value === undefined
      ? "takes null for no value, not undefined"
      : column.check(given);
    if (misfit !== undefined) {
      invalid(`${this.#table.name}.${column.name} ${misfit}`);
    }
    return toCell(given, column.type);
  }

  #cells(row: Given): [Column, SqlParam][] {
    return Object.entries(row).filter(([, value]) => value !== undefined).map(
      ([name, value]) => {
        const column = this.#table.byName.get(name) ??
          invalid(`${this.#table.name} has no column ${JSON.stringify(name)}`);
        return [column, this.#cell(column, value)];
      },
    );
  }

  #key(key: unknown): SqlParam[] {
    const columns = this.#table.primaryKey;
    const [only] = columns;
    if (columns.length === 1 && only !== undefined && !isObject(key)) {
      return [this.#cell(only, key)];
    }
    const given = isObject(key)
      ? key
      : invalid(`The key of ${this.#table.name} is an object of its columns`);
    return columns.map((column) => this.#cell(column, given[column.name]));
  }

  #read(row: SqlRow): Record<string, Value> {
    const result: Record<string, Value> = {};
    for (const { name, type } of this.#table.columns) {
      result[name] = toValue(row[name] ?? null, type);
    }
    return result;
  }

  #insertSql(cells: readonly [Column, SqlParam][]): string {
    const names = cells.map(([{ name }]) => quoteName(name)).join(", ");
    return `INSERT INTO ${quoteName(this.#table.name)} (${names}) VALUES (${
      cells.map(() => "?").join(", ")
    })`;
  }

  async insert(row: Given): Promise<void> {
    const cells = this.#cells(row);
    await this.#db.exec(this.#insertSql(cells), cells.map(([, cell]) => cell));
  }

  async upsert(row: Given): Promise<void> {
    const cells = this.#cells(row);
    const keys = this.#table.primaryKey.map(({ name }) => quoteName(name));
    const set = cells.filter(([{ key }]) => !key).map(([{ name }]) =>
      `${quoteName(name)} = excluded.${quoteName(name)}`
    );
    await this.#db.exec(
      `${this.#insertSql(cells)} ON CONFLICT (${keys.join(", ")}) DO ${
        set.length === 0 ? "NOTHING" : `UPDATE SET ${set.join(", ")}`
      }`,
      cells.map(([, cell]) => cell),
    );
  }

  async update(key: unknown, changes: Given): Promise<boolean> {
    const cells = this.#cells(changes);
    if (cells.length === 0) return (await this.get(key)) !== undefined;
    const set = cells.map(([{ name }]) => `${quoteName(name)} = ?`).join(", ");
    const { changes: written } = await this.#db.exec(
      `UPDATE ${quoteName(this.#table.name)} SET ${set} WHERE ${this.#where}`,
      [...cells.map(([, cell]) => cell), ...this.#key(key)],
    );
    return written > 0;
  }

  async delete(key: unknown): Promise<boolean> {
    const { changes } = await this.#db.exec(
      `DELETE FROM ${quoteName(this.#table.name)} WHERE ${this.#where}`,
      this.#key(key),
    );
    return changes > 0;
  }

  async get(key: unknown): Promise<Record<string, Value> | undefined> {
    const [row] = await this.#db.query(
      `${this.#select} WHERE ${this.#where}`,
      this.#key(key),
    );
    return row === undefined ? undefined : this.#read(row);
  }

  async all(): Promise<Record<string, Value>[]> {
    const keys = this.#table.primaryKey.map(({ name }) => quoteName(name));
    const rows = await this.#db.query(
      `${this.#select} ORDER BY ${keys.join(", ")}`,
    );
    return rows.map((row) => this.#read(row));
  }
}

/**
 * Makes the helpers of a schema's tables.
 *
 * @param schema the parsed schema, of type `S`
 * @param db where they read and write: a database, or a transaction
 * @returns one helper for each table, by name
 */
export function tableHelpers<S extends SchemaSpec>(
  schema: Schema,
  db: Transacted,
): Tables<S> {
  const helpers: Record<string, Helper> = {};
  for (const table of schema.tables.values()) {
    helpers[table.name] = new Helper(table, db);
  }
  return helpers as unknown as Tables<S>;
}
