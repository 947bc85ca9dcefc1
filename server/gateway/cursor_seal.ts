/**
 * Sealing of cursors. A cursor says which buckets a client holds and what rules compared with, so a
 * client must neither read nor write one: it could learn of rows, or be told that they left, that it
 * never had a right to.
 *
 * A sealed cursor is `3`, eight characters that name the key, and the encrypted text, all URL-safe.
 * AES-GCM-SIV (RFC 8452) with one nonce gives equal texts for equal cursors and nothing else away.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { sha256 } from "@noble/hashes/sha2.js";
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { GcmSiv } from "./siv.ts";

const FORMAT = "3";
const KEY_NAME_CHARS = 8;
const MAX_CHARS = 1024 * 1024;
const MIN_CHARS = 40;
const decoder = new TextDecoder();

/** What came of opening a text: what was sealed, another gateway's seal, or no seal at all. */
export type Opened =
  | { readonly kind: "ours"; readonly text: string }
  | { readonly kind: "another" }
  | { readonly kind: "never" };

function urlSafe(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** The bytes of a text, undefined when it is not their one form. */
function fromUrlSafe(text: string): Uint8Array | undefined {
  try {
    const bytes = Uint8Array.fromBase64(text, { alphabet: "base64url" });
    return urlSafe(bytes) === text ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** Seals and opens the cursors of one gateway. */
export class CursorSeal {
  readonly #cipher: GcmSiv;
  readonly #prefix: string;

  /** @param secret a random text that only the gateway knows */
  constructor(secret: string) {
    this.#cipher = new GcmSiv(sha256(utf8ToBytes(`cursor key ${secret}`)));
    const name = sha256(utf8ToBytes(`cursor key name ${secret}`)).subarray(0, 6);
    this.#prefix = `${FORMAT}${urlSafe(name)}`;
  }

  /**
   * Seals a text.
   *
   * @param text what to seal
   * @param sub the user it is for; nobody else can use it
   * @throws {LakeSyncError} `FORBIDDEN` when it is so long that it would not be opened again
   */
  seal(text: string, sub: string): string {
    const sealed = this.#cipher.encrypt(utf8ToBytes(text), utf8ToBytes(sub));
    const written = this.#prefix + urlSafe(sealed);
    if (written.length <= MAX_CHARS) return written;
    throw new LakeSyncError(
      "FORBIDDEN",
      "The rules compare rows with more values of this caller than a cursor can hold, " +
        "use eq or in, or fewer values",
    );
  }

  /** Opens what {@linkcode CursorSeal.seal} gave. */
  open(sealed: string, sub: string): Opened {
    const { length } = sealed;
    if (length < MIN_CHARS || length > MAX_CHARS || !/^3[A-Za-z0-9_-]+$/.test(sealed)) {
      return { kind: "never" };
    }
    if (!sealed.startsWith(this.#prefix)) return { kind: "another" };
    const bytes = fromUrlSafe(sealed.slice(FORMAT.length + KEY_NAME_CHARS));
    const text = bytes && this.#cipher.decrypt(bytes, utf8ToBytes(sub));
    return text === undefined ? { kind: "never" } : { kind: "ours", text: decoder.decode(text) };
  }
}
