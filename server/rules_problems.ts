/**
 * All that is wrong with a rule set, not only the first thing: each bucket and each write rule is
 * read once with plain ones in the places of the others.
 *
 * @module
 */

import { LakeSyncError, parseRules, type Schema } from "@lakesync/core";

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function problemOf(input: unknown, schema: Schema): string | undefined {
  try {
    parseRules(input, schema);
    return undefined;
  } catch (error) {
    if (error instanceof LakeSyncError) return error.message;
    throw error;
  }
}

/** A bucket in whose place nothing is wrong; others may need its parameters. */
function plainBucket(bucket: unknown, i: number): Fields {
  const parameters = isFields(bucket) ? bucket["parameters"] : undefined;
  return {
    name: `b${i}`,
    tables: ["*"],
    ...(parameters === undefined ? {} : { parameters }),
  };
}

const PLAIN_WRITE: Fields = { tables: ["*"], ops: ["INSERT"] };

/** The rule set, once for each of its parts that are lists. */
function variantsOf(rules: Fields): readonly Fields[] {
  const { buckets, write } = rules;
  const bucketList: readonly unknown[] = Array.isArray(buckets) ? buckets : [];
  const writeList: readonly unknown[] = Array.isArray(write) ? write : [];
  const { write: _, ...reading } = rules;
  const plainBuckets: readonly unknown[] = bucketList.map(plainBucket);
  return [
    ...bucketList.map((bucket, i) => ({ ...reading, buckets: plainBuckets.with(i, bucket) })),
    ...writeList.map((rule, i) => ({
      ...reading,
      buckets: plainBuckets,
      write: writeList.map((_, j) => i === j ? rule : PLAIN_WRITE),
    })),
  ];
}

/**
 * Counts what rules are made of.
 *
 * @param rules rules that nothing is wrong with, as JSON
 * @param schema the schema whose tables and columns they name
 * @returns one line: bucket definitions, write rules, and of how many of the schema's tables they say
 * who reads or writes them
 * @throws {LakeSyncError} `VALIDATION_ERROR` when something is wrong with them
 */
export function rulesSummary(rules: unknown, schema: Schema): string {
  const { buckets, writes, spec } = parseRules(rules, schema);
  const tables = new Set([
    ...buckets.flatMap((bucket) => bucket.tables.map(({ table }) => table.name)),
    ...writes.map(({ table }) => table),
  ]);
  return `buckets: ${buckets.length}, write rules: ${spec.write?.length ?? 0}, ` +
    `tables: ${tables.size} of ${schema.tables.size}`;
}

/**
 * Finds what is wrong with rules.
 *
 * @param rules the rules as JSON
 * @param schema the schema whose tables and columns they name
 * @returns what is wrong, each with its place; empty when nothing is
 */
export function rulesProblems(rules: unknown, schema: Schema): readonly string[] {
  const first = problemOf(rules, schema);
  if (first === undefined || !isFields(rules)) return first === undefined ? [] : [first];
  const others = variantsOf(rules).flatMap((variant) => problemOf(variant, schema) ?? []);
  return [...new Set([first, ...others])];
}
