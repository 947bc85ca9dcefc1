import assert from "node:assert/strict";
import fc from "fast-check";
import { outcome } from "./outcome.ts";
import { broken, Engine, texts } from "./testing_engine.ts";
import { goodHistories } from "./testing_plans.ts";

function single(): Engine {
  return new Engine({ a: "ann" }, { l: ["ann"] });
}

Deno.test("G2: outcome finds nothing in a run that keeps every promise", () => {
  fc.assert(fc.property(goodHistories, (history) => assert.deepEqual(outcome(history), [])));
});

Deno.test("G6: outcome finds a transaction that nobody ever judged", () => {
  const engine = single();
  engine.write("a", "l");
  const bad = broken(engine.finish(), (copy) => {
    copy.events = copy.events.filter(({ kind }) => kind !== "acknowledged");
    copy.gateways[0]?.log.pop();
  });
  assert.deepEqual(texts(outcome(bad)), ["Transaction a.1 has no outcome"]);
});

Deno.test("G2: outcome finds one that was acknowledged and refused, but for a restore", () => {
  const engine = single();
  engine.write("a", "l");
  engine.push("a");
  const twofold = (restored: boolean) =>
    broken(engine.finish(), ({ events, devices, gateways }) => {
      const at = events.findIndex(({ kind }) => kind === "healed");
      if (restored) events.splice(at, 0, { kind: "restored", gateway: "g", atMs: 9 });
      events.push({ kind: "refused", tx: "a.1", clientId: "a", code: "STALE_WRITE", atMs: 10 });
      for (const device of devices) device.tables = {};
      gateways[0]?.log.pop();
    });
  assert.deepEqual(texts(outcome(twofold(false))), [
    "Transaction a.1 is both acknowledged and refused",
  ]);
  const excused = broken(twofold(true), ({ events }) => {
    const last = events.filter(({ kind }) => kind === "acknowledged").at(-1);
    const first = events.findIndex(({ kind }) => kind === "acknowledged");
    events.splice(0, events.length, ...events.filter((event, at) => at <= first || event !== last));
  });
  assert.deepEqual(texts(outcome(excused)), []);
});

Deno.test("G6: outcome finds a refused transaction in the log and on a device", () => {
  const engine = single();
  engine.write("a", "l", true);
  const bad = broken(engine.finish(), ({ devices, gateways }) => {
    for (const { tables } of devices) tables["twins"] = { "a.1": { list: "l" } };
    const entry = { tx: "a.1", seq: 1, clientId: "a", mutationId: 1, deltaIds: ["x"] };
    gateways[0]?.log.push(entry);
  });
  assert.deepEqual(texts(outcome(bad)), [
    "Refused transaction a.1 is in the log",
    "Device a shows a.1 at the end, which was refused",
  ]);
});

Deno.test("G5: outcome finds what was rolled back, made up, or read before it was begun", () => {
  const engine = single();
  engine.rollBack("a", "l");
  engine.read("a");
  engine.write("a", "l");
  const bad = broken(engine.finish(), ({ events }) => {
    const read = events.find(({ kind }) => kind === "read");
    if (read?.kind === "read") read.twins = ["a.1", "a.2", "x.9"];
  });
  assert.deepEqual(texts(outcome(bad)), [
    "Read 3 of a shows a.2 before it was begun",
    "Read 3 of a shows x.9 before it was begun",
    "Read 3 of a shows a.1 although it was rolled back",
  ]);
});

Deno.test("G13: outcome lets a log keep numbers without changes, and give a refused one back", () => {
  const engine = single();
  engine.write("a", "l", true);
  engine.push("a");
  engine.restore(0);
  const filled = (deltaIds: string[]) =>
    broken(engine.finish(), ({ gateways }) => {
      gateways[0]?.log.push({ tx: "a#1", seq: 1, clientId: "a", mutationId: 1, deltaIds });
      gateways[0]?.log.push({ tx: "a.1", seq: 2, clientId: "b", mutationId: 1, deltaIds: ["y"] });
    });
  assert.deepEqual(outcome(filled([])), []);
  assert.deepEqual(texts(outcome(filled(["x"]))), [
    "Transaction a#1 is in the log and was never begun",
  ]);
});

Deno.test("G6: outcome finds a refusal that its device was not told of", () => {
  const engine = single();
  engine.write("a", "l", true);
  engine.push("a");
  const ended = (letters: string[], restored: boolean) =>
    broken(engine.finish(), ({ devices, events, gateways }) => {
      for (const device of devices) device.letters = letters;
      const { gateway = "" } = gateways[0] ?? {};
      if (restored) events.push({ kind: "restored", atMs: 9, gateway });
    });
  assert.deepEqual(outcome(ended(["a.1"], false)), []);
  assert.deepEqual(texts(outcome(ended([], false))), [
    "Device a was not told that a.1 was refused",
  ]);
  assert.deepEqual(outcome(ended([], true)), []);
});
