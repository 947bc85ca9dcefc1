import assert from "node:assert/strict";
import fc from "fast-check";
import { type Catalog, CatalogError } from "../catalog/catalog.ts";
import { positionOf } from "../flush/properties.ts";
import { loadTables } from "../flush/tables.ts";
import { maintain } from "../maintain/maintain.ts";
import { DEFAULT_MERGE, mergeTable } from "./merge.ts";
import { mergeLake, refillOf } from "./merge_lake.ts";
import { MERGE_PROPERTY } from "./standing.ts";
import { type GatewayChange, TestGateway } from "./testing_gateway.ts";
import { numbered, TABLE } from "./testing_history.ts";
import { openTestLake, seenRows, type TestLake } from "./testing_lake.ts";
import { SMALL, step, take } from "./testing_steps.ts";

/** Forgets that anything was merged, and merges all. */
async function mergeFromNothing({ lake }: TestLake): Promise<void> {
  const tables = await loadTables(lake);
  const [changes, rows] = [tables.changes.get(TABLE)?.loaded, tables.rows.get(TABLE)];
  assert.ok(changes !== undefined && rows !== undefined);
  const { [MERGE_PROPERTY.merged]: _, ...properties } = rows.metadata.properties ?? {};
  const { "current-snapshot-id": __, ...metadata } = rows.metadata;
  const empty = { ...rows, snapshot: undefined, metadata: { ...metadata, properties, refs: {} } };
  await mergeTable(lake, { changes, rows: empty }, refillOf(tables), DEFAULT_MERGE);
}

async function checkPosition({ lake }: TestLake): Promise<void> {
  const tables = await loadTables(lake);
  const [changes, rows] = [tables.changes.get(TABLE)?.loaded, tables.rows.get(TABLE)];
  assert.ok(changes !== undefined && rows !== undefined);
  const position = positionOf(rows.metadata);
  assert.equal(position?.seq, positionOf(changes.metadata)?.seq);
  assert.equal(position?.slice, positionOf(changes.metadata)?.slice);
  assert.equal(rows.snapshot?.summary["lakesync.seq"], String(position?.seq));
}

Deno.test("G10: rows that are merged step by step are those of the gateway, and those that are merged from nothing", async () => {
  const store = fc.array(step, { minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(
      store,
      fc.constantFrom("any" as const, "steady" as const),
      async (steps, clock) => {
        const test = openTestLake();
        try {
          const gateway = new TestGateway(test.adapter, clock);
          await gateway.begin();
          for (const step of steps) await take(step, gateway, test);
          await gateway.settle();
          await mergeLake(test.lake, SMALL);
          assert.deepEqual(await seenRows(test.lake, TABLE), gateway.visible);
          assert.equal(await mergeLake(test.lake, SMALL), 0);
          await checkPosition(test);
          await mergeFromNothing(test);
          assert.deepEqual(await seenRows(test.lake, TABLE), gateway.visible);
        } finally {
          await test.close();
        }
      },
    ),
    { numRuns: 40 },
  );
});

const key = { table: TABLE, rowId: '["a",1]' };
const cells = { name: "milk" };
const INSERT: GatewayChange = {
  op: "INSERT",
  columns: cells,
  effect: { key, isVisible: true, replaces: true, cells: numbered(cells) },
};
const DELETE: GatewayChange = {
  op: "DELETE",
  columns: {},
  effect: { key, isVisible: false, replaces: true, cells: [] },
};

Deno.test("rows are seen as before while they are filled, and those the gateway lost are gone then", async () => {
  const test = openTestLake();
  const gateway = new TestGateway(test.adapter);
  await gateway.begin();
  const other = { ...INSERT, effect: { ...INSERT.effect, key: { ...key, rowId: '["b",1]' } } };
  await gateway.flush([[INSERT, other]], false);
  await mergeLake(test.lake);
  await gateway.refill([DELETE]);
  await mergeLake(test.lake);
  assert.deepEqual([...(await seenRows(test.lake, TABLE)).keys()], ['["a",1]', '["b",1]']);
  await gateway.settle();
  await mergeLake(test.lake);
  assert.deepEqual([...(await seenRows(test.lake, TABLE)).keys()], ['["b",1]']);
  await test.close();
});

Deno.test("a merge that loses against another commit leaves nothing behind", async () => {
  const test = openTestLake();
  const { lake } = test;
  const gateway = new TestGateway(test.adapter);
  await gateway.begin();
  await gateway.flush([[INSERT]], false);
  const keys = async () => (await Array.fromAsync(lake.store.listObjects(""))).map((o) => o.key);
  const before = await keys();
  const commit = () => Promise.reject(new CatalogError("conflict", "Another one was first"));
  const { catalog } = lake;
  const losing = { ...lake, catalog: { ...methodsOf(catalog), commit } };
  await assert.rejects(mergeLake(losing), CatalogError);
  assert.deepEqual(await keys(), before);
  await mergeLake(lake);
  assert.deepEqual(await seenRows(lake, TABLE), gateway.visible);
  await test.close();
});

function methodsOf(catalog: Catalog): Catalog {
  return {
    list: (namespace) => catalog.list(namespace),
    load: (table) => catalog.load(table),
    create: (table, metadata) => catalog.create(table, metadata),
    commit: (base, updates) => catalog.commit(base, updates),
    rename: (from, to) => catalog.rename(from, to),
    close: () => catalog.close(),
  };
}

function named(rowId: string, name: string): GatewayChange {
  const cells = { name };
  const effect = { key: { table: TABLE, rowId }, isVisible: true, replaces: true };
  return { op: "INSERT", columns: cells, effect: { ...effect, cells: numbered(cells) } };
}

Deno.test("G10: a flush whose days go back and forth is taken back in part", async () => {
  const test = openTestLake();
  const gateway = new TestGateway(test.adapter);
  await gateway.begin();
  const [row, other] = ['["a",1]', '["b",1]'];
  await gateway.flush(
    [[named(row, "1")], [named(row, "2")], [named(row, "3")], [named(other, "4")]],
    false,
  );
  await mergeLake(test.lake);
  await gateway.rewind(1);
  await gateway.settle();
  await mergeLake(test.lake);
  assert.deepEqual(await seenRows(test.lake, TABLE), gateway.visible);
  await test.close();
});

Deno.test("G10: flushes whose days go back and forth are put together before they are merged", async () => {
  const test = openTestLake();
  const gateway = new TestGateway(test.adapter);
  await gateway.begin();
  const [row, other] = ['["a",1]', '["b",1]'];
  await gateway.flush([[named(row, "1")], [named(row, "2")], [named(row, "3")]], false);
  await gateway.flush([[named(other, "4")]], false);
  const sizes = { smallBytes: 1_000_000, targetBytes: 10_000_000, minSmall: 2, fanIn: 2 };
  const { failure } = await maintain(test.lake, { changes: sizes });
  assert.equal(failure, undefined);
  await mergeLake(test.lake);
  assert.deepEqual(await seenRows(test.lake, TABLE), gateway.visible);
  await test.close();
});
