/**
 * Judges the writes of one caller by the write rules.
 *
 * @module
 */

import { type Family, isVisible, type Op, type RowState, Scope } from "@lakesync/core";
import type { CatalogTable } from "./catalog.ts";
import type { Caller } from "./gateway.ts";
import type { Lookups } from "./lookups.ts";
import { rowReader } from "./placement.ts";

/** A look-up that was not loaded is needed; load it and judge the transaction again. */
export class MissingLookups extends Error {
  override readonly name = "MissingLookups";
  constructor(readonly missing: readonly { readonly family: Family; readonly key: string }[]) {
    super("A look-up is not loaded");
  }
}

/** A change of a row, as it is judged. */
export interface JudgedChange {
  /** What the delta does. */
  readonly op: Op;
  /** The table. */
  readonly table: CatalogTable;
  /** The row. */
  readonly rowId: string;
  /** The row before it. */
  readonly before: RowState;
  /** The row after it. */
  readonly after: RowState;
  /** The row that the delta's cells alone would make. */
  readonly own: () => RowState;
}

/** Judges by the write rules. */
export class WriteGuard {
  readonly #exempt: boolean;

  constructor(readonly caller: Caller, readonly lookups: Lookups) {
    const { book } = lookups;
    this.#exempt = book.isOpen || (caller.admin && book.active.exempt.has("admin"));
  }

  /**
   * Judges one change.
   *
   * @returns a text that says why it is refused, or undefined
   * @throws {MissingLookups}
   */
  refusal(change: JudgedChange): string | undefined {
    if (this.#exempt) return undefined;
    const { op, table } = change;
    const { name } = table.table;
    const { active } = this.lookups.book;
    if (active.modeOf(name) === "download-only") {
      return `Table ${name} is download-only, its rows are not written by clients`;
    }
    const scope = new Scope(active, this.caller.claims, this.lookups.reader);
    if (!scope.hasWriteRule(name, op)) return `No write rule allows ${op} on table ${name}`;
    const allowed = this.#allowed(scope, change);
    if (scope.missing.length > 0) throw new MissingLookups(scope.missing);
    return allowed;
  }

  #allowed(scope: Scope, { op, table, rowId, before, after, own }: JudgedChange) {
    const { name } = table.table;
    const holds = (state: RowState) => scope.allows(name, op, rowReader(table, rowId, state));
    if (isVisible(before) && !holds(before)) {
      return `No write rule allows ${op} on this row of table ${name} as it is`;
    }
    if (op === "DELETE") return undefined;
    if (!holds(isVisible(after) ? after : own())) {
      return `No write rule allows ${op} on table ${name} with what the row would be`;
    }
    return undefined;
  }
}
