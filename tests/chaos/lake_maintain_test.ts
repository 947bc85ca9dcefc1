import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import { TestGateway } from "../../adapters/lake/table/testing_gateway.ts";
import { type GivenChange, numbered, TABLE } from "../../adapters/lake/table/testing_history.ts";
import { openTestLake, seenRows, type TestLake } from "../../adapters/lake/table/testing_lake.ts";
import type { Lake } from "../../adapters/lake/flush/lake.ts";
import { loadTables } from "../../adapters/lake/flush/tables.ts";
import { maintain, type MaintenanceSettings } from "../../adapters/lake/maintain/maintain.ts";
import { liveFiles, readFields } from "../../adapters/lake/table/live_files.ts";
import type { MergeSettings } from "../../adapters/lake/table/merge.ts";
import { mergeLake } from "../../adapters/lake/table/merge_lake.ts";
import { type Fault, MortalObjects } from "./lake_maintain_store.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

const EAGER: Partial<MaintenanceSettings> = {
  changes: { targetBytes: 60_000, smallBytes: 40_000, minSmall: 2, fanIn: 2 },
  rows: { targetBytes: 60_000, smallBytes: 40_000, fanIn: 2, maxGone: 0.1 },
  maxManifests: 1,
};

/** Rows are deleted by their places where it can be, and files are of about ten rows. */
const MERGE: MergeSettings = {
  ...{ maxChanges: 8, smallBytes: 0, maxGone: 0.5, targetBytes: 1_500 },
};

let nowMs = Date.UTC(2026, 0, 1);
const now = () => nowMs;

function change(op: GivenChange["op"], n: number, cells: GivenChange["columns"]): GivenChange {
  const [isVisible, replaces] = [op !== "DELETE", op !== "UPDATE"];
  const key = { table: TABLE, rowId: `["a",${n}]` };
  return { op, columns: cells, effect: { key, isVisible, replaces, cells: numbered(cells) } };
}

/** Twelve rows come, then each commit changes one, takes one away and brings one. */
function transaction(i: number): GivenChange[] {
  if (i === 0) {
    return Array.from({ length: 12 }, (_, n) => change("INSERT", n, { name: "first", count: n }));
  }
  return [
    change("UPDATE", i * 5 % 12, { count: 100 + i }),
    change("DELETE", i * 7 % 12, {}),
    change("INSERT", 100 + i, { name: `row ${i}` }),
    change("UPDATE", 200 + i, { count: i }),
  ];
}

type Rows = TestGateway["visible"];

interface Begun {
  readonly test: TestLake;
  readonly store: MortalObjects;
  /** The rows after each flush that was not merged yet, the last merged one before them. */
  readonly states: readonly Rows[];
}

/** A lake with changes that are merged, and some that are not. */
async function begun(): Promise<Begun> {
  const store = new MortalObjects(now);
  const test = openTestLake(store, now);
  const gateway = new TestGateway(test.adapter, "steady");
  await gateway.begin();
  const states: Rows[] = [];
  for (let i = 0; i < 7; i++) {
    nowMs += 30 * MINUTE_MS;
    await gateway.flush([transaction(i)], false);
    if (i < 4) await mergeLake(test.lake, MERGE);
    if (i >= 3) states.push(gateway.visible);
  }
  return { test, store, states };
}

function assertOneOf(states: readonly Rows[], seen: Rows): void {
  if (!states.some((state) => isDeepStrictEqual(state, seen))) {
    assert.deepEqual(seen, states.at(-1));
  }
}

/** Reads the table of changes as readers do: how many changes there are, each once. */
async function countChanges(lake: Lake): Promise<number> {
  const table = (await loadTables(lake)).changes.get(TABLE)?.loaded;
  assert.ok(table !== undefined);
  const ids = new Set<string>();
  let rows = 0;
  for (const { entry } of await liveFiles(lake, table.metadata, table.snapshot)) {
    const batch = await readFields(lake, entry.dataFile, [
      { id: 8, name: "_delta_id", type: "string", required: false },
    ]);
    rows += batch.length;
    ids.add(entry.dataFile.filePath);
  }
  return rows;
}

/** What a reader that begins now has planned; it reads its files later. */
async function planned(lake: Lake): Promise<() => Promise<void>> {
  const { changes, rows } = await loadTables(lake);
  const tables = [changes.get(TABLE)?.loaded, rows.get(TABLE)];
  return async () => {
    for (const table of tables) {
      if (table === undefined) continue;
      for (const file of await liveFiles(lake, table.metadata, table.snapshot)) {
        for (const { filePath } of [file.entry.dataFile, ...file.deletes]) {
          const key = lake.location.keyOf(filePath) ?? "";
          assert.ok(await lake.store.headObject(key), `${key} is gone while it is read`);
        }
      }
    }
  };
}

/** Every file of rows that is there is named by a snapshot or a property. */
async function assertNoOrphans(lake: Lake, store: MortalObjects): Promise<void> {
  const named = new Set<string | undefined>();
  const { main, changes, rows } = await loadTables(lake);
  for (const table of [main, changes.get(TABLE)?.loaded, rows.get(TABLE)]) {
    if (table === undefined) continue;
    const text = JSON.stringify(table.metadata);
    for (const [location] of text.matchAll(/memory:\/\/[^"\\]+/g)) {
      named.add(lake.location.keyOf(location));
    }
    for (const snapshot of table.metadata.snapshots ?? []) {
      for (const { entry, deletes } of await liveFiles(lake, table.metadata, snapshot)) {
        for (const { filePath } of [entry.dataFile, ...deletes]) {
          named.add(lake.location.keyOf(filePath));
        }
      }
    }
  }
  const files = store.keys.filter((key) => key.endsWith(".parquet"));
  assert.deepEqual(files.filter((key) => !named.has(key)), []);
}

/** Lets a work fail at its operations, and be done again; gives how often it failed. */
async function failEverywhere(
  work: (lake: Lake) => Promise<unknown>,
  everyLost: number,
): Promise<number> {
  const { test, store, states } = await begun();
  const changes = await countChanges(test.lake);
  await test.close();
  const startMs = nowMs;
  let failures = 0;
  for (const [fault, every] of [["half", 1], ["lost", everyLost]] as const) {
    for (let faultAt = 1;; faultAt += every) {
      nowMs = startMs;
      const copy = store.copy();
      if (await failsAt(copy, fault, faultAt, work)) failures++;
      if (copy.writes < faultAt) break;
      await assertHeals(copy, states, changes);
    }
  }
  return failures;
}

/** Works; tells whether it failed. Who began to read before can read on for an hour. */
async function failsAt(
  store: MortalObjects,
  fault: Fault,
  faultAt: number,
  work: (lake: Lake) => Promise<unknown>,
): Promise<boolean> {
  const { lake, close } = openTestLake(store, now);
  const [readOn, sinceMs] = [await planned(lake), nowMs];
  [store.fault, store.faultAt] = [fault, faultAt];
  const failed = await work(lake).then(isFailure, () => true);
  store.faultAt = undefined;
  if (nowMs - sinceMs <= 60 * MINUTE_MS) await readOn();
  await close();
  return failed;
}

async function assertHeals(
  store: MortalObjects,
  states: readonly Rows[],
  changes: number,
): Promise<void> {
  const { lake, close } = openTestLake(store, now);
  assertOneOf(states, await seenRows(lake, TABLE));
  assert.equal(await countChanges(lake), changes);
  await mergeLake(lake, MERGE);
  for (const days of [4, 1]) {
    nowMs += days * DAY_MS;
    assert.equal((await maintain(lake, EAGER)).failure, undefined);
    assert.deepEqual(await seenRows(lake, TABLE), states.at(-1));
    assert.equal(await countChanges(lake), changes);
  }
  await assertNoOrphans(lake, store);
  await close();
}

function isFailure(report: unknown): boolean {
  return typeof report === "object" && report !== null && "failure" in report &&
    report.failure !== undefined;
}

Deno.test("G10: a merge that dies at any operation, or gets no answer, is done again and loses nothing", async () => {
  const failures = await failEverywhere((lake) => mergeLake(lake, MERGE), 1);
  assert.ok(failures >= 10, `${failures} failures`);
});

/** Passes so far apart that the next lets go what one replaced, and the last deletes it. */
async function maintainThrice(lake: Lake): Promise<unknown> {
  for (let passes = 0; passes < 3; passes++) {
    const report = await maintain(lake, EAGER);
    if (isFailure(report)) return report;
    nowMs += 2 * 60 * MINUTE_MS;
  }
  return undefined;
}

Deno.test("G10: maintenance that dies at any operation breaks no table, and what it leaves is collected", async () => {
  const failures = await failEverywhere(maintainThrice, 4);
  assert.ok(failures >= 40, `${failures} failures`);
});

Deno.test("G10: readers see whole tables after every operation of merges and maintenance", async () => {
  const { test, store, states } = await begun();
  const { lake } = test;
  const changes = await countChanges(lake);
  const first = await planned(lake);
  let reads = 0;
  store.onWrite = async () => {
    assertOneOf(states, await seenRows(lake, TABLE));
    assert.equal(await countChanges(lake), changes);
    reads++;
  };
  await mergeLake(lake, MERGE);
  assert.equal((await maintain(lake, EAGER)).failure, undefined);
  await first();
  nowMs += 10 * 60 * MINUTE_MS;
  assert.equal((await maintain(lake, EAGER)).failure, undefined);
  nowMs += 59 * MINUTE_MS;
  assert.equal((await maintain(lake, EAGER)).failure, undefined);
  await first();
  nowMs += 2 * MINUTE_MS;
  assert.equal((await maintain(lake, EAGER)).failure, undefined);
  await assert.rejects(first());
  assert.ok(reads > 50, `${reads} reads`);
  await test.close();
});
