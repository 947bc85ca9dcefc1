import assert from "node:assert/strict";
import fc from "fast-check";
import type { Cells } from "../history.ts";
import { convergence } from "./convergence.ts";
import { firstDifference } from "./rows.ts";
import { broken, Engine, texts } from "./testing_engine.ts";
import { goodHistories } from "./testing_plans.ts";

function pair(): Engine {
  const engine = new Engine({ b: "bob", c: "bob" }, { l: ["bob"] });
  engine.write("b", "l");
  return engine;
}

Deno.test("G3: convergence finds nothing in a run that keeps every promise", () => {
  fc.assert(fc.property(goodHistories, (history) => assert.deepEqual(convergence(history), [])));
});

Deno.test("G3: convergence names the cell in which two devices differ", () => {
  const bad = broken(pair().finish(), ({ devices }) => {
    const rows = devices[1]?.tables["marks"];
    if (rows !== undefined) rows["b.1"] = { list: "m" };
  });
  assert.deepEqual(texts(convergence(bad)), [
    'Device c of bob: cell marks/b.1.list is "m" and not "l"',
    'Device c of bob differs from device b: cell marks/b.1.list is "m" and not "l"',
  ]);
});

Deno.test("G7: convergence finds a row too much that all devices of a user have", () => {
  const bad = broken(pair().finish(), ({ devices }) => {
    for (const { tables } of devices) tables["items"] = { x: {} };
  });
  assert.deepEqual(texts(convergence(bad)), [
    "Device b of bob: row items/x is too much",
    "Device c of bob: row items/x is too much",
  ]);
});

Deno.test("G3: convergence leaves out those that did not settle, and needs an expectation", () => {
  const lost = broken(pair().finish(), ({ devices, gateways }) => {
    const [first] = devices;
    if (first !== undefined) Object.assign(first, { settled: false, tables: {} });
    delete gateways[0]?.expected["bob"];
  });
  assert.deepEqual(texts(convergence(lost)), ["Nothing says what bob of device c is to see"]);
});

Deno.test("firstDifference compares cells by value and type", () => {
  const differ = (is: unknown, should: unknown) =>
    firstDifference({ t: { r: { c: is } } }, { t: { r: { c: should } } });
  assert.equal(differ(new Uint8Array([1, 2]), new Uint8Array([1, 2])), undefined);
  assert.equal(
    differ(new Uint8Array([1]), new Uint8Array([2])),
    "cell t/r.c is bytes 01 and not bytes 02",
  );
  assert.equal(differ({ a: [1, { b: null }] }, { a: [1, { b: null }] }), undefined);
  assert.equal(differ([1], { 0: 1 }), 'cell t/r.c is [1] and not {"0":1}');
  assert.equal(differ(1, 1n), 'cell t/r.c is 1 and not "1n"');
  assert.equal(differ(undefined, null), "cell t/r.c is missing and not null");
  const row: Cells = { c: 1 };
  assert.equal(firstDifference({}, { t: {} }), undefined);
  assert.equal(firstDifference({}, { t: { r: row } }), "row t/r is missing");
});
