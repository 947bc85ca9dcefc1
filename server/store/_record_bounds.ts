/**
 * The bounds that every store of records holds batches against.
 *
 * @module
 */

import {
  MAX_RECORD_BATCH_CHARS,
  MAX_RECORD_BATCH_ITEMS,
  MAX_RECORD_KEY_BYTES,
  MAX_RECORD_VALUE_CHARS,
  type RecordBatch,
} from "./records.ts";

const encoder = new TextEncoder();

/**
 * Holds a batch against the bounds of keys, values and batches.
 *
 * @throws {RangeError}
 */
export function checkRecordBatch({ checks = [], set = [], remove = [] }: RecordBatch): void {
  if (checks.length + set.length + remove.length > MAX_RECORD_BATCH_ITEMS) {
    throw new RangeError(`A batch has at most ${MAX_RECORD_BATCH_ITEMS} checks and writes`);
  }
  const keys = [...set.map(({ key }) => key), ...remove];
  for (const key of [...keys, ...checks.map(({ key }) => key)]) checkKey(key);
  if (new Set(keys).size < keys.length) throw new RangeError("A batch writes each key once");
  let chars = 0;
  for (const { key, value } of set) {
    checkText("value", value);
    if (value.length > MAX_RECORD_VALUE_CHARS) {
      throw new RangeError(`A record's value has at most ${MAX_RECORD_VALUE_CHARS} characters`);
    }
    chars += key.length + value.length;
  }
  if (chars > MAX_RECORD_BATCH_CHARS) {
    throw new RangeError(`A batch has at most ${MAX_RECORD_BATCH_CHARS} characters`);
  }
}

function checkKey(key: string): void {
  checkText("key", key);
  if (encoder.encode(key).length > MAX_RECORD_KEY_BYTES) {
    throw new RangeError(`A record's key has at most ${MAX_RECORD_KEY_BYTES} bytes`);
  }
}

/** SQLite gives other texts back otherwise than they were. */
function checkText(what: string, text: string): void {
  if (text.includes("\0") || !text.isWellFormed()) {
    throw new RangeError(`A record's ${what} has neither a NUL nor a lone surrogate`);
  }
}
