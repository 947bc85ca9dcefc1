/**
 * Tells why a user sees a row or not, and may write it or not.
 *
 * @module
 */

import {
  EMPTY_ROW,
  explainRead,
  explainWrite,
  type Explanation,
  formatExplanation,
  isVisible,
  keyOf,
  LakeSyncError,
  type Op,
} from "@lakesync/core";
import type { ReadView } from "../store/store.ts";
import type { Catalog } from "./catalog.ts";
import type { ExplainRequest, RowExplanation } from "./gateway.ts";
import { askLoaded, type LookupCache, Lookups } from "./lookups.ts";
import { rowReader } from "./placement.ts";
import { readRecord } from "./record.ts";
import type { RuleBook } from "./rule_book.ts";

const OPS: readonly Op[] = ["INSERT", "UPDATE", "DELETE"];

/**
 * Explains one row.
 *
 * @param view the snapshot
 * @param catalog the schema
 * @param book the rules
 * @param cache what parameters looked up
 * @param request who, and which row
 * @throws {LakeSyncError} `VALIDATION_ERROR` when there is no such table or the rowId cannot be one
 */
export async function explainRow(
  view: ReadView,
  catalog: Catalog,
  book: RuleBook,
  cache: LookupCache,
  { claims, table: name, rowId }: ExplainRequest,
): Promise<RowExplanation> {
  const table = catalog.table(name);
  if (table === undefined) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      `No table ${JSON.stringify(name.slice(0, 64))} in the schema`,
    );
  }
  const misfit = keyOf(table.table, rowId);
  if (typeof misfit === "string") throw new LakeSyncError("VALIDATION_ERROR", misfit);
  const [stored] = await view.rows([{ table: table.id, rowId }]);
  const state = stored === undefined ? EMPTY_ROW : readRecord(stored.data).state;
  const exists = isVisible(state);
  const row = rowReader(table, rowId, state);
  const lookups = new Lookups(book, catalog, cache);
  const asked = (ask: () => Explanation) =>
    askLoaded(view, lookups, () => {
      const answer = ask();
      return { answer, missing: answer.missing };
    });
  const { active } = book;
  const read = await asked(() => explainRead(active, claims, lookups.reader, name, row));
  const writes: Explanation[] = [];
  for (const op of OPS) {
    writes.push(await asked(() => explainWrite(active, claims, lookups.reader, name, row, op)));
  }
  const [INSERT = false, UPDATE = false, DELETE = false] = writes.map(({ allowed }) => allowed);
  const known = exists
    ? []
    : [`Row ${JSON.stringify(rowId)} is not there; judged by its key alone.`];
  const open = book.isOpen
    ? ["The gateway has no sync rules: in development mode all is open."]
    : [];
  return {
    exists,
    visible: exists && read.allowed,
    writable: { INSERT, UPDATE, DELETE },
    lines: [...open, ...known, ...[read, ...writes].flatMap(formatExplanation)],
  };
}
