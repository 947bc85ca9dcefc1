/**
 * Growing buffers of the values of one column, which take values one after the other.
 *
 * @module
 */

import type { Misfit, Value } from "@lakesync/core";
import { bytesOfBits, setBit } from "./bits.ts";
import type { ColumnData } from "./column.ts";
import { highHalf, lowHalf } from "./decimal.ts";

const FIRST_CAPACITY = 64;

/** A value that is not null. */
export type Present = NonNullable<Value>;

/** Reads a value as what is kept of it, or tells why it does not fit. */
export type ValueReader<Element> = (value: Present) => Element | Misfit;

/** The values of a column that is being built. */
export interface Values {
  /** How many bytes they take. */
  readonly byteLength: number;
  /** Takes a value as the one at an index, of which those before are taken. */
  put(index: number, value: Present): Misfit | undefined;
  /** Leaves out the value at an index. */
  skip(index: number): void;
  /** Gives the buffers of so many values, and begins anew. */
  take(length: number): ColumnData;
}

interface Buffer<Element> {
  readonly length: number;
  readonly byteLength: number;
  [index: number]: Element;
  set(from: ArrayLike<Element>): void;
}

/** Values of one number each. */
export class FixedValues<Element extends number | bigint, B extends Buffer<Element>>
  implements Values {
  readonly #make: (length: number) => B;
  readonly #wrap: (buffer: B, length: number) => ColumnData;
  readonly #read: ValueReader<Element>;
  #buffer: B;
  #used = 0;

  /**
   * Begins with none.
   *
   * @param make makes a buffer
   * @param wrap gives what a buffer begins with as a column's
   * @param read reads a value
   */
  constructor(
    make: (length: number) => B,
    wrap: (buffer: B, length: number) => ColumnData,
    read: ValueReader<Element>,
  ) {
    this.#make = make;
    this.#wrap = wrap;
    this.#read = read;
    this.#buffer = make(FIRST_CAPACITY);
  }

  get byteLength(): number {
    return this.#used * this.#buffer.byteLength / this.#buffer.length;
  }

  put(index: number, value: Present): Misfit | undefined {
    const element = this.#read(value);
    if (typeof element === "string") return element;
    this.skip(index);
    this.#buffer[index] = element;
    return undefined;
  }

  skip(index: number): void {
    this.#used = index + 1;
    if (index < this.#buffer.length) return;
    const grown = this.#make(this.#buffer.length * 2);
    grown.set(this.#buffer);
    this.#buffer = grown;
  }

  take(length: number): ColumnData {
    const data = this.#wrap(this.#buffer, length);
    this.#buffer = this.#make(FIRST_CAPACITY);
    this.#used = 0;
    return data;
  }
}

/** Booleans. */
export class BitValues implements Values {
  #bits: Uint8Array<ArrayBuffer> = new Uint8Array(FIRST_CAPACITY);
  #used = 0;

  get byteLength(): number {
    return bytesOfBits(this.#used);
  }

  put(index: number, value: Present): Misfit | undefined {
    if (typeof value !== "boolean") return "takes true or false";
    this.skip(index);
    if (value) setBit(this.#bits, index);
    return undefined;
  }

  skip(index: number): void {
    this.#used = index + 1;
    if (index >> 3 < this.#bits.length) return;
    const grown = new Uint8Array(this.#bits.length * 2);
    grown.set(this.#bits);
    this.#bits = grown;
  }

  take(length: number): ColumnData {
    const bits = this.#bits.subarray(0, bytesOfBits(length));
    this.#bits = new Uint8Array(FIRST_CAPACITY);
    this.#used = 0;
    return { kind: "bits", bits };
  }
}

/** Whole numbers of 128 bits. */
export class WideValues implements Values {
  readonly #read: ValueReader<bigint>;
  #halves: BigInt64Array<ArrayBuffer> = new BigInt64Array(2 * FIRST_CAPACITY);
  #used = 0;

  /**
   * Begins with none.
   *
   * @param read reads a value
   */
  constructor(read: ValueReader<bigint>) {
    this.#read = read;
  }

  get byteLength(): number {
    return this.#used * 16;
  }

  put(index: number, value: Present): Misfit | undefined {
    const units = this.#read(value);
    if (typeof units === "string") return units;
    this.skip(index);
    this.#halves[2 * index] = lowHalf(units);
    this.#halves[2 * index + 1] = highHalf(units);
    return undefined;
  }

  skip(index: number): void {
    this.#used = index + 1;
    if (2 * index < this.#halves.length) return;
    const grown = new BigInt64Array(this.#halves.length * 2);
    grown.set(this.#halves);
    this.#halves = grown;
  }

  take(length: number): ColumnData {
    const halves = this.#halves.subarray(0, 2 * length);
    this.#halves = new BigInt64Array(2 * FIRST_CAPACITY);
    this.#used = 0;
    return { kind: "int128", halves };
  }
}
