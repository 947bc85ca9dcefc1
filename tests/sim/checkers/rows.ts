/**
 * Compares tables, cell by cell.
 *
 * @module
 */
import type { TableRows } from "../history.ts";

/**
 * Finds the first difference between two sets of tables, in the order of the names. A table that is
 * not there is an empty one; a cell that is not there is not a NULL.
 *
 * @param actual What is there.
 * @param expected What should be.
 * @returns What differs, or nothing when they are equal.
 */
export function firstDifference(actual: TableRows, expected: TableRows): string | undefined {
  for (const table of namesIn(actual, expected)) {
    const here = actual[table] ?? {};
    const there = expected[table] ?? {};
    for (const rowId of namesIn(here, there)) {
      const row = here[rowId];
      const wanted = there[rowId];
      if (row === undefined) return `row ${table}/${rowId} is missing`;
      if (wanted === undefined) return `row ${table}/${rowId} is too much`;
      for (const column of namesIn(row, wanted)) {
        if (isSame(row[column], wanted[column])) continue;
        const [is, should] = [tell(row[column]), tell(wanted[column])];
        return `cell ${table}/${rowId}.${column} is ${is} and not ${should}`;
      }
    }
  }
  return undefined;
}

function namesIn(one: object, other: object): string[] {
  const names = Object.keys(one);
  for (const name of Object.keys(other)) if (!Object.hasOwn(one, name)) names.push(name);
  return names.sort();
}

function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object") return false;
  if (one === null || other === null || Array.isArray(one) !== Array.isArray(other)) return false;
  const mine = Object.entries(one);
  const others = new Map(Object.entries(other));
  return mine.length === others.size &&
    mine.every(([key, value]) => others.has(key) && isSame(value, others.get(key)));
}

function tell(value: unknown): string {
  if (value === undefined) return "missing";
  if (value instanceof Uint8Array) return `bytes ${value.toHex()}`;
  return JSON.stringify(value, (_, part) => typeof part === "bigint" ? `${part}n` : part);
}
