/**
 * Batches as Arrow's stream format, by which they get into and out of the Parquet library. Buffers
 * are handed on as they are; no value is looked at.
 *
 * @module
 */

import * as arrow from "apache-arrow";
import type { Column, ColumnData } from "../columns/column.ts";
import { decimalOf } from "../columns/layout.ts";
import type { LakeField, LakeType } from "../iceberg/schema.ts";
import type { ColumnBatch } from "./parquet.ts";

/** By which a field of a Parquet file gets its id. */
const FIELD_ID = "PARQUET:field_id";

function arrowType(type: LakeType): arrow.DataType {
  switch (type) {
    case "boolean":
      return new arrow.Bool();
    case "int":
      return new arrow.Int32();
    case "long":
      return new arrow.Int64();
    case "double":
      return new arrow.Float64();
    case "date":
      return new arrow.DateDay();
    case "timestamptz":
      return new arrow.TimestampMicrosecond("UTC");
    case "string":
      return new arrow.Utf8();
    case "binary":
      return new arrow.Binary();
    default: {
      const { precision, scale } = decimalOf(type);
      return new arrow.Decimal(scale, precision, 128);
    }
  }
}

function arrowField({ id, name, type, required }: LakeField): arrow.Field {
  return new arrow.Field(name, arrowType(type), !required, new Map([[FIELD_ID, String(id)]]));
}

function arrowData({ type, length, nulls, validity, data }: Column): arrow.Data {
  const { OFFSET, DATA, VALIDITY } = arrow.BufferType;
  const bitmap = validity === undefined ? {} : { [VALIDITY]: validity };
  const buffers = data.kind === "bytes"
    ? { [OFFSET]: data.offsets, [DATA]: data.bytes, ...bitmap }
    : { [DATA]: numbersOf(data), ...bitmap };
  return new arrow.Data(arrowType(type), 0, length, nulls, buffers);
}

function numbersOf(data: Exclude<ColumnData, { readonly kind: "bytes" }>): ArrayBufferView {
  switch (data.kind) {
    case "bits":
      return data.bits;
    case "int128": {
      const { buffer, byteOffset, byteLength } = data.halves;
      return new Uint32Array(buffer, byteOffset, byteLength / 4);
    }
    default:
      return data.values;
  }
}

/**
 * Writes a batch as a stream of one record batch.
 *
 * @param batch the rows
 * @returns the bytes of the stream
 */
export function toArrowStream({ fields, length, columns }: ColumnBatch): Uint8Array {
  const schema = new arrow.Schema(fields.map(arrowField));
  const type = new arrow.Struct(schema.fields);
  const rows = new arrow.Data(type, 0, length, 0, {}, columns.map(arrowData));
  return arrow.tableToIPC(new arrow.Table(schema, [new arrow.RecordBatch(schema, rows)]), "stream");
}

/** A column of a file. */
export interface FileColumn {
  /** Its name in the file, by which it is asked for. */
  readonly name: string;
  /** Its id, if it has one. */
  readonly id: number | undefined;
}

function columnsOf({ fields }: arrow.Schema): FileColumn[] {
  return fields.map(({ name, metadata }) => {
    const id = metadata.get(FIELD_ID);
    return { name, id: id === undefined ? undefined : Number(id) };
  });
}

/**
 * Reads what columns a stream has.
 *
 * @param stream the bytes of a stream, maybe without rows
 */
export function columnsOfStream(stream: Uint8Array): FileColumn[] {
  return columnsOf(arrow.tableFromIPC(stream).schema);
}

/** What a stream has. */
export interface StreamedRows {
  /** How many rows. */
  readonly length: number;
  /**
   * Of each field its parts, one behind the other, whose buffers are parts of the stream; none where
   * the stream has no such column.
   */
  readonly columns: readonly (readonly Column[])[];
}

/**
 * Reads a stream.
 *
 * @param stream the bytes of a stream
 * @param fields which columns, by their ids
 * @throws {TypeError} when a column has a type that is none of its field's
 */
export function fromArrowStream(stream: Uint8Array, fields: readonly LakeField[]): StreamedRows {
  const { schema, batches, numRows } = arrow.tableFromIPC(stream);
  const indexes = new Map(columnsOf(schema).map(({ id }, i) => [id, i]));
  const columns = fields.map((field) => {
    const index = indexes.get(field.id);
    if (index === undefined) return [];
    return batches.map(({ data }) => columnOf(data.children[index], field));
  });
  return { length: numRows, columns };
}

function columnOf(data: arrow.Data | undefined, field: LakeField): Column {
  if (data === undefined) throw new TypeError(`A batch lacks the column ${field.name}`);
  const { length, nullCount: nulls, nullBitmap } = data;
  return {
    type: field.type,
    length,
    nulls,
    validity: nulls === 0 ? undefined : nullBitmap,
    data: dataOf(data, field),
  };
}

function dataOf(data: arrow.Data, { name, type }: LakeField): ColumnData {
  const { length, values, valueOffsets: offsets } = data;
  const from: arrow.DataType = data.type;
  switch (type) {
    case "boolean":
      if (arrow.DataType.isBool(from)) return { kind: "bits", bits: values };
      break;
    case "int":
    case "date":
      if (isInt(from, 32) && type === "int" || isDays(from)) return { kind: "int32", values };
      break;
    case "long":
      if (isInt(from, 64)) return { kind: "int64", values };
      if (isInt(from, 32)) return { kind: "int64", values: BigInt64Array.from(values, BigInt) };
      break;
    case "timestamptz":
      if (isMicros(from)) return { kind: "int64", values };
      break;
    case "double":
      if (arrow.DataType.isFloat(from) && from.precision !== arrow.Precision.HALF) {
        return {
          kind: "float64",
          values: values instanceof Float64Array ? values : Float64Array.from(values),
        };
      }
      break;
    case "string":
      if (arrow.DataType.isUtf8(from)) return { kind: "bytes", offsets, bytes: values };
      break;
    case "binary":
      if (arrow.DataType.isBinary(from)) return { kind: "bytes", offsets, bytes: values };
      break;
    default:
      if (isDecimalWithin(from, type)) {
        const { buffer, byteOffset } = values;
        return { kind: "int128", halves: new BigInt64Array(buffer, byteOffset, 2 * length) };
      }
  }
  throw new TypeError(`The column ${name} is ${from} in the file, which cannot be read as ${type}`);
}

function isInt(type: arrow.DataType, bits: number): boolean {
  return arrow.DataType.isInt(type) && type.isSigned && type.bitWidth === bits;
}

function isDays(type: arrow.DataType): boolean {
  return arrow.DataType.isDate(type) && type.unit === arrow.DateUnit.DAY;
}

function isMicros(type: arrow.DataType): boolean {
  return arrow.DataType.isTimestamp(type) && type.unit === arrow.TimeUnit.MICROSECOND &&
    type.timezone !== null && type.timezone !== undefined;
}

function isDecimalWithin(from: arrow.DataType, type: LakeType): boolean {
  const { precision, scale } = decimalOf(type);
  return arrow.DataType.isDecimal(from) && from.scale === scale && from.precision <= precision &&
    from.bitWidth === 128;
}
