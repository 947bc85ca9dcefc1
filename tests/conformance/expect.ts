/**
 * What an adapter holds, read back through its port, for comparison.
 *
 * @module
 */

import assert from "node:assert/strict";
import type {
  Change,
  DatabaseAdapter,
  DestinationKey,
  FlushPosition,
  LatestState,
  StoredChange,
} from "@lakesync/adapters";
import type { Value } from "@lakesync/core";
import type { TestLog } from "./testing_log.ts";

/** All of it. */
export interface Held {
  readonly position: FlushPosition | undefined;
  readonly changes: readonly StoredChange[];
  readonly rows: readonly LatestState[];
  /** In the order of names. */
  readonly unsettled: readonly string[];
}

/** Reads all changes, a page at a time. */
export async function allChanges(
  adapter: DatabaseAdapter,
  limit = 1_000,
): Promise<readonly StoredChange[]> {
  const changes: StoredChange[] = [];
  let after = await start(adapter);
  for (;;) {
    const page = await adapter.queryDeltasSince(after, limit);
    assert.equal(page.isTrimmed, false);
    changes.push(...page.changes);
    const last = page.changes.at(-1);
    if (page.isComplete) return changes;
    assert.ok(last !== undefined, "a page that is not complete has changes");
    after = last;
  }
}

async function start(adapter: DatabaseAdapter): Promise<{ seq: number; slice?: number }> {
  return { seq: await adapter.forgottenSeq() };
}

/** Reads all rows, a page at a time. */
export async function allRows(
  adapter: DatabaseAdapter,
  limit = 1_000,
): Promise<readonly LatestState[]> {
  const rows: LatestState[] = [];
  for (;;) {
    const page = await adapter.scanState(rows.at(-1)?.key, limit);
    rows.push(...page);
    if (page.length < limit) return rows;
  }
}

/** Reads all that an adapter holds. */
export async function held(adapter: DatabaseAdapter, limit?: number): Promise<Held> {
  return {
    position: await adapter.position(),
    changes: await allChanges(adapter, limit),
    rows: await allRows(adapter, limit),
    unsettled: names(await adapter.unsettled(10_000)),
  };
}

/** Names of rows, in order. */
export function names(keys: readonly DestinationKey[]): readonly string[] {
  return keys.map(({ table, rowId }) => `${table}/${rowId}`).sort();
}

/** A change as it is read back. */
export function stored({ effect, unsettles, ...change }: Change): StoredChange {
  return { ...change, key: effect?.key ?? unsettles };
}

/** The cells of a row by their names, or undefined when nothing is known of it. */
export async function cellsOf(
  adapter: DatabaseAdapter,
  log: TestLog,
  table: string,
  rowId: string,
): Promise<{ isVisible: boolean; cells: Record<string, Value> } | undefined> {
  const [row] = await adapter.getLatestState([log.key(table, rowId)]);
  if (row === undefined) return undefined;
  const found = log.schema.tables.find(({ id }) => id === row.key.table);
  const cells = row.cells.map(([column, value]): [string, Value] => {
    const at = found?.columnIds.indexOf(column) ?? -1;
    return [found?.table.columns[at]?.name ?? `#${column}`, value];
  });
  return { isVisible: row.isVisible, cells: Object.fromEntries(cells) };
}
