import assert from "node:assert/strict";
import type { RulesSpec } from "@lakesync/core";
import { tempFolder } from "../store/testing_folders.ts";
import { database } from "../store/testing_kv.ts";
import type { Store, StoreFactory } from "../store/store.ts";
import type { GatewayEnvironment } from "./environment.ts";
import type { Caller } from "./gateway.ts";
import { HeadWatch } from "./head_watch.ts";
import {
  ALICE,
  at,
  delta,
  type Fixture,
  openFixture,
  Puller,
  push,
  tx,
} from "./testing_fixture.ts";

const ADMIN: Caller = { sub: "root", admin: true, claims: {} };

const READ_ONLY: RulesSpec = {
  buckets: [{ name: "all", tables: ["todos"] }],
  write: [{ tables: ["lists"], ops: ["INSERT"] }],
};

/** Timers that fire when a test says so. */
class Timers {
  readonly #set = new Set<{ readonly ms: number; readonly fire: () => void }>();

  readonly setTimer: GatewayEnvironment["setTimer"] = (ms, fire) => {
    const timer = { ms, fire };
    this.#set.add(timer);
    return () => this.#set.delete(timer);
  };

  /** The times of those that wait. */
  get waiting(): readonly number[] {
    return [...this.#set].map(({ ms }) => ms);
  }

  /** Fires those that were set for a time. */
  fire(ms: number): void {
    for (const timer of [...this.#set].filter((timer) => timer.ms === ms)) {
      this.#set.delete(timer);
      timer.fire();
    }
  }
}

/** One store as a factory, for one process of several. */
function only(store: Store): StoreFactory {
  return {
    kind: "kv",
    list: () => Promise.resolve(["default"]),
    open: () => Promise.resolve(store),
    close: () => Promise.resolve(),
  };
}

/** Plays two processes on one database. */
async function withTwo(
  play: (one: Fixture, other: Fixture, timers: Timers) => Promise<void>,
): Promise<void> {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  const timers = new Timers();
  await using one = await openFixture(only(await db.open()));
  await using other = await openFixture(only(await db.open()), { setTimer: timers.setTimer });
  await play(one, other, timers);
}

Deno.test("G4: a pull that waits at one process is answered after a commit of another", async () => {
  await withTwo(async (one, other, timers) => {
    const puller = new Puller(other.gateway, "tablet");
    await puller.pull();
    assert.deepEqual(timers.waiting, []);
    const { cursor = "" } = puller;
    const pulled = other.gateway.pull(ALICE, { clientId: "tablet", cursor, wait: 20 });
    for (let turns = 0; timers.waiting.length < 2; turns++) {
      assert(turns < 5_000, "Nobody looks at the head");
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    assert.deepEqual(timers.waiting.toSorted((a, b) => a - b), [1_000, 20_000]);
    await push(one.gateway, "phone", [tx(1, delta("INSERT", "t1", at(1), { title: "a" }))]);
    timers.fire(1_000);
    assert.deepEqual((await pulled).changes.map(({ rowId }) => rowId), ["t1"]);
    assert.deepEqual(timers.waiting, []);
  });
});

Deno.test("G4: a client that goes from process to process is not resynced", async () => {
  await withTwo(async (one, other) => {
    const puller = new Puller(one.gateway, "tablet");
    const pullers = [one, other].map(({ gateway }) => new Puller(gateway, "tablet"));
    for (let i = 1; i <= 12; i++) {
      const row = delta("INSERT", `t${i}`, at(i), { title: "a" });
      await push((i % 3 === 0 ? one : other).gateway, "phone", [tx(i, row)]);
      const at2 = pullers[i % 2] ?? puller;
      at2.cursor = puller.cursor;
      const told = await at2.pull();
      assert.deepEqual(told.map(({ rowId }) => rowId), [`t${i}`]);
      puller.cursor = at2.cursor;
    }
  });
});

Deno.test("G2: a commit of one process that changed no rows is noticed by another", async () => {
  await withTwo(async (one, other) => {
    await one.gateway.putRules(READ_ONLY, 5_000);
    const { seq } = await other.gateway.stats();
    const refused = await push(one.gateway, "phone", [
      tx(1, delta("INSERT", "t1", at(1), { title: "a" })),
    ]);
    assert.equal(refused.rejected.length, 1);
    const after = (await other.gateway.stats()).seq;
    assert(after > seq);
    await one.gateway.refusalsSeen(ALICE, "phone", 1);
    assert((await other.gateway.stats()).seq > after);
    const again = await push(other.gateway, "phone", [
      tx(2, delta("INSERT", "l1", at(2), { name: "a" }, "lists")),
    ]);
    assert.deepEqual([again.lastMutationId, again.rejected], [2, []]);
  });
});

Deno.test("two processes that open a new gateway at once seal cursors alike", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  const stores = [await db.open(), await db.open()];
  const [one, other] = await Promise.all(stores.map(async (store) => {
    try {
      return await openFixture(only(store));
    } catch {
      return await openFixture(only(store)); // The other one has put the schema meanwhile.
    }
  }));
  assert(one !== undefined && other !== undefined);
  await using _one = one;
  await using _other = other;
  const puller = new Puller(one.gateway, "tablet", 1_000, 1, ADMIN);
  await puller.pull();
  const there = new Puller(other.gateway, "tablet", 1_000, 1, ADMIN);
  there.cursor = puller.cursor;
  assert.deepEqual(await there.pull(), []);
});

Deno.test("HeadWatch looks on after a failure, one look at a time, until it is closed", async () => {
  const timers = new Timers();
  const looks: PromiseWithResolvers<void>[] = [];
  const failures: unknown[] = [];
  const watch = new HeadWatch(
    { setTimer: timers.setTimer, onError: (_, error) => failures.push(error) },
    () => {
      const look = Promise.withResolvers<void>();
      looks.push(look);
      return look.promise;
    },
  );
  watch.begin();
  watch.begin();
  assert.deepEqual(timers.waiting, [1_000]);
  timers.fire(1_000);
  watch.begin();
  assert.deepEqual(timers.waiting, []);
  looks[0]?.reject("down");
  while (timers.waiting.length === 0) await Promise.resolve();
  assert.deepEqual(failures, ["down"]);
  timers.fire(1_000);
  let isClosed = false;
  const closed = watch.close().then(() => isClosed = true);
  await Promise.resolve();
  assert.equal(isClosed, false);
  looks[1]?.resolve();
  await closed;
  assert.deepEqual([timers.waiting, looks.length], [[], 2]);
});
