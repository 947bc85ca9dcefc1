import assert from "node:assert/strict";
import { chainOf, type Delta, deltaIdOf, LakeSyncError } from "@lakesync/core";
import { readLogPayload, writeLogPayload } from "./log.ts";
import { at, delta, openFixture, Puller, push, tx } from "./testing_fixture.ts";

const insert = (i: number): Delta => delta("INSERT", `r${i}`, at(0, i % 60_000), { n: i });
const inserts = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => insert(from + i));

Deno.test("G5: a transaction in parts is seen by nobody before its last part, then whole", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const part = (part: number) => ({ ...tx(1, ...inserts(part * 3_000, 3_000)), part, parts: 3 });
  const reader = new Puller(gateway, "reader", 10_000);
  for (const number of [1, 2]) {
    assert.equal((await push(gateway, "a", [part(number)])).lastMutationId, 0);
    await reader.pull();
    assert.equal(reader.rows.size, 0);
  }
  await push(gateway, "b", [tx(1, delta("INSERT", "other", at(1), { n: 1 }))]);
  assert.equal((await push(gateway, "a", [part(3)])).lastMutationId, 1);
  await reader.pull();
  assert.equal(reader.rows.size, 9_001);
  assert.equal(reader.last?.checkpoint?.buckets[0]?.rows, 9_001);
  assert.equal((await push(gateway, "a", [part(3)])).lastMutationId, 1);
  assert.equal((await gateway.stats()).tables["todos"]?.rows, 9_001);
});

Deno.test("G2: parts sent again, in any order, count once; a missing one is a gap", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const part = (part: number) => ({ ...tx(1, ...inserts(part * 10, 10)), part, parts: 3 });
  await push(gateway, "a", [part(1)]);
  await push(gateway, "a", [part(1)]);
  await assert.rejects(
    push(gateway, "a", [part(3)]),
    (error) => error instanceof LakeSyncError && error.code === "MUTATION_GAP",
  );
  await push(gateway, "a", [part(2), part(3)]);
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  assert.equal(reader.rows.size, 30);
});

Deno.test("G5: a large transaction refused in its last slice leaves nothing", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  await push(gateway, "b", [tx(1, delta("INSERT", "r5", at(0), { n: 0 }))]);
  const deltas = inserts(0, 6_000);
  const bad = { ...tx(1, ...deltas.slice(3_000), delta("INSERT", "x", at(1), { n: "no" })) };
  await push(gateway, "a", [{ ...tx(1, ...deltas.slice(0, 3_000)), part: 1, parts: 2 }]);
  const result = await push(gateway, "a", [{ ...bad, part: 2, parts: 2 }]);
  assert.deepEqual(result.rejected.map(({ code }) => code), ["VALIDATION_ERROR"]);
  assert.equal(result.lastMutationId, 1);
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  assert.deepEqual(reader.table(), { "todos/r5": { n: 0 } });
  await push(gateway, "a", [tx(2, delta("INSERT", "next", at(2), { n: 2 }))]);
  await reader.pull();
  assert.equal(reader.rows.size, 2);
});

Deno.test("G5: a large transaction refused after its first slices were merged leaves nothing", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const orphans = Array.from(
    { length: 1_001 },
    (_, i) => delta("UPDATE", `never${i}`, at(1), { n: i }),
  );
  const result = await push(gateway, "a", [tx(1, ...inserts(0, 4_000), ...orphans)]);
  assert.deepEqual(result.rejected.map(({ code, delta }) => [code, delta]), [
    ["NO_SUCH_ROW", 5_000],
  ]);
  assert.deepEqual((await gateway.stats()).tables["todos"], { rows: 0 });
  await push(gateway, "a", [tx(2, delta("INSERT", "next", at(2), { n: 2 }))]);
  const reader = new Puller(gateway, "reader");
  await reader.pull();
  assert.deepEqual(reader.table(), { "todos/next": { n: 2 } });
});

Deno.test("a part is judged as it came: checksums, text and size refuse the transaction", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const cases: [string, Delta[]][] = [
    ["CHECKSUM_MISMATCH", [{ ...insert(2), deltaId: "0".repeat(64) }]],
    ["VALIDATION_ERROR", [delta("INSERT", "x", at(0), { title: "half \ud800 of a pair" })]],
    ["PAYLOAD_TOO_LARGE", inserts(0, 10_001)],
  ];
  for (const [i, [code, bad]] of cases.entries()) {
    const clientId = `client-${i}`;
    const part = (part: number, ...deltas: Delta[]) => ({ ...tx(1, ...deltas), part, parts: 3 });
    await push(gateway, clientId, [part(1, insert(0), insert(1))]);
    const refused = await push(gateway, clientId, [part(2, ...bad)]);
    assert.equal(refused.lastMutationId, 1);
    assert.deepEqual(refused.rejected.map((rejection) => [rejection.code, rejection.delta]), [
      [code, 2],
    ]);
    const last = await push(gateway, clientId, [part(3, insert(3))]);
    assert.deepEqual(last.rejected, refused.rejected);
  }
  assert.deepEqual((await gateway.stats()).tables["todos"], { rows: 0 });
});

Deno.test("a push in steps says which refusals were seen before they are counted", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const refused = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => tx(from + i, delta("INSERT", "t", at(0), { no: 1 })));
  await push(gateway, "a", refused(1, 1_000));
  await push(gateway, "a", refused(1_001, 1));
  const part = { ...tx(1_002, insert(1)), part: 1, parts: 1 };
  await assert.rejects(
    push(gateway, "a", [part]),
    (error) => error instanceof LakeSyncError && error.code === "RATE_LIMITED",
  );
  const result = await push(gateway, "a", [part], { refusalsSeen: 1_001 });
  assert.equal(result.lastMutationId, 1_002);
});

Deno.test("a push of many deltas in many transactions is committed in steps, whole in its answer", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const transactions = Array.from({ length: 10 }, (_, i) => tx(i + 1, ...inserts(i * 900, 900)));
  const result = await push(gateway, "a", transactions);
  assert.deepEqual([result.lastMutationId, result.seq], [10, 10]);
  const one = await push(gateway, "b", [tx(1, ...inserts(20_000, 8_000))]);
  assert.deepEqual([one.lastMutationId, one.seq], [1, 11]);
  assert.equal((await gateway.stats()).tables["todos"]?.rows, 17_000);
});

Deno.test("a row written twice in a large transaction ends as its last write, across slices", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const deltas = [
    ...inserts(0, 3_000),
    delta("UPDATE", "r0", at(1), { title: "second" }),
    delta("DELETE", "r1", at(1)),
  ];
  await push(gateway, "a", [tx(1, ...deltas)]);
  const reader = new Puller(gateway, "reader", 10_000);
  await reader.pull();
  assert.equal(reader.rows.size, 2_999);
  assert.deepEqual(reader.rows.get("todos/r0"), { n: 0, title: "second" });
  assert.equal(reader.rows.has("todos/r1"), false);
});

Deno.test("the log holds each delta and what the merge made of it", () => {
  const deltas = [
    delta("INSERT", "t1", at(1), { title: "a", n: 1 }),
    delta("UPDATE", "t1", at(0), { title: "b", n: 2 }),
  ];
  const outcomes = [
    { wasVisible: false, isVisible: true, won: "all" },
    { wasVisible: true, isVisible: true, won: [false, true] },
  ] as const;
  const read = readLogPayload(writeLogPayload(1, deltas, outcomes));
  assert.deepEqual(read.map(({ outcome }) => outcome), outcomes);
  assert.deepEqual(read.map(({ delta }) => delta), deltas);
});

Deno.test("G13: the chain of a transaction in parts is held to all its deltas", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const deltas = inserts(0, 40);
  const chain = chainOf("", deltas.map((delta) => deltaIdOf("a", delta, delta.hlc ?? at(0))));
  const parts = (chain: string) => [
    { ...tx(1, ...deltas.slice(0, 20)), part: 1, parts: 2 },
    { ...tx(1, ...deltas.slice(20)), part: 2, parts: 2, chain },
  ];
  await assert.rejects(
    push(gateway, "a", parts("0".repeat(64))),
    (error) => error instanceof LakeSyncError && error.code === "CLIENT_FORKED",
  );
  assert.equal((await gateway.stats()).seq, 0);
  assert.equal((await push(gateway, "a", parts(chain))).lastMutationId, 1);
});

Deno.test("G13: a large transaction sent again with another chain is a fork, whole and in parts", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  const chained = (deltas: readonly Delta[]) => ({
    ...tx(1, ...deltas),
    chain: chainOf("", deltas.map((delta) => deltaIdOf("a", delta, delta.hlc ?? at(0)))),
  });
  const mine = chained(inserts(0, 2_500));
  const theirs = chained(inserts(5_000, 2_500));
  await push(gateway, "a", [mine]);
  assert.equal((await push(gateway, "a", [mine])).lastMutationId, 1);
  for (const fork of [theirs, { ...theirs, part: 2, parts: 2 }]) {
    await assert.rejects(
      push(gateway, "a", [fork]),
      (error) => error instanceof LakeSyncError && error.code === "CLIENT_FORKED",
    );
  }
});

Deno.test("G11: parts that never became whole are swept after a week", async () => {
  await using fixture = await openFixture();
  const { gateway, clock } = fixture;
  const part = (part: number) => ({ ...tx(1, insert(part)), part, parts: 3 });
  const days = (days: number) => clock.ms += days * 24 * 60 * 60 * 1000;
  await push(gateway, "a", [part(1)]);
  days(6);
  await push(gateway, "a", [part(2)]);
  await push(gateway, "b", [tx(1, insert(10))]);
  days(2);
  await push(gateway, "b", [tx(2, insert(11))]);
  await assert.rejects(
    push(gateway, "a", [part(3)]),
    (error) => error instanceof LakeSyncError && error.code === "MUTATION_GAP",
  );
  await push(gateway, "a", [part(1), part(3)]);
  assert.equal((await gateway.stats()).tables["todos"]?.rows, 5);
});
