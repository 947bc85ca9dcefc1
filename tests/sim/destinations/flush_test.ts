import assert from "node:assert/strict";
import type { Destination, FlushBatch } from "@lakesync/adapters";
import { LakeSyncError } from "@lakesync/core";
import { Flusher, type FlushSettings } from "@lakesync/adapters/flush";
import { gatewaySource } from "@lakesync/server/flush";
import { DEFAULT_RETENTION } from "../../../server/gateway/environment.ts";
import type { Gateway } from "../../../server/gateway/gateway.ts";
import { at, delta, openFixture, push, tx } from "../../../server/gateway/testing_fixture.ts";
import { ModelDatabase } from "./model_database.ts";
import { ModelLake } from "./model_lake.ts";
import { FlushWorld, loggedIds, nextTurn } from "./testing_flush.ts";
import { TestTime } from "./testing_time.ts";

const CALM = { random: () => 0.999, pause: () => Promise.resolve(), faults: {} };

function flusherOf(
  source: Gateway,
  destination: Destination,
  time: TestTime,
  settings: Partial<FlushSettings> = {},
): Flusher {
  const env = { now: () => time.nowMs, setTimer: time.setTimer, random: () => 0.5 };
  return new Flusher({ source: gatewaySource(source), destination, env, settings });
}

/** A destination that tells what is written to it. */
function watched(destination: Destination, told: (batch: FlushBatch) => void): Destination {
  return {
    name: destination.name,
    position: () => destination.position(),
    ensureSchema: (schema) => destination.ensureSchema(schema),
    unsettled: (limit) => destination.unsettled(limit),
    rewind: (move) => destination.rewind(move),
    refill: (move) => destination.refill(move),
    close: () => destination.close(),
    insertDeltas(batch) {
      told(batch);
      return destination.insertDeltas(batch);
    },
  };
}

function coded(code: string): (error: unknown) => boolean {
  return (error) => error instanceof LakeSyncError && error.code === code;
}

Deno.test("G10: what is pushed arrives in a database and in a lake", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  for (const destination of [new ModelDatabase("db", CALM), new ModelLake("lake", CALM)]) {
    const time = new TestTime();
    const flusher = flusherOf(gateway, destination, time, { everyMs: 500 });
    await push(gateway, destination.name, [
      tx(1, delta("INSERT", "t1", at(1), { title: "a", done: false, n: 1 })),
      tx(2, delta("UPDATE", "t1", at(2), { title: "b" }), delta("INSERT", "t2", at(2))),
      tx(3, delta("DELETE", "t2", at(3))),
    ]);
    await time.pass(600);
    assert.equal(flusher.status.state, "idle");
    assert.equal(flusher.status.lagCommits, 0);
    assert.deepEqual(destination.rows().todos, {
      t1: { id: "t1", title: "b", done: false, n: 1 },
    });
    await flusher.close();
    assert.equal(flusher.status.state, "closed");
    await assert.rejects(flusher.flushNow(), coded("DRAINING"));
  }
});

Deno.test("G10 G11: a transaction larger than a batch arrives in slices, over a crash too", async () => {
  await using fixture = await openFixture(undefined, { nextTurn });
  const { gateway } = fixture;
  const rows = Array.from({ length: 9_000 }, (_, i) => delta("INSERT", `t${i}`, at(1), { n: i }));
  await push(gateway, "a", [tx(1, ...rows)]);
  await push(gateway, "a", [tx(2, delta("DELETE", "t0", at(2)))]);
  const sizes: number[] = [];
  let cuts = 0;
  const world = new FlushWorld(
    gateway,
    () => 0.999,
    (destination) =>
      watched(destination, ({ changes, isWhole }) => {
        sizes.push(changes.length);
        if (!isWhole) cuts++;
      }),
  );
  const [database] = world.destinations;
  await world.time.until(() => (database?.deltaIds().length ?? 0) > 3_000);
  assert.ok((database?.deltaIds().length ?? 0) < 9_000);
  world.end();
  world.start();
  await world.heal();
  await world.check();
  assert.ok(sizes.every((size) => size <= 2_000));
  assert.ok(cuts >= 8);
});

Deno.test("G10: what the log no longer holds is a state, not a gap in silence", async () => {
  const retention = { ...DEFAULT_RETENTION, logMaxBytes: 500 };
  await using fixture = await openFixture(undefined, { retention, nextTurn });
  const { gateway, clock } = fixture;
  for (let i = 1; i <= 3; i++) {
    clock.ms += 120_000;
    await push(gateway, "a", [
      tx(i, delta("INSERT", `t${i}`, undefined, { title: "x".repeat(400) })),
    ]);
  }
  await push(gateway, "b", [tx(1, delta("INSERT", "t9", undefined))]);
  const destination = new ModelDatabase("db", CALM);
  const time = new TestTime();
  const flusher = flusherOf(gateway, destination, time, { fillGaps: false });
  await assert.rejects(time.awaiting(flusher.flushNow()), coded("RESYNC_REQUIRED"));
  assert.equal(flusher.status.state, "gap");
  assert.deepEqual(destination.deltaIds(), []);
  await flusher.close();
});

Deno.test("a destination that the log has left behind is filled from rows, a page at a time", async () => {
  const retention = { ...DEFAULT_RETENTION, logMaxBytes: 500 };
  await using fixture = await openFixture(undefined, { retention, nextTurn });
  const { gateway, clock } = fixture;
  const time = new TestTime();
  const destination = new ModelDatabase("db", CALM);
  await push(gateway, "a", [
    tx(1, delta("INSERT", "old", undefined), delta("INSERT", "kept", undefined)),
  ]);
  const before = flusherOf(gateway, destination, time);
  await time.awaiting(before.flushNow());
  await before.close();
  assert.equal(Object.keys(destination.rows()["todos"] ?? {}).length, 2);

  await push(gateway, "a", [tx(2, delta("DELETE", "old", undefined))]);
  for (let i = 3; i <= 9; i++) {
    clock.ms += 120_000;
    const title = "x".repeat(400);
    await push(gateway, "a", [tx(i, delta("INSERT", `t${i}`, undefined, { title }))]);
  }
  const pages: number[] = [];
  const told = watched(
    destination,
    ({ rows }) => void (rows.length > 0 && pages.push(rows.length)),
  );
  const flusher = flusherOf(gateway, told, time, { maxChanges: 2, fillGaps: true });
  await time.awaiting(flusher.flushNow());
  assert.deepEqual(
    Object.keys(destination.rows()["todos"] ?? {}),
    ["kept", ...[3, 4, 5, 6, 7, 8, 9].map((i) => `t${i}`)],
  );
  assert.ok(pages.length >= 4 && pages.every((size) => size <= 2), String(pages));
  const { position } = flusher.status;
  assert.deepEqual([position?.filled, (position?.floor ?? 0) > 0], [undefined, true]);
  // Of the changes only those are missing that the log had no longer.
  const filled = destination.deltaIds().length;
  assert.ok(filled > 2 && filled < 9, String(filled));
  await push(gateway, "a", [tx(10, delta("UPDATE", "kept", undefined, { title: "later" }))]);
  await time.awaiting(flusher.flushNow());
  assert.equal(destination.rows()["todos"]?.["kept"]?.["title"], "later");
  assert.equal(destination.deltaIds().length, filled + 1);
  await flusher.close();
});

Deno.test("a destination that does not answer, or fails, is asked again and again", async () => {
  await using fixture = await openFixture(undefined, { nextTurn });
  const { gateway } = fixture;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(1)))]);
  const destination = new ModelDatabase("db", CALM);
  let calls = 0;
  const silent: Destination = watched(destination, ({ changes }) => {
    if (changes.length === 0) return;
    calls++;
    if (calls === 1) destination.position = () => new Promise(() => {});
    if (calls < 4) throw new Error(`Failure ${calls}`);
  });
  const time = new TestTime();
  const original = destination.position.bind(destination);
  const flusher = flusherOf(gateway, silent, time, { answerMs: 1_000, maxRetryMs: 400 });
  await time.until(() => flusher.status.failures === 2);
  assert.equal(
    flusher.status.lastError?.message,
    "db did not answer within 1000 ms, it is asked again",
  );
  assert.equal(flusher.status.state, "retrying");
  assert.equal(flusher.status.lagCommits, 1);
  destination.position = original;
  await time.until(() => flusher.status.failures === 0 && flusher.status.lagCommits === 0);
  assert.equal(calls, 4);
  assert.equal(flusher.status.lastError, undefined);
  assert.deepEqual(destination.deltaIds(), await loggedIds(gateway));
  await flusher.close();
});

Deno.test("the status of a flush is that of after it, and counts what waits for who cannot be asked", async () => {
  await using fixture = await openFixture(undefined, { nextTurn });
  const { gateway } = fixture;
  const database = new ModelDatabase("db", CALM);
  let isDown = true;
  const position = database.position.bind(database);
  database.position = () => isDown ? Promise.reject(new Error("down")) : position();
  await push(gateway, "a", [
    tx(1, delta("INSERT", "t1", at(1)), delta("INSERT", "t2", at(1))),
    tx(2, delta("DELETE", "t2", at(2))),
  ]);
  const time = new TestTime();
  const flusher = flusherOf(gateway, database, time, { everyMs: 1, maxRetryMs: 400 });
  const lag = () => [flusher.status.position?.seq, flusher.status.lagCommits, lagChanges()];
  const lagChanges = () => flusher.status.lagChanges;
  await time.until(() => flusher.status.failures === 2);
  assert.deepEqual(lag(), [undefined, 2, 3]);
  isDown = false;
  await time.until(() => flusher.status.lagCommits === 0 && flusher.status.state === "idle");
  await push(gateway, "a", [tx(3, delta("INSERT", "t3", at(3)))]);
  const flushed = flusher.flushNow().then(() => flusher.status);
  let status: typeof flusher.status | undefined;
  flushed.then((given) => status = given);
  await time.until(() => status !== undefined);
  assert.deepEqual([status?.state, status?.lagCommits, status?.lagChanges], ["idle", 0, 0]);
  await flusher.close();
});

Deno.test("G10: a flush waits by timers, so that a clock set back by hours holds nothing up", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  for (const fails of [false, true]) {
    const database = new ModelDatabase(`database-${fails}`, CALM);
    const time = new TestTime();
    let skewMs = 3 * 3_600_000;
    let failing = fails;
    const destination = watched(database, () => {
      if (failing) throw new Error("The destination is away");
    });
    const flusher = new Flusher({
      source: gatewaySource(gateway),
      destination,
      env: { now: () => time.nowMs + skewMs, setTimer: time.setTimer, random: () => 0.5 },
      settings: { everyMs: 500, retryMs: 500, maxRetryMs: 500 },
    });
    await push(gateway, database.name, [tx(1, delta("INSERT", database.name, at(1)))]);
    await time.pass(fails ? 600 : 100);
    assert.equal(flusher.status.state, fails ? "retrying" : "idle");
    failing = false;
    skewMs = 0;
    await time.pass(1_200);
    assert.equal(flusher.status.lagCommits, 0);
    assert.ok(Object.hasOwn(database.rows()["todos"] ?? {}, database.name));
    await flusher.close();
  }
});

Deno.test("a flusher that is closed while it retries ends, and says so to who waits", async () => {
  await using fixture = await openFixture(undefined, { nextTurn });
  const { gateway } = fixture;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(1)))]);
  const destination = new ModelLake("lake", { ...CALM, random: () => 0, faults: { refused: 1 } });
  const time = new TestTime();
  const flusher = flusherOf(gateway, destination, time);
  const waiting = assert.rejects(flusher.flushNow(), coded("DRAINING"));
  await time.until(() => flusher.status.failures === 5);
  await flusher.close();
  await waiting;
});

Deno.test("G10: a write of a history that is lost changes nothing when it arrives late", async () => {
  await using lost = await openFixture(undefined, { nextTurn });
  await using restored = await openFixture(undefined, { nextTurn });
  await push(lost.gateway, "a", [tx(1, delta("INSERT", "t1", at(1)))]);
  const destination = new ModelDatabase("db", CALM);
  const time = new TestTime();
  let late: FlushBatch | undefined;
  const before = flusherOf(
    lost.gateway,
    watched(destination, (batch) => {
      if (batch.changes.length === 0) return;
      late = batch;
      throw new Error("It is on its way");
    }),
    time,
  );
  await time.until(() => late !== undefined);
  await before.close();
  const env = { now: () => time.nowMs, setTimer: time.setTimer, random: () => 0.25 };
  const after = new Flusher({ source: gatewaySource(restored.gateway), destination, env });
  await time.awaiting(after.flushNow());
  assert.ok(late);
  await assert.rejects(destination.insertDeltas(late), /flush position/);
  assert.deepEqual(destination.deltaIds(), []);
  await after.close();
});
