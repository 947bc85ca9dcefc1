/**
 * Keeps rows as they are now, brings them to their tables, and then those that waited for one of
 * them.
 *
 * @module
 */

import type { DestinationKey } from "../adapter.ts";
import type { SqlTransaction, StoredProblem } from "./backend.ts";
import type { Family } from "./family.ts";
import type { StoredRow } from "./images.ts";
import { byTableOf, type Projected, type ProjectionContext, projectRows } from "./projection.ts";
import { KeyMap } from "./row_keys.ts";

/** So many rows that waited are tried again at once. */
const AT_ONCE = 1_000;

/** Where and when rows are kept. */
export interface SettleContext extends Omit<ProjectionContext, "family"> {
  /** The tables; undefined before there is a schema. */
  readonly family: Family | undefined;
}

/**
 * Keeps rows and brings them to their tables.
 *
 * @param rows the rows as they are now, each once
 * @param context where and when
 */
export async function settleRows(
  rows: readonly StoredRow[],
  context: SettleContext,
): Promise<void> {
  const { transaction, family } = context;
  if (family === undefined) {
    await transaction.putRows(rows.map((row) => ({ ...row, problem: undefined })));
    return;
  }
  const projected = await projectRows(rows, { ...context, family });
  const own = new KeyMap<true>();
  for (const { key } of rows) own.set(key, true);
  await transaction.putRows(
    rows.map((row) => ({ ...row, problem: projected.problems.get(row.key) })),
  );
  const others = [...projected.retried.keys(), ...projected.problems.keys()]
    .filter((key) => !own.has(key));
  await putProblems(transaction, distinct(others), projected);
  await followUp(projected, { ...context, family });
}

/**
 * Brings rows to their tables that are kept already, whatever was wrong with them before.
 *
 * @param rows the rows as they are kept
 * @param context where and when
 */
export async function retryRows(
  rows: readonly StoredRow[],
  context: ProjectionContext,
): Promise<void> {
  await followUp(await retried(rows, context), context);
}

async function retried(
  rows: readonly StoredRow[],
  context: ProjectionContext,
): Promise<Projected> {
  const projected = await projectRows(rows, context);
  const keys = [
    ...rows.map(({ key }) => key),
    ...projected.retried.keys(),
    ...projected.problems.keys(),
  ];
  await putProblems(context.transaction, distinct(keys), projected);
  return projected;
}

/** Looks after rows that waited for some that were written, and so on. */
async function followUp(first: Projected, context: ProjectionContext): Promise<void> {
  const { transaction } = context;
  const { waitedFor, keptProps } = await transaction.leftovers();
  const queue = [first];
  for (let projected = queue.pop(); projected !== undefined; projected = queue.pop()) {
    const written = projected.written.keys();
    for (const [table, rowIds] of byTableOf(written.filter(({ table }) => keptProps.has(table)))) {
      const layout = context.family.tables.get(table);
      if (layout !== undefined) await transaction.restoreProps(layout, rowIds);
    }
    const parents = written.filter(({ table }) => waitedFor.has(table));
    if (parents.length === 0) continue;
    const tried = new KeyMap<true>();
    for (;;) {
      const waiting = (await transaction.waitingFor(parents, AT_ONCE))
        .filter(({ key }) => !tried.has(key));
      if (waiting.length === 0) break;
      for (const { key } of waiting) tried.set(key, true);
      queue.push(await retried(waiting, context));
    }
  }
}

function distinct(keys: readonly DestinationKey[]): readonly DestinationKey[] {
  const all = new KeyMap<true>();
  for (const key of keys) all.set(key, true);
  return all.keys();
}

async function putProblems(
  transaction: SqlTransaction,
  keys: readonly DestinationKey[],
  { problems }: Projected,
): Promise<void> {
  if (keys.length === 0) return;
  await transaction.putProblems(
    keys.map((key): readonly [DestinationKey, StoredProblem | undefined] => [
      key,
      problems.get(key),
    ]),
  );
}
