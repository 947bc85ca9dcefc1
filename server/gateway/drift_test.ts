/** How far ahead a stamp may be, where the gateway's clock was wrong and where it is right. */

import fc from "fast-check";
import assert from "node:assert/strict";
import type { Hlc } from "@lakesync/core";
import { memoryStores } from "../store/memory.ts";
import type { StoreFactory } from "../store/store.ts";
import { database } from "../store/testing_kv.ts";
import { tempFolder } from "../store/testing_folders.ts";
import { at, delta, openFixture, Puller, push, START_MS, tx } from "./testing_fixture.ts";

const HOUR_MS = 3_600_000;

/** The stamps of a device that writes so many changes on from one that it has received. */
function after(hlc: Hlc, count: number): Hlc[] {
  return Array.from({ length: count }, (_, i) => (hlc + BigInt(i + 1)) as Hlc);
}

Deno.test("G6: what follows the greatest stamp is taken after the gateway's clock was hours ahead", async () => {
  await using fixture = await openFixture();
  const { gateway, clock } = fixture;
  clock.ms += 3 * HOUR_MS;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(3 * HOUR_MS), { title: "ahead" }))]);
  clock.ms -= 3 * HOUR_MS;
  const reader = new Puller(gateway, "b");
  await reader.pull();
  const stamps = after(reader.last?.serverHlc ?? at(0), 40);
  const transactions = stamps.map((hlc, i) => tx(i + 1, delta("UPDATE", "t1", hlc, { n: i })));
  const result = await push(gateway, "b", transactions);
  assert.deepEqual([result.lastMutationId, result.stopped], [40, undefined]);
  assert.equal(result.serverHlc, stamps.at(-1));
  await reader.pull();
  assert.deepEqual(reader.table(), { "todos/t1": { n: 39, title: "ahead" } });
  const far = await push(gateway, "b", [
    tx(41, delta("UPDATE", "t1", (result.serverHlc + 2n) as Hlc, { n: 0 })),
  ]);
  assert.deepEqual([far.lastMutationId, far.stopped?.code], [40, "CLOCK_DRIFT"]);
});

Deno.test("G6: a refused transaction leaves no gap that stops the one behind it", async () => {
  await using fixture = await openFixture();
  const { gateway, clock } = fixture;
  clock.ms += HOUR_MS;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(HOUR_MS), { n: 1 }))]);
  clock.ms -= HOUR_MS;
  const [bad = at(0), good = at(0), next = at(0)] = after(at(HOUR_MS), 3);
  const result = await push(gateway, "b", [
    tx(1, delta("UPDATE", "t1", bad, { n: "no integer" })),
    tx(2, delta("UPDATE", "t1", good, { n: 2 })),
  ]);
  assert.deepEqual(result.rejected.map(({ mutationId }) => mutationId), [1]);
  assert.deepEqual([result.lastMutationId, result.stopped], [2, undefined]);
  const large = Array.from({ length: 3_000 }, (_, i) => {
    return delta("UPDATE", `t${i}`, (next + BigInt(i)) as Hlc, { title: "large" });
  });
  const step = await push(gateway, "b", [tx(3, ...large)]);
  assert.equal(step.stopped, undefined);
});

Deno.test("stamps drive a gateway's clock no more than a tick each beyond 5 s", async () => {
  const write = fc.record({
    client: fc.constantFrom("a", "b", "c"),
    // What a device makes up: near the clock, next to what the gateway told, or far from either.
    lead: fc.oneof(fc.integer({ min: -9_000, max: 9_000 }), fc.integer({ min: -1, max: HOUR_MS })),
    next: fc.option(fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constant(6_000 * 65_536)), {
      nil: undefined,
    }),
    deltas: fc.integer({ min: 1, max: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(write, { maxLength: 25 }), async (writes) => {
      await using fixture = await openFixture();
      const { gateway } = fixture;
      const last = new Map<string, number>();
      const begun = await push(gateway, "maker", [tx(1, delta("INSERT", "t0", at(-9_001)))]);
      let told = begun.serverHlc;
      let taken = 0n;
      for (const { client, lead, next, deltas } of writes) {
        const first = next === undefined ? at(lead) : (told + BigInt(next)) as Hlc;
        const mutationId = (last.get(client) ?? 0) + 1;
        const stamps = after((first - 1n) as Hlc, deltas);
        const written = stamps.map((hlc, i) => delta("UPDATE", `t${i}`, hlc, { n: 1 }));
        const result = await push(gateway, client, [tx(mutationId, ...written)]);
        taken += BigInt(deltas);
        assert.ok(result.serverHlc >= told, "the head went back");
        assert.ok(result.serverHlc <= at(5_000, 0xffff) + taken, "the clock was driven ahead");
        if (result.stopped === undefined) {
          last.set(client, mutationId);
          for (const hlc of stamps) {
            assert.ok(hlc <= result.serverHlc, "a stamp beyond the told one");
          }
        } else assert.ok(first > told + 1n && first > at(5_000) - 4n, "stopped without need");
        told = result.serverHlc;
      }
    }),
    { numRuns: 40 },
  );
});

Deno.test("G6: no stamp is told that a gateway forgets by a crash", async () => {
  const factory = memoryStores();
  let full = false;
  const failing: StoreFactory = {
    kind: factory.kind,
    list: () => factory.list(),
    open: async (gatewayId, create) => {
      const store = await factory.open(gatewayId, create);
      return store === undefined ? undefined : new Proxy(store, {
        get(target, name) {
          if (name === "commit" && full) return () => Promise.reject(new Error("The disk is full"));
          const value = Reflect.get(target, name);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    },
    close: () => Promise.resolve(),
  };
  await using fixture = await openFixture(failing);
  const { gateway } = fixture;
  const first = tx(1, delta("INSERT", "t1", at(0), { n: 1 }));
  await push(gateway, "a", [first]);
  full = true;
  await assert.rejects(push(gateway, "a", [tx(2, delta("UPDATE", "t1", at(4_000), { n: 2 }))]));
  full = false;
  const repeated = await push(gateway, "a", [first]);
  assert.equal(repeated.serverHlc, at(0));
});

Deno.test("G6: a process whose clock is right takes what follows the stamps of one whose clock is ahead", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  const only = async (): Promise<StoreFactory> => {
    const store = await db.open();
    return {
      kind: "kv",
      list: () => Promise.resolve(["default"]),
      open: () => Promise.resolve(store),
      close: () => Promise.resolve(),
    };
  };
  await using right = await openFixture(await only());
  await push(right.gateway, "b", [tx(1, delta("INSERT", "t1", at(0), { n: 1 }))]);
  await using ahead = await openFixture(await only());
  ahead.clock.ms = START_MS + HOUR_MS;
  const { serverHlc } = await push(ahead.gateway, "a", [
    tx(1, delta("UPDATE", "t1", at(HOUR_MS), { n: 2 })),
  ]);
  const [hlc = at(0)] = after(serverHlc, 1);
  const result = await push(right.gateway, "b", [tx(2, delta("UPDATE", "t1", hlc, { n: 3 }))]);
  assert.deepEqual([result.lastMutationId, result.stopped, result.serverHlc], [2, undefined, hlc]);
});
