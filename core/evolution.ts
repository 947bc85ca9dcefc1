/**
 * What one schema version may do to the tables and columns of another: take over a name, and take
 * more values than before. Gateway and client decide by the same rules.
 *
 * @module
 */

import { type ColumnType, decimalParts } from "./value.ts";

/** A table or a column, as far as its name goes. */
export interface Named {
  /** Its name. */
  readonly name: string;
  /** The name it is declared to have had before. */
  readonly renamedFrom: string | undefined;
}

/**
 * Finds what a table or a column was called in an earlier version. A declared rename comes first,
 * since a version that keeps the declaration for long may be the first one a client sees of it.
 *
 * @param item the table or column as it is now
 * @param before the names of the earlier version
 * @returns its name there; undefined when it was not there
 *
 * @example
 * ```ts
 * import { formerNameOf } from "@lakesync/core";
 *
 * const now = { name: "title", renamedFrom: "name" };
 * console.assert(formerNameOf(now, new Set(["id", "name"])) === "name");
 * console.assert(formerNameOf(now, new Set(["id", "title"])) === "title");
 * console.assert(formerNameOf(now, new Set(["id"])) === undefined);
 * ```
 */
export function formerNameOf(
  { name, renamedFrom }: Named,
  before: { has(name: string): boolean },
): string | undefined {
  if (renamedFrom !== undefined && before.has(renamedFrom)) return renamedFrom;
  return before.has(name) ? name : undefined;
}

const WIDER: Readonly<Record<string, ColumnType>> = {
  uuid: "string",
  date: "string",
  timestamp: "string",
  integer: "number",
};

/**
 * Tells whether a column may change from one type to another without rewriting a value: each value
 * of the first is one of the second, written in the same way.
 *
 * @param from the type before
 * @param to the type after
 * @returns whether it takes everything it took; false for the same type
 *
 * @example
 * ```ts
 * import { widens } from "@lakesync/core";
 *
 * console.assert(widens("uuid", "string") && widens("decimal(8,2)", "decimal(12,2)"));
 * console.assert(!widens("integer", "decimal(12,2)") && !widens("decimal(8,2)", "decimal(12,4)"));
 * ```
 */
export function widens(from: ColumnType, to: ColumnType): boolean {
  const [narrow, wide] = [decimalParts(from), decimalParts(to)];
  if (narrow === undefined || wide === undefined) return WIDER[from] === to;
  return narrow.scale === wide.scale && narrow.precision < wide.precision;
}
