import assert from "node:assert/strict";
import { DestinationError } from "../../adapter.ts";
import { Signal } from "../../flush/wait.ts";
import { memoryObjects } from "../../object-store/memory.ts";
import { CatalogError } from "../catalog/catalog.ts";
import { TestGateway } from "../table/testing_gateway.ts";
import { type GivenChange, numbered, TABLE } from "../table/testing_history.ts";
import { openTestLake, seenRows } from "../table/testing_lake.ts";
import { LakeKeeper } from "./scheduler.ts";
import { lakeDay } from "./testing_day.ts";

const MINUTE_MS = 60_000;

/** A clock whose timers go off when it is moved. */
class TestClock {
  nowMs: number = Date.UTC(2026, 0, 1);
  readonly #timers = new Map<() => void, number>();
  readonly #waits = new Signal();

  readonly now = (): number => this.nowMs;
  readonly random = (): number => 0.5;
  readonly setTimer = (ms: number, callback: () => void): () => void => {
    this.#timers.set(callback, this.nowMs + ms);
    this.#waits.give();
    return () => void this.#timers.delete(callback);
  };

  /** Waits until somebody waits for the clock, and moves it to the next timer. */
  async tick(): Promise<number> {
    while (this.#timers.size === 0) await this.#waits.wait();
    const [[callback, atMs] = [() => {}, this.nowMs]] = [...this.#timers];
    const waited = atMs - this.nowMs;
    this.nowMs = atMs;
    this.#timers.delete(callback);
    callback();
    return waited;
  }

  /** Waits until somebody waits for the clock. */
  async idle(): Promise<void> {
    while (this.#timers.size === 0) await this.#waits.wait();
  }
}

function insert(n: number): GivenChange {
  const cells = { name: `row ${n}` };
  const key = { table: TABLE, rowId: `["a",${n}]` };
  return {
    op: "INSERT",
    columns: cells,
    effect: { key, isVisible: true, replaces: true, cells: numbered(cells) },
  };
}

Deno.test("LakeKeeper merges every minute and tells how far it is", async () => {
  const clock = new TestClock();
  const test = openTestLake(memoryObjects(clock.now), clock.now);
  const gateway = new TestGateway(test.adapter);
  await gateway.begin();
  const keeper = new LakeKeeper(test.lake, clock);
  keeper.start();
  await clock.idle();
  await gateway.flush([[insert(1)], [insert(2)]], false);
  assert.equal((await seenRows(test.lake, TABLE)).size, 0);
  assert.equal(await clock.tick(), MINUTE_MS);
  await clock.idle();
  assert.deepEqual(await seenRows(test.lake, TABLE), gateway.visible);
  assert.equal(keeper.status.mergedChanges, 2);
  assert.equal(keeper.status.mergeLagCommits, 0);
  // What is told is of after the merge.
  const merged = keeper.status.tables.filter(({ rows }) => rows === 2);
  assert.equal(merged.length, 2, JSON.stringify(keeper.status.tables));
  await gateway.flush([[insert(3)]], false);
  keeper.hurry();
  while ((await seenRows(test.lake, TABLE)).size < 3) await clock.idle();
  await keeper.close();
  await test.close();
});

Deno.test("LakeKeeper tries again later after failures, tells of them and of its lag", async () => {
  const clock = new TestClock();
  const test = openTestLake(memoryObjects(clock.now), clock.now);
  const gateway = new TestGateway(test.adapter);
  await gateway.begin();
  await gateway.flush([[insert(1)]], false);
  let failures = 0;
  const { catalog } = test.lake;
  const failing = {
    ...test.lake,
    catalog: {
      list: (namespace: string) => catalog.list(namespace),
      load: catalog.load.bind(catalog),
      create: catalog.create.bind(catalog),
      rename: catalog.rename.bind(catalog),
      close: catalog.close.bind(catalog),
      commit: (...given: Parameters<typeof catalog.commit>) =>
        failures++ < 3
          ? Promise.reject(new CatalogError("unreachable", "The store does not answer"))
          : catalog.commit(...given),
    },
  };
  const told: unknown[] = [];
  const keeper = new LakeKeeper(failing, { ...clock, onError: (_, error) => told.push(error) });
  keeper.start();
  const waits: number[] = [];
  for (let i = 0; i < 3; i++) {
    await clock.idle();
    assert.equal(keeper.status.failures, i + 1);
    assert.equal(keeper.status.lastError?.message, "The store does not answer");
    waits.push(await clock.tick());
  }
  await clock.idle();
  assert.ok(waits.every((ms, i) => i === 0 || ms > (waits[i - 1] ?? 0)), waits.join());
  assert.equal(told.length, 3);
  assert.ok(told.every((error) => error instanceof DestinationError));
  assert.equal(keeper.status.failures, 0);
  assert.equal(keeper.status.lastError, undefined);
  assert.deepEqual(await seenRows(test.lake, TABLE), gateway.visible);
  await keeper.close();
  await test.close();
});

Deno.test("LakeKeeper keeps a lake in shape after a clock that was ahead was set back", async () => {
  const clock = new TestClock();
  const test = openTestLake(memoryObjects(clock.now), clock.now);
  const gateway = new TestGateway(test.adapter, "steady");
  await gateway.begin();
  const keeper = new LakeKeeper(test.lake, clock);
  const rightMs = clock.nowMs;
  clock.nowMs += 365 * 24 * 60 * MINUTE_MS;
  await keeper.pass();
  clock.nowMs = rightMs + MINUTE_MS;
  for (let n = 1; n <= 4; n++) await gateway.flush([[insert(n)]], false);
  await keeper.pass();
  assert.ok(keeper.status.compactedBytes > 0);
  assert.deepEqual(await seenRows(test.lake, TABLE), gateway.visible);
  await test.close();
});

Deno.test("an hour of flushes every ten seconds leaves tables that are twice as large as fresh ones at most", async () => {
  const { flushes, end, fresh } = await lakeDay({ hours: 1, everyMs: 10_000, changes: 5 });
  assert.equal(flushes, 360);
  assert.deepEqual(end.map(({ rows }) => rows), fresh.map(({ rows }) => rows));
  assert.equal(end[0]?.rows, 1_800);
  for (const [i, { files, metadataBytes, snapshots, table }] of end.entries()) {
    assert.ok(files <= 2 * (fresh[i]?.files ?? 0), `${table} has ${files} files`);
    assert.ok(
      metadataBytes <= 2 * (fresh[i]?.metadataBytes ?? 0),
      `${table}: ${metadataBytes} bytes`,
    );
    assert.ok(snapshots < 60, `${table} has ${snapshots} snapshots`);
  }
});
