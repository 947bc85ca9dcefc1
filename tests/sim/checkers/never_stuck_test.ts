import assert from "node:assert/strict";
import { neverStuck, settleTimesMs } from "./never_stuck.ts";
import { broken, Engine, texts } from "./testing_engine.ts";

const good = new Engine({ a: "ann", b: "bob" }, {}).finish();

Deno.test("G6: neverStuck finds nothing where all devices settle in time", () => {
  assert.deepEqual(neverStuck(good), []);
  assert.deepEqual([...settleTimesMs(good)], [["a", 3], ["b", 4]]);
});

Deno.test("G6: neverStuck finds a device that does not settle and tells its status", () => {
  const stuck = broken(good, ({ devices }) => {
    Object.assign(devices[1] ?? {}, { settled: false, status: "waiting for a token" });
  });
  assert.deepEqual(texts(neverStuck(stuck)), ["Device b did not settle: waiting for a token"]);
});

Deno.test("G6: neverStuck finds a device that settles late, or only before the faults ended", () => {
  const late = broken(good, (copy) => copy.settleWithinMs = 3);
  assert.deepEqual(texts(neverStuck(late)), ["Device b settled after 4 ms, not 3 ms: current"]);
  const before = broken(good, ({ events }) => {
    events.unshift(...events.splice(-1, 1));
  });
  assert.deepEqual(texts(neverStuck(before)), ["Device b did not settle: current"]);
});

Deno.test("G6: neverStuck finds a run whose faults never ended", () => {
  const endless = broken(good, (copy) => {
    copy.events = copy.events.filter(({ kind }) => kind !== "healed");
  });
  assert.equal(texts(neverStuck(endless))[0], "The run never healed");
});
