/**
 * Builds columns from values, one after the other. Buffers grow by doubling and no value becomes an
 * object. A value that the type cannot hold exactly is not taken, and never rounded.
 *
 * @module
 */

import type { ColumnType, Misfit, Value } from "@lakesync/core";
import type { LakeType } from "../iceberg/schema.ts";
import { allSet, bytesOfBits, clearBit } from "./bits.ts";
import { ByteValues, TextValues } from "./byte_values.ts";
import type { Column } from "./column.ts";
import { decimalOf } from "./layout.ts";
import { parseDecimal } from "./decimal.ts";
import { parseDate, parseTimestamp } from "./time.ts";
import { BitValues, FixedValues, type Present, type Values, WideValues } from "./values.ts";

const FIRST_BYTES = 64;
const INT32_MIN = -(2 ** 31);
const INT32_MAX = 2 ** 31 - 1;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** Takes the values of one column. */
export interface ColumnBuilder {
  /** The column's type. */
  readonly type: LakeType;
  /** How many values it has. */
  readonly length: number;
  /** How many bytes they take, about. */
  readonly byteLength: number;
  /**
   * Takes a value; one that does not fit changes nothing.
   *
   * @param value the value, or null
   * @returns why it does not fit, to follow the column's name; undefined when it was taken
   */
  append(value: Value): Misfit | undefined;
  /** Gives the column; the builder begins anew. */
  finish(): Column;
}

class Builder implements ColumnBuilder {
  readonly type: LakeType;
  readonly #values: Values;
  #length = 0;
  #nulls = 0;
  /** From the first null on; all bits behind the length are set. */
  #validity: Uint8Array<ArrayBuffer> | undefined;

  constructor(type: LakeType, values: Values) {
    this.type = type;
    this.#values = values;
  }

  get length(): number {
    return this.#length;
  }

  get byteLength(): number {
    return this.#values.byteLength + (this.#validity === undefined ? 0 : bytesOfBits(this.#length));
  }

  append(value: Value): Misfit | undefined {
    if (value === null) {
      this.#appendNull();
      return undefined;
    }
    const misfit = this.#values.put(this.#length, value);
    if (misfit === undefined) this.#length++;
    return misfit;
  }

  finish(): Column {
    const [length, nulls] = [this.#length, this.#nulls];
    const data = this.#values.take(length);
    let validity: Uint8Array | undefined;
    if (this.#validity !== undefined) {
      validity = allSet(length);
      const known = Math.min(validity.length, this.#validity.length);
      for (let i = 0; i < known; i++) validity[i] = (validity[i] ?? 0) & (this.#validity[i] ?? 0);
    }
    this.#length = this.#nulls = 0;
    this.#validity = undefined;
    return { type: this.type, length, nulls, validity, data };
  }

  #appendNull(): void {
    const byte = this.#length >> 3;
    let validity = this.#validity ?? new Uint8Array(FIRST_BYTES).fill(0xff);
    if (byte >= validity.length) {
      const grown = new Uint8Array(2 * Math.max(validity.length, byte)).fill(0xff);
      grown.set(validity);
      validity = grown;
    }
    clearBit(validity, this.#length);
    this.#validity = validity;
    this.#values.skip(this.#length);
    this.#length++;
    this.#nulls++;
  }
}

function readInt(value: Present): number | Misfit {
  if (typeof value !== "number" && typeof value !== "bigint") return "takes a whole number";
  const number = Number(value);
  return Number.isInteger(number) && number >= INT32_MIN && number <= INT32_MAX
    ? number
    : "takes a whole number of at most 32 bits";
}

function readLong(value: Present): bigint | Misfit {
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  if (typeof value === "bigint" && value >= INT64_MIN && value <= INT64_MAX) return value;
  return "takes a whole number of at most 64 bits";
}

function readDouble(value: Present): number | Misfit {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (typeof value === "bigint" && BigInt(Number(value)) === value) return Number(value);
  return "takes a number that 64 bits hold exactly";
}

function readDate(value: Present): number | Misfit {
  const days = typeof value === "string" ? parseDate(value) : undefined;
  return days ?? "takes a date like 2026-01-31";
}

function readTimestamp(value: Present): bigint | Misfit {
  const micros = typeof value === "string" ? parseTimestamp(value) : undefined;
  return micros ?? "takes an RFC 3339 time in UTC, like 2026-01-31T09:30:00.123456Z";
}

function decimalReader(type: LakeType): (value: Present) => bigint | Misfit {
  const { precision, scale } = decimalOf(type);
  const misfit =
    `takes a decimal text with at most ${precision} digits, ${scale} of them after the point`;
  return (value) =>
    (typeof value === "string" ? parseDecimal(value, precision, scale) : undefined) ?? misfit;
}

function textOf(value: Present): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function jsonOf(value: Present): string | undefined {
  const isPlain = typeof value !== "bigint" && !(value instanceof Uint8Array);
  return isPlain ? JSON.stringify(value) : undefined;
}

function int32Values(read: (value: Present) => number | Misfit): Values {
  return new FixedValues(
    (length) => new Int32Array(length),
    (buffer, length) => ({ kind: "int32", values: buffer.subarray(0, length) }),
    read,
  );
}

function int64Values(read: (value: Present) => bigint | Misfit): Values {
  return new FixedValues(
    (length) => new BigInt64Array(length),
    (buffer, length) => ({ kind: "int64", values: buffer.subarray(0, length) }),
    read,
  );
}

function float64Values(): Values {
  return new FixedValues(
    (length) => new Float64Array(length),
    (buffer, length) => ({ kind: "float64", values: buffer.subarray(0, length) }),
    readDouble,
  );
}

function valuesOf(type: LakeType, from: ColumnType | undefined): Values {
  switch (type) {
    case "boolean":
      return new BitValues();
    case "int":
      return int32Values(readInt);
    case "long":
      return int64Values(readLong);
    case "double":
      return float64Values();
    case "date":
      return int32Values(readDate);
    case "timestamptz":
      return int64Values(readTimestamp);
    case "string":
      return from === "json"
        ? new TextValues(jsonOf, "takes plain JSON")
        : new TextValues(textOf, "takes a text");
    case "binary":
      return new ByteValues();
    default:
      return new WideValues(decimalReader(type));
  }
}

/**
 * Makes a builder of a column.
 *
 * @param type the column's type
 * @param from the type that values have at LakeSync; to be given for `json`, of which a `string` column
 * has the text
 * @returns a builder without values
 * @throws {TypeError} when there is no such type
 */
export function columnBuilder(type: LakeType, from?: ColumnType): ColumnBuilder {
  return new Builder(type, valuesOf(type, from));
}
