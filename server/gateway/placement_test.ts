import assert from "node:assert/strict";
import { place } from "./placement.ts";
import { isMember, type Membership, wasMemberAt } from "./record.ts";

Deno.test("place keeps few spans of a row that comes and goes, and forgets no time it was there", () => {
  let memberships: readonly Membership[] = [];
  for (let seq = 1; seq <= 2_000; seq++) {
    memberships = place(
      memberships,
      seq % 2 === 1 ? [{ bucket: 1, values: undefined }] : [],
      seq,
      0,
    );
  }
  const [membership] = memberships;
  assert.ok(membership !== undefined && !isMember(membership));
  assert.ok(membership.spans.length <= 18, `${membership.spans.length} numbers`);
  for (let seq = 1; seq <= 2_000; seq += 2) assert.ok(wasMemberAt(membership, seq));
  for (const seq of [1_990, 1_998, 2_000]) assert.ok(!wasMemberAt(membership, seq));
});

Deno.test("G11: place moves a row of 50,000 buckets in time that grows with their number alone", () => {
  const numbered = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ bucket: i + 1, values: undefined }));
  const millis = (count: number) => {
    const before = place([], numbered(count), 1, 0);
    const start = performance.now();
    const after = place(before, numbered(count), 2, 0);
    assert.equal(after.length, count);
    return performance.now() - start;
  };
  millis(5_000);
  const [small, large] = [millis(5_000), millis(50_000)];
  assert.ok(large < 40 * Math.max(small, 1), `${small} ms and ${large} ms`);
});
