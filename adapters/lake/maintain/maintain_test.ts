import assert from "node:assert/strict";
import fc from "fast-check";
import { memoryObjects } from "../../object-store/memory.ts";
import { readChangeRows } from "../flush/change_batch.ts";
import type { Lake } from "../flush/lake.ts";
import { changesSchema } from "../flush/layout.ts";
import { loadTables } from "../flush/tables.ts";
import { liveFiles, readFields } from "../table/live_files.ts";
import { mergeLake } from "../table/merge_lake.ts";
import { type GatewayChange, TestGateway } from "../table/testing_gateway.ts";
import { numbered, TABLE } from "../table/testing_history.ts";
import { openTestLake, seenRows } from "../table/testing_lake.ts";
import { SMALL, step, take } from "../table/testing_steps.ts";
import { maintain, type MaintenanceSettings } from "./maintain.ts";

const HOUR_MS = 3_600_000;

/** Everything is put together as soon as there are two of it. */
const EAGER: Partial<MaintenanceSettings> = {
  changes: { targetBytes: 60_000, smallBytes: 40_000, minSmall: 2, fanIn: 2 },
  rows: { targetBytes: 60_000, smallBytes: 40_000, fanIn: 2, maxGone: 0 },
  maxManifests: 1,
  maxSteps: 2,
};

/** All changes, wherever they are. */
async function allChanges(lake: Lake): Promise<readonly unknown[]> {
  const table = (await loadTables(lake)).changes.get(TABLE);
  assert.ok(table?.layout !== undefined);
  const { metadata, snapshot } = table.loaded;
  const rows: { readonly seq: number }[] = [];
  for (const { entry } of await liveFiles(lake, metadata, snapshot)) {
    const batch = await readFields(lake, entry.dataFile, changesSchema(table.layout).fields);
    for (const { row } of readChangeRows(table.layout, batch)) rows.push(row);
  }
  // Rows that were set have no deltaId, and those of two fillings may have one seq.
  const texts = new Map(rows.map((row) => [row, fc.stringify(row)]));
  const textOf = (row: typeof rows[number]) => texts.get(row) ?? "";
  return rows.sort((a, b) => a.seq - b.seq || (textOf(a) < textOf(b) ? -1 : 1));
}

Deno.test("G10: maintenance at any time changes neither changes nor rows", async () => {
  const kept = step.map((taken) => ({ taken, hours: 0 }));
  const passed = fc.nat(30).map((hours) => ({ taken: undefined, hours }));
  const often = { maxLength: 40, size: "max" } as const;
  const steps = fc.array(fc.oneof({ weight: 3, arbitrary: kept }, passed), often);
  let [compacted, deleted] = [0, 0];
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      let nowMs = Date.UTC(2026, 0, 1);
      const now = () => nowMs;
      const test = openTestLake(memoryObjects(now), now);
      try {
        const gateway = new TestGateway(test.adapter);
        await gateway.begin();
        for (const { taken, hours } of all) {
          nowMs += hours * HOUR_MS + 60_000;
          if (taken !== undefined) await take(taken, gateway, test);
          else {
            if (hours % 2 === 0) await mergeLake(test.lake, SMALL);
            const before = await allChanges(test.lake);
            const seen = await seenRows(test.lake, TABLE);
            const { failure, tables } = await maintain(test.lake, EAGER);
            compacted += tables.reduce((sum, { compacted: { files } }) => sum + files, 0);
            deleted += tables.reduce((sum, { objects }) => sum + objects, 0);
            assert.equal(failure, undefined);
            assert.deepEqual(await allChanges(test.lake), before);
            assert.deepEqual(await seenRows(test.lake, TABLE), seen);
          }
        }
        await gateway.settle();
        await mergeLake(test.lake, SMALL);
        assert.deepEqual(await seenRows(test.lake, TABLE), gateway.visible);
      } finally {
        await test.close();
      }
    }),
    { numRuns: 20 },
  );
  assert.ok(compacted > 10 && deleted > 60, `${compacted} files, ${deleted} objects`);
});

const key = (n: number) => ({ table: TABLE, rowId: `["a",${n}]` });

function inserts(from: number, count: number): GatewayChange[] {
  return Array.from({ length: count }, (_, i): GatewayChange => {
    const cells = { name: `row ${from + i}`, count: from + i };
    return {
      op: "INSERT",
      columns: cells,
      effect: { key: key(from + i), isVisible: true, replaces: true, cells: numbered(cells) },
    };
  });
}

async function keysOf({ store }: Lake): Promise<readonly string[]> {
  return (await Array.fromAsync(store.listObjects(""))).map(({ key }) => key);
}

/** How many files and snapshots the table of changes and that of rows have. */
async function shapeOf(
  lake: Lake,
): Promise<readonly (readonly [files: number, snapshots: number])[]> {
  const { changes, rows } = await loadTables(lake);
  const both = [changes.get(TABLE)?.loaded, rows.get(TABLE)];
  return await Promise.all(both.map(async (table) => {
    assert.ok(table !== undefined);
    const files = await liveFiles(lake, table.metadata, table.snapshot);
    return [files.length, table.metadata.snapshots?.length ?? 0] as const;
  }));
}

Deno.test("a flusher goes on although maintenance removed the snapshot that it knew", async () => {
  let nowMs = Date.UTC(2026, 0, 1);
  const now = () => nowMs;
  const test = openTestLake(memoryObjects(now), now);
  const gateway = new TestGateway(test.adapter, "steady");
  await gateway.begin();
  await gateway.flush([inserts(0, 1)], false);
  await gateway.flush([inserts(1, 1)], false);
  await mergeLake(test.lake);
  await maintain(test.lake, EAGER);
  nowMs += 2 * HOUR_MS;
  await maintain(test.lake, EAGER);
  nowMs += 2 * HOUR_MS;
  assert.ok((await maintain(test.lake, EAGER)).tables.some(({ objects }) => objects > 0));
  await gateway.flush([inserts(2, 1)], false);
  await mergeLake(test.lake);
  assert.deepEqual(await seenRows(test.lake, TABLE), gateway.visible);
  await test.close();
});

Deno.test("maintain leaves few files and snapshots, and of what it replaced nothing", async () => {
  let nowMs = Date.UTC(2026, 0, 1);
  const now = () => nowMs;
  const test = openTestLake(memoryObjects(now), now);
  const { lake } = test;
  const gateway = new TestGateway(test.adapter, "steady");
  await gateway.begin();
  for (let i = 0; i < 20; i++) {
    nowMs += 60_000;
    await gateway.flush([inserts(i * 5, 5)], false);
    await mergeLake(lake);
  }
  const [[changesBefore = 0] = []] = await shapeOf(lake);
  assert.equal(changesBefore, 20);
  const report = await maintain(lake);
  assert.equal(report.failure, undefined);
  assert.deepEqual((await shapeOf(lake)).map(([files]) => files), [1, 1]);
  await lake.store.putObject("main/tasks/data/left-behind.parquet", new Uint8Array(1));
  await lake.store.putObject("main/tasks/metadata/left-behind.avro", new Uint8Array(1));
  nowMs += 2 * 24 * HOUR_MS;
  const first = await maintain(lake);
  assert.ok(first.tables.every(({ snapshots }) => snapshots > 0));
  nowMs += HOUR_MS;
  const kept = await maintain(lake);
  assert.ok((await keysOf(lake)).includes("main/tasks/data/left-behind.parquet"));
  assert.ok(kept.tables.every(({ objects }) => objects > 0));
  assert.deepEqual((await shapeOf(lake)).map(([, snapshots]) => snapshots), [1, 1]);
  nowMs += 2 * 24 * HOUR_MS;
  await lake.store.putObject("main/tasks/data/just-written.parquet", new Uint8Array(1));
  const last = await maintain(lake);
  assert.deepEqual(last.tables.map(({ orphans }) => orphans), [0, 2, 0]);
  const data = (await keysOf(lake)).filter((each) => each.endsWith(".parquet"));
  assert.equal(data.length, 3);
  assert.ok(data.includes("main/tasks/data/just-written.parquet"));
  assert.ok((await keysOf(lake)).length < 90, `${(await keysOf(lake)).length} objects`);
  assert.deepEqual(await seenRows(lake, TABLE), gateway.visible);
  await test.close();
});

Deno.test("maintain removes no orphan that is young by the store's clock", async () => {
  const nowMs = Date.UTC(2026, 0, 1);
  const test = openTestLake(memoryObjects(() => nowMs), () => nowMs);
  const gateway = new TestGateway(test.adapter, "steady");
  await gateway.begin();
  await gateway.flush([inserts(0, 1)], false);
  await test.lake.store.putObject("main/tasks/data/being-written.parquet", new Uint8Array(1));
  const ahead = { ...test.lake, now: () => nowMs + 30 * 24 * HOUR_MS };
  const { tables, failure } = await maintain(ahead, EAGER);
  assert.equal(failure, undefined);
  assert.deepEqual(tables.map(({ orphans }) => orphans), [0, 0, 0]);
  assert.ok((await keysOf(test.lake)).includes("main/tasks/data/being-written.parquet"));
  await test.close();
});
