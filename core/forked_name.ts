/**
 * The name under which a copy of a client's database goes on once it has parted from the other.
 *
 * @module
 */

import { sha256Hex, type TextHash } from "./delta.ts";

/**
 * The clientId under which a database goes on that has parted from its own. It is a function of what
 * is sent again, so that all copies with the same pending transactions go on under the same name, and
 * the gateway knows what the second one sends for a repetition.
 *
 * @param clientId the name before
 * @param chain the link, under that name, of the first transaction that is sent again
 * @param hash how to hash
 * @returns a name in the form of a UUID of version 8
 *
 * @example
 * ```ts
 * import { forkedClientId } from "@lakesync/core";
 *
 * const link = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
 * console.assert(forkedClientId("phone", link) === forkedClientId("phone", link));
 * ```
 */
export function forkedClientId(
  clientId: string,
  chain: string,
  hash: TextHash = sha256Hex,
): string {
  const hex = hash(`lakesync fork\n${clientId}\n${chain}`);
  const variant = "89ab"[Number.parseInt(hex.charAt(16), 16) % 4];
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
}
