/**
 * Laying a pending write over a cell, by the column's merge kind: a counter's increment is added, a
 * set's elements are added and removed, of a `max` and a `min` column the greater or the lesser
 * value stands. NULL writes nothing to any of them, as at the gateway.
 *
 * What the app itself wrote stays in its table until a row's overlay is computed the next time, so
 * a smaller value in a `max` column shows until then.
 *
 * @module
 */

import {
  canonicalJson,
  type CellKind,
  type ColumnType,
  counterAdd,
  kindOf,
  type Op,
  orderOf,
  type SetElement,
  setWrite,
  toInteger,
  type Value,
} from "@lakesync/core";
import { toCell, toValue } from "./convert.ts";
import type { SqlValue } from "./database/driver.ts";
import type { PlacedColumn, SyncedTable } from "./layout.ts";

/**
 * Lays what the outbox keeps of a write over a cell. A counter may leave 64 bits on the way, until
 * {@linkcode CellLayer.settle}.
 */
export type LayCell = (cell: SqlValue, written: SqlValue) => SqlValue;

/** How pending writes are laid over the cells of one column. */
export interface CellLayer {
  /** Lays one write over a cell. */
  readonly lay: LayCell;
  /** What the outbox keeps of a delta's value; undefined when it is not of the written form. */
  readonly read: (value: Value) => SqlValue | undefined;
  /** Brings a cell into what its column takes, after the last write. */
  readonly settle: (cell: SqlValue) => SqlValue;
}

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

function wholeNumber(cell: SqlValue): bigint {
  if (typeof cell === "bigint") return cell;
  return typeof cell === "number" && Number.isInteger(cell) ? BigInt(cell) : 0n;
}

const COUNTER: CellLayer = {
  lay: (cell, written) => {
    if (written === null) return cell;
    return wholeNumber(cell) + (typeof written === "string" ? BigInt(written) : 0n);
  },
  read: (value) => counterAdd(value)?.toString(),
  settle: (cell) => {
    if (typeof cell !== "bigint") return cell;
    if (cell < INT64_MIN) return INT64_MIN;
    return cell > INT64_MAX ? INT64_MAX : toInteger(cell);
  },
};

function elementsOf(cell: SqlValue): readonly SetElement[] {
  if (typeof cell !== "string") return [];
  try {
    return setWrite(JSON.parse(cell))?.add ?? [];
  } catch {
    return [];
  }
}

const SET: CellLayer = {
  lay: (cell, written) => {
    if (typeof written !== "string") return cell;
    const write = setWrite(JSON.parse(written));
    if (write === undefined) return cell;
    const elements = new Map(elementsOf(cell).map((element) => [canonicalJson(element), element]));
    for (const element of write.remove) elements.delete(canonicalJson(element));
    for (const element of write.add) elements.set(canonicalJson(element), element);
    const texts = [...elements.keys()].sort();
    return `[${texts.join(",")}]`;
  },
  read: (value) => {
    const write = setWrite(value);
    return write === undefined ? undefined : JSON.stringify(write);
  },
  settle: (cell) => cell,
};

function extremeLayer(
  kind: Exclude<CellKind, "lww" | "counter" | "set">,
  type: ColumnType,
): CellLayer {
  const compare = orderOf(kind);
  return {
    lay: (cell, written) => {
      if (written === null) return cell;
      if (cell === null) return written;
      return compare(toValue(written, type), toValue(cell, type)) > 0 ? written : cell;
    },
    read: (value) => toCell(value, type),
    settle: (cell) => cell,
  };
}

function layerOf(table: SyncedTable, { name, type }: PlacedColumn): CellLayer | undefined {
  const column = table.table.byName.get(name);
  const kind = column === undefined ? "lww" : kindOf(column);
  switch (kind) {
    case "lww":
      return undefined;
    case "counter":
      return COUNTER;
    case "set":
      return SET;
    default:
      return extremeLayer(kind, type);
  }
}

/**
 * How pending writes are laid over the rows of a table.
 *
 * @param table the table
 * @returns one entry for each of its columns, undefined for those whose last write wins; undefined
 * when that is all of them
 */
export function layersOf(table: SyncedTable): readonly (CellLayer | undefined)[] | undefined {
  const layers = table.columns.map((column) => layerOf(table, column));
  return layers.some((layer) => layer !== undefined) ? layers : undefined;
}

/**
 * What a cell becomes when a delta is issued again by plain SQL. In place of a counter's or a set's
 * written form an UPDATE may have the plain value that is to be there then.
 *
 * @param table the table
 * @param column one of its columns
 * @param op what the delta does
 * @param value what it carries for the column
 * @param cell what is there, null when the row is not
 * @returns the cell to be written
 */
export function issuedCell(
  table: SyncedTable,
  column: PlacedColumn,
  op: Op,
  value: Value,
  cell: SqlValue,
): SqlValue {
  const layer = layerOf(table, column);
  if (layer !== undefined && value === null) return cell;
  const plain = typeof value !== "object" || Array.isArray(value);
  const isForm = layer === COUNTER || layer === SET;
  const written = isForm && plain && op === "UPDATE" ? undefined : layer?.read(value);
  if (layer === undefined || written === undefined) return toCell(value, column.type);
  return layer.settle(layer.lay(cell, written));
}
