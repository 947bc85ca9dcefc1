import assert from "node:assert/strict";
import { LakeSyncError } from "@lakesync/core";
import { memoryStores } from "../store/memory.ts";
import { LOG_START } from "../store/store.ts";
import { compact } from "./compaction.ts";
import { DEFAULT_RETENTION } from "./environment.ts";
import { OpenGateway } from "./open_gateway.ts";
import { delta, openFixture, Puller, push, START_MS, TODOS, tx } from "./testing_fixture.ts";

const ALL = { changes: 1_000, bytes: 1_000_000 };

const HOUR_MS = 60 * 60 * 1000;

Deno.test("G11: the log keeps what is younger than its time, also within a day", async () => {
  const retention = { ...DEFAULT_RETENTION, logKeepMs: HOUR_MS };
  await using fixture = await openFixture(memoryStores(), { retention });
  const { gateway, clock } = fixture;
  if (!(gateway instanceof OpenGateway)) throw new Error("another gateway");
  const { committer, history, store } = gateway;
  // One commit every ten minutes for five hours; an hour holds seven, both ends included.
  for (let i = 1; i <= 30; i++) {
    clock.ms = START_MS + i * HOUR_MS / 6;
    await push(gateway, "a", [tx(i, delta("INSERT", `t${i}`, undefined))]);
    await committer.alone(() => compact(committer, history.neededAfter));
    const kept = (await store.readLog(LOG_START, 100)).map(({ mutationId }) => mutationId);
    assert.deepEqual(kept, Array.from({ length: Math.min(i, 7) }, (_, j) => i - j).reverse());
  }
});

Deno.test("G11: history is compacted also after the clock was ahead for a while", async () => {
  const retention = { ...DEFAULT_RETENTION, logKeepMs: HOUR_MS };
  await using fixture = await openFixture(memoryStores(), { retention });
  const { gateway, clock } = fixture;
  if (!(gateway instanceof OpenGateway)) throw new Error("another gateway");
  let mutationId = 0;
  const pushAt = async (ms: number) => {
    clock.ms = START_MS + ms;
    mutationId++;
    await push(gateway, "a", [tx(mutationId, delta("INSERT", `t${mutationId}`, undefined))]);
    // What is asked for after a compaction runs after it.
    await gateway.committer.alone(() => Promise.resolve());
  };
  clock.ms = START_MS + 30 * 24 * HOUR_MS;
  const columns = { id: "string", at: "timestamp" };
  const more = { primaryKey: ["id"], columns };
  await gateway.putSchema({ version: 2, tables: { ...TODOS.tables, more } });
  await pushAt(0);
  await pushAt(2 * HOUR_MS);
  const kept = await gateway.store.readLog(LOG_START, 100);
  assert.deepEqual(kept.map(({ mutationId }) => mutationId), [2]);
});

Deno.test("G11: a log full of changes that a destination needs refuses pushes, and nothing else", async () => {
  const retention = { ...DEFAULT_RETENTION, logMaxBytes: 3_000 };
  await using fixture = await openFixture(memoryStores(), { retention });
  const { gateway, clock } = fixture;
  if (!(gateway instanceof OpenGateway)) throw new Error("another gateway");
  let arrived = 0;
  const stop = gateway.history.keepAfter(() => arrived);
  let pushed = 0;
  const pushOne = () =>
    push(gateway, "a", [
      tx(pushed + 1, delta("INSERT", `t${pushed}`, undefined, { title: "x".repeat(500) })),
    ]);
  const refused = (error: unknown) =>
    error instanceof LakeSyncError && error.code === "BACKPRESSURE" &&
    (error.details.retryAfterSeconds ?? 0) > 0;
  for (; pushed < 20; pushed++) {
    const outcome = await pushOne().catch((error) => error);
    if (!(outcome instanceof Error)) continue;
    assert.ok(refused(outcome), String(outcome));
    break;
  }
  assert.ok(pushed > 3 && pushed < 10, `${pushed} were taken`);
  assert.equal((await gateway.history.read({ seq: 0 }, ALL)).entries.length, pushed);
  await assert.rejects(pushOne(), refused);
  const puller = new Puller(gateway, "b");
  await puller.page();
  assert.equal(puller.rows.size, pushed);

  arrived = pushed;
  clock.ms += 2_000;
  await pushOne();
  pushed++;
  assert.equal((await gateway.history.read({ seq: arrived }, ALL)).entries.length, 1);
  stop();
});
