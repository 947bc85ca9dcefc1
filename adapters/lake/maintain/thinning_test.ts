import assert from "node:assert/strict";
import fc from "fast-check";
import { type Dated, expired } from "./thinning.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const NOW = 100 * DAY_MS + 17 * HOUR_MS;

function every(ms: number, forMs: number): Dated<number>[] {
  return Array.from({ length: forMs / ms }, (_, i) => ({ id: i, atMs: NOW - i * ms }));
}

Deno.test("expired keeps a month of a snapshot a minute in about 65", () => {
  const snapshots = every(MINUTE_MS, 40 * DAY_MS);
  const gone = new Set(expired(snapshots, NOW));
  const kept = snapshots.filter(({ id }) => !gone.has(id)).map(({ atMs }) => NOW - atMs);
  assert.equal(kept.filter((age) => age < 5 * MINUTE_MS).length, 5);
  const often = kept.filter((age) => age >= 5 * MINUTE_MS && age < HOUR_MS).length;
  assert.ok(often === 5 || often === 6, String(often));
  const hourly = kept.filter((age) => age >= HOUR_MS && age < DAY_MS).length;
  assert.ok(hourly === 23 || hourly === 24, String(hourly));
  const daily = kept.filter((age) => age >= DAY_MS && age < 30 * DAY_MS).length;
  assert.ok(daily === 29 || daily === 30, String(daily));
  assert.equal(kept.filter((age) => age >= 30 * DAY_MS).length, 0);
});

Deno.test("expired never names a pinned snapshot or one of the last five minutes", () => {
  const snapshots = every(MINUTE_MS, DAY_MS);
  const gone = expired(snapshots, NOW, undefined, new Set([1_000, 1_001]));
  assert.ok(!gone.includes(1_000) && !gone.includes(1_001));
  assert.ok(gone.every((id) => id >= 5));
});

Deno.test("expired chooses none when asked again", () => {
  const ages = fc.uniqueArray(fc.integer({ min: 0, max: 40 * DAY_MS }), { maxLength: 60 });
  fc.assert(fc.property(ages, (all) => {
    const snapshots = all.map((age, id) => ({ id, atMs: NOW - age }));
    const gone = new Set(expired(snapshots, NOW));
    assert.deepEqual(expired(snapshots.filter(({ id }) => !gone.has(id)), NOW), []);
  }));
});

Deno.test("expired keeps few snapshots of the future, after a clock that was ahead was set back", () => {
  const ahead = NOW + 365 * DAY_MS;
  const snapshots = Array.from({ length: 1_000 }, (_, id) => ({ id, atMs: ahead }));
  const gone = expired(snapshots, NOW, undefined, new Set([999]));
  assert.deepEqual(snapshots.filter(({ id }) => !gone.includes(id)).map(({ id }) => id), [999]);
});
