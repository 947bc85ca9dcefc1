/**
 * What a gateway makes of an app's transactions, and what the client makes of its answer.
 *
 * @module
 */

import { type Delta, keyOf, type Schema } from "@lakesync/core";
import assert from "node:assert/strict";
import type { SqliteConnection } from "../../client/database/driver.ts";
import type { AnyLocalDatabase } from "../../client/local.ts";
import { MemoryGateway, WIDE } from "../../client/testing_local.ts";
import { writtenMisfit } from "../../core/merge_written.ts";
import { comparableRows, readRows } from "./sql_fold.ts";

/** Values that only the gateway judges to the end (client/checks.ts). */
const JUDGED_LATER = /^(decimal|json)/;

/** Why a gateway refuses a change, and whether only the gateway can tell. */
export function misfit(
  { shape, rowId, values }: Delta,
  schema: Schema,
): { readonly why: string; readonly later: boolean } | undefined {
  const table = schema.tables.get(shape.table);
  assert.ok(table !== undefined);
  const key = keyOf(table, rowId);
  if (typeof key === "string") {
    return { why: key, later: table.primaryKey.some(({ type }) => JUDGED_LATER.test(type)) };
  }
  for (const [i, name] of shape.columns.entries()) {
    const column = table.byName.get(name);
    assert.ok(column !== undefined);
    const value = values[i] ?? null;
    const why = value === null ? undefined : writtenMisfit(column, shape.op, value);
    if (why === undefined) continue;
    return { why, later: column.merge !== "set" && JUDGED_LATER.test(column.type) };
  }
  return undefined;
}

/** What a gateway that took all of it would send back, and how the client's tables are then. */
export async function syncAll(
  client: AnyLocalDatabase,
  writer: SqliteConnection,
  schema: Schema,
): Promise<void> {
  const gateway = new MemoryGateway(schema);
  const { clientId } = await client.state();
  for (let at = 0;;) {
    const batch = await client.nextBatch({ mutationId: at, part: 0 }, WIDE);
    if (batch === undefined) break;
    at = batch.next.mutationId;
    const refused = new Set(
      batch.transactions.filter(({ deltas }) => deltas.some((delta) => misfit(delta, schema)))
        .map(({ mutationId }) => mutationId),
    );
    await client.pushed(gateway.push(clientId, batch.transactions, (id) => refused.has(id)));
  }
  for (const page of gateway.pull(clientId, undefined)) await client.receive(page);
  const blocked = await client.blockedRows();
  const [there, here] = [comparableRows(gateway.visible(), schema), await readRows(writer, schema)];
  for (const { table, rowId } of blocked) {
    there.delete(`${table} ${rowId}`);
    here.delete(`${table} ${rowId}`);
  }
  assert.deepEqual(here, there, "After a checkpoint");
}
