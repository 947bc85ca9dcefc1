import assert from "node:assert/strict";
import fc from "fast-check";
import { durability } from "./durability.ts";
import { broken, Engine, texts } from "./testing_engine.ts";
import { calmHistories, goodHistories } from "./testing_plans.ts";

function pair(): Engine {
  return new Engine({ a: "ann", b: "bob" }, { l: ["ann", "bob"] });
}

Deno.test("G1: durability finds nothing in a run that keeps every promise", () => {
  fc.assert(fc.property(goodHistories, (history) => assert.deepEqual(durability(history), [])));
});

Deno.test("G1: durability finds an acknowledged transaction that is not in the log", () => {
  const history = pair();
  history.write("a", "l");
  history.push("a");
  const bad = broken(history.finish(), (copy) => copy.gateways[0]?.log.pop());
  assert.deepEqual(texts(durability(bad)), [
    "Acknowledged transaction a.1 is in no log at the end",
  ]);
});

Deno.test("G1: durability finds what a settled device lacks at the end, wherever it is lost", () => {
  fc.assert(fc.property(calmHistories, fc.nat(), fc.nat(), (history, which, row) => {
    const device = which % history.devices.length;
    const names = Object.keys(history.devices[device]?.tables["marks"] ?? {});
    const name = names[row % names.length];
    fc.pre(name !== undefined);
    const bad = broken(history, (copy) => {
      delete copy.devices[device]?.tables["marks"]?.[name];
    });
    const lacking = `Device ${history.devices[device]?.device} of `;
    assert.equal(texts(durability(bad)).filter((text) => text.startsWith(lacking)).length, 1);
  }));
});

Deno.test("G1: durability finds an acknowledged transaction that vanishes between two reads", () => {
  const engine = pair();
  engine.write("a", "l");
  engine.push("a");
  for (const _ of [1, 2]) {
    engine.pull("b");
    engine.read("b");
  }
  const bad = broken(engine.finish(), ({ events }) => {
    const second = events.filter((event) => event.kind === "read")[1];
    if (second?.kind === "read") second.marks = [];
  });
  assert.deepEqual(texts(durability(bad)), [
    "Device b showed acknowledged transaction a.1, read 6 not",
  ]);
});

Deno.test("G1: durability asks no device for a list that its user left", () => {
  const engine = pair();
  engine.write("a", "l");
  engine.push("a");
  engine.pull("b");
  engine.read("b");
  engine.leave("bob", "l");
  engine.pull("b");
  engine.read("b");
  assert.deepEqual(durability(engine.finish()), []);
});

Deno.test("G1: durability excuses what nobody can give back after a restore, and only that", () => {
  const engine = pair();
  engine.write("a", "l");
  engine.write("b", "l");
  engine.push("a");
  engine.push("b");
  engine.lose("a");
  engine.restore(0);
  const good = engine.finish();
  assert.deepEqual(durability(good), []);
  const bad = broken(good, (copy) => copy.gateways[0]?.log.pop());
  assert.deepEqual(texts(durability(bad)), [
    "Acknowledged transaction b.1 is in no log at the end",
  ]);
});

Deno.test("G1: durability finds what is not in the log when the gateway is opened again", () => {
  const engine = pair();
  engine.write("a", "l");
  engine.push("a");
  const history = engine.finish();
  const reopened = (restored?: string) =>
    broken(history, ({ events }) => {
      if (restored !== undefined) events.push({ kind: "restored", atMs: 1, gateway: restored });
      events.push({ kind: "lost", atMs: 1, gateway: "g", txs: ["a.1"] });
    });
  const lacking = ["The log of g lacks acknowledged transaction a.1 when it is opened again"];
  assert.deepEqual(texts(durability(reopened())), lacking);
  assert.deepEqual(texts(durability(reopened("another"))), lacking);
  assert.deepEqual(durability(reopened("g")), []);
});

Deno.test("G13: durability excuses by restores of a device's own gateway alone", () => {
  const engine = pair();
  engine.write("a", "l");
  engine.push("a");
  engine.lose("a");
  engine.restore(0);
  const history = engine.finish();
  const home = (gateway: string) =>
    broken(history, ({ devices }) => {
      Object.assign(devices[0] ?? {}, { gateway });
    });
  assert.deepEqual(durability(home("g")), []);
  assert.deepEqual(texts(durability(home("another"))), [
    "Acknowledged transaction a.1 is in no log at the end",
    "Device a of ann lacks acknowledged transaction a.1 at the end",
  ]);
});
