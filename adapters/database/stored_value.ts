/**
 * Values as JSON that says itself what they are, so that they can be read back exactly without the
 * column's type: a type may have been widened since. Most values are plain JSON. Integers beyond
 * ±(2^53−1) are `{"$int": "9007199254740993"}`, bytes `{"$bytes": base64}`, negative zero
 * `{"$number": "-0"}`; an object that could be mistaken for one of these is `{"$json": object}`.
 * Within structured values -0 is 0, as everywhere on the wire.
 *
 * @module
 */

import { decodeBase64, encodeBase64, type JsonValue, type Value } from "@lakesync/core";

/**
 * Writes a value as JSON that says what it is.
 *
 * @param value any value
 * @returns what `JSON.stringify` may be given
 */
export function toStoredValue(value: Value): JsonValue {
  if (typeof value === "number") return Object.is(value, -0) ? { $number: "-0" } : value;
  if (typeof value === "bigint") return { $int: value.toString() };
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  if (value instanceof Uint8Array) return { $bytes: encodeBase64(value) };
  return tagOf(value) === undefined ? value : { $json: value };
}

/**
 * Reads a value that {@linkcode toStoredValue} wrote.
 *
 * @param json what `JSON.parse` gave
 * @returns the value
 */
export function fromStoredValue(json: JsonValue): Value {
  if (json === null || typeof json !== "object" || Array.isArray(json)) return json;
  const tag = tagOf(json);
  if (tag === undefined) return json;
  const [name, content] = tag;
  if (name === "$json") return content;
  if (name === "$number") return -0;
  if (name === "$int") return BigInt(String(content));
  return decodeBase64(String(content)) ?? new Uint8Array();
}

const TAGS: ReadonlySet<string> = new Set(["$int", "$bytes", "$number", "$json"]);

/** The only member of an object, when it has the name of a tag. */
function tagOf(value: object): readonly [name: string, content: JsonValue] | undefined {
  let only: readonly [string, JsonValue] | undefined;
  for (const member of Object.entries(value)) {
    if (only !== undefined) return undefined;
    only = member;
  }
  return only !== undefined && TAGS.has(only[0]) ? only : undefined;
}
