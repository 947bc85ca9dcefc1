/**
 * Growing buffers of texts and of bytes.
 *
 * @module
 */

import type { Misfit } from "@lakesync/core";
import type { ColumnData } from "./column.ts";
import type { Present, Values } from "./values.ts";

const FIRST_CAPACITY = 64;
const FIRST_BYTES = 4_096;
/** Texts are encoded together once they are so long: one call a text costs more than its bytes. */
const PENDING_CHARS = 4_096;
/** What 32-bit offsets reach. */
const MAX_BYTES = 2 ** 31 - 1;
const FULL = "does not fit: a column holds at most 2 GiB, begin another file";

const encoder = new TextEncoder();

/** Values of any number of bytes, and where they end. */
class Pieces {
  #offsets: Int32Array<ArrayBuffer> = new Int32Array(FIRST_CAPACITY);
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(FIRST_BYTES);
  /** How many pieces end. */
  #count = 0;
  #used = 0;

  get used(): number {
    return this.#used;
  }

  get byteLength(): number {
    return this.#used + 4 * this.#count;
  }

  /** Room behind what is used. */
  room(bytes: number): Uint8Array<ArrayBuffer> {
    if (this.#used + bytes > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#used + bytes));
      grown.set(this.#bytes.subarray(0, this.#used));
      this.#bytes = grown;
    }
    return this.#bytes.subarray(this.#used);
  }

  /** Ends a piece so many bytes behind the last one. */
  end(bytes: number): void {
    this.#used += bytes;
    this.#count++;
    if (this.#count >= this.#offsets.length) {
      const grown = new Int32Array(this.#offsets.length * 2);
      grown.set(this.#offsets);
      this.#offsets = grown;
    }
    this.#offsets[this.#count] = this.#used;
  }

  take(): ColumnData {
    const offsets = this.#offsets.subarray(0, this.#count + 1);
    const bytes = this.#bytes.subarray(0, this.#used);
    this.#offsets = new Int32Array(FIRST_CAPACITY);
    this.#bytes = new Uint8Array(FIRST_BYTES);
    this.#count = this.#used = 0;
    return { kind: "bytes", offsets, bytes };
  }
}

/** Bytes. */
export class ByteValues implements Values {
  readonly #pieces = new Pieces();

  get byteLength(): number {
    return this.#pieces.byteLength;
  }

  put(_index: number, value: Present): Misfit | undefined {
    if (!(value instanceof Uint8Array)) return "takes bytes";
    if (this.#pieces.used + value.length > MAX_BYTES) return FULL;
    this.#pieces.room(value.length).set(value);
    this.#pieces.end(value.length);
    return undefined;
  }

  skip(): void {
    this.#pieces.end(0);
  }

  take(): ColumnData {
    return this.#pieces.take();
  }
}

/** Texts, encoded as UTF-8 many at a time. */
export class TextValues implements Values {
  readonly #textOf: (value: Present) => string | undefined;
  readonly #misfit: Misfit;
  readonly #pieces = new Pieces();
  /** Texts that are not encoded yet, behind each other. */
  #pending = "";
  /** How long each of them is, in UTF-16 units. */
  readonly #lengths = new Int32Array(1_024);
  #waiting = 0;

  /**
   * Begins with none.
   *
   * @param textOf the text of a value, if it has one
   * @param misfit what is said of a value that has none
   */
  constructor(textOf: (value: Present) => string | undefined, misfit: Misfit) {
    this.#textOf = textOf;
    this.#misfit = misfit;
  }

  get byteLength(): number {
    return this.#pieces.byteLength + this.#pending.length + 4 * this.#waiting;
  }

  put(_index: number, value: Present): Misfit | undefined {
    const text = this.#textOf(value);
    if (text === undefined) return this.#misfit;
    if (!text.isWellFormed()) return "takes text without lone surrogates";
    if (this.#pieces.used + 3 * (this.#pending.length + text.length) > MAX_BYTES) return FULL;
    this.#pending += text;
    this.#lengths[this.#waiting++] = text.length;
    if (this.#pending.length > PENDING_CHARS || this.#waiting === this.#lengths.length) {
      this.#encode();
    }
    return undefined;
  }

  skip(): void {
    this.#lengths[this.#waiting++] = 0;
    if (this.#waiting === this.#lengths.length) this.#encode();
  }

  take(): ColumnData {
    this.#encode();
    return this.#pieces.take();
  }

  #encode(): void {
    const text = this.#pending;
    // Most texts are ASCII, of which a unit is a byte.
    let room = this.#pieces.room(text.length);
    let { read, written } = encoder.encodeInto(text, room);
    if (read < text.length) {
      room = this.#pieces.room(3 * text.length);
      ({ read, written } = encoder.encodeInto(text, room));
    }
    const isAscii = written === text.length;
    for (let i = 0, start = 0; i < this.#waiting; i++) {
      const length = this.#lengths[i] ?? 0;
      this.#pieces.end(isAscii ? length : encodedLength(text, start, start + length));
      start += length;
    }
    this.#pending = "";
    this.#waiting = 0;
  }
}

/** How many bytes a part of a text has in UTF-8. */
function encodedLength(text: string, start: number, end: number): number {
  let bytes = end - start;
  for (let i = start; i < end; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    // Each half of a surrogate pair counts for two of its four bytes.
    bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}
