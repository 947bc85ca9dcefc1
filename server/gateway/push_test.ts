import assert from "node:assert/strict";
import { chainOf, deltaIdOf, type Hlc, LakeSyncError, type Transaction } from "@lakesync/core";
import { memoryStores } from "../store/memory.ts";
import type { StoreFactory } from "../store/store.ts";
import { ALICE, at, BOB, delta, openFixture, Puller, push, tx } from "./testing_fixture.ts";

const code = (expected: string) => (error: unknown) =>
  error instanceof LakeSyncError && error.code === expected;

Deno.test("G3: three writers of two columns converge in all six arrival orders", async () => {
  const writes = [
    ["a", delta("UPDATE", "t1", at(100), { title: "A" })],
    ["b", delta("UPDATE", "t1", at(101), { n: 7 })],
    ["c", delta("UPDATE", "t1", at(100, 5), { title: "C" })],
  ] as const;
  const orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
  for (const order of orders) {
    await using fixture = await openFixture();
    const { gateway } = fixture;
    await push(gateway, "maker", [tx(1, delta("INSERT", "t1", at(0), { title: "first", n: 0 }))]);
    for (const i of order) {
      const write = writes[i];
      if (write) await push(gateway, write[0], [tx(1, write[1])]);
    }
    const puller = new Puller(gateway, "reader");
    await puller.pull();
    assert.deepEqual(puller.table(), { "todos/t1": { n: 7, title: "C" } }, `order ${order}`);
  }
});

Deno.test("G4: a change made offline an hour ago reaches a client whose cursor is newer", async () => {
  await using fixture = await openFixture();
  const { gateway, clock } = fixture;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0), { title: "old" }))]);
  clock.ms += 3_600_000;
  await push(gateway, "b", [tx(1, delta("UPDATE", "t1", at(3_600_000), { n: 1 }))]);
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  await push(gateway, "late", [tx(1, delta("UPDATE", "t1", at(10), { title: "written offline" }))]);
  await reader.pull();
  assert.deepEqual(reader.table(), { "todos/t1": { n: 1, title: "written offline" } });
});

Deno.test("G2: a push whose answer was lost has no second effect after a restart", async () => {
  const factory = memoryStores();
  const kept: StoreFactory = {
    kind: factory.kind,
    list: () => factory.list(),
    open: (gatewayId, create) => factory.open(gatewayId, create),
    close: () => Promise.resolve(),
  };
  const transactions = [tx(1, delta("INSERT", "t1", undefined, { title: "once", n: 1 }))];
  const seqs: number[] = [];
  for (let life = 0; life < 2; life++) {
    await using fixture = await openFixture(kept);
    const result = await push(fixture.gateway, "a", transactions);
    assert.equal(result.lastMutationId, 1);
    seqs.push(result.seq);
  }
  assert.deepEqual(seqs, [1, 1]);
});

Deno.test("push refuses one transaction for its content and goes on with the rest", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const bad: [string, Transaction][] = [
    ["SCHEMA_ERROR", tx(1, delta("INSERT", "x", at(1), {}, "nowhere"))],
    ["SCHEMA_ERROR", tx(2, delta("INSERT", "x", at(1), { nope: 1 }))],
    ["VALIDATION_ERROR", tx(3, delta("INSERT", "x", at(1), { title: 5 }))],
    ["VALIDATION_ERROR", tx(4, delta("INSERT", "x", at(1), { title: "a\0b" }))],
    ["VALIDATION_ERROR", tx(5, delta("INSERT", "x", at(1), { n: 2n ** 63n }))],
    ["VALIDATION_ERROR", tx(6, delta("INSERT", "", at(1), { n: 1 }))],
    ["VALIDATION_ERROR", tx(7, delta("INSERT", "x", at(1), { id: "y" }))],
    ["CHECKSUM_MISMATCH", tx(8, { ...delta("INSERT", "x", at(1)), deltaId: "0".repeat(64) })],
    ["STALE_WRITE", tx(9, delta("INSERT", "x", at(-401 * 86_400_000), { n: 1 }))],
    ["VALIDATION_ERROR", tx(10, delta("DELETE", "x", at(1), { n: 1 }))],
  ];
  const good = tx(11, delta("INSERT", "x", at(1), { id: "x", title: "good" }));
  const result = await push(gateway, "a", [...bad.map(([, transaction]) => transaction), good]);
  assert.equal(result.lastMutationId, 11);
  assert.deepEqual(
    result.rejected.map(({ mutationId, code }) => [mutationId, code]),
    bad.map(([code], i) => [i + 1, code]),
  );
  const puller = new Puller(gateway, "reader");
  await puller.pull();
  assert.deepEqual(puller.table(), { "todos/x": { title: "good" } });
});

Deno.test("G5: a transaction with one refused delta leaves nothing of the others", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const result = await push(gateway, "a", [
    tx(
      1,
      delta("INSERT", "t1", at(1), { title: "a" }),
      delta("INSERT", "t2", at(1), { title: 5 }),
    ),
  ]);
  assert.deepEqual(result.rejected.map(({ delta }) => delta), [1]);
  const puller = new Puller(gateway, "reader");
  await puller.pull();
  assert.deepEqual(puller.table(), {});
});

Deno.test("G2: a refusal is remembered until the client has seen it", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const bad = tx(1, delta("INSERT", "x", at(1), { title: 5 }));
  const first = await push(gateway, "a", [bad]);
  const again = await push(gateway, "a", [bad]);
  assert.deepEqual(again.rejected, first.rejected);
  const next = await push(gateway, "a", [tx(2, delta("INSERT", "y", at(1), { n: 1 }))]);
  assert.deepEqual(next.rejected, []);
  assert.equal((await push(gateway, "a", [bad])).rejected.length, 1);
  await push(gateway, "a", [], { refusalsSeen: 1 });
  assert.deepEqual((await push(gateway, "a", [bad])).rejected, []);
});

Deno.test("push refuses a gap whole, also one inside it", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const write = (mutationId: number) => tx(mutationId, delta("INSERT", `t${mutationId}`, at(1)));
  await push(gateway, "a", [write(1)]);
  for (const ids of [[3], [2, 4], [1, 2, 4]]) {
    await assert.rejects(push(gateway, "a", ids.map(write)), (error) => {
      assert.ok(error instanceof LakeSyncError);
      assert.equal(error.code, "MUTATION_GAP");
      assert.deepEqual(error.details, { lastMutationId: 1 });
      return true;
    });
  }
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  assert.deepEqual(Object.keys(reader.table()), ["todos/t1"]);
});

Deno.test("push stops at a stamp too far ahead and consumes nothing from it on", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const result = await push(gateway, "a", [
    tx(1, delta("INSERT", "t1", at(5_000), { n: 1 })),
    tx(2, delta("INSERT", "t2", at(5_001), { n: 1 })),
    tx(3, delta("INSERT", "t3", at(0), { n: 1 })),
  ]);
  assert.equal(result.lastMutationId, 1);
  assert.deepEqual([result.stopped?.mutationId, result.stopped?.code], [2, "CLOCK_DRIFT"]);
  assert.ok(result.serverHlc >= at(5_000));
});

Deno.test("push stops for a schema the gateway does not have yet", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const result = await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0)))], {
    schemaVersion: 2,
  });
  assert.deepEqual([result.lastMutationId, result.stopped?.code], [0, "SCHEMA_AHEAD"]);
});

Deno.test("a clientId belongs to the user that used it first", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await push(gateway, "a", [tx(1, delta("INSERT", "t1", at(0)))]);
  await assert.rejects(push(gateway, "a", [], {}, BOB), code("CLIENT_NOT_YOURS"));
  await assert.rejects(gateway.pull(BOB, { clientId: "a" }), code("CLIENT_NOT_YOURS"));
});

Deno.test("an UPDATE before its INSERT is kept, and counts once the INSERT is there", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await push(gateway, "a", [tx(1, delta("UPDATE", "t1", at(20), { title: "late insert" }))]);
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  assert.deepEqual(reader.table(), {});
  await push(gateway, "b", [tx(1, delta("INSERT", "t1", at(10), { title: "first", n: 1 }))]);
  await reader.pull();
  assert.deepEqual(reader.table(), { "todos/t1": { n: 1, title: "late insert" } });
});

Deno.test("updates of rows that were never inserted are bounded per client, and freed again", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const max = gateway.limits.maxOrphanRows;
  const orphan = (i: number) => delta("UPDATE", `o${i}`, at(1), { n: i });
  const full = tx(1, ...Array.from({ length: max }, (_, i) => orphan(i)));
  assert.deepEqual((await push(gateway, "a", [full])).rejected, []);
  const over = await push(gateway, "a", [
    tx(2, delta("INSERT", "t1", at(1), { n: 1 }), orphan(max)),
  ]);
  assert.deepEqual(over.rejected.map(({ code, delta }) => [code, delta]), [["NO_SUCH_ROW", 1]]);
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  assert.deepEqual(reader.table(), {});
  await push(gateway, "b", [tx(1, delta("INSERT", "o0", at(0)))]);
  assert.deepEqual((await push(gateway, "a", [tx(3, orphan(max))])).rejected, []);
});

/** A transaction of client `a` with its link. */
function chained(
  previous: Transaction | undefined,
  mutationId: number,
  rowId: string,
): Transaction {
  const write = delta("INSERT", rowId, at(mutationId), { n: mutationId });
  const id = deltaIdOf("a", write, at(mutationId));
  return { mutationId, deltas: [write], chain: chainOf(previous?.chain ?? "", [id]) };
}

Deno.test("G13: two devices that go on under one clientId are found by the chain", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const one = chained(undefined, 1, "t1");
  const two = chained(one, 2, "t2");
  const other = chained(one, 2, "other");
  await push(gateway, "a", [one, two]);
  assert.equal((await push(gateway, "a", [one, two])).lastMutationId, 2);
  const forked = (error: unknown) => {
    assert.ok(error instanceof LakeSyncError);
    assert.deepEqual([error.code, error.details.mutationId], ["CLIENT_FORKED", 2]);
    return true;
  };
  await assert.rejects(push(gateway, "a", [one, other]), forked);
  const three = chained(other, 3, "t3");
  await assert.rejects(push(gateway, "a", [three]), code("CLIENT_FORKED"));
  assert.equal((await push(gateway, "a", [chained(two, 3, "t3")])).lastMutationId, 3);
});

Deno.test("G13: a transaction that copies stamped anew, each for itself, is one", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const one = chained(undefined, 1, "t1");
  const two = chained(one, 2, "t2");
  const anew = (hlc: Hlc): Transaction => ({
    ...two,
    deltas: two.deltas.map(({ hlc: written = hlc, ...delta }) => ({ ...delta, hlc, written })),
  });
  for (const stamp of [at(7), at(8)]) {
    assert.equal((await push(gateway, "a", [one, anew(stamp)])).lastMutationId, 2);
  }
  assert.equal((await push(gateway, "a", [one, two])).lastMutationId, 2);
  const three = chained(two, 3, "t3");
  const moved = three.deltas.map((delta) => ({ ...delta, hlc: at(9) }));
  await assert.rejects(push(gateway, "a", [{ ...three, deltas: moved }]), code("CLIENT_FORKED"));
});

Deno.test("G13: a transaction refused in another life of the data comes empty, and stays refused and the same", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const one = chained(undefined, 1, "t1");
  const two = chained(one, 2, "t2");
  const three = chained(two, 3, "t3");
  const refusal = { code: "FORBIDDEN_WRITE", message: "Not yours", delta: 0 } as const;
  const previous = one.chain ?? "";
  const refused = { ...two, deltas: [], refused: { ...refusal, previous } };
  const strange = { ...refused, refused: { ...refusal, previous: three.chain ?? "" } };
  for (const transaction of [strange, { ...two, deltas: [] }]) {
    await assert.rejects(push(gateway, "a", [one, transaction]), code("CLIENT_FORKED"));
  }
  const results = [
    await push(gateway, "a", [one, refused, three]),
    // A copy that does not know of the refusal is told.
    await push(gateway, "a", [one, two, three]),
  ];
  for (const { lastMutationId, rejected } of results) {
    assert.equal(lastMutationId, 3);
    assert.deepEqual(rejected, [{ mutationId: 2, ...refusal }]);
  }
});

Deno.test("an Idempotency-Key gives the same answer once more and one effect", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const request = {
    clientId: "a",
    schemaVersion: 1,
    transactions: [tx(1, delta("INSERT", "t1", at(0)))],
  };
  const idempotency = {
    key: "k",
    bodyHash: "h",
    render: (result: object) => Object.keys(result).join(),
  };
  const outcomes = await Promise.all(
    Array.from({ length: 5 }, () => gateway.push(ALICE, request, idempotency)),
  );
  assert.equal(outcomes.filter(({ result }) => result !== undefined).length, 1);
  const texts = outcomes.flatMap(({ replayed }) => replayed ?? []);
  assert.equal(texts.length, 4);
  assert.match(texts[0] ?? "", /lastMutationId/);
  await assert.rejects(
    gateway.push(ALICE, request, { ...idempotency, bodyHash: "other" }),
    code("IDEMPOTENCY_MISMATCH"),
  );
});

Deno.test("group commit answers pushes that wait together, each with its own outcome", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const results = await Promise.allSettled(
    Array.from(
      { length: 50 },
      (_, i) =>
        push(gateway, `c${i}`, [tx(i === 7 ? 2 : 1, delta("INSERT", `t${i}`, at(0), { n: i }))]),
    ),
  );
  assert.deepEqual(results.map(({ status }) => status === "rejected").indexOf(true), 7);
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  assert.equal(reader.rows.size, 49);
  assert.equal((await gateway.stats()).seq, 49);
});

Deno.test("push answers SCHEMA_ERROR before any schema was put", async () => {
  await using fixture = await openFixture();
  const fresh = await fixture.gateways.create("fresh");
  await assert.rejects(push(fresh, "a", [tx(1)]), code("SCHEMA_ERROR"));
});
