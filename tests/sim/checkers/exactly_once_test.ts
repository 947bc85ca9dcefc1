import assert from "node:assert/strict";
import fc from "fast-check";
import { exactlyOnce } from "./exactly_once.ts";
import { broken, Engine, texts } from "./testing_engine.ts";
import { goodHistories } from "./testing_plans.ts";

Deno.test("G2: exactlyOnce finds nothing in a run that keeps every promise", () => {
  fc.assert(fc.property(goodHistories, (history) => assert.deepEqual(exactlyOnce(history), [])));
});

Deno.test("G2: exactlyOnce finds whatever entry is in the log again", () => {
  fc.assert(fc.property(goodHistories, fc.nat(), (history, which) => {
    const log = history.gateways[0]?.log ?? [];
    const again = log[which % log.length];
    fc.pre(again !== undefined);
    const twice = broken(history, (copy) => {
      copy.gateways[0]?.log.push({ ...again, deltaIds: [...again.deltaIds] });
    });
    assert.ok(
      texts(exactlyOnce(twice)).some((text) => text.includes(`Transaction ${again.tx} is`)),
    );
  }));
});

Deno.test("G2: exactlyOnce finds a transaction that came again under another clientId", () => {
  const engine = new Engine({ a: "ann" }, { l: ["ann"] });
  engine.write("a", "l");
  const bad = broken(engine.finish(), (copy) => {
    const entry = { tx: "a.1", seq: 9, clientId: "z", mutationId: 1, deltaIds: ["z1", "z2"] };
    copy.gateways[0]?.log.push(entry);
  });
  assert.deepEqual(texts(exactlyOnce(bad)), [
    "Transaction a.1 is twice in the log: at seq 1 of g as a/1, and at seq 9 of g as z/1",
  ]);
});

Deno.test("G2: exactlyOnce finds a change and a number that are there twice", () => {
  const engine = new Engine({ a: "ann" }, { l: ["ann"] });
  engine.write("a", "l");
  engine.write("a", "l");
  const bad = broken(engine.finish(), (copy) => {
    const entry = copy.gateways[0]?.log[1];
    if (entry !== undefined) Object.assign(entry, { mutationId: 1, deltaIds: ["a.1/marks"] });
  });
  assert.deepEqual(texts(exactlyOnce(bad)), [
    "Number 1 of client a is twice in the log: at seq 1 of g as a/1 as a.1, " +
    "and at seq 2 of g as a/1 as a.2",
    "Change a.1/marks of a.2 is twice in the log: at seq 1 of g as a/1, and at seq 2 of g as a/1",
  ]);
});
