/**
 * Applies rows of a table of changes to images of rows. A value that a column says stays where it
 * is; only those that are beside the columns, in `_raw` and `_effect`, become values here.
 *
 * @module
 */

import type { ColumnType, JsonValue, Value } from "@lakesync/core";
import { decodeCells } from "../../database/stored_cells.ts";
import { fromStoredValue } from "../../database/stored_value.ts";
import {
  type Column,
  type ColumnBuilder,
  columnBuilder,
  concat,
  isNull,
  nullColumn,
  valueAt,
} from "../columns/mod.ts";
import { writtenNumber } from "../flush/changes.ts";
import { CHANGE_FIELDS, type LakeColumn, type LakeTable } from "../flush/layout.ts";
import { canonicalValue } from "../flush/values.ts";
import type { LakeField } from "../iceberg/schema.ts";
import type { ColumnBatch } from "../parquet/parquet.ts";
import { NOTHING, RowImages } from "./fold.ts";
import type { Pace } from "./pace.ts";

/** LakeSync's own columns that the fold reads. */
export const FOLD_COLUMNS: readonly string[] = [
  "_op",
  "_row",
  "_seq",
  "_slice",
  "_changed",
  "_raw",
  "_effect",
];

/** The fields that are read of files of changes: {@linkcode FOLD_COLUMNS} and the values. */
export function foldFields(table: LakeTable): readonly LakeField[] {
  const own = CHANGE_FIELDS.filter(({ name }) => FOLD_COLUMNS.includes(name));
  const values = cellColumns(table).flatMap(({ field, former }) => [field, ...former]);
  return [...own, ...values.map(({ id, name, type }) => ({ id, name, type, required: false }))];
}

/** The columns of a table, the key's left out: images have them in this order. */
export function cellColumns({ columns }: LakeTable): readonly LakeColumn[] {
  return columns.filter(({ isKey }) => !isKey);
}

type Members = Readonly<Record<string, JsonValue>>;

/** What a change says and does, as far as texts that many rows share tell it. */
interface Shape {
  readonly isVisible: boolean;
  readonly replaces: boolean;
  /** The columns that are set: their places, and the names by which `_raw` has their values. */
  readonly cells: readonly (readonly [column: number, name: string])[];
}

/** Where a batch has the values of a column. */
interface Held {
  readonly current: Column | undefined;
  readonly former: readonly (readonly [values: Column, from: ColumnType])[];
}

interface OpenBatch {
  readonly values: readonly Held[];
  /** How many rows are before its own. */
  readonly start: number;
  readonly length: number;
  readonly seqs: (row: number) => number;
  readonly slices: (row: number) => number;
  readonly isSet: (row: number) => boolean;
  readonly texts: (row: number) => Texts;
}

const NO_MEMBERS: Members = {};
const MAX_SHAPES = 10_000;

interface Texts {
  readonly op: string;
  readonly rowId: string;
  readonly changed: string | undefined;
  readonly raw: string | undefined;
  readonly effect: string | undefined;
}

/** Folds rows of changes, which are to come in the order in which they were committed. */
export class ChangeFold {
  /** The images of the rows so far. What they name is told by {@linkcode sources}. */
  readonly images: RowImages;
  readonly #table: LakeTable;
  readonly #columns: readonly LakeColumn[];
  readonly #placeOf: ReadonlyMap<number, number>;
  readonly #shapes = new Map<string, Shape | undefined>();
  readonly #read: Column[][];
  readonly #beside: ColumnBuilder[];
  #rows = 0;

  /**
   * Begins without changes.
   *
   * @param table the table
   */
  constructor(table: LakeTable) {
    const columns = cellColumns(table);
    this.#table = table;
    this.#columns = columns;
    this.#placeOf = new Map(columns.map(({ number }, i) => [number, i]));
    this.images = new RowImages(columns.length);
    this.#read = columns.map(() => []);
    this.#beside = columns.map(({ field }) => columnBuilder(field.type, field.from));
  }

  /** How many rows of changes there are so far. */
  get length(): number {
    return this.#rows;
  }

  /**
   * Applies the rows of one commit.
   *
   * @param batches its files: rows with the fields of {@linkcode foldFields}
   * @param pace lets others have their turn
   * @param refill the commit at which rows were filled anew: what is before it is left out
   */
  async apply(batches: readonly ColumnBatch[], pace: Pace, refill: number = 0): Promise<void> {
    const opened = batches.map((batch) => this.#open(batch));
    for (const { batch, row } of inOrder(opened)) {
      if (pace.isOver()) await pace.rest();
      const { values, start, texts, seqs } = batch;
      const read = texts(row);
      const isBefore = read.op === "SET" ? seqs(row) < refill : seqs(row) <= refill;
      if (refill > 0 && isBefore) continue;
      this.#applyRow(values, row, start, read);
    }
  }

  #open(batch: ColumnBatch): OpenBatch {
    const byId = new Map(batch.fields.map(({ id }, i) => [id, batch.columns[i]]));
    const values = this.#columns.map(({ field, former }): Held => ({
      current: byId.get(field.id),
      former: former.flatMap(({ id, from }) => {
        const column = byId.get(id);
        return column === undefined ? [] : [[column, from] as const];
      }),
    }));
    for (const [i, { field }] of this.#columns.entries()) {
      this.#read[i]?.push(values[i]?.current ?? nullColumn(field.type, batch.length));
    }
    const start = this.#rows;
    this.#rows += batch.length;
    const text = (name: string) => {
      const value = reader(batch, name);
      return (row: number) => {
        const read = value(row);
        return typeof read === "string" ? read : undefined;
      };
    };
    const [op, rowId, changed] = [text("_op"), text("_row"), text("_changed")];
    const [raw, effect] = [text("_raw"), text("_effect")];
    const [seq, slice] = [reader(batch, "_seq"), reader(batch, "_slice")];
    return {
      values,
      start,
      length: batch.length,
      seqs: (row) => Number(seq(row)),
      slices: (row) => Number(slice(row) ?? Infinity),
      isSet: (row) => op(row) === "SET",
      texts: (row) => ({
        op: op(row) ?? "",
        rowId: rowId(row) ?? "",
        changed: changed(row),
        raw: raw(row),
        effect: effect(row),
      }),
    };
  }

  /**
   * Gives the columns that have the values which images name: value `n` of an image is row `n >> 1`
   * of the first when `n` is even, and of the second when it is odd. No more changes can be applied.
   *
   * @returns two columns for each column of the rows
   */
  sources(): readonly (readonly [changes: Column, beside: Column])[] {
    return this.#columns.map(({ field }, i) => {
      const read = this.#read[i] ?? [];
      const beside = this.#beside[i]?.finish() ?? nullColumn(field.type, 0);
      this.#read[i] = [];
      return [read.length === 0 ? nullColumn(field.type, 0) : concat(read), beside];
    });
  }

  #applyRow(values: readonly Held[], row: number, start: number, texts: Texts): void {
    const effect = texts.effect === undefined ? NO_MEMBERS : parse(texts.effect);
    const shape = this.#shapeOf(texts, effect);
    if (shape === undefined) return;
    const raw = texts.raw === undefined ? NO_MEMBERS : parse(texts.raw);
    const image = this.images.touch(texts.rowId, shape.isVisible, shape.replaces);
    for (const [column, name] of shape.cells) {
      const { current, former = [] } = values[column] ?? {};
      const isThere = current !== undefined && !isNull(current, row);
      const source = isThere
        ? (start + row) * 2
        : this.#keep(column, formerValue(former, row) ?? stored(raw, name));
      this.images.put(image, column, source);
    }
    if (effect.cells === undefined) return;
    for (const [number, { value }] of decodeCells(JSON.stringify(effect.cells))) {
      const column = this.#placeOf.get(number);
      if (column !== undefined) this.images.put(image, column, this.#keep(column, value));
    }
  }

  /** Keeps a value beside the columns; one that its column cannot hold is left out. */
  #keep(column: number, value: Value): number {
    const builder = this.#beside[column];
    if (value === null || builder === undefined) return NOTHING;
    const at = builder.length;
    const type = this.#columns[column]?.field.from ?? "string";
    return builder.append(canonicalValue(type, value)) === undefined ? at * 2 + 1 : NOTHING;
  }

  /** What a change does apart from its values; undefined when that is nothing. */
  #shapeOf({ op, changed = "", effect = "" }: Texts, members: Members): Shape | undefined {
    // Texts with values in them are not shared by many rows.
    if (members.cells !== undefined || members.stamps !== undefined) {
      return this.#readShape(op, changed, members);
    }
    const name = `${op} ${changed} ${effect}`;
    const known = this.#shapes.get(name);
    if (known !== undefined || this.#shapes.has(name)) return known;
    if (this.#shapes.size >= MAX_SHAPES) this.#shapes.clear();
    const shape = this.#readShape(op, changed, members);
    this.#shapes.set(name, shape);
    return shape;
  }

  #readShape(op: string, changed: string, members: Members): Shape | undefined {
    if (op !== "SET" && (members.unsettles === true || members.unknown === true)) return undefined;
    const lost = new Set(Array.isArray(members.lost) ? members.lost : []);
    const names: readonly string[] = changed === "" ? [] : JSON.parse(changed);
    const cells = names.flatMap((name, i): [number, string][] => {
      const number = writtenNumber(this.#table, members, name, i);
      const column = number === undefined ? undefined : this.#placeOf.get(number);
      return column === undefined || lost.has(number) ? [] : [[column, name]];
    });
    return {
      isVisible: typeof members.visible === "boolean" ? members.visible : op !== "DELETE",
      replaces: typeof members.replaces === "boolean" ? members.replaces : op !== "UPDATE",
      cells,
    };
  }
}

/** A value that was written before its column was widened. */
function formerValue(former: Held["former"], row: number): Value {
  for (const [column, from] of former) {
    const value = valueAt(column, row, from);
    if (value !== null) return value;
  }
  return null;
}

function stored(raw: Members, name: string): Value {
  return Object.hasOwn(raw, name) ? fromStoredValue(raw[name] ?? null) : null;
}

function parse(json: string): Members {
  return JSON.parse(json);
}

function reader(batch: ColumnBatch, name: string): (row: number) => Value {
  const column = batch.columns[batch.fields.findIndex((field) => field.name === name)];
  if (column === undefined) throw new TypeError(`Changes are to be read with ${name}`);
  return (row) => valueAt(column, row);
}

/** The rows of a commit: of one file as they are there, of several by their places. */
function* inOrder(
  batches: readonly OpenBatch[],
): Generator<{ readonly batch: OpenBatch; readonly row: number }> {
  const [only, second] = batches;
  if (only !== undefined && second === undefined) {
    for (let row = 0; row < only.length; row++) yield { batch: only, row };
    return;
  }
  yield* batches
    .flatMap((batch) => Array.from({ length: batch.length }, (_, row) => ({ batch, row })))
    .sort((a, b) =>
      a.batch.seqs(a.row) - b.batch.seqs(b.row) ||
      (a.batch.slices(a.row) - b.batch.slices(b.row) || 0) ||
      Number(a.batch.isSet(a.row)) - Number(b.batch.isSet(b.row))
    );
}
