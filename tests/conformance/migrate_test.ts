import assert from "node:assert/strict";
import {
  type DatabaseAdapter,
  DestinationError,
  memoryAdapter,
  memoryObjects,
  migrateAdapter,
  type ObjectStore,
} from "@lakesync/adapters";
import { allChanges, allRows } from "./expect.ts";
import { ReadJsonLake } from "./testing_json_lake.ts";
import { lakeOver } from "./testing_lake.ts";
import { TestLog } from "./testing_log.ts";

async function filled(adapter: DatabaseAdapter): Promise<TestLog> {
  const log = await new TestLog(adapter).begin();
  for (let i = 0; i < 40; i++) {
    await log.insert(log.commit(
      { table: "todos", rowId: `r${i % 7}`, cells: { n: i, title: `${i}` } },
      { table: "lists", rowId: `l${i}`, cells: { name: `${i}` }, isVisible: i % 5 > 0 },
    ));
  }
  return log;
}

const content = async (adapter: DatabaseAdapter) =>
  (await allRows(adapter)).map(({ key, isVisible, cells }) => [key, isVisible, cells]);

Deno.test("migrateAdapter brings changes and rows over, and goes on where it ended", async () => {
  const [from, to] = [memoryAdapter("old"), memoryAdapter("new")];
  const log = await filled(from);
  const stop = new AbortController();
  const first = migrateAdapter({
    from,
    to,
    batchSize: 7,
    signal: stop.signal,
    onProgress: ({ changes }) => changes > 20 && stop.abort(new Error("enough")),
  });
  await assert.rejects(first, /enough/);
  assert.ok(((await to.position())?.seq ?? 99) < 40);
  let isWritten = false;
  const result = await migrateAdapter({
    from,
    to,
    batchSize: 7,
    onProgress: ({ phase }) => {
      if (phase === "copying" || isWritten) return;
      isWritten = true;
      void log.insert(log.commit({ table: "todos", rowId: "late", cells: { n: 1 } }));
    },
  });
  assert.deepEqual(result.different, []);
  assert.ok(result.changes < 70);
  assert.equal(result.tables.lists?.rows, 32);
  assert.equal(result.tables.lists?.hidden, 8);
  await migrateAdapter({ from, to });
  assert.deepEqual(await allChanges(to), await allChanges(from));
  assert.deepEqual(await content(to), await content(from));
  const { writer: _, ...place } = await to.position() ?? {};
  const { writer: __, ...old } = await from.position() ?? {};
  assert.deepEqual(place, old);
});

Deno.test("migrateAdapter brings what is left of an adapter that has forgotten changes", async () => {
  const [from, to] = [memoryAdapter("old"), memoryAdapter("new")];
  await filled(from);
  const what = { committedBeforeMs: Number.MAX_SAFE_INTEGER, throughSeq: 25, rows: false };
  while (await from.forget(what));
  const { floor } = await migrateAdapter({ from, to, batchSize: 5 });
  assert.equal(floor, 25);
  const kept = (await to.queryDeltasSince({ seq: floor }, 1_000)).changes;
  assert.deepEqual(kept, await allChanges(from));
  assert.deepEqual(await content(to), await content(from));
});

Deno.test("migrateAdapter brings some tables only", async () => {
  const [from, to] = [memoryAdapter("old"), memoryAdapter("new")];
  await filled(from);
  const { tables } = await migrateAdapter({ from, to, tables: ["todos"], batchSize: 3 });
  assert.deepEqual(Object.keys(tables), ["todos"]);
  const rows = (await allRows(from)).filter(({ key }) => key.table === 1);
  assert.deepEqual((await content(to)).length, rows.length);
  assert.equal((await allChanges(to)).length, 40);
});

Deno.test("migrateAdapter brings everything to a lake, which it cannot compare, and nothing out of it", async () => {
  for (const open of [lakeOver, (store: ObjectStore) => new ReadJsonLake(store).unread]) {
    const [from, store] = [memoryAdapter("old"), memoryObjects()];
    const to = open(store);
    await filled(from);
    const result = await migrateAdapter({ from, to, batchSize: 7 });
    assert.deepEqual([result.isCompared, result.tables, result.changes], [false, {}, 80]);
    assert.equal(result.position?.seq, 40);
    await assert.rejects(migrateAdapter({ from: to, to: memoryAdapter("new") }), /cannot be read/);
    await to.close();
  }
});

Deno.test("migrateAdapter tells of rows that differ, and refuses what is not its own", async () => {
  const [from, to, other] = [memoryAdapter("old"), memoryAdapter("new"), memoryAdapter("other")];
  const log = await filled(from);
  await migrateAdapter({ from, to });
  const position = await to.position();
  assert.ok(position !== undefined);
  const row = log.effect({ table: "todos", rowId: "r1", replaces: true, cells: { n: -1 } });
  const spoil = { from: position, to: position, rows: [row], changes: [], isWhole: true };
  await to.insertDeltas(spoil);
  await assert.rejects(migrateAdapter({ from, to }), /1 rows differ.*1 r1/);
  const strange = await new TestLog(other).begin();
  strange.lives = [{ id: "strange", fromSeq: 0 }];
  await strange.insert(strange.commit({ table: "todos", rowId: "x" }));
  await assert.rejects(migrateAdapter({ from, to: other }), /another gateway/);
});

Deno.test("migrateAdapter tells the head as it is, and ends when somebody must mend something", async () => {
  const [from, to] = [memoryAdapter("old"), memoryAdapter("new")];
  await filled(from);
  const heads = new Set<number>();
  await migrateAdapter({ from, to, batchSize: 7, onProgress: (p) => heads.add(p.headSeq) });
  assert.deepEqual([...heads], [(await from.position())?.seq]);
  const narrow = memoryAdapter("narrow");
  narrow.ensureSchema = () => Promise.reject(new DestinationError("stop", "A table is there"));
  await assert.rejects(migrateAdapter({ from, to: narrow }), /A table is there/);
});
