/**
 * Deltas and row changes to and from the packed `Rows` message.
 *
 * Internal to the protocol; use binary.ts.
 *
 * @module
 */

import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { create } from "@bufbuild/protobuf";
import type { Hlc } from "../clock.ts";
import { isHlc } from "../clock.ts";
import type { Delta, Op as DeltaOp, Shape } from "../delta.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import type { Value } from "../value.ts";
import { CellReader, CellWriter, malformed } from "./cells.ts";
import {
  Op,
  type Rows,
  RowsSchema,
  type Shape as WireShape,
  ShapeSchema,
} from "./gen/lakesync_pb.ts";
import { type ChangeShape, MAX_ROW_BUCKETS, type RowChange } from "./messages.ts";

const DELTA_OPS: Readonly<Record<DeltaOp, Op>> = {
  INSERT: Op.INSERT,
  UPDATE: Op.UPDATE,
  DELETE: Op.DELETE,
};
const DELTA_ID_BYTES = 32;

/** Packs deltas. */
export function packDeltas(deltas: readonly Delta[]): Rows {
  const writer = new CellWriter();
  const shapes = new Map<Shape, number>();
  const wireShapes: WireShape[] = [];
  const shape: number[] = [];
  const hlc = new Uint8Array(deltas.length * 8);
  const hlcView = new DataView(hlc.buffer);
  const withIds = deltas.some((delta) => delta.deltaId !== undefined);
  const deltaIds = new Uint8Array(withIds ? deltas.length * DELTA_ID_BYTES : 0);
  const anew = deltas.some((delta) => delta.written !== undefined);
  const written = new Uint8Array(anew ? deltas.length * 8 : 0);
  const writtenView = new DataView(written.buffer);
  for (const [i, delta] of deltas.entries()) {
    let index = shapes.get(delta.shape);
    if (index === undefined) {
      index = wireShapes.length;
      shapes.set(delta.shape, index);
      const { op, table, columns } = delta.shape;
      wireShapes.push(
        create(ShapeSchema, {
          op: DELTA_OPS[op],
          table,
          columns: [...columns],
        }),
      );
    }
    shape.push(index);
    hlcView.setBigUint64(i * 8, delta.hlc ?? 0n);
    if (delta.written !== undefined) writtenView.setBigUint64(i * 8, delta.written);
    if (delta.deltaId !== undefined) {
      deltaIds.set(hexToBytes(delta.deltaId), i * DELTA_ID_BYTES);
    }
    writer.rowId(delta.rowId);
    for (const value of delta.values) writer.value(value);
  }
  return create(RowsSchema, {
    shapes: wireShapes,
    shape,
    hlc,
    deltaIds,
    written,
    ...writer.finish(),
  });
}

/** Packs row changes. */
export function packChanges(changes: readonly RowChange[]): Rows {
  const writer = new CellWriter();
  const shapes = new Map<ChangeShape, number>();
  const wireShapes: WireShape[] = [];
  const shape: number[] = [];
  for (const change of changes) {
    let index = shapes.get(change.shape);
    if (index === undefined) {
      index = wireShapes.length;
      shapes.set(change.shape, index);
      const { op, table, columns, unset = [], buckets = [] } = change.shape;
      wireShapes.push(create(ShapeSchema, {
        op: op === "PUT" ? Op.PUT : Op.REMOVE,
        table,
        columns: [...columns],
        unset: [...unset],
        buckets: [...buckets],
      }));
    }
    shape.push(index);
    writer.rowId(change.rowId);
    for (const value of change.values) writer.value(value);
  }
  return create(RowsSchema, { shapes: wireShapes, shape, ...writer.finish() });
}

/**
 * Bounds a list of column names.
 *
 * @param names the names
 * @param whose what has them, for the message
 * @throws {LakeSyncError} `VALIDATION_ERROR` when there are too many, or one twice
 */
export function checkColumnNames(names: readonly string[], whose: string): void {
  if (names.length > DEFAULT_LIMITS.maxColumns) {
    throw malformed(`${whose} has too many columns`);
  }
  if (new Set(names).size !== names.length) {
    throw malformed(`${whose} names a column twice`);
  }
}

function deltaShape(shape: WireShape): Shape {
  checkColumnNames(shape.columns, "a shape");
  const { table, columns } = shape;
  switch (shape.op) {
    case Op.INSERT:
      return { op: "INSERT", table, columns };
    case Op.UPDATE:
      return { op: "UPDATE", table, columns };
    case Op.DELETE:
      return { op: "DELETE", table, columns };
    default:
      throw malformed("op must be INSERT, UPDATE or DELETE");
  }
}

function changeShape(shape: WireShape): ChangeShape {
  checkColumnNames([...shape.columns, ...shape.unset], "a shape");
  if (shape.buckets.length > MAX_ROW_BUCKETS) throw malformed("a shape has too many buckets");
  if (shape.op !== Op.PUT && shape.op !== Op.REMOVE) {
    throw malformed("op must be PUT or REMOVE");
  }
  const { table, columns, unset, buckets } = shape;
  return {
    op: shape.op === Op.PUT ? "PUT" : "REMOVE",
    table,
    columns,
    ...(unset.length > 0 ? { unset } : {}),
    ...(buckets.length > 0 ? { buckets } : {}),
  };
}

function readValues(reader: CellReader, count: number): Value[] {
  const values = new Array<Value>(count);
  for (let i = 0; i < count; i++) values[i] = reader.value();
  return values;
}

/**
 * Unpacks deltas.
 *
 * @throws {LakeSyncError} `VALIDATION_ERROR` when the message is damaged
 */
export function unpackDeltas(rows: Rows): Delta[] {
  const count = rows.shape.length;
  if (rows.hlc.length !== count * 8) {
    throw malformed("hlc must hold eight bytes for each row");
  }
  const withIds = rows.deltaIds.length > 0;
  if (withIds && rows.deltaIds.length !== count * DELTA_ID_BYTES) {
    throw malformed("delta_ids must hold 32 bytes for each row");
  }
  const anew = rows.written.length > 0;
  if (anew && rows.written.length !== count * 8) {
    throw malformed("written must hold eight bytes for each row");
  }
  const shapes = rows.shapes.map(deltaShape);
  const hlcs = viewOf(rows.hlc);
  const writtens = viewOf(rows.written);
  const reader = new CellReader(rows.cells, rows.text, rows.blobs);
  const deltas = new Array<Delta>(count);
  for (let i = 0; i < count; i++) {
    const shape = shapes[rows.shape[i] ?? -1];
    if (shape === undefined) {
      throw malformed("a row names a shape that is not there");
    }
    const rowId = reader.rowId();
    const written = anew ? readHlc(writtens, i) : undefined;
    deltas[i] = {
      shape,
      rowId,
      hlc: readHlc(hlcs, i),
      values: readValues(reader, shape.columns.length),
      deltaId: withIds ? readDeltaId(rows.deltaIds, i) : undefined,
      ...(written === undefined ? {} : { written }),
    };
  }
  if (!reader.done) throw malformed("bytes are left over after the last row");
  return deltas;
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function readHlc(hlcs: DataView, i: number): Hlc | undefined {
  const hlc = hlcs.getBigUint64(i * 8);
  if (hlc === 0n) return undefined;
  if (!isHlc(hlc)) throw malformed("hlc is out of range");
  return hlc;
}

function readDeltaId(deltaIds: Uint8Array, i: number): string | undefined {
  const bytes = deltaIds.subarray(i * DELTA_ID_BYTES, (i + 1) * DELTA_ID_BYTES);
  return bytes.some((byte) => byte !== 0) ? bytesToHex(bytes) : undefined;
}

/**
 * Unpacks row changes.
 *
 * @throws {LakeSyncError} `VALIDATION_ERROR` when the message is damaged
 */
export function unpackChanges(rows: Rows): RowChange[] {
  const shapes = rows.shapes.map(changeShape);
  const reader = new CellReader(rows.cells, rows.text, rows.blobs);
  const changes = new Array<RowChange>(rows.shape.length);
  for (let i = 0; i < changes.length; i++) {
    const shape = shapes[rows.shape[i] ?? -1];
    if (shape === undefined) {
      throw malformed("a row names a shape that is not there");
    }
    const rowId = reader.rowId();
    changes[i] = {
      shape,
      rowId,
      values: readValues(reader, shape.columns.length),
    };
  }
  if (!reader.done) throw malformed("bytes are left over after the last row");
  return changes;
}
