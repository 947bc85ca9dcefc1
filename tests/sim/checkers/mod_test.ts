import assert from "node:assert/strict";
import fc from "fast-check";
import { check, CHECKERS } from "./mod.ts";
import { broken, Engine } from "./testing_engine.ts";
import { goodHistories } from "./testing_plans.ts";

Deno.test("check finds nothing in runs that keep every promise", () => {
  fc.assert(
    fc.property(goodHistories, (history) => assert.deepEqual(check(history), [])),
    { numRuns: 300 },
  );
});

Deno.test("check asks every checker, and each signs what it finds", () => {
  const engine = new Engine({ a: "ann", b: "bob" }, { l: ["ann"] });
  engine.write("a", "l");
  engine.read("a");
  engine.read("b");
  engine.write("a", "l", true);
  const bad = broken(engine.finish(), ({ events, devices, gateways }) => {
    const [first, second] = events.filter((event) => event.kind === "read");
    if (first?.kind === "read") first.marks = [];
    if (second?.kind === "read") second.lists = ["l"];
    const [gateway] = gateways;
    const [entry] = gateway?.log ?? [];
    if (gateway !== undefined && entry !== undefined) {
      gateway.log.push({ ...entry, tx: "a.2" });
      gateway.destinations[0]?.deltaIds.pop();
    }
    for (const device of devices) device.tables = {};
    if (devices[1] !== undefined) devices[1].settled = false;
  });
  const signed = new Set(check(bad).map(({ checker }) => checker));
  assert.deepEqual([...signed].sort(), Object.keys(CHECKERS).sort());
});
