import assert from "node:assert/strict";
import fc from "fast-check";
import { endOfPartition, lackingMonths, monthAfter, partitionText } from "./months.ts";

const ms = fc.integer({ min: 0, max: Date.UTC(2500, 0) });

Deno.test("monthAfter names months, over the end of a year", () => {
  const december = Date.UTC(2026, 11, 31, 23, 59);
  assert.deepEqual(monthAfter(december, 0), { name: "m202612", endMs: Date.UTC(2027, 0) });
  assert.deepEqual(monthAfter(december, 1), { name: "m202701", endMs: Date.UTC(2027, 1) });
  assert.deepEqual(monthAfter(december, 14), { name: "m202802", endMs: Date.UTC(2028, 2) });
});

Deno.test("lackingMonths go on from the last one, past what is needed, each name once", () => {
  fc.assert(fc.property(ms, ms, (start, newest) => {
    const last = monthAfter(start, 0);
    const months = lackingMonths(last.endMs, newest);
    if (newest < last.endMs) return assert.deepEqual(months, []);
    const ends = [last, ...months].map(({ endMs }) => endMs);
    assert.deepEqual(ends, ends.toSorted((a, b) => a - b));
    assert.equal(new Set([last, ...months].map(({ name }) => name)).size, ends.length);
    assert.ok((ends.at(-2) ?? 0) > newest, "one is ahead");
    assert.ok(months.length <= 25);
  }));
});

Deno.test("endOfPartition reads what partitionText writes", () => {
  fc.assert(fc.property(ms, (at) => {
    const month = monthAfter(at, 0);
    const [end = ""] = /'.*'/.exec(partitionText(month)) ?? [];
    assert.equal(endOfPartition(end), month.endMs);
  }));
});
