/**
 * One file of the model disk: what is durable, and what was done to it since in the page cache.
 *
 * @module
 */

import type { Random } from "../oracle/random.ts";

/** A change that may wait in the page cache. */
type Op = { readonly append: Uint8Array } | { readonly truncate: number };

/** What a disk writes whole. */
const SECTOR_BYTES = 512;

/** A file. */
export class SimFile {
  readonly #durable: Bytes;
  readonly #waiting: Op[] = [];
  /** How many of those that wait an fsync was asked for, and answered by a lie. */
  #promised = 0;
  #length: number;
  /** Whether its name would survive a power loss. */
  #named: boolean;

  /** @param durable what a file that is there holds; without it, the file is new */
  constructor(durable?: Uint8Array) {
    this.#durable = new Bytes(durable);
    this.#length = this.#durable.length;
    this.#named = durable !== undefined;
  }

  /** Its length in bytes as processes see it. */
  get length(): number {
    return this.#length;
  }

  /** What processes see. */
  read(): Uint8Array {
    return this.#after(this.#waiting).joined();
  }

  /** What a disk that does not lie has made durable. */
  synced(): Uint8Array {
    return this.#after(this.#waiting.slice(0, this.#promised)).joined();
  }

  /** Writes at the end. */
  append(bytes: Uint8Array): void {
    this.#waiting.push({ append: bytes });
    this.#length += bytes.length;
  }

  /** Cuts the end off. */
  truncate(length: number): void {
    this.#waiting.push({ truncate: length });
    this.#length = Math.min(this.#length, length);
  }

  /** Makes everything durable, or only says so. */
  fsync(lying: boolean): void {
    this.#promised = this.#waiting.length;
    if (lying) return;
    for (const op of this.#waiting.splice(0)) this.#durable.apply(op);
    this.#promised = 0;
    this.#named = true;
  }

  /**
   * What a power loss leaves: of the changes that wait the first so many, the next one perhaps in
   * part, and sectors of them that were never written.
   *
   * @returns the file, or undefined when its name is lost too
   */
  crash(random: Random): SimFile | undefined {
    if (!this.#named && random.chance(0.5)) return undefined;
    const kept = random.below(this.#waiting.length + 1);
    const left = this.#after(this.#waiting.slice(0, kept));
    const torn = this.#waiting[kept];
    if (torn && "append" in torn && random.chance(0.75)) {
      left.apply({ append: torn.append.subarray(0, random.below(torn.append.length + 1)) });
    }
    const bytes = left.joined();
    if (random.chance(0.25)) loseSector(bytes, this.#durable.length, random);
    return new SimFile(bytes);
  }

  #after(ops: readonly Op[]): Bytes {
    const bytes = this.#durable.copy();
    for (const op of ops) bytes.apply(op);
    return bytes;
  }
}

/** Writes zeros over what a sector holds from a place on, where there is anything. */
function loseSector(bytes: Uint8Array, from: number, random: Random): void {
  if (bytes.length <= from) return;
  const sector = Math.floor((from + random.below(bytes.length - from)) / SECTOR_BYTES);
  bytes.fill(0, Math.max(from, sector * SECTOR_BYTES), (sector + 1) * SECTOR_BYTES);
}

/** Bytes in pieces, each longer than the next, so that few are copied when one is added. */
class Bytes {
  readonly #pieces: Uint8Array[] = [];
  #length = 0;

  constructor(bytes?: Uint8Array) {
    if (bytes) this.apply({ append: bytes });
  }

  get length(): number {
    return this.#length;
  }

  copy(): Bytes {
    const copy = new Bytes();
    for (const piece of this.#pieces) copy.apply({ append: piece });
    return copy;
  }

  apply(op: Op): void {
    if ("append" in op) {
      this.#add(op.append);
      this.#length += op.append.length;
      return;
    }
    while (this.#length > op.truncate) {
      const last = this.#pieces.pop() ?? new Uint8Array();
      this.#length -= last.length;
      if (this.#length < op.truncate) {
        this.apply({ append: last.subarray(0, op.truncate - this.#length) });
      }
    }
  }

  #add(bytes: Uint8Array): void {
    let last = bytes;
    for (;;) {
      const before = this.#pieces.at(-1);
      if (before === undefined || before.length > last.length) break;
      this.#pieces.pop();
      const both = new Uint8Array(before.length + last.length);
      both.set(before);
      both.set(last, before.length);
      last = both;
    }
    this.#pieces.push(last);
  }

  joined(): Uint8Array {
    const all = new Uint8Array(this.#length);
    let at = 0;
    for (const piece of this.#pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    return all;
  }
}
