/**
 * Values within stored JSON: what JSON cannot tell apart is written with a tag, `{"$i": digits}` for
 * a bigint, `{"$b": base64}` for bytes, `{"$n": "-0"}`, and `{"$j": …}` around objects and arrays.
 *
 * @module
 */

import { decodeBase64, encodeBase64, type JsonValue, type Value } from "@lakesync/core";

/** A value as it is stored. */
export type StoredValue = JsonValue;

/** Writes a value. */
export function writeValue(value: Value): StoredValue {
  if (typeof value === "number") {
    return Object.is(value, -0) ? { $n: "-0" } : value;
  }
  if (typeof value === "bigint") return { $i: value.toString() };
  if (typeof value !== "object" || value === null) return value;
  return value instanceof Uint8Array ? { $b: encodeBase64(value) } : { $j: value };
}

/** Reads a value. */
export function readValue(value: StoredValue): Value {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return value;
  }
  const tagged = value as { readonly [tag: string]: JsonValue };
  if (typeof tagged["$i"] === "string") return BigInt(tagged["$i"]);
  if (typeof tagged["$b"] === "string") {
    return decodeBase64(tagged["$b"]) ?? new Uint8Array();
  }
  if (typeof tagged["$n"] === "string") return -0;
  return tagged["$j"] ?? null;
}

const PLAIN_ONLY = new Set(["string", "boolean"]);

/** Writes values; those that are plain JSON as they are, without a copy. */
export function writeValues(values: readonly Value[]): readonly StoredValue[] {
  for (const value of values) {
    if (value !== null && !PLAIN_ONLY.has(typeof value)) {
      return values.map(writeValue);
    }
  }
  return values as readonly StoredValue[];
}
