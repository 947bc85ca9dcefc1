/**
 * Rows of a table of changes as columns, and back.
 *
 * @module
 */

import type { Op, Value } from "@lakesync/core";
import { type ColumnBuilder, columnBuilder, valueAt } from "../columns/mod.ts";
import type { LakeField } from "../iceberg/schema.ts";
import type { ColumnBatch } from "../parquet/parquet.ts";
import type { ChangeRow } from "./changes.ts";
import {
  CHANGE_FIELDS,
  changesSchema,
  COMMITTED_AT,
  type LakeTable,
  OTHER_FIELDS,
} from "./layout.ts";

/** Microseconds of a millisecond. */
const MICROS = 1_000;

/** A table that nobody knows, as a row of the table for changes of such tables names it. */
export interface OtherTable {
  /** Its name, as its writer knew it. */
  readonly name: string | null;
  /** Its number; null when that is not known. */
  readonly number: number | null;
}

/** Takes rows of changes, which become the rows of a file. */
export class ChangeColumns {
  readonly #fields: readonly LakeField[];
  readonly #builders: readonly ColumnBuilder[];
  /** For each field of the user's: the place of its column, or -1 when it is a former field. */
  readonly #places: readonly number[];
  #length = 0;
  /** The place of the next value of a row. */
  #at = 0;

  /** @param table the table; undefined for changes of tables that nobody knows */
  constructor(table: LakeTable | undefined) {
    const fields = fieldsOf(table);
    const byField = new Map(table?.columns.map((column, i) => [column.field.id, { column, i }]));
    const own = CHANGE_FIELDS.length + (table === undefined ? OTHER_FIELDS.length : 0);
    this.#fields = fields;
    this.#builders = fields.map(({ id, type }) =>
      id === COMMITTED_AT
        ? columnBuilder("long")
        : columnBuilder(type, byField.get(id)?.column.field.from === "json" ? "json" : undefined)
    );
    this.#places = fields.slice(own).map(({ id }) => byField.get(id)?.i ?? -1);
  }

  /** How many rows there are. */
  get length(): number {
    return this.#length;
  }

  /** How many bytes they take, about. */
  get byteLength(): number {
    return this.#builders.reduce((bytes, builder) => bytes + builder.byteLength, 0);
  }

  /**
   * Takes a row.
   *
   * @param row the row
   * @param other its table, when it is one that nobody knows
   */
  add(row: ChangeRow, other?: OtherTable): void {
    this.#at = 0;
    this.#put(row.op);
    this.#put(row.rowId);
    this.#put(row.clientId);
    this.#put(row.hlc);
    this.#put(row.seq);
    this.#put(row.slice);
    this.#put(row.mutationId);
    this.#put(row.deltaId);
    this.#put(row.committedMs * MICROS);
    this.#put(row.schemaVersion);
    this.#put(row.changed);
    this.#put(row.raw);
    this.#put(row.effect);
    if (other !== undefined) {
      this.#put(other.name);
      this.#put(other.number);
    }
    for (const place of this.#places) this.#put(place < 0 ? null : row.values[place] ?? null);
    this.#length++;
  }

  #put(value: Value): void {
    const at = this.#at++;
    const misfit = this.#builders[at]?.append(value);
    if (misfit === undefined) return;
    throw new TypeError(`The column ${this.#fields[at]?.name} of a table of changes ${misfit}`);
  }

  /** Gives the rows. */
  finish(): ColumnBatch {
    // Times are microseconds already, in buffers like those of longs.
    const columns = this.#builders.map((builder, i) => ({
      ...builder.finish(),
      type: this.#fields[i]?.type ?? builder.type,
    }));
    const length = this.#length;
    this.#length = 0;
    return { fields: this.#fields, length, columns };
  }
}

function fieldsOf(table: LakeTable | undefined): readonly LakeField[] {
  return table === undefined ? [...CHANGE_FIELDS, ...OTHER_FIELDS] : changesSchema(table).fields;
}

/**
 * Reads rows of changes.
 *
 * @param table the table; undefined for changes of tables that nobody knows
 * @param batch rows with all fields of the table, in the order of {@linkcode changesSchema}
 */
export function* readChangeRows(
  table: LakeTable | undefined,
  batch: ColumnBatch,
): Generator<{ readonly row: ChangeRow; readonly other: OtherTable }> {
  const at = new Map(batch.fields.map(({ id }, i) => [id, batch.columns[i]]));
  const read = (id: number, row: number): Value => {
    const column = at.get(id);
    return column === undefined ? null : valueAt(column, row);
  };
  for (let i = 0; i < batch.length; i++) {
    const values = table?.columns.map(({ field, former }) => {
      for (const { id, from } of [field, ...former]) {
        const column = at.get(id);
        const value = column === undefined
          ? null
          : valueAt(column, i, from === "json" ? "json" : undefined);
        if (value !== null) return value;
      }
      return null;
    });
    yield {
      row: {
        op: String(read(1, i)) as Op | "SET",
        rowId: String(read(2, i)),
        clientId: text(read(3, i)),
        hlc: read(4, i) === null ? null : BigInt(String(read(4, i))),
        seq: Number(read(5, i)),
        slice: number(read(6, i)),
        mutationId: number(read(7, i)),
        deltaId: text(read(8, i)),
        committedMs: Date.parse(String(read(9, i))),
        schemaVersion: number(read(10, i)),
        changed: text(read(11, i)),
        raw: text(read(12, i)),
        effect: text(read(13, i)),
        values: values ?? [],
      },
      other: { name: text(read(14, i)), number: number(read(15, i)) },
    };
  }
}

function text(value: Value): string | null {
  return typeof value === "string" ? value : null;
}

function number(value: Value): number | null {
  return value === null ? null : Number(value);
}
