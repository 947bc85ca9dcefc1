import assert from "node:assert/strict";
import { Flusher } from "../../../server/flush/flusher.ts";
import { at, delta, openFixture, push, tx } from "../../../server/gateway/testing_fixture.ts";
import { ModelDatabase } from "./model_database.ts";
import { ModelLake } from "./model_lake.ts";

const WORLD = { random: () => 0.999, pause: () => Promise.resolve(), faults: {} };
const ENV = {
  now: () => Date.now(),
  setTimer: (ms: number, callback: () => void) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
  random: () => 0.5,
};

Deno.test("G10: what is pushed arrives in a database and in a lake", async () => {
  await using fixture = await openFixture();
  const { gateway } = fixture;
  for (const destination of [new ModelDatabase("db", WORLD), new ModelLake("lake", WORLD)]) {
    const flusher = new Flusher({ source: gateway, destination, env: ENV });
    await push(gateway, destination.name, [
      tx(1, delta("INSERT", "t1", at(1), { title: "a", done: false, n: 1 })),
      tx(2, delta("UPDATE", "t1", at(2), { title: "b" }), delta("INSERT", "t2", at(2))),
      tx(3, delta("DELETE", "t2", at(3))),
    ]);
    await flusher.flushNow();
    assert.equal(flusher.status.lagCommits, 0);
    assert.deepEqual(destination.rows().todos, {
      t1: { id: "t1", title: "b", done: false, n: 1 },
    });
    await flusher.close();
  }
});
