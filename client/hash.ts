/**
 * SHA-256 by the runtime where it has one, which is several times faster than JavaScript.
 *
 * @module
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

/** A hash that is fed piece by piece. */
export interface RunningHash {
  /** Adds a text as UTF-8. */
  update(text: string): void;
  /** Ends it; lower-case hex. */
  hex(): string;
}

/** Begins hashes. */
export type HashFactory = () => RunningHash;

function portableHash(): RunningHash {
  const hash = sha256.create();
  return {
    update: (text) => void hash.update(utf8ToBytes(text)),
    hex: () => bytesToHex(hash.digest()),
  };
}

/**
 * Finds the fastest SHA-256 of this runtime.
 *
 * @returns begins a hash
 */
export async function loadHash(): Promise<HashFactory> {
  try {
    const { createHash } = await import("node:crypto");
    return () => {
      const hash = createHash("sha256");
      return {
        update: (text) => void hash.update(text, "utf8"),
        hex: () => hash.digest("hex"),
      };
    };
  } catch {
    return portableHash;
  }
}
