/**
 * Hostile input and what readers must do with it: read it, or refuse it with the one code.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { LakeSyncError } from "../errors.ts";

const BUDGET_MS = 2_000;

/**
 * Runs a reader on hostile input.
 *
 * @param read the reader
 * @returns whether it read something; false when it refused with `VALIDATION_ERROR`
 */
export function refusesOrReads(read: () => unknown): boolean {
  const start = performance.now();
  try {
    read();
    return true;
  } catch (error) {
    if (!(error instanceof LakeSyncError)) throw error;
    assert.equal(error.code, "VALIDATION_ERROR");
    return false;
  } finally {
    assert.ok(performance.now() - start < BUDGET_MS, "It took too long");
  }
}

/**
 * Runs a reader that must refuse with `VALIDATION_ERROR`.
 *
 * @param read the reader
 * @param message what the error must say
 */
export function refuses(read: () => unknown, message?: RegExp): void {
  assert.throws(read, (error) => {
    assert.ok(error instanceof LakeSyncError, String(error));
    assert.equal(error.code, "VALIDATION_ERROR");
    if (message) assert.match(error.message, message);
    return true;
  });
}

/** A few edits of a message. */
export const mutation: fc.Arbitrary<(readonly [string, number, number])[]> = fc.array(
  fc.tuple(
    fc.constantFrom("set", "insert", "remove", "repeat"),
    fc.nat(),
    fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255)),
  ),
  { minLength: 1, maxLength: 6 },
);

/**
 * Edits a message.
 *
 * @param bytes the message
 * @param edits what to change
 * @returns another message
 */
export function mutate(
  bytes: Uint8Array,
  edits: readonly (readonly [string, number, number])[],
): Uint8Array {
  const list = [...bytes];
  for (const [kind, place, byte] of edits) {
    const at = place % (list.length + 1);
    if (kind === "set") list[at] = byte;
    else if (kind === "insert") list.splice(at, 0, byte);
    else if (kind === "remove") list.splice(at, 1 + byte % 4);
    else list.splice(at, 0, ...list.slice(at, at + byte));
  }
  return new Uint8Array(list);
}
