/**
 * What the audit log tells of a schema and of rules that were put: versions, names, hashes.
 *
 * @module
 */

import { canonicalJson, type JsonValue, type RulesSpec, type SchemaSpec } from "@lakesync/core";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";

/** Facts that go with an event. */
export type AuditDetails = Readonly<Record<string, JsonValue>>;

/** Names of tables or buckets beyond these are only counted. */
const MAX_NAMES = 50;

function asJson(value: object): JsonValue {
  return JSON.parse(JSON.stringify(value));
}

function names(of: readonly string[]): JsonValue {
  if (of.length <= MAX_NAMES) return [...of];
  return [...of.slice(0, MAX_NAMES), `and ${of.length - MAX_NAMES} more`];
}

/**
 * The SHA-256 of a value's canonical JSON (RFC 8785).
 *
 * @param value the value
 * @returns lower-case hex
 */
export function hashOf(value: object): string {
  return bytesToHex(sha256(utf8ToBytes(canonicalJson(asJson(value)))));
}

/**
 * Tells of a schema.
 *
 * @param before the version that the gateway had, 0 for none
 * @param after the schema that it has
 * @param force whether clients may lose what it drops
 */
export function schemaDetails(before: number, after: SchemaSpec, force = false): AuditDetails {
  return {
    before,
    version: after.version,
    tables: names(Object.keys(after.tables)),
    hash: hashOf(after),
    ...(force ? { force } : {}),
  };
}

/**
 * Tells of rules.
 *
 * @param before the rules that the gateway had, if it had any
 * @param after the rules that it has or is building
 * @param building whether rows are still being placed by them
 */
export function rulesDetails(
  before: RulesSpec | undefined,
  after: RulesSpec,
  building: boolean,
): AuditDetails {
  const held = new Map(before?.buckets.map((bucket) => [bucket.name, hashOf(bucket)]));
  const put = new Map(after.buckets.map((bucket) => [bucket.name, hashOf(bucket)]));
  const changed = [...put].filter(([name, hash]) => held.has(name) && held.get(name) !== hash);
  const others = ({ buckets: _, ...rest }: RulesSpec) => hashOf(rest);
  return {
    hash: hashOf(after),
    ...(before === undefined ? {} : { before: hashOf(before) }),
    added: names([...put.keys()].filter((name) => !held.has(name))),
    removed: names([...held.keys()].filter((name) => !put.has(name))),
    changed: names(changed.map(([name]) => name)),
    writeRulesChanged: before === undefined || others(before) !== others(after),
    ...(building ? { building } : {}),
  };
}
