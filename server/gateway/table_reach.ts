/**
 * Which tables clients reach at all, beside the sync rules: rules are compiled without the streams
 * and the write rules of the tables that are closed, so that closing one takes its rows away from
 * clients as an edit of the rules does. Tables are kept by number, which renames leave alone.
 *
 * @module
 */

import type { Rules, Schema } from "@lakesync/core";
import type { Catalog } from "./catalog.ts";

/** Which tables clients reach, by name: those on the first list, if there is one, not on the second. */
export interface TableNames {
  /** Only these; all unless given. */
  readonly allow?: readonly string[];
  /** Not these. */
  readonly deny: readonly string[];
}

/** The same by the numbers of tables, ascending. */
export interface TableReach {
  /** Only these; all unless given. */
  readonly allow?: readonly number[];
  /** Not these. */
  readonly deny: readonly number[];
}

/** Every table. */
export const EVERY_TABLE: TableReach = { deny: [] };

/** The number of a table by the name that it has, or had in a version that is served. */
function numberOf(catalog: Catalog, name: string): number | undefined {
  const now = catalog.table(name);
  if (now !== undefined) return now.id;
  for (const version of catalog.versions.toReversed()) {
    const table = catalog.version(version)?.table(name);
    if (table !== undefined) return table.id;
  }
  return undefined;
}

/**
 * Finds the tables that lists name.
 *
 * @param names the lists
 * @param catalog the schema
 * @param before which tables are reached so far; while a name of a closed table cannot be told, none
 * of those that are closed is opened
 */
export function reachOf(names: TableNames, catalog: Catalog, before: TableReach): TableReach {
  const numbers = (list: readonly string[]) => list.map((name) => numberOf(catalog, name));
  const denied = numbers(names.deny);
  const kept = denied.includes(undefined) ? before.deny : [];
  const sorted = (list: readonly (number | undefined)[]) =>
    [...new Set(list.filter((id) => id !== undefined))].sort((a, b) => a - b);
  const deny = sorted([...denied, ...kept]);
  return names.allow === undefined ? { deny } : { deny, allow: sorted(numbers(names.allow)) };
}

/** Whether two are the same. */
export function sameReach(one: TableReach, other: TableReach): boolean {
  return JSON.stringify([one.allow, one.deny]) === JSON.stringify([other.allow, other.deny]);
}

/**
 * Takes closed tables out of rules. What parameters look up in them stays: it decides who sees other
 * tables, and shows nothing of its own.
 *
 * @param rules the rules
 * @param reach which tables are reached
 * @param numberOf a table's number
 */
export function closeTables(
  rules: Rules,
  { allow, deny }: TableReach,
  schema: Schema,
  numberOf: (table: string) => number,
): Rules {
  if (allow === undefined && deny.length === 0) return rules;
  const isClosed = (table: string) => {
    const id = numberOf(table);
    return deny.includes(id) || allow !== undefined && !allow.includes(id);
  };
  const tables = new Set([...schema.tables.keys()].filter(isClosed));
  return {
    ...rules,
    buckets: rules.buckets.map((bucket) => ({
      ...bucket,
      tables: bucket.tables.filter(({ table }) => !tables.has(table.name)),
    })),
    writes: rules.writes.filter(({ table }) => !tables.has(table)),
    closed: {
      tables,
      mark: [
        ...deny.map((id) => `not t${id}`),
        ...(allow === undefined ? [] : ["only", ...allow.map((id) => `t${id}`)]),
      ],
    },
  };
}
