/**
 * A gateway's schema with the numbers under which rows are stored. A table or a column keeps its
 * number for ever, so stored rows survive every later version of the schema.
 *
 * @module
 */

import {
  type CellKind,
  type Column,
  type Delta,
  keyOf,
  kindOf,
  LakeSyncError,
  type Op,
  parseSchema,
  type Schema,
  type SchemaSpec,
  type Shape,
  type Table,
  toPlainJson,
  type Value,
  writtenMisfit,
} from "@lakesync/core";

/** A column and its number. */
export interface CatalogColumn {
  /** Its number within the table, from 0. */
  readonly id: number;
  /** Its name. */
  readonly name: string;
  /** The schema version that added it. */
  readonly since: number;
}

/** A table and its number. */
export interface CatalogTable {
  /** Its number, from 1. */
  readonly id: number;
  /** The schema version that added it. */
  readonly since: number;
  /** The table as the schema has it. */
  readonly table: Table;
  /** Columns by number, the key's included. */
  readonly columns: readonly CatalogColumn[];
  /** Columns by name. */
  readonly byName: ReadonlyMap<string, CatalogColumn>;
}

/** A shape, judged and translated once for all deltas that share it. */
export interface CompiledShape {
  /** What its deltas do. */
  readonly op: Op;
  /** The table. */
  readonly table: CatalogTable;
  /** The numbers of the columns it writes, without the key's. */
  readonly columns: readonly number[];
  /** How the writes of each of those merge; undefined when all are `lww`. */
  readonly kinds: readonly CellKind[] | undefined;
  /** For each of those, its place among the delta's values. */
  readonly places: readonly number[];
  /** Whether `places` is 0, 1, 2 … over all values. */
  readonly direct: boolean;
  /** For each value of the delta, its column. */
  readonly specs: readonly Column[];
  /** Where the key's columns are among the values, by their place in the key. */
  readonly keys: readonly (readonly [place: number, key: number])[];
}

interface StoredCatalog {
  readonly spec: SchemaSpec;
  readonly tables: Readonly<Record<string, StoredTable>>;
}

interface StoredTable {
  readonly id: number;
  readonly since: number;
  readonly columns: readonly (readonly [name: string, since: number])[];
}

function sameType(a: Column, b: Column): boolean {
  return a.type === b.type && a.merge === b.merge && a.key === b.key;
}

/** A gateway's schema with its numbers. */
export class Catalog {
  /** The schema. */
  readonly schema: Schema;
  readonly #byName = new Map<string, CatalogTable>();
  readonly #byId = new Map<number, CatalogTable>();
  readonly #compiled = new WeakMap<Shape, CompiledShape | string>();

  private constructor(schema: Schema, stored: StoredCatalog["tables"]) {
    this.schema = schema;
    for (const table of schema.tables.values()) {
      const entry = stored[table.name];
      if (entry === undefined) continue;
      const columns = entry.columns.map(([name, since], id) => ({
        id,
        name,
        since,
      }));
      const byName = new Map(columns.map((column) => [column.name, column]));
      const catalogTable = { id: entry.id, since: entry.since, table, columns, byName };
      this.#byName.set(table.name, catalogTable);
      this.#byId.set(entry.id, catalogTable);
    }
  }

  /** Reads a catalog from what {@linkcode Catalog.store} wrote. */
  static load(text: string): Catalog {
    const stored: StoredCatalog = JSON.parse(text);
    return new Catalog(parseSchema(stored.spec), stored.tables);
  }

  /**
   * Makes the catalog of a schema that follows another.
   *
   * @throws {LakeSyncError} `SCHEMA_CONFLICT` when the version is not newer, `SCHEMA_ERROR` when the
   * schema is not valid or would lose data
   */
  static next(current: Catalog | undefined, input: unknown): Catalog {
    const schema = parseSchema(input);
    if (current !== undefined) checkSuccessor(current.schema, schema);
    const tables: Record<string, StoredTable> = {};
    let nextId = 1 + Math.max(0, ...(current ? [...current.#byId.keys()] : []));
    for (const table of schema.tables.values()) {
      const known = current?.table(table.name);
      const columns = known?.columns.map(({ name, since }) => [name, since] as const) ?? [];
      const names = new Set(columns.map(([name]) => name));
      const added = table.columns.filter(({ name }) => !names.has(name));
      tables[table.name] = {
        id: known?.id ?? nextId++,
        since: known?.since ?? schema.version,
        columns: [
          ...columns,
          ...added.map(({ name }) => [name, schema.version] as const),
        ],
      };
    }
    return new Catalog(schema, tables);
  }

  /** Writes the catalog as a text. */
  store(): string {
    const tables: Record<string, StoredTable> = {};
    for (const [name, { id, since, columns }] of this.#byName) {
      tables[name] = {
        id,
        since,
        columns: columns.map((column) => [column.name, column.since]),
      };
    }
    return JSON.stringify(
      { spec: this.schema.spec, tables } satisfies StoredCatalog,
    );
  }

  /** A table by its name. */
  table(name: string): CatalogTable | undefined {
    return this.#byName.get(name);
  }

  /** A table by its number. */
  tableById(id: number): CatalogTable | undefined {
    return this.#byId.get(id);
  }

  /** All tables. */
  tables(): Iterable<CatalogTable> {
    return this.#byName.values();
  }

  /**
   * Judges and translates a shape.
   *
   * @returns the compiled shape, or a text that says why no delta can have it
   */
  compile(shape: Shape): CompiledShape | string {
    let compiled = this.#compiled.get(shape);
    if (compiled === undefined) {
      compiled = this.#compile(shape);
      this.#compiled.set(shape, compiled);
    }
    return compiled;
  }

  #compile(shape: Shape): CompiledShape | string {
    const table = this.table(shape.table);
    if (table === undefined) {
      return `No table ${JSON.stringify(shape.table.slice(0, 64))} in the schema`;
    }
    const columns: number[] = [];
    const places: number[] = [];
    const kinds: CellKind[] = [];
    const specs: Column[] = [];
    const keys: [number, number][] = [];
    for (const [place, name] of shape.columns.entries()) {
      const spec = table.table.byName.get(name);
      const column = table.byName.get(name);
      if (spec === undefined || column === undefined) {
        return `No column ${JSON.stringify(name.slice(0, 64))} in table ${shape.table}`;
      }
      specs.push(spec);
      if (spec.key) keys.push([place, table.table.primaryKey.indexOf(spec)]);
      else {
        columns.push(column.id);
        places.push(place);
        kinds.push(kindOf(spec));
      }
    }
    const direct = keys.length === 0;
    return {
      op: shape.op,
      table,
      columns,
      kinds: kinds.some((kind) => kind !== "lww") ? kinds : undefined,
      places,
      direct,
      specs,
      keys,
    };
  }
}

function checkSuccessor(current: Schema, next: Schema): void {
  if (next.version <= current.version) {
    throw new LakeSyncError(
      "SCHEMA_CONFLICT",
      `The gateway has schema version ${current.version} with other content, put a changed schema under a higher version`,
    );
  }
  for (const table of current.tables.values()) {
    const successor = next.tables.get(table.name);
    if (successor === undefined) throw losing(`table ${table.name} is missing`);
    for (const column of table.columns) {
      const kept = successor.byName.get(column.name);
      if (kept === undefined) {
        throw losing(`column ${table.name}.${column.name} is missing`);
      }
      if (!sameType(column, kept)) {
        throw losing(`column ${table.name}.${column.name} has another type`);
      }
    }
    const key = (of: Table) => of.primaryKey.map(({ name }) => name).join(",");
    if (key(table) !== key(successor)) {
      throw losing(`table ${table.name} has another key`);
    }
  }
}

function losing(what: string): LakeSyncError {
  return new LakeSyncError(
    "SCHEMA_ERROR",
    `The new schema would lose data: ${what}`,
  );
}

/**
 * Judges the content of a delta by the schema.
 *
 * @returns a text that says what is wrong, or undefined
 */
export function deltaMisfit(
  compiled: CompiledShape,
  delta: Delta,
): string | undefined {
  if (compiled.op === "DELETE" && delta.values.length > 0) return "A DELETE carries no columns";
  const key = keyOf(compiled.table.table, delta.rowId);
  if (typeof key === "string") return key;
  for (let place = 0; place < compiled.specs.length; place++) {
    const value = delta.values[place] ?? null;
    if (value === null) continue;
    const spec = compiled.specs[place] as Column;
    const misfit = writtenMisfit(spec, compiled.op, value);
    if (misfit !== undefined) {
      return `Column ${spec.name} of type ${spec.type} ${misfit}`;
    }
  }
  for (const [place, at] of compiled.keys) {
    if (!sameValue(delta.values[place] ?? null, key[at] ?? null)) {
      return `Column ${compiled.specs[place]?.name} is part of the key and must be what rowId says`;
    }
  }
  return undefined;
}

function sameValue(a: Value, b: Value): boolean {
  return toPlainJson(a) === toPlainJson(b);
}

/** The values a delta writes, in the order of its compiled shape's columns. */
export function writtenValues(
  compiled: CompiledShape,
  delta: Delta,
): readonly Value[] {
  return compiled.direct
    ? delta.values
    : compiled.places.map((place) => delta.values[place] ?? null);
}
