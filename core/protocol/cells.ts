/**
 * The packed cells of a `Rows` message: three byte streams, written and read in step. The
 * format is described in lakesync.proto.
 *
 * Internal to the protocol; use binary.ts.
 *
 * @module
 */

import { LakeSyncError } from "../errors.ts";
import { utf8Length, type Value } from "../value.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const TAG = {
  null: 0,
  false: 1,
  true: 2,
  positive: 3,
  negative: 4,
  int64: 5,
  double: 6,
  text: 7,
  bytes: 8,
  json: 9,
  shortText: 16,
} as const;

const MAX_SHORT_TEXT = 255 - TAG.shortText;

/** Says that a message is damaged; the caller's message names the request. */
export function malformed(what: string): LakeSyncError {
  return new LakeSyncError("VALIDATION_ERROR", `Malformed protobuf: ${what}`);
}

function textBytes(text: string): number {
  const bytes = utf8Length(text);
  if (bytes >= 0) return bytes;
  if (!text.isWellFormed()) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "Text must not hold lone surrogates",
    );
  }
  return encoder.encode(text).length;
}

/** Writes rowIds and cells. */
export class CellWriter {
  #cells = new Uint8Array(4096);
  #view = new DataView(this.#cells.buffer);
  #length = 0;
  #texts: string[] = [];
  #blobs: Uint8Array[] = [];
  #blobBytes = 0;

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#cells.length) return;
    const grown = new Uint8Array(
      Math.max(this.#cells.length * 2, this.#length + bytes),
    );
    grown.set(this.#cells.subarray(0, this.#length));
    this.#cells = grown;
    this.#view = new DataView(grown.buffer);
  }

  #varint(value: number): void {
    this.#reserve(8);
    let rest = value;
    while (rest > 0x7f) {
      this.#cells[this.#length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#cells[this.#length++] = rest;
  }

  #tag(tag: number): void {
    this.#reserve(16);
    this.#cells[this.#length++] = tag;
  }

  /** Writes a row's id. */
  rowId(rowId: string): void {
    this.#varint(textBytes(rowId));
    this.#texts.push(rowId);
  }

  /** Writes one cell. */
  value(value: Value): void {
    switch (typeof value) {
      case "string": {
        const bytes = textBytes(value);
        if (bytes <= MAX_SHORT_TEXT) this.#tag(TAG.shortText + bytes);
        else {
          this.#tag(TAG.text);
          this.#varint(bytes);
        }
        this.#texts.push(value);
        return;
      }
      case "number":
        return this.#number(value);
      case "boolean":
        return this.#tag(value ? TAG.true : TAG.false);
      case "bigint":
        this.#tag(TAG.int64);
        this.#view.setBigInt64(this.#length, value);
        this.#length += 8;
        return;
      case "object":
        return this.#object(value);
    }
  }

  #number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      this.#tag(TAG.double);
      this.#view.setFloat64(this.#length, value);
      this.#length += 8;
    } else {
      this.#tag(value < 0 ? TAG.negative : TAG.positive);
      this.#varint(Math.abs(value));
    }
  }

  #object(value: Exclude<Value, string | number | boolean | bigint>): void {
    if (value === null) return this.#tag(TAG.null);
    if (value instanceof Uint8Array) {
      this.#tag(TAG.bytes);
      this.#varint(value.length);
      this.#blobs.push(value);
      this.#blobBytes += value.length;
      return;
    }
    const text = JSON.stringify(value);
    this.#tag(TAG.json);
    this.#varint(textBytes(text));
    this.#texts.push(text);
  }

  /** Ends writing and gives the three streams. */
  finish(): { cells: Uint8Array; text: Uint8Array; blobs: Uint8Array } {
    const blobs = new Uint8Array(this.#blobBytes);
    let at = 0;
    for (const blob of this.#blobs) {
      blobs.set(blob, at);
      at += blob.length;
    }
    return {
      cells: this.#cells.slice(0, this.#length),
      text: encoder.encode(this.#texts.join("")),
      blobs,
    };
  }
}

/** Reads rowIds and cells; every bound is checked. */
export class CellReader {
  readonly #cells: Uint8Array;
  readonly #view: DataView;
  readonly #text: string;
  readonly #ascii: boolean;
  readonly #textBytes: number;
  readonly #blobs: Uint8Array;
  #at = 0;
  #textUnit = 0;
  #textByte = 0;
  #blob = 0;

  /** @throws {LakeSyncError} `VALIDATION_ERROR` when the text is not UTF-8 */
  constructor(cells: Uint8Array, text: Uint8Array, blobs: Uint8Array) {
    this.#cells = cells;
    this.#view = new DataView(cells.buffer, cells.byteOffset, cells.byteLength);
    try {
      this.#text = decoder.decode(text);
    } catch {
      throw malformed("text is not UTF-8");
    }
    this.#textBytes = text.length;
    this.#ascii = this.#text.length === text.length;
    this.#blobs = blobs;
  }

  /** Whether all three streams were read to their end. */
  get done(): boolean {
    return this.#at === this.#cells.length &&
      this.#textByte === this.#textBytes &&
      this.#blob === this.#blobs.length;
  }

  #varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.#cells[this.#at++];
      if (byte === undefined) throw malformed("cells end too early");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      scale *= 128;
    }
    throw malformed("a number is too long");
  }

  #takeText(bytes: number): string {
    const end = this.#textByte + bytes;
    if (end > this.#textBytes) throw malformed("text ends too early");
    const from = this.#textUnit;
    this.#textByte = end;
    if (this.#ascii) {
      this.#textUnit = from + bytes;
      return this.#text.substring(from, this.#textUnit);
    }
    let unit = from;
    let left = bytes;
    while (left > 0) {
      const code = this.#text.charCodeAt(unit++);
      if (code < 0x80) left -= 1;
      else if (code < 0x800) left -= 2;
      else if (code < 0xd800 || code > 0xdfff) left -= 3;
      else {
        left -= 4;
        unit++;
      }
    }
    if (left < 0) throw malformed("text is cut within a character");
    this.#textUnit = unit;
    return this.#text.substring(from, unit);
  }

  #eight(): number {
    const at = this.#at;
    if (at + 8 > this.#cells.length) throw malformed("cells end too early");
    this.#at = at + 8;
    return at;
  }

  /** Reads a row's id. */
  rowId(): string {
    return this.#takeText(this.#varint());
  }

  /** Reads one cell. */
  value(): Value {
    const tag = this.#cells[this.#at++];
    if (tag === undefined) throw malformed("cells end too early");
    if (tag >= TAG.shortText) return this.#takeText(tag - TAG.shortText);
    switch (tag) {
      case TAG.null:
        return null;
      case TAG.false:
        return false;
      case TAG.true:
        return true;
      case TAG.positive:
        return this.#varint();
      case TAG.negative:
        return -this.#varint() || 0;
      case TAG.int64: {
        const value = this.#view.getBigInt64(this.#eight());
        const small = Number(value);
        return Number.isSafeInteger(small) ? small : value;
      }
      case TAG.double:
        return this.#view.getFloat64(this.#eight());
      case TAG.text:
        return this.#takeText(this.#varint());
      case TAG.bytes:
        return this.#takeBytes(this.#varint());
      case TAG.json:
        return this.#takeJson(this.#varint());
      default:
        throw malformed(`unknown tag ${tag}`);
    }
  }

  #takeBytes(length: number): Uint8Array {
    const end = this.#blob + length;
    if (end > this.#blobs.length) throw malformed("blobs end too early");
    const bytes = this.#blobs.slice(this.#blob, end);
    this.#blob = end;
    return bytes;
  }

  #takeJson(length: number): Value {
    const text = this.#takeText(length);
    let value: Value;
    try {
      value = JSON.parse(text);
    } catch {
      throw malformed("a JSON cell does not parse");
    }
    if (value === null || typeof value !== "object") {
      throw malformed("a JSON cell is not structured");
    }
    return value;
  }
}
