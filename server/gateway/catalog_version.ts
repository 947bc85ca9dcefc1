/**
 * One registered version of a gateway's schema: its names over the numbers under which rows are
 * stored, and the deltas that its clients may send.
 *
 * @module
 */

import {
  type CellKind,
  type Column,
  type Delta,
  keyOf,
  kindOf,
  type Op,
  type Schema,
  type Shape,
  type Table,
  toPlainJson,
  type Value,
  writtenMisfit,
} from "@lakesync/core";
import type { Given, NumberedSchema, Numbers } from "./catalog_numbers.ts";

/** A column and its number. */
export interface CatalogColumn {
  /** Its number within the table, from 0. */
  readonly id: number;
  /** Its name in the version. */
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
  /** The table as the version has it. */
  readonly table: Table;
  /** Columns by number, the key's included; undefined where the version does not have one. */
  readonly columns: readonly (CatalogColumn | undefined)[];
  /** Columns by name. */
  readonly byName: ReadonlyMap<string, CatalogColumn>;
}

/** A shape, judged and translated once for all deltas that share it. */
export interface CompiledShape {
  /** What its deltas do. */
  readonly op: Op;
  /** The table, as the newest version has it: that is how its rows are kept. */
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

function catalogTable(table: Table, [id, ids]: Numbers[number], given: Given): CatalogTable {
  const [since = 0, columnsSince = []] = given[id - 1] ?? [];
  const columns = new Array<CatalogColumn | undefined>(columnsSince.length).fill(undefined);
  const byName = new Map<string, CatalogColumn>();
  for (const [at, { name }] of table.columns.entries()) {
    const number = ids[at] ?? 0;
    const column = { id: number, name, since: columnsSince[number] ?? 0 };
    columns[number] = column;
    byName.set(name, column);
  }
  return { id, since, table, columns, byName };
}

/** A version of the schema with its numbers. */
export class CatalogVersion implements NumberedSchema {
  /** The schema as it was registered. */
  readonly schema: Schema;
  /** The numbers of its tables and columns, in the schema's order. */
  readonly numbers: Numbers;
  readonly #newest: CatalogVersion | undefined;
  readonly #byName = new Map<string, CatalogTable>();
  readonly #byId = new Map<number, CatalogTable>();
  readonly #compiled = new WeakMap<Shape, CompiledShape | string>();

  /**
   * @param numbered schema and numbers
   * @param given the numbers ever given
   * @param newest the newest version, when this is an older one
   */
  constructor({ schema, numbers }: NumberedSchema, given: Given, newest?: CatalogVersion) {
    this.schema = schema;
    this.numbers = numbers;
    this.#newest = newest;
    for (const [at, table] of [...schema.tables.values()].entries()) {
      const numbered = catalogTable(table, numbers[at] ?? [0, []], given);
      this.#byName.set(table.name, numbered);
      this.#byId.set(numbered.id, numbered);
    }
  }

  /** A table by its name in this version. */
  table(name: string): CatalogTable | undefined {
    return this.#byName.get(name);
  }

  /** A table by its number; undefined when this version does not have it. */
  tableById(id: number): CatalogTable | undefined {
    return this.#byId.get(id);
  }

  /** All tables of this version. */
  tables(): Iterable<CatalogTable> {
    return this.#byName.values();
  }

  /**
   * Judges and translates a shape whose names are this version's.
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
      table: this.#newest?.tableById(table.id) ?? table,
      columns,
      kinds: kinds.some((kind) => kind !== "lww") ? kinds : undefined,
      places,
      direct,
      specs,
      keys,
    };
  }
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
