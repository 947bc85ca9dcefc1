/**
 * Schemas: the tables a gateway syncs, their keys, column types and merge kinds. TypeScript row
 * types are inferred from a schema literal.
 *
 * @module
 */

import { LakeSyncError } from "./errors.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { type SetElement, setValueMisfit } from "./merge_written.ts";
import {
  type ColumnType,
  fromPlainJson,
  type JsonValue,
  toPlainJson,
  utf8Length,
  type Value,
  type ValueCheck,
  valueCheck,
} from "./value.ts";

/**
 * How concurrent writes of one cell become one: the last writer wins by hybrid logical clock
 * (`lww`), increments add up (`counter`), the greatest or least value stays (`max`, `min`), or
 * elements are added and removed one by one (`set`).
 */
export type MergeKind = "lww" | "counter" | "max" | "min" | "set";

/** A column as a schema writes it in full. */
export interface ColumnSpec {
  /** The type of its values. */
  readonly type: ColumnType;
  /**
   * How concurrent writes become one; `lww` unless given. `counter` needs type integer, `set` type
   * json, `max` and `min` a type with an order; key columns are `lww`.
   */
  readonly merge?: MergeKind;
  /** The table whose key this column holds; destinations make a foreign key of it. */
  readonly references?: string;
  /** Its name in the schema version before, when this version renames it. */
  readonly renamedFrom?: string;
}

/** A table as a schema writes it. */
export interface TableSpec {
  /** The names of the key's columns, in the order of the rowId. */
  readonly primaryKey: readonly string[];
  /** All columns by name, the key's included. */
  readonly columns: { readonly [name: string]: ColumnType | ColumnSpec };
  /** Its name in the schema version before, when this version renames it. */
  readonly renamedFrom?: string;
}

/** A schema as it is written in JSON or TypeScript. */
export interface SchemaSpec {
  /** 1, 2, 3 … */
  readonly version: number;
  /** All tables by name. */
  readonly tables: { readonly [name: string]: TableSpec };
}

/** A column of a parsed schema. */
export interface Column {
  /** Its name. */
  readonly name: string;
  /** The type of its values. */
  readonly type: ColumnType;
  /** How concurrent writes become one. */
  readonly merge: MergeKind;
  /** The table whose key this column holds. */
  readonly references: string | undefined;
  /** Its name before the version that renamed it. */
  readonly renamedFrom: string | undefined;
  /** Whether it is part of the key. */
  readonly key: boolean;
  /** Judges a value that is not null, as it is read. */
  readonly check: ValueCheck;
}

/** A table of a parsed schema. */
export interface Table {
  /** Its name. */
  readonly name: string;
  /** Its name before the version that renamed it. */
  readonly renamedFrom: string | undefined;
  /** The key's columns, in the order of the rowId. */
  readonly primaryKey: readonly Column[];
  /** All columns in the order they were written. */
  readonly columns: readonly Column[];
  /** All columns by name. */
  readonly byName: ReadonlyMap<string, Column>;
}

/** A parsed schema. */
export interface Schema {
  /** 1, 2, 3 … */
  readonly version: number;
  /** All tables by name. */
  readonly tables: ReadonlyMap<string, Table>;
  /** What it was parsed from. */
  readonly spec: SchemaSpec;
}

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;
const RESERVED = /^(_lakesync_|lakesync_|sqlite_|__proto__$)/i;
const KEY_TYPES = /^(string|integer|uuid|date|timestamp|decimal\(.*)$/;
const ORDERED_TYPES = /^(integer|number|string|timestamp|date|decimal\(.*)$/;
const ORDERED = "an integer, number, string, timestamp, date or decimal column";

const MERGE_TYPES = new Map<unknown, readonly [kind: MergeKind, types: RegExp, takes: string]>([
  ["lww", ["lww", /^/, "any column"]],
  ["counter", ["counter", /^integer$/, "an integer column"]],
  ["max", ["max", ORDERED_TYPES, ORDERED]],
  ["min", ["min", ORDERED_TYPES, ORDERED]],
  ["set", ["set", /^json$/, "a json column"]],
]);

function fail(place: string, what: string): never {
  throw new LakeSyncError("SCHEMA_ERROR", `Schema at ${place}: ${what}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function checkName(name: string, place: string): void {
  if (!IDENTIFIER.test(name)) {
    fail(
      place,
      "a name is a letter or _ and then at most 63 letters, digits or _",
    );
  }
  if (RESERVED.test(name)) {
    fail(
      place,
      "names must not be __proto__ nor begin with sqlite_, lakesync_ or _lakesync_",
    );
  }
}

function checkUnique(names: readonly string[], place: string): void {
  const seen = new Set<string>();
  for (const name of names) {
    const folded = name.toLowerCase();
    if (seen.has(folded)) {
      fail(place, `${name} is there twice (SQLite does not tell case apart)`);
    }
    seen.add(folded);
  }
}

function formerName(renamedFrom: unknown, name: string, place: string): string | undefined {
  if (renamedFrom === undefined) return undefined;
  if (typeof renamedFrom !== "string") fail(place, "renamedFrom must be the name it had before");
  checkName(renamedFrom, `${place}.renamedFrom`);
  if (renamedFrom === name) fail(place, "renamedFrom must be another name than it has now");
  return renamedFrom;
}

/** A former name is free in this version, and taken over by one of its tables or columns. */
function checkRenames(
  named: Iterable<{ readonly name: string; readonly renamedFrom: string | undefined }>,
  placeOf: (name: string) => string,
): void {
  const all = [...named];
  const taken = new Map(all.map(({ name }) => [name.toLowerCase(), name]));
  for (const { name, renamedFrom } of all) {
    if (renamedFrom === undefined) continue;
    const former = renamedFrom.toLowerCase();
    const other = taken.get(former);
    if (other !== undefined && other !== name) {
      fail(placeOf(name), `renamedFrom is ${renamedFrom}, which this version has or renames too`);
    }
    taken.set(former, former === name.toLowerCase() ? name : "");
  }
}

function checkFields(
  record: Record<string, unknown>,
  known: readonly string[],
  place: string,
): void {
  for (const field of Object.keys(record)) {
    if (!known.includes(field)) {
      fail(place, `unknown field ${JSON.stringify(field.slice(0, 64))}`);
    }
  }
}

function mergeKind(merge: unknown, type: string, place: string): MergeKind {
  const known = MERGE_TYPES.get(merge);
  if (known === undefined) fail(place, "merge must be lww, counter, max, min or set");
  const [kind, types, takes] = known;
  return types.test(type) ? kind : fail(place, `merge ${kind} is for ${takes}`);
}

function parseColumn(
  name: string,
  input: unknown,
  keys: readonly string[],
  place: string,
): Column {
  checkName(name, place);
  const spec = typeof input === "string" ? { type: input } : input;
  if (!isRecord(spec)) {
    fail(place, "a column is a type or an object with a type");
  }
  checkFields(spec, ["type", "merge", "references", "renamedFrom"], place);
  const { type, merge = "lww", references, renamedFrom } = spec;
  const check = typeof type === "string" ? valueCheck(type) : undefined;
  if (!check) {
    fail(
      place,
      "type must be string, integer, number, boolean, timestamp, date, uuid, decimal(p,s), bytes or json",
    );
  }
  const kind = mergeKind(merge, String(type), place);
  if (references !== undefined && typeof references !== "string") {
    fail(place, "references must be the name of a table");
  }
  const key = keys.includes(name);
  if (key && !KEY_TYPES.test(type as string)) {
    fail(
      place,
      "a key column must be string, integer, uuid, date, timestamp or decimal",
    );
  }
  if (key && kind !== "lww") fail(place, "a key column must be lww");
  if (key && renamedFrom !== undefined) fail(place, "a key column keeps its name");
  return {
    name,
    type: type as ColumnType,
    merge: kind,
    references,
    renamedFrom: formerName(renamedFrom, name, place),
    key,
    check: kind === "set" ? setValueMisfit : check,
  };
}

function parseTable(name: string, input: unknown, place: string): Table {
  checkName(name, place);
  if (!isRecord(input)) {
    fail(place, "a table is an object with primaryKey and columns");
  }
  checkFields(input, ["primaryKey", "columns", "renamedFrom"], place);
  const { primaryKey, columns, renamedFrom } = input;
  if (
    !Array.isArray(primaryKey) || primaryKey.length === 0 ||
    !primaryKey.every((column) => typeof column === "string")
  ) {
    fail(`${place}.primaryKey`, "name the key's columns in an array");
  }
  if (!isRecord(columns)) {
    fail(`${place}.columns`, "name the columns in an object");
  }
  const names = Object.keys(columns);
  if (names.length > DEFAULT_LIMITS.maxColumns) {
    fail(`${place}.columns`, `at most ${DEFAULT_LIMITS.maxColumns} columns`);
  }
  checkUnique(names, `${place}.columns`);
  checkUnique(primaryKey, `${place}.primaryKey`);
  const parsed = names.map((column) =>
    parseColumn(
      column,
      columns[column],
      primaryKey,
      `${place}.columns.${column.slice(0, 64)}`,
    )
  );
  checkRenames(parsed, (column) => `${place}.columns.${column}`);
  const byName = new Map(parsed.map((column) => [column.name, column]));
  const keys = primaryKey.map((column: string) =>
    byName.get(column) ??
      fail(
        `${place}.primaryKey`,
        `no column ${JSON.stringify(column.slice(0, 64))}`,
      )
  );
  return {
    name,
    renamedFrom: formerName(renamedFrom, name, place),
    primaryKey: keys,
    columns: parsed,
    byName,
  };
}

/**
 * Reads and checks a schema.
 *
 * @param input a schema as JSON or as a TypeScript literal
 * @returns the schema, ready for use
 * @throws {LakeSyncError} `SCHEMA_ERROR`, with the place in the message
 */
export function parseSchema(input: unknown): Schema {
  if (!isRecord(input)) {
    fail("$", "a schema is an object with version and tables");
  }
  checkFields(input, ["version", "tables"], "$");
  const { version, tables } = input;
  if (
    typeof version !== "number" || !Number.isInteger(version) || version < 1 ||
    version > 2 ** 31 - 1
  ) {
    fail("$.version", "a version is a whole number from 1");
  }
  if (!isRecord(tables)) fail("$.tables", "name the tables in an object");
  const names = Object.keys(tables);
  if (names.length > DEFAULT_LIMITS.maxTables) {
    fail("$.tables", `at most ${DEFAULT_LIMITS.maxTables} tables`);
  }
  checkUnique(names, "$.tables");
  const parsed = new Map<string, Table>();
  for (const name of names) {
    parsed.set(
      name,
      parseTable(name, tables[name], `$.tables.${name.slice(0, 64)}`),
    );
  }
  checkRenames(parsed.values(), (table) => `$.tables.${table}`);
  for (const table of parsed.values()) {
    for (const column of table.columns) {
      if (column.references !== undefined && !parsed.has(column.references)) {
        fail(
          `$.tables.${table.name}.columns.${column.name}`,
          "references a table that is not there",
        );
      }
    }
  }
  return { version, tables: parsed, spec: { version, tables } as SchemaSpec };
}

/**
 * Declares a schema in TypeScript and keeps its literal types, from which {@linkcode RowOf}
 * infers rows.
 *
 * @param spec the schema
 * @returns the same schema
 * @throws {LakeSyncError} `SCHEMA_ERROR` when it is not valid
 *
 * @example
 * ```ts
 * import { defineSchema, type RowOf } from "@lakesync/core";
 *
 * const schema = defineSchema({
 *   version: 1,
 *   tables: {
 *     todos: { primaryKey: ["id"], columns: { id: "string", title: "string", done: "boolean" } },
 *   },
 * });
 * const row: RowOf<typeof schema, "todos"> = { id: "t1", title: "Buy milk", done: false };
 * console.assert(row.title === "Buy milk");
 * ```
 */
export function defineSchema<const S extends SchemaSpec>(spec: S): S {
  parseSchema(spec);
  return spec;
}

/** The TypeScript type of a column type's values, without null. */
export type TypeOf<T> = T extends "string" | "timestamp" | "date" | "uuid" ? string
  : T extends `decimal(${string}` ? string
  : T extends "integer" ? number | bigint
  : T extends "number" ? number
  : T extends "boolean" ? boolean
  : T extends "bytes" ? Uint8Array
  : T extends "json" ? JsonValue
  : never;

/** The column type in a schema's column, written short or in full. */
export type SpecType<C> = C extends { readonly type: infer T } ? T : C;

/** The TypeScript type of a column's values, without null: of a set an array of its elements. */
export type CellOf<C> = C extends { readonly merge: "set" } ? readonly SetElement[]
  : TypeOf<SpecType<C>>;

/** The key columns' names of a table. */
export type KeyOf<S extends SchemaSpec, T extends keyof S["tables"]> =
  S["tables"][T]["primaryKey"][number];

/** A row of a table: key columns are never null, all others may be. */
export type RowOf<S extends SchemaSpec, T extends keyof S["tables"]> = {
  [C in keyof S["tables"][T]["columns"]]:
    | CellOf<S["tables"][T]["columns"][C]>
    | (C extends KeyOf<S, T> ? never : null);
};

/** What an insert takes: the key, and any of the other columns. */
export type InsertOf<S extends SchemaSpec, T extends keyof S["tables"]> =
  & Pick<RowOf<S, T>, Extract<keyof RowOf<S, T>, KeyOf<S, T>>>
  & Partial<RowOf<S, T>>;

/**
 * Makes the rowId of a key: the value itself, or for a key of several columns the JSON array of
 * its values.
 *
 * @param table the table
 * @param key the key's values, in the order of the primary key
 * @returns the rowId
 */
export function rowIdOf(table: Table, key: readonly Value[]): string {
  if (table.primaryKey.length === 1) return String(key[0]);
  return JSON.stringify(key.map(toPlainJson));
}

/**
 * Reads the key's values out of a rowId.
 *
 * @param table the table
 * @param rowId a rowId, from anywhere
 * @returns the values in the order of the primary key, or a text that says what is wrong
 */
export function keyOf(table: Table, rowId: string): readonly Value[] | string {
  const bytes = utf8Length(rowId);
  if (bytes < 0) return "rowId must not hold NUL or lone surrogates";
  if (bytes === 0) return "rowId must not be empty";
  if (bytes > DEFAULT_LIMITS.maxRowIdBytes) {
    return `rowId must be at most ${DEFAULT_LIMITS.maxRowIdBytes} bytes`;
  }
  const [only] = table.primaryKey;
  if (only?.type === "string" && table.primaryKey.length === 1) return [rowId];
  const key = table.primaryKey.length === 1 ? [single(only, rowId)] : several(table, rowId);
  if (typeof key === "string") return key;
  for (const [i, column] of table.primaryKey.entries()) {
    const value = key[i];
    if (value === undefined || value === null) {
      return `rowId lacks the key column ${column.name}`;
    }
    const misfit = column.check(value);
    if (misfit !== undefined) return `rowId: ${column.name} ${misfit}`;
  }
  return rowIdOf(table, key) === rowId ? key : "rowId is not written in its canonical form";
}

function single(column: Column | undefined, rowId: string): Value {
  if (column?.type !== "integer") return rowId;
  const small = Number(rowId);
  return Number.isSafeInteger(small) ? small : fromPlainJson(rowId, "integer");
}

function several(table: Table, rowId: string): Value[] | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(rowId);
  } catch {
    parsed = undefined;
  }
  if (!Array.isArray(parsed) || parsed.length !== table.primaryKey.length) {
    return `rowId must be a JSON array of the ${table.primaryKey.length} key values`;
  }
  return table.primaryKey.map((column, i) => fromPlainJson(parsed[i], column.type));
}
