import assert from "node:assert/strict";
import { keepVersions, readCensus, seen, seenSince, writeCensus } from "./census.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

Deno.test("G12: the census notes a version once a day, and a client without one never", () => {
  const empty = readCensus(undefined);
  const first = seen(empty, 1, 1_000);
  assert.deepEqual([...first], [[1, 1_000]]);
  assert.equal(seen(first, 1, 1_000 + DAY_MS - 1), first);
  assert.equal(seen(first, 0, 5 * DAY_MS), first);
  const later = seen(seen(first, 1, 1_000 + DAY_MS), 2, 2_000);
  assert.deepEqual([...later], [[1, 1_000 + DAY_MS], [2, 2_000]]);
  assert.deepEqual([...first], [[1, 1_000]]);
});

Deno.test("seenSince counts a version that may have been seen up to a day after it was noted", () => {
  const census = new Map([[1, 10 * DAY_MS]]);
  assert.equal(seenSince(census, 1, 3 * DAY_MS), 10 * DAY_MS);
  assert.equal(seenSince(census, 1, 11 * DAY_MS - 1), 10 * DAY_MS);
  assert.equal(seenSince(census, 1, 11 * DAY_MS), undefined);
  assert.equal(seenSince(census, 2, 0), undefined);
});

Deno.test("a census is read as it was written, and forgets versions that are gone", () => {
  const census = new Map([[3, 30], [1, 10]]);
  const text = writeCensus(census);
  assert.equal(text, "[[1,10],[3,30]]");
  assert.deepEqual([...readCensus(text)], [[1, 10], [3, 30]]);
  assert.deepEqual([...keepVersions(census, [3, 4])], [[3, 30]]);
  assert.equal(keepVersions(census, [1, 2, 3]), census);
});
