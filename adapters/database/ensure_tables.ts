/**
 * Makes the tables of a database ready for a schema, and brings rows to tables and columns that are
 * new.
 *
 * @module
 */

import { DestinationError, type DestinationSchema } from "../adapter.ts";
import type { SchemaTransaction, SqlBackend } from "./backend.ts";
import { Family } from "./family.ts";
import { planSchema } from "./schema_plan.ts";
import { retryRows } from "./settle.ts";

/** So many rows are brought to a new table at once. */
const AT_ONCE = 2_000;

/**
 * Makes tables ready. An older schema than the last one is passed over.
 *
 * @param schema the schema
 * @param backend the database
 * @param now the time, in milliseconds since 1970
 * @throws {DestinationError} `stop` when something would be lost
 */
export async function ensureTables(
  schema: DestinationSchema,
  backend: SqlBackend,
  now: () => number,
): Promise<void> {
  await backend.transactSchema(async (transaction) => {
    const { schema: before, facts, unfilled } = await transaction.facts();
    if (before !== undefined && schema.version < before.version) return;
    const { steps, stored, refusals } = planSchema(schema, facts);
    if (refusals.length > 0) {
      throw new DestinationError("stop", `The schema cannot be taken up. ${refusals.join(". ")}`);
    }
    const filled = new Set(unfilled);
    for (const step of steps) {
      if (step.kind === "fillTable") filled.add(step.table.id);
      else await transaction.apply(step);
    }
    await transaction.putSchema(schema, stored);
    const layouts = await transaction.layouts();
    const family = new Family(layouts, backend);
    const lacking = await transaction.lackingReferences(family.references);
    for (const { child } of lacking) filled.add(child);
    for (const id of family.groups.flat()) {
      if (filled.has(id)) await fill(id, transaction, backend, family, now);
    }
    await transaction.makeReferences(layouts, lacking);
  });
}

async function fill(
  table: number,
  transaction: SchemaTransaction,
  backend: SqlBackend,
  family: Family,
  now: () => number,
): Promise<void> {
  const { position } = await transaction.lockPosition();
  const context = { transaction, backend, family, seq: position?.seq ?? 0, nowMs: now() };
  for (let after = "";;) {
    const rows = await transaction.readTable(table, after, AT_ONCE);
    const last = rows.at(-1);
    if (last === undefined) return;
    await retryRows(rows, context);
    after = last.key.rowId;
  }
}
