/**
 * Orders and outcomes as they go between threads: bare buffers, with where in them the values are.
 * Typed arrays would do as well, but Deno's threads look at each of their elements on the way.
 *
 * @module
 */

import type { Column, ColumnData } from "../columns/column.ts";
import type { ColumnKind } from "../columns/layout.ts";
import type { Order, Outcome } from "./orders.ts";
import type { ColumnBatch, ParquetFile } from "./parquet.ts";

/** A part of a buffer. */
interface Part {
  readonly buffer: ArrayBuffer;
  readonly start: number;
  readonly bytes: number;
}

interface PackedColumn extends Pick<Column, "type" | "length" | "nulls"> {
  readonly kind: ColumnKind;
  readonly validity: Part | undefined;
  readonly offsets: Part | undefined;
  readonly values: Part;
}

interface PackedBatch extends Pick<ColumnBatch, "fields" | "length"> {
  readonly columns: readonly PackedColumn[];
}

interface PackedFile extends Omit<ParquetFile, "bytes"> {
  readonly bytes: Part;
}

type WriteOrder = Extract<Order, { readonly kind: "write" }>;
type ReadOrder = Extract<Order, { readonly kind: "read" }>;

/** An order on its way to the thread. */
export type PackedOrder =
  | Omit<WriteOrder, "batch"> & { readonly batch: PackedBatch }
  | Omit<ReadOrder, "bytes"> & { readonly bytes: Part };

/** An outcome on its way back. */
export interface PackedOutcome extends Pick<Outcome, "problem" | "heldBytes"> {
  readonly file: PackedFile | undefined;
  readonly batch: PackedBatch | undefined;
}

/** What is sent, and the buffers that go with it and are gone here. */
export interface Packed<Message> {
  readonly message: Message;
  readonly transfer: ArrayBuffer[];
}

/** Collects the buffers that are given away. */
class Packer {
  readonly #buffers = new Set<ArrayBuffer>();

  get transfer(): ArrayBuffer[] {
    return [...this.#buffers];
  }

  /** Gives away the buffer of a view. */
  give(view: ArrayBufferView): Part {
    const { buffer, byteOffset: start, byteLength: bytes } = view;
    if (!(buffer instanceof ArrayBuffer)) return this.give(copyOf(view));
    this.#buffers.add(buffer);
    return { buffer, start, bytes };
  }

  giveBatch({ fields, length, columns }: ColumnBatch): PackedBatch {
    return { fields, length, columns: columns.map((column) => this.#giveColumn(column)) };
  }

  #giveColumn({ type, length, nulls, validity, data }: Column): PackedColumn {
    return {
      type,
      length,
      nulls,
      kind: data.kind,
      validity: validity && this.give(validity),
      offsets: data.kind === "bytes" ? this.give(data.offsets) : undefined,
      values: this.give(valuesOf(data)),
    };
  }
}

function copyOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new Uint8Array(buffer, byteOffset, byteLength));
}

function valuesOf(data: ColumnData): ArrayBufferView {
  switch (data.kind) {
    case "bits":
      return data.bits;
    case "bytes":
      return data.bytes;
    case "int128":
      return data.halves;
    default:
      return data.values;
  }
}

function bytesOf({ buffer, start, bytes }: Part): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer, start, bytes);
}

function dataOf({ kind, values, offsets }: PackedColumn): ColumnData {
  const { buffer, start, bytes } = values;
  switch (kind) {
    case "bits":
      return { kind, bits: bytesOf(values) };
    case "int32":
      return { kind, values: new Int32Array(buffer, start, bytes / 4) };
    case "int64":
      return { kind, values: new BigInt64Array(buffer, start, bytes / 8) };
    case "float64":
      return { kind, values: new Float64Array(buffer, start, bytes / 8) };
    case "int128":
      return { kind, halves: new BigInt64Array(buffer, start, bytes / 8) };
    case "bytes": {
      if (offsets === undefined) throw new TypeError("A column of bytes has no offsets");
      const ends = new Int32Array(offsets.buffer, offsets.start, offsets.bytes / 4);
      return { kind, offsets: ends, bytes: bytesOf(values) };
    }
  }
}

function unpackBatch({ fields, length, columns }: PackedBatch): ColumnBatch {
  return {
    fields,
    length,
    columns: columns.map((column) => ({
      type: column.type,
      length: column.length,
      nulls: column.nulls,
      validity: column.validity && bytesOf(column.validity),
      data: dataOf(column),
    })),
  };
}

/** Packs an order. The buffers of a batch are given away, those of a file are copied. */
export function packOrder(order: Order): Packed<PackedOrder> {
  const packer = new Packer();
  const message = order.kind === "write"
    ? { ...order, batch: packer.giveBatch(order.batch) }
    : { ...order, bytes: packer.give(copyOf(order.bytes)) };
  return { message, transfer: packer.transfer };
}

/** Unpacks an order. */
export function unpackOrder(order: PackedOrder): Order {
  return order.kind === "write"
    ? { ...order, batch: unpackBatch(order.batch) }
    : { ...order, bytes: bytesOf(order.bytes) };
}

/** Packs an outcome, whose buffers are given away. */
export function packOutcome({ file, batch, ...rest }: Outcome): Packed<PackedOutcome> {
  const packer = new Packer();
  const message = {
    ...rest,
    file: file && { ...file, bytes: packer.give(file.bytes) },
    batch: batch && packer.giveBatch(batch),
  };
  return { message, transfer: packer.transfer };
}

/** Unpacks an outcome. */
export function unpackOutcome({ file, batch, ...rest }: PackedOutcome): Outcome {
  return {
    ...rest,
    ...(file && { file: { ...file, bytes: bytesOf(file.bytes) } }),
    ...(batch && { batch: unpackBatch(batch) }),
  };
}
