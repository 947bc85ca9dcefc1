/**
 * What a schema takes away from the clients of an earlier version, and what no schema may ever do.
 *
 * @module
 */

import { LakeSyncError, type Table, widens } from "@lakesync/core";
import type { NumberedSchema, Numbers } from "./catalog_numbers.ts";

/** A table and its column types by number. */
type ByNumber = ReadonlyMap<
  number,
  readonly [Table, ReadonlyMap<number, Table["columns"][number]>]
>;

function byNumber({ schema, numbers }: NumberedSchema): ByNumber {
  return new Map(
    [...schema.tables.values()].map((table, i) => {
      const [id = 0, columns = []]: Partial<Numbers[number]> = numbers[i] ?? [];
      const pairs = table.columns.map((column, at) => [columns[at] ?? 0, column] as const);
      return [id, [table, new Map(pairs)] as const];
    }),
  );
}

function refuse(what: string): never {
  throw new LakeSyncError("SCHEMA_ERROR", `The new schema would lose data: ${what}`);
}

/**
 * Holds a schema to what every successor must keep: keys, merge kinds, and types of which each value
 * is one of the new type. What it leaves out is another matter, {@linkcode lossOf}.
 *
 * @param before the version before it
 * @param next the new version
 * @throws {LakeSyncError} `SCHEMA_ERROR`
 */
export function checkSuccessor(before: NumberedSchema, next: NumberedSchema): void {
  const after = byNumber(next);
  for (const [id, [table, columns]] of byNumber(before)) {
    const [successor, kept] = after.get(id) ?? [];
    if (successor === undefined || kept === undefined) continue;
    const key = (of: Table) => of.primaryKey.map(({ name, type }) => `${name} ${type}`).join();
    if (key(table) !== key(successor)) refuse(`table ${table.name} has another key`);
    for (const [number, column] of columns) {
      const now = kept.get(number);
      if (now === undefined) continue;
      const place = `column ${table.name}.${column.name}`;
      if (now.merge !== column.merge) refuse(`${place} has another merge kind`);
      const wider = column.merge === "lww" && widens(column.type, now.type);
      if (now.type !== column.type && !wider) refuse(`${place} has another type`);
    }
  }
}

/**
 * Finds what the clients of a version would lose: a table, a column, or a type that they know.
 *
 * @param before a registered version
 * @param next the new version
 * @returns what the new schema does to them, or undefined when they lose nothing
 */
export function lossOf(before: NumberedSchema, next: NumberedSchema): string | undefined {
  const after = byNumber(next);
  for (const [id, [table, columns]] of byNumber(before)) {
    const [, kept] = after.get(id) ?? [];
    if (kept === undefined) return `drops table ${table.name}`;
    for (const [number, { name, type }] of columns) {
      const now = kept.get(number);
      if (now === undefined) return `drops column ${table.name}.${name}`;
      if (now.type !== type) {
        return `widens column ${table.name}.${name} from ${type} to ${now.type}`;
      }
    }
  }
  return undefined;
}
