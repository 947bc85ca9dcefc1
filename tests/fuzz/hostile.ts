/**
 * What a reader does with hostile input: it reads it or refuses it with its own error, within a
 * bound of time.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import assert from "node:assert/strict";

/** A small input takes microseconds; this leaves room for a machine that is busy. */
const BUDGET_MS = 2_000;

/** What came of reading. */
export type Read<T> = { readonly refused: false; readonly value: T } | { readonly refused: true };

/**
 * Reads hostile input.
 *
 * @param read the reader
 * @param isRefusal whether an error is one by which the reader may refuse
 * @returns what it read, or that it refused
 */
export function readHostile<T>(
  read: () => T,
  isRefusal: (error: unknown) => boolean = isInvalid,
): Read<T> {
  const start = performance.now();
  try {
    return { refused: false, value: read() };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { refused: true };
  } finally {
    assert.ok(performance.now() - start < BUDGET_MS, "It took too long");
  }
}

function isInvalid(error: unknown): boolean {
  return error instanceof LakeSyncError && error.code === "VALIDATION_ERROR";
}

/** Whether a schema is refused as schemas are. */
export function isSchemaError(error: unknown): boolean {
  return error instanceof LakeSyncError && error.code === "SCHEMA_ERROR";
}
