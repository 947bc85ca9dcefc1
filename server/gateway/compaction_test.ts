import assert from "node:assert/strict";
import { memoryStores } from "../store/memory.ts";
import { LOG_START } from "../store/store.ts";
import { compact } from "./compaction.ts";
import { DEFAULT_RETENTION } from "./environment.ts";
import { OpenGateway } from "./open_gateway.ts";
import { delta, openFixture, push, START_MS, TODOS, tx } from "./testing_fixture.ts";

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
