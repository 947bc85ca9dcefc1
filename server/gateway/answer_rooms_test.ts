import { LakeSyncError } from "@lakesync/core";
import assert from "node:assert/strict";
import fc from "fast-check";
import { openSqliteStores } from "../store/sqlite.ts";
import { tempFolder } from "../store/testing_folders.ts";
import { AnswerRoom } from "./answer_rooms.ts";
import { DEFAULT_RETENTION } from "./environment.ts";
import type { Caller, Gateway } from "./gateway.ts";
import { ALICE, at, BOB, delta, openFixture, START_MS, tx } from "./testing_fixture.ts";

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

const RETENTION = {
  ...DEFAULT_RETENTION,
  answerMaxUserBytes: 5_000,
  answerMaxBytes: 8_000,
};

/** Pushes nothing with a key, whose answer takes 500 bytes. */
async function pushKey(gateway: Gateway, key: string, caller: Caller = ALICE, transactions = []) {
  const request = { clientId: `${caller.sub}-1`, schemaVersion: 1, transactions };
  const render = () => "x".repeat(100);
  return await gateway.push(caller, request, { key, bodyHash: "h", render });
}

async function refusalOf(pushing: Promise<unknown>): Promise<readonly [string, number]> {
  const error = await pushing.then(() => undefined, (error) => error);
  assert.ok(error instanceof LakeSyncError, "It was taken");
  return [error.code, error.details.retryAfterSeconds ?? 0];
}

Deno.test("G11: a user's pushes are refused past so many bytes of kept answers, also after a restart", async () => {
  await using folder = await tempFolder();
  const stores = await openSqliteStores(folder.path);
  {
    await using fixture = await openFixture(stores, { retention: RETENTION });
    for (let i = 0; i < 10; i++) await pushKey(fixture.gateway, `k${i}`);
    const [code, seconds] = await refusalOf(pushKey(fixture.gateway, "k10"));
    assert.equal(code, "RATE_LIMITED");
    assert.ok(seconds > 24 * 3600 && seconds <= 25 * 3600, `${seconds} s`);
  }
  await using fixture = await openFixture(await openSqliteStores(folder.path), {
    retention: RETENTION,
  });
  const { gateway, clock } = fixture;
  assert.equal((await refusalOf(pushKey(gateway, "k10")))[0], "RATE_LIMITED");
  // What was promised is kept, and without a key everything goes on.
  assert.equal((await pushKey(gateway, "k3")).replayed, "x".repeat(100));
  const request = {
    clientId: "alice-1",
    schemaVersion: 1,
    transactions: [tx(1, delta("INSERT", "t1", at(0)))],
  };
  assert.equal((await gateway.push(ALICE, request)).result?.lastMutationId, 1);
  // All users together have a bound too.
  for (let i = 0; i < 6; i++) await pushKey(gateway, `b${i}`, BOB);
  assert.equal((await refusalOf(pushKey(gateway, "b6", BOB)))[0], "BACKPRESSURE");
  // After their time there is room as before.
  clock.ms = START_MS + DAY_MS + 2 * HOUR_MS;
  for (let i = 0; i < 10; i++) assert.ok((await pushKey(gateway, `l${i}`)).result !== undefined);
  assert.equal((await refusalOf(pushKey(gateway, "l10")))[0], "RATE_LIMITED");
});

Deno.test("G11: pushes at once and pushes in steps are held to the same bytes of kept answers", async () => {
  await using fixture = await openFixture(undefined, { retention: RETENTION });
  const { gateway } = fixture;
  const all = await Promise.allSettled(
    Array.from({ length: 30 }, (_, i) => pushKey(gateway, `k${i}`)),
  );
  assert.equal(all.filter(({ status }) => status === "fulfilled").length, 10);
  const rows = Array.from({ length: 3_000 }, (_, i) => delta("INSERT", `r${i}`, at(i), { n: i }));
  const large = (caller: Caller, key: string) =>
    gateway.push(
      caller,
      { clientId: `${caller.sub}-2`, schemaVersion: 1, transactions: [tx(1, ...rows)] },
      { key, bodyHash: "h", render: () => "y".repeat(4_600) },
    );
  assert.equal((await refusalOf(large(ALICE, "large")))[0], "RATE_LIMITED");
  assert.equal((await gateway.stats()).seq, 0, "It had no effect");
  assert.ok((await large(BOB, "large")).result !== undefined);
  assert.ok((await large(BOB, "large")).replayed !== undefined);
  assert.equal((await refusalOf(pushKey(gateway, "b", BOB)))[0], "RATE_LIMITED");
});

Deno.test("G11: an AnswerRoom counts all that is kept, in counts that are bounded", () => {
  const step = fc.record({ ms: fc.nat(3 * HOUR_MS), chars: fc.nat(2_000) });
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    let nowMs = START_MS;
    let text: string | undefined;
    const kept: { readonly untilMs: number; readonly bytes: number }[] = [];
    for (const { ms, chars } of steps) {
      nowMs += ms;
      const room = new AnswerRoom(text, nowMs);
      const before = room.bytes;
      room.add("x".repeat(chars), nowMs + DAY_MS, DAY_MS);
      kept.push({ untilMs: nowMs + DAY_MS, bytes: room.bytes - before });
      ({ text } = room);
      const sum = (fromMs: number) =>
        kept.reduce((sum, { untilMs, bytes }) => untilMs > fromMs ? sum + bytes : sum, 0);
      assert.ok(room.bytes >= sum(nowMs), "No less than is kept");
      assert.ok(room.bytes <= sum(nowMs - HOUR_MS), "Room is free an hour later at most");
      assert.ok(JSON.parse(text).length <= 26);
      const maxBytes = Math.ceil(room.bytes / 2);
      const untilMs = room.fullUntil(maxBytes);
      if (untilMs === undefined) assert.equal(room.bytes, 0);
      else assert.ok(new AnswerRoom(text, untilMs).bytes < maxBytes);
      assert.equal(room.fullUntil(room.bytes + 1), undefined);
    }
  }));
});
