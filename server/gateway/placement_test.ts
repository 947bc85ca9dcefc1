import assert from "node:assert/strict";
import { place } from "./placement.ts";
import { isMember, type Membership, spanAt } from "./record.ts";

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
  for (let seq = 1; seq <= 2_000; seq += 2) assert.ok(spanAt(membership, seq) >= 0);
  for (const seq of [1_990, 1_998, 2_000]) assert.equal(spanAt(membership, seq), -1);
});

Deno.test("G11: place looks at each of a row's buckets a few times, not at each beside each", () => {
  const count = 2_000;
  let looks = 0;
  const placements = Array.from({ length: count }, (_, i) => ({
    get bucket() {
      looks++;
      return i + 1;
    },
    values: undefined,
  }));
  const before = place([], placements, 1, 0);
  assert.equal(place(before, placements, 2, 0).length, count);
  assert.ok(looks <= 10 * count, `${looks} looks`);
});
