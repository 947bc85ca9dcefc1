/**
 * Judges the writes of one caller by the write rules.
 *
 * @module
 */

import { isVisible, type LookupKey, type Op, type RowState, Scope } from "@lakesync/core";
import type { CatalogTable } from "./catalog.ts";
import type { Caller } from "./gateway.ts";
import type { Lookups } from "./lookups.ts";
import { rowReader } from "./placement.ts";

/** A look-up that was not loaded is needed; load it and judge the transaction again. */
export class MissingLookups extends Error {
  override readonly name = "MissingLookups";
  constructor(readonly missing: readonly LookupKey[]) {
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
  /** Whether every write of the caller is judged. */
  readonly judges: boolean;
  #scope: Scope | undefined;
  #scopeVersion = 0;

  constructor(readonly caller: Caller, readonly lookups: Lookups) {
    const { book } = lookups;
    this.judges = !book.isOpen && !(caller.admin && book.active.exempt.has("admin"));
  }

  /** A scope that remembers the values of parameters until a look-up is another. */
  #current(): Scope {
    const { lookups } = this;
    if (this.#scope === undefined || this.#scopeVersion !== lookups.version) {
      const { active } = lookups.book;
      this.#scope = new Scope(active, this.caller.claims, lookups.reader, true);
      this.#scopeVersion = lookups.version;
    }
    return this.#scope;
  }

  /**
   * Judges one change.
   *
   * @returns a text that says why it is refused, or undefined
   * @throws {MissingLookups}
   */
  refusal(change: JudgedChange): string | undefined {
    const { op, table } = change;
    const { name } = table.table;
    const { active } = this.lookups.book;
    if (active.rules.closed?.tables.has(name) === true) {
      return `Table ${name} is closed on this gateway, its rows are neither read nor written`;
    }
    if (!this.judges) return undefined;
    if (active.modeOf(name) === "download-only") {
      return `Table ${name} is download-only, its rows are not written by clients`;
    }
    const scope = this.#current();
    if (!scope.hasWriteRule(name, op)) return `No write rule allows ${op} on table ${name}`;
    return this.#allowed(scope, change);
  }

  #allowed(scope: Scope, { op, table, rowId, before, after, own }: JudgedChange) {
    const { name } = table.table;
    const missing: LookupKey[] = [];
    const holds = (state: RowState) => {
      const allows = scope.allows(name, op, rowReader(table, rowId, state));
      missing.push(...scope.missing);
      return allows;
    };
    const allowed = allowedBy(holds, op, before, after, own);
    if (missing.length > 0) throw new MissingLookups(missing);
    return allowed ? undefined : `No write rule allows this ${op} on table ${name}`;
  }

  /**
   * Whether cells that waited in a row count, now that an INSERT makes it visible.
   *
   * @param claims the claims of who wrote them
   * @param change the row without them and with them
   * @throws {MissingLookups}
   */
  admits(claims: Caller["claims"], change: Omit<JudgedChange, "op" | "own">): boolean {
    const writer = new WriteGuard({ sub: "", admin: false, claims }, this.lookups);
    return writer.refusal({ ...change, op: "UPDATE", own: () => change.after }) === undefined;
  }
}

/** A row that is there, or was, must be one the caller may write; what comes of it too. */
function allowedBy(
  holds: (state: RowState) => boolean,
  op: Op,
  before: RowState,
  after: RowState,
  own: () => RowState,
): boolean {
  if (isVisible(before) && !holds(before)) return false;
  if (op !== "DELETE") return holds(isVisible(after) ? after : own());
  // Nothing is left to judge of a row that was deleted before; of one never seen there is its key.
  return isVisible(before) || before.died !== undefined || holds(own());
}
