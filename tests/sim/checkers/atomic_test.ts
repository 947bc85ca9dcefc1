import assert from "node:assert/strict";
import fc from "fast-check";
import { atomic } from "./atomic.ts";
import { broken, Engine, texts } from "./testing_engine.ts";
import { goodHistories } from "./testing_plans.ts";

Deno.test("G5: atomic finds nothing in a run that keeps every promise", () => {
  fc.assert(fc.property(goodHistories, (history) => assert.deepEqual(atomic(history), [])));
});

Deno.test("G5: atomic finds whatever half is missing from a read", () => {
  fc.assert(fc.property(goodHistories, fc.nat(), fc.boolean(), (history, which, marks) => {
    const reads = history.events.flatMap((event, at) =>
      event.kind === "read" && event.marks.length > 0 ? [at] : []
    );
    const at = reads[which % reads.length];
    fc.pre(at !== undefined);
    const half = broken(history, ({ events }) => {
      const read = events[at];
      if (read?.kind === "read") read[marks ? "marks" : "twins"].pop();
    });
    assert.equal(atomic(half).length, 1);
  }));
});

Deno.test("G5: atomic looks at devices and destinations at the end", () => {
  const engine = new Engine({ a: "ann" }, { l: ["ann"] });
  engine.write("a", "l");
  const bad = broken(engine.finish(), ({ devices, gateways }) => {
    delete devices[0]?.tables["twins"]?.["a.1"];
    delete gateways[0]?.destinations[0]?.tables?.["marks"]?.["a.1"];
  });
  assert.deepEqual(texts(atomic(bad)), [
    "Device a at the end: transaction a.1 is in marks and not in twins",
    "Destination copy of g: transaction a.1 is in twins and not in marks",
  ]);
});
