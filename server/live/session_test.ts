import { DEFAULT_LIMITS, LakeSyncError, type PushResult, ZERO_HLC } from "@lakesync/core";
import assert from "node:assert/strict";
import { Bench, NOW, PUSHED, turn } from "./testing_session.ts";

const PUSH = {
  push: { clientId: "phone", schemaVersion: 1, transactions: [] },
};
const MINE = { seq: 2, buckets: new Set<string>(), clientIds: new Set(["phone"]) };
const ROWS = { seq: 2, buckets: new Set(["1:[]"]), clientIds: new Set(["other"]) };
const NEITHER = { seq: 2, buckets: new Set<string>(), clientIds: new Set(["other"]) };

Deno.test("hello is answered by welcome and the first page", async () => {
  const bench = new Bench();
  await bench.send({
    hello: { clientId: "phone", schemaVersion: 3, cursor: "c" },
  });
  assert.deepEqual(bench.names(), ["welcome", "changes"]);
  const welcome = bench.frames[0]?.["welcome"];
  assert.deepEqual(welcome, {
    serverTime: new Date(NOW).toISOString(),
    limits: { ...DEFAULT_LIMITS, maxBodyBytes: 1000, maxMessagesPerSecond: 50 },
  });
  const [pull] = bench.pulls;
  assert.equal(pull?.cursor, "c");
  assert.equal(pull?.schemaVersion, 3);
});

Deno.test("commits are read when they may concern the client", async () => {
  const bench = new Bench();
  await bench.hello();
  bench.commit(NEITHER);
  await turn();
  assert.equal(bench.pulls.length, 1);
  bench.commit(ROWS);
  await turn();
  assert.equal(bench.pulls.length, 2);
  bench.commit(MINE);
  await turn();
  assert.equal(bench.pulls.length, 3);
});

Deno.test("a push is answered by its result or an error, and the connection stays", async () => {
  const bench = new Bench();
  await bench.hello();
  await bench.send(PUSH);
  bench.push = () =>
    Promise.reject(
      new LakeSyncError("MUTATION_GAP", "Gap", { lastMutationId: 7 }),
    );
  await bench.send(PUSH);
  assert.deepEqual(bench.names(), ["pushResult", "error"]);
  assert.deepEqual(bench.frames[1]?.["error"], {
    error: "Gap",
    code: "MUTATION_GAP",
    requestId: "r1",
    lastMutationId: 7,
  });
  assert.deepEqual(bench.closes, []);
});

Deno.test("frames are processed in order, one after the other", async () => {
  const bench = new Bench();
  await bench.hello();
  const { promise, resolve } = Promise.withResolvers<PushResult>();
  bench.push = () => promise;
  await bench.send(PUSH, { ping: {} }, PUSH);
  assert.deepEqual(bench.names(), []);
  resolve(PUSHED);
  await turn();
  assert.deepEqual(bench.names(), ["pushResult", "pong", "pushResult"]);
});

Deno.test("a page with the client's own transactions comes after their outcome", async () => {
  const bench = new Bench();
  await bench.hello();
  const { promise, resolve } = Promise.withResolvers<PushResult>();
  bench.push = () => promise;
  await bench.send(PUSH);
  bench.pull = () =>
    Promise.resolve({
      changes: [],
      cursor: "c1",
      complete: true,
      lastMutationId: 1,
      serverHlc: ZERO_HLC,
    });
  bench.commit(MINE);
  await turn();
  assert.deepEqual(bench.names(), []);
  resolve(PUSHED);
  await turn();
  assert.deepEqual(bench.names(), ["pushResult", "changes"]);
});

Deno.test("pull starts the delivery anew from its cursor", async () => {
  const bench = new Bench();
  await bench.hello();
  await bench.send({ pull: { clientId: "phone", cursor: "x", limit: 99_999 } });
  assert.deepEqual(bench.names(), ["changes"]);
  assert.equal(bench.pulls.at(-1)?.cursor, "x");
  assert.equal(bench.pulls.at(-1)?.limit, 10_000);
});

Deno.test("a cursor from before the kept history is answered by resync, and a pull goes on", async () => {
  const bench = new Bench();
  const { pull } = bench;
  bench.pull = () => Promise.reject(new LakeSyncError("RESYNC_REQUIRED", "Too old"));
  await bench.send({
    hello: { clientId: "phone", schemaVersion: 1, cursor: "old" },
  });
  assert.deepEqual(bench.frames.at(-1), {
    resync: { code: "RESYNC_REQUIRED", reason: "Too old" },
  });
  bench.pull = pull;
  bench.commit(ROWS);
  await turn();
  assert.equal(bench.pulls.length, 1);
  await bench.send({ pull: { clientId: "phone" } });
  assert.deepEqual(bench.names(), ["welcome", "resync", "changes"]);
  assert.deepEqual(bench.closes, []);
});
