import assert from "node:assert/strict";
import fc from "fast-check";
import { flush } from "./flush.ts";
import { broken, Engine, type Open, texts } from "./testing_engine.ts";
import { calmHistories, goodHistories } from "./testing_plans.ts";
import type { DestinationEnd, History } from "../history.ts";

function spoiled(history: History, change: (destination: Open<DestinationEnd>) => void): string[] {
  return texts(flush(broken(history, ({ gateways }) => {
    const destination = gateways[0]?.destinations[0];
    if (destination !== undefined) change(destination);
  })));
}

function two(): Engine {
  const engine = new Engine({ a: "ann" }, { l: ["ann"] });
  engine.write("a", "l");
  engine.write("a", "l");
  return engine;
}

Deno.test("G10: flush finds nothing in a run that keeps every promise", () => {
  fc.assert(fc.property(goodHistories, (history) => assert.deepEqual(flush(history), [])));
});

Deno.test("G10: flush finds whatever change is missing, doubled or out of order", () => {
  fc.assert(fc.property(calmHistories, fc.nat(), (history, which) => {
    const ids = history.gateways[0]?.destinations[0]?.deltaIds ?? [];
    const at = which % ids.length;
    fc.pre(ids.length > 1);
    const found = (change: (ids: string[]) => void) =>
      spoiled(history, ({ deltaIds }) => change(deltaIds)).length;
    assert.equal(found((copy) => copy.splice(at, 1)), 1);
    assert.equal(found((copy) => copy.push(ids[at] ?? "")), 1);
    assert.equal(found((copy) => copy.push(copy.shift() ?? "")), 1);
  }));
});

Deno.test("G10: flush tells what differs", () => {
  const history = two().finish();
  assert.deepEqual(spoiled(history, ({ deltaIds }) => deltaIds.splice(0, 2, "x")), [
    "Destination copy of g lacks change a.1/marks of a.1",
    "Destination copy of g lacks change a.1/twins of a.1",
    "Destination copy of g holds change x, which is not in the log",
  ]);
  assert.deepEqual(spoiled(history, ({ deltaIds }) => deltaIds.reverse()), [
    "Destination copy of g has change a.2/twins where the log has a.1/marks",
  ]);
  assert.deepEqual(spoiled(history, ({ tables }) => delete tables?.["twins"]?.["a.2"]), [
    "Destination copy of g keeps other rows than the log: row twins/a.2 is missing",
  ]);
});

Deno.test("G10: flush finds what a destination keeps of a history that a restore has ended", () => {
  const engine = two();
  engine.push("a");
  engine.restore(1);
  engine.lose("a");
  const history = engine.finish();
  assert.deepEqual(flush(history), []);
  assert.deepEqual(spoiled(history, ({ deltaIds }) => deltaIds.push("a.2/marks")), [
    "Destination copy of g holds change a.2/marks, which is not in the log",
  ]);
});
