/**
 * AES-256-GCM-SIV (RFC 8452) with one key and the nonce of zeros, for many short texts. What a
 * cipher for any nonce derives for each text, the two keys, the rounds of one and the table of the
 * other, is made once here; for a cursor that was nine tenths of the time.
 *
 * Numbers of 128 bits are four words of 32 bits, the least significant first, so that bit `i` is
 * the coefficient of `x^i`.
 *
 * @module
 */

import { unsafe } from "@noble/ciphers/aes.js";

const TAG_BYTES = 16;
const BLOCK_BYTES = 16;
/** The hash key is multiplied by four bits at a time: 32 places of 16 values of 4 words. */
const PLACES = 32;
const VALUES = 16;
const WORDS = 4;

type Words = [number, number, number, number];

/** The number times `x`, in the field of POLYVAL. */
function timesX([a, b, c, d]: Words): Words {
  const carry = -(d >>> 31);
  return [
    (a << 1) ^ (carry & 1),
    (b << 1) | (a >>> 31),
    (c << 1) | (b >>> 31),
    ((d << 1) | (c >>> 31)) ^ (carry & 0xc2000000),
  ];
}

/** The number by `x`. */
function byX([a, b, c, d]: Words): Words {
  const odd = -(a & 1);
  const high = d ^ (odd & 0xc2000000);
  return [
    (a >>> 1) | (b << 31),
    (b >>> 1) | (c << 31),
    (c >>> 1) | (high << 31),
    (high >>> 1) | (odd & 0x80000000),
  ];
}

/** All products of four bits at each place and the hash key by `x^128`, as POLYVAL multiplies. */
function tableOf(key: Words): Int32Array {
  let power = key;
  for (let i = 0; i < 128; i++) power = byX(power);
  const table = new Int32Array(PLACES * VALUES * WORDS);
  for (let place = 0; place < PLACES; place++) {
    for (let bit = 1; bit < VALUES; bit *= 2) {
      for (let value = bit; value < 2 * bit; value++) {
        const to = (place * VALUES + value) * WORDS;
        const rest = (place * VALUES + value - bit) * WORDS;
        power.forEach((word, i) => table[to + i] = word ^ (table[rest + i] ?? 0));
      }
      power = timesX(power);
    }
  }
  return table;
}

function wordsOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** POLYVAL of one key. */
class Polyval {
  readonly #table: Int32Array;
  readonly #tail = new Uint8Array(BLOCK_BYTES);
  #a = 0;
  #b = 0;
  #c = 0;
  #d = 0;

  constructor(key: Words) {
    this.#table = tableOf(key);
  }

  /** The hash of the texts, each filled up with zeros, and their lengths. */
  hash(first: Uint8Array, second: Uint8Array): Words {
    this.#a =
      this.#b =
      this.#c =
      this.#d =
        0;
    this.#update(first);
    this.#update(second);
    this.#block(first.length << 3, first.length >>> 29, second.length << 3, second.length >>> 29);
    return [this.#a, this.#b, this.#c, this.#d];
  }

  #update(bytes: Uint8Array): void {
    const whole = bytes.length - (bytes.length % BLOCK_BYTES);
    this.#blocks(wordsOf(bytes), whole);
    if (whole === bytes.length) return;
    this.#tail.fill(0).set(bytes.subarray(whole));
    this.#blocks(wordsOf(this.#tail), BLOCK_BYTES);
  }

  #blocks(view: DataView, end: number): void {
    for (let at = 0; at < end; at += BLOCK_BYTES) {
      this.#block(
        view.getInt32(at, true),
        view.getInt32(at + 4, true),
        view.getInt32(at + 8, true),
        view.getInt32(at + 12, true),
      );
    }
  }

  #block(a: number, b: number, c: number, d: number): void {
    const [x, y, z, u] = [this.#a ^ a, this.#b ^ b, this.#c ^ c, this.#d ^ d];
    this.#a =
      this.#b =
      this.#c =
      this.#d =
        0;
    this.#multiply(x, 0);
    this.#multiply(y, 8);
    this.#multiply(z, 16);
    this.#multiply(u, 24);
  }

  #multiply(word: number, place: number): void {
    const table = this.#table;
    for (let i = 0; i < 8; i++) {
      const at = ((place + i) * VALUES + ((word >>> (4 * i)) & 15)) * WORDS;
      this.#a ^= table[at] ?? 0;
      this.#b ^= table[at + 1] ?? 0;
      this.#c ^= table[at + 2] ?? 0;
      this.#d ^= table[at + 3] ?? 0;
    }
  }
}

/** Encrypts and decrypts by one key and the nonce of zeros. */
export class GcmSiv {
  readonly #rounds: Uint32Array;
  readonly #polyval: Polyval;

  /** @param key 32 bytes */
  constructor(key: Uint8Array) {
    const rounds = unsafe.expandKeyLE(key);
    const derived = Array.from({ length: 6 }, (_, i) => {
      const { s0, s1 } = unsafe.encrypt(rounds, i, 0, 0, 0);
      return [s0, s1];
    }).flat();
    const [a = 0, b = 0, c = 0, d = 0, ...rest] = derived;
    this.#polyval = new Polyval([a, b, c, d]);
    const encryption = new Uint8Array(32);
    const view = wordsOf(encryption);
    rest.forEach((word, i) => view.setInt32(4 * i, word, true));
    this.#rounds = unsafe.expandKeyLE(encryption);
  }

  /**
   * Encrypts.
   *
   * @param text any bytes
   * @param also bytes that must be the same when it is decrypted
   * @returns as many bytes and 16 more
   */
  encrypt(text: Uint8Array, also: Uint8Array): Uint8Array {
    const tag = this.#tagOf(text, also);
    const sealed = new Uint8Array(text.length + TAG_BYTES);
    this.#count(tag, text, sealed);
    const view = wordsOf(sealed);
    tag.forEach((word, i) => view.setInt32(text.length + 4 * i, word, true));
    return sealed;
  }

  /**
   * Decrypts.
   *
   * @param sealed what {@linkcode GcmSiv.encrypt} gave, at least 16 bytes
   * @param also the bytes that were given with it
   * @returns the text, or undefined when one of them is another
   */
  decrypt(sealed: Uint8Array, also: Uint8Array): Uint8Array | undefined {
    const length = sealed.length - TAG_BYTES;
    if (length < 0) return undefined;
    const view = wordsOf(sealed);
    const word = (i: number) => view.getInt32(length + 4 * i, true);
    const tag: Words = [word(0), word(1), word(2), word(3)];
    const text = new Uint8Array(length);
    this.#count(tag, sealed.subarray(0, length), text);
    const [a, b, c, d] = this.#tagOf(text, also);
    const differs = (a ^ tag[0]) | (b ^ tag[1]) | (c ^ tag[2]) | (d ^ tag[3]);
    return differs === 0 ? text : undefined;
  }

  #tagOf(text: Uint8Array, also: Uint8Array): Words {
    const [a, b, c, d] = this.#polyval.hash(also, text);
    const { s0, s1, s2, s3 } = unsafe.encrypt(this.#rounds, a, b, c, d & 0x7fffffff);
    return [s0, s1, s2, s3];
  }

  /** Counter mode from the tag on; `to` has room for all of `from`. */
  #count([a, b, c, d]: Words, from: Uint8Array, to: Uint8Array): void {
    const block = new Uint8Array(BLOCK_BYTES);
    const view = wordsOf(block);
    for (let at = 0; at < from.length; at += BLOCK_BYTES) {
      const { s0, s1, s2, s3 } = unsafe.encrypt(this.#rounds, a, b, c, d | 0x80000000);
      a = (a + 1) | 0;
      view.setInt32(0, s0, true);
      view.setInt32(4, s1, true);
      view.setInt32(8, s2, true);
      view.setInt32(12, s3, true);
      const end = Math.min(BLOCK_BYTES, from.length - at);
      for (let i = 0; i < end; i++) to[at + i] = (from[at + i] ?? 0) ^ (block[i] ?? 0);
    }
  }
}
