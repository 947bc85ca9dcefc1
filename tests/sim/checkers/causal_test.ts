import assert from "node:assert/strict";
import fc from "fast-check";
import type { History } from "../history.ts";
import { causal } from "./causal.ts";
import { broken, Engine, texts } from "./testing_engine.ts";
import { goodHistories } from "./testing_plans.ts";

function trio(): Engine {
  return new Engine({ a: "ann", b: "bob", c: "cid" }, {
    l: ["ann", "bob", "cid"],
    m: ["ann", "bob", "cid"],
  });
}

/** Without a transaction in the n-th read. */
function hiding(history: History, nth: number, tx: string): History {
  return broken(history, ({ events }) => {
    const read = events.filter(({ kind }) => kind === "read")[nth];
    if (read?.kind !== "read") throw new Error("No such read");
    read.marks = read.marks.filter((name) => name !== tx);
    read.twins = read.twins.filter((name) => name !== tx);
  });
}

Deno.test("causal finds nothing in a run that keeps every promise", () => {
  fc.assert(fc.property(goodHistories, (history) => assert.deepEqual(causal(history), [])));
});

Deno.test("causal finds a device that does not see what it wrote", () => {
  const engine = trio();
  engine.write("a", "l");
  engine.read("a");
  assert.deepEqual(texts(causal(hiding(engine.finish(), 0, "a.1"))), [
    "Read 8 of a lacks a.1, which the device committed before",
  ]);
});

Deno.test("causal finds a device that goes back in time", () => {
  const engine = trio();
  engine.write("a", "l");
  engine.push("a");
  engine.pull("b");
  engine.read("b");
  engine.read("b");
  assert.deepEqual(texts(causal(hiding(engine.finish(), 1, "a.1"))), [
    "Read 10 of b lacks a.1, which the device had seen before",
  ]);
});

Deno.test("causal finds an answer without its question, across three devices and two lists", () => {
  const engine = trio();
  engine.write("a", "l");
  engine.push("a");
  engine.pull("b");
  engine.write("b", "m");
  engine.push("b");
  engine.pull("c");
  engine.read("c");
  assert.deepEqual(texts(causal(hiding(engine.finish(), 0, "a.1"))), [
    "Read 12 of c lacks a.1 and shows b.1, whose author had seen it",
  ]);
});

Deno.test("causal finds a later write of a device without an earlier one", () => {
  const engine = trio();
  engine.write("a", "l");
  engine.write("a", "m");
  engine.push("a");
  engine.pull("c");
  engine.read("c");
  const unseen = broken(engine.finish(), ({ events }) => {
    for (const event of events) if (event.kind === "commit") event.saw = [];
  });
  assert.deepEqual(texts(causal(hiding(unseen, 0, "a.1"))), [
    "Read 12 of c lacks a.1 and shows a.2, whose author had seen it",
  ]);
});

Deno.test("causal finds a log that has an answer before its question", () => {
  const engine = trio();
  engine.write("a", "l");
  engine.write("a", "l");
  const bad = broken(engine.finish(), ({ gateways }) => gateways[0]?.log.reverse());
  assert.deepEqual(texts(causal(bad)), [
    "The log of g has a.2 before a.1, which its author had seen",
  ]);
});

Deno.test("causal finds whatever a read lacks of what its device has seen", () => {
  fc.assert(fc.property(fc.array(fc.constantFrom("a", "b", "c"), { minLength: 4 }), (order) => {
    const engine = trio();
    for (const [index, name] of order.entries()) {
      engine.pull(name);
      engine.write(name, index % 2 === 0 ? "l" : "m");
      engine.push(name);
      engine.pull("c");
      engine.read("c");
    }
    const history = engine.finish();
    const first = `${order[0]}.1`;
    for (let nth = 1; nth < order.length; nth++) {
      assert.ok(texts(causal(hiding(history, nth, first))).some((text) => text.includes(first)));
    }
  }));
});

Deno.test("causal asks for nothing of a list that the reader's user is just joining", () => {
  const engine = new Engine({ a: "ann", b: "bob" }, { l: ["ann"], m: ["ann", "bob"] });
  engine.write("a", "l");
  engine.write("a", "m");
  engine.push("a");
  engine.pull("b");
  engine.join("bob", "l");
  engine.read("b");
  assert.deepEqual(causal(engine.finish()), []);
});

Deno.test("causal asks for all of a list of which the reader shows anything", () => {
  const engine = new Engine({ a: "ann", b: "bob" }, { l: ["ann"], m: ["ann", "bob"] });
  engine.write("a", "l");
  engine.write("a", "l");
  engine.push("a");
  engine.join("bob", "l");
  engine.pull("b");
  engine.read("b");
  assert.deepEqual(texts(causal(hiding(engine.finish(), 0, "a.1"))), [
    "Read 10 of b lacks a.1 and shows a.2, whose author had seen it",
  ]);
});

Deno.test("causal holds those to order who wrote after a restore", () => {
  const engine = trio();
  engine.write("a", "l");
  engine.push("a");
  engine.restore(0);
  engine.write("a", "l");
  engine.write("a", "l");
  for (const step of ["pull", "push"] as const) engine[step]("a");
  engine.pull("c");
  engine.read("c");
  const history = engine.finish();
  assert.deepEqual(causal(hiding(history, 0, "a.1")), []);
  assert.deepEqual(texts(causal(hiding(history, 0, "a.2"))), [
    "Read 17 of c lacks a.2 and shows a.3, whose author had seen it",
  ]);
});

Deno.test("causal knows that a device's own waiting write says nothing of its checkpoint", () => {
  const engine = trio();
  engine.write("a", "l");
  engine.push("a");
  engine.leave("ann", "l");
  engine.pull("a");
  engine.join("ann", "l");
  engine.write("a", "m");
  engine.read("a");
  assert.deepEqual(causal(engine.finish()), []);
});
