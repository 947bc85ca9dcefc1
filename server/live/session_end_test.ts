import { LakeSyncError, type PushResult } from "@lakesync/core";
import assert from "node:assert/strict";
import { Bench, NOW, PUSHED, token } from "./testing_session.ts";

const PUSH = {
  push: { clientId: "phone", schemaVersion: 1, transactions: [] },
};
const ROWS = { seq: 2, buckets: new Set(["1:[]"]), clientIds: new Set(["other"]) };

const MALFORMED: [what: string, frame: object | string][] = [
  ["no JSON", "{"],
  ["unknown", { shout: {} }],
  ["two names", { ping: {}, ack: { cursor: "" } }],
  ["hello again", { hello: { clientId: "phone", schemaVersion: 1 } }],
  ["another client's push", { push: { ...PUSH.push, clientId: "other" } }],
  ["another client's pull", { pull: { clientId: "other" } }],
];

for (const [what, frame] of MALFORMED) {
  Deno.test(`a frame that is malformed or out of place ends it with 4400: ${what}`, async () => {
    const bench = new Bench();
    await bench.hello();
    await bench.send(frame, { ping: {} });
    bench.ended("VALIDATION_ERROR", 4400);
    assert.ok(!bench.names().includes("pong"));
  });
}

Deno.test("the first frame must be hello, in time and by a possible client", async () => {
  const first = new Bench();
  await first.send({ ping: {} });
  first.ended("VALIDATION_ERROR", 4400);
  const silent = new Bench();
  silent.advance(10_000);
  silent.ended("VALIDATION_ERROR", 4400);
  const nobody = new Bench();
  await nobody.send({ hello: { clientId: "a b", schemaVersion: 1 } });
  nobody.ended("VALIDATION_ERROR", 4400);
});

Deno.test("frames are bounded in size and in number", async () => {
  const large = new Bench();
  await large.hello();
  await large.send("x".repeat(1001));
  large.ended("PAYLOAD_TOO_LARGE", 4400);
  const many = new Bench();
  await many.hello();
  many.push = () => new Promise(() => {});
  await many.send(PUSH, ...new Array(256).fill("{}"));
  assert.deepEqual(many.closes, []);
  await many.send("{}");
  many.ended("RATE_LIMITED", 1008);
  const bytes = new Bench();
  await bytes.hello();
  bytes.push = () => new Promise(() => {});
  await bytes.send(PUSH, "x".repeat(1000), "x".repeat(1000), "x");
  bytes.ended("RATE_LIMITED", 1008);
});

Deno.test("a clientId of another user ends it with 4403", async () => {
  const bench = new Bench();
  bench.pull = () => Promise.reject(new LakeSyncError("CLIENT_NOT_YOURS", "No"));
  await bench.send({ hello: { clientId: "phone", schemaVersion: 1 } });
  bench.ended("CLIENT_NOT_YOURS", 4403);
  const push = new Bench();
  await push.hello();
  push.push = () => Promise.reject(new LakeSyncError("CLIENT_NOT_YOURS", "No"));
  await push.send(PUSH);
  push.ended("CLIENT_NOT_YOURS", 4403);
});

Deno.test("a failure of ours ends it with 1011 and tells no detail", async () => {
  const bench = new Bench();
  bench.pull = () => Promise.reject(new Error("no such table"));
  await bench.send({ hello: { clientId: "phone", schemaVersion: 1 } });
  bench.ended("INTERNAL_ERROR", 1011);
  assert.ok(!JSON.stringify(bench.frames).includes("table"));
});

Deno.test("it ends with 4401 when its token does", async () => {
  const bench = new Bench();
  await bench.hello();
  bench.advance(59_999);
  assert.deepEqual(bench.closes, []);
  bench.advance(1);
  bench.ended("AUTH_ERROR", 4401);
});

Deno.test("a new token of the same user takes its place", async () => {
  const bench = new Bench();
  await bench.hello();
  bench.tokens.set("new", token({ endsMs: NOW + 120_000 }));
  await bench.send({ token: { jwt: "new" } });
  bench.advance(60_000);
  assert.deepEqual(bench.closes, []);
  bench.advance(60_000);
  bench.ended("AUTH_ERROR", 4401);
});

Deno.test("a token that lives longer than a timer can wait is waited for in pieces", async () => {
  const bench = new Bench();
  await bench.hello();
  bench.tokens.set("long", token({ endsMs: NOW + 2 ** 32 }));
  await bench.send({ token: { jwt: "long" } });
  bench.advance(2 ** 31 - 1);
  assert.deepEqual(bench.closes, []);
  bench.advance(2 ** 31 - 1);
  bench.advance(2);
  bench.ended("AUTH_ERROR", 4401);
});

Deno.test("a token of another user or gateway ends it with 4403, a bad one with 4401", async () => {
  const cases = [
    ["other", token({ sub: "bob" }), "FORBIDDEN", 4403],
    ["gateway", token({ gw: "notes" }), "FORBIDDEN", 4403],
    ["bad", undefined, "AUTH_ERROR", 4401],
  ] as const;
  for (const [jwt, verified, code, close] of cases) {
    const bench = new Bench();
    await bench.hello();
    if (verified !== undefined) bench.tokens.set(jwt, verified);
    await bench.send({ token: { jwt } });
    bench.ended(code, close);
  }
});

Deno.test("drain says so, answers the frame at hand, drops the others, and closes with 1012", async () => {
  const bench = new Bench();
  await bench.hello();
  const { promise, resolve } = Promise.withResolvers<PushResult>();
  bench.push = () => promise;
  await bench.send(PUSH, { ping: {} });
  const drained = bench.session.drain();
  await bench.send({ ping: {} });
  bench.commit(ROWS);
  assert.deepEqual(bench.closes, []);
  resolve(PUSHED);
  await drained;
  assert.deepEqual(bench.names(), ["draining", "pushResult"]);
  assert.deepEqual(bench.closes, [1012]);
  assert.equal(bench.timers.size, 0);
  assert.equal(bench.listeners, 0);
});

Deno.test("an ended session does nothing more", async () => {
  const bench = new Bench();
  await bench.hello();
  bench.session.ended();
  bench.session.ended();
  bench.commit(ROWS);
  await bench.send({ ping: {} });
  await bench.session.drain();
  assert.deepEqual(bench.frames, []);
  assert.deepEqual(bench.closes, []);
  assert.equal(bench.timers.size, 0);
});

Deno.test("a session that ended hears the acknowledgement that its close waits for, and nothing else", async () => {
  const bench = new Bench();
  await bench.send({ hello: { clientId: "phone", schemaVersion: 1 } });
  assert.equal(bench.session.owesAck, true);
  await bench.session.drain();
  const sent = bench.frames.length;
  await bench.send("{", { ping: {} }, { ack: { cursor: "another" } });
  assert.equal(bench.session.owesAck, true);
  await bench.send({ ack: { cursor: "+" } });
  assert.equal(bench.session.owesAck, false);
  assert.equal(bench.frames.length, sent);
});

Deno.test("G11: an ended session reads nothing that is longer than the acknowledgement it waits for", async () => {
  const bench = new Bench();
  await bench.send({ hello: { clientId: "phone", schemaVersion: 1 } });
  await bench.session.drain();
  // Each of these would be parsed whole, as many as a peer sends until it is closed.
  await bench.send(`{"ack":{"cursor":"+"}${" ".repeat(500)}}`);
  assert.equal(bench.session.owesAck, true);
  await bench.send(`{"ack":{"cursor":"+"}${" ".repeat(100)}}`);
  assert.equal(bench.session.owesAck, false);
});
