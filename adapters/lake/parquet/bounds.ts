/**
 * Bounds of columns in the form that Iceberg's manifests have.
 * Source: Iceberg table specification, "Appendix D: Single-value serialization".
 *
 * @module
 */

import { hasBit } from "../columns/bits.ts";
import type { Column } from "../columns/column.ts";
import { extremesOf } from "../columns/compare.ts";
import { ofHalves } from "../columns/decimal.ts";

const MAX_CHARS = 16;
const MAX_BYTES = 16;
const LAST_CODE_POINT = 0x10ffff;

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

/** The bounds of a column's values. */
export interface Bounds {
  /** No value is below it; undefined when there is no value. */
  readonly lower: Uint8Array | undefined;
  /** No value is above it; undefined when there is no value, or nothing short enough is above. */
  readonly upper: Uint8Array | undefined;
}

/**
 * Finds bounds of the values of a column. Texts are cut to 16 characters and bytes to 16 bytes.
 *
 * @param column the column
 */
export function boundsOf(column: Column): Bounds {
  const extremes = extremesOf(column);
  if (extremes === undefined) return { lower: undefined, upper: undefined };
  const lower = singleValue(column, extremes.min);
  const upper = singleValue(column, extremes.max);
  switch (column.type) {
    case "string":
      return { lower: lowerText(lower), upper: upperText(upper) };
    case "binary":
      return { lower: lower.slice(0, MAX_BYTES), upper: upperBytes(upper) };
    case "double":
      return { lower: zeroAs(lower, -0), upper: zeroAs(upper, 0) };
    default:
      return { lower, upper };
  }
}

/**
 * Writes one value.
 *
 * @param column its column
 * @param index its row, where it is not null
 * @returns its bytes, which are its own
 */
export function singleValue({ type, data }: Column, index: number): Uint8Array<ArrayBuffer> {
  switch (data.kind) {
    case "bits":
      return Uint8Array.of(hasBit(data.bits, index) ? 1 : 0);
    case "int32":
      return filled(4, (view) => view.setInt32(0, data.values[index] ?? 0, true));
    case "int64":
      return filled(8, (view) => view.setBigInt64(0, data.values[index] ?? 0n, true));
    case "float64":
      return filled(8, (view) => view.setFloat64(0, data.values[index] ?? 0, true));
    case "int128":
      return shortest(ofHalves(data.halves[2 * index] ?? 0n, data.halves[2 * index + 1] ?? 0n));
    case "bytes": {
      if (type !== "string" && type !== "binary") throw new TypeError(`${type} has no bytes`);
      return data.bytes.slice(data.offsets[index] ?? 0, data.offsets[index + 1] ?? 0);
    }
  }
}

function filled(length: number, fill: (view: DataView) => void): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  fill(new DataView(bytes.buffer));
  return bytes;
}

/** Two's complement in the fewest bytes, the highest first. */
function shortest(units: bigint): Uint8Array<ArrayBuffer> {
  let length = 1;
  while (BigInt.asIntN(8 * length, units) !== units) length++;
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    bytes[length - 1 - i] = Number(BigInt.asUintN(8, units >> BigInt(8 * i)));
  }
  return bytes;
}

/** Some readers take -0 to be below 0 and some to be the same, so a bound that is zero has both. */
function zeroAs(bound: Uint8Array<ArrayBuffer>, zero: number): Uint8Array<ArrayBuffer> {
  const view = new DataView(bound.buffer);
  if (view.getFloat64(0, true) === 0) view.setFloat64(0, zero, true);
  return bound;
}

/** The first characters of a text, or undefined when there are no more. */
function cut(text: Uint8Array): string | undefined {
  // A character has four bytes at most.
  const start = [...decoder.decode(text.subarray(0, 4 * (MAX_CHARS + 1)))];
  return start.length > MAX_CHARS ? start.slice(0, MAX_CHARS).join("") : undefined;
}

function lowerText(text: Uint8Array): Uint8Array {
  const short = cut(text);
  return short === undefined ? text : encoder.encode(short);
}

function upperText(text: Uint8Array): Uint8Array | undefined {
  const short = cut(text);
  if (short === undefined) return text;
  const points = Array.from(short, (char) => char.codePointAt(0) ?? 0);
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    if (last === LAST_CODE_POINT) continue;
    const next = last === 0xd7ff ? 0xe000 : last + 1;
    return encoder.encode(String.fromCodePoint(...points, next));
  }
  return undefined;
}

function upperBytes(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length <= MAX_BYTES) return bytes;
  for (let length = MAX_BYTES; length > 0; length--) {
    const last = bytes[length - 1] ?? 0;
    if (last === 0xff) continue;
    const upper = bytes.slice(0, length);
    upper[length - 1] = last + 1;
    return upper;
  }
  return undefined;
}
