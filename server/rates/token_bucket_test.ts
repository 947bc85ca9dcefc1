import assert from "node:assert/strict";
import fc from "fast-check";
import { TokenBucket } from "./token_bucket.ts";

const START_MS = 1_793_491_200_000;

/** A rate, fractions and awkward ones too. */
const rate = fc.record({
  perSecond: fc.oneof(
    fc.integer({ min: 1, max: 5_000 }),
    fc.integer({ min: 1, max: 5_000 }).map((thousandths) => thousandths / 1000),
  ),
  burst: fc.integer({ min: 1, max: 200 }),
});

Deno.test("G11: a token bucket never gives more than its burst and what came since", () => {
  const asks = fc.array(
    fc.record({
      afterMs: fc.oneof(fc.constant(0), fc.nat(500_000).map((us) => us / 1000)),
      wanted: fc.integer({ min: 1, max: 50 }),
    }),
    { minLength: 1, maxLength: 60 },
  );
  fc.assert(
    fc.property(rate, asks, ({ perSecond, burst }, list) => {
      const bucket = new TokenBucket({ perSecond, burst });
      const given: { readonly ms: number; readonly granted: number }[] = [];
      let fullAt = 0n;
      let ms = START_MS;
      for (const { afterMs, wanted } of list) {
        ms += afterMs;
        const ns = bucket.ticksOf(ms);
        const taken = bucket.take(fullAt, ns, wanted);
        fullAt = taken.fullAt;
        given.push({ ms, granted: taken.granted });
        for (let from = given.length - 1, sum = 0; from >= 0; from--) {
          sum += given[from]?.granted ?? 0;
          const seconds = (ms - (given[from]?.ms ?? ms)) / 1000;
          assert.ok(sum <= Math.floor(burst + perSecond * seconds + 1e-9));
        }
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("a token bucket gives all that came when there is demand", () => {
  const steps = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(rate, steps, ({ perSecond, burst: least }, list) => {
      const burst = least + 1;
      const bucket = new TokenBucket({ perSecond, burst });
      let { granted, fullAt } = bucket.take(0n, bucket.ticksOf(START_MS), burst + 1);
      let ms = 0;
      for (const afterMs of list) {
        // Asked for before anything overflows: a part of a token may be there already.
        ms += Math.min(afterMs, (burst - 1) * 1000 / perSecond);
        const taken = bucket.take(fullAt, bucket.ticksOf(START_MS + ms), 1_000_000);
        granted += taken.granted;
        fullAt = taken.fullAt;
      }
      const most = burst + perSecond * ms / 1000;
      assert.ok(granted >= Math.floor(most - 0.001), `${granted} of ${most}`);
      assert.ok(granted <= most + 0.001);
    }),
    { numRuns: 500 },
  );
});

Deno.test("a token bucket tells how long to wait for the next token", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 3 });
  const now = bucket.ticksOf(START_MS);
  const { granted, fullAt } = bucket.take(0n, now, 5);
  assert.equal(granted, 3);
  assert.deepEqual(bucket.state(fullAt, now), { remaining: 0, waitMs: 100, fullMs: 300 });
  const soon = bucket.ticksOf(START_MS + 99);
  assert.equal(bucket.take(fullAt, soon, 1).granted, 0);
  assert.equal(bucket.state(fullAt, soon).waitMs, 1);
  assert.equal(bucket.take(fullAt, bucket.ticksOf(START_MS + 100), 9).granted, 1);
  assert.equal(bucket.state(fullAt, bucket.ticksOf(START_MS + 300)).remaining, 3);
});

Deno.test("a token bucket keeps nobody out for longer after its clock was set back", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 3 });
  const { fullAt } = bucket.take(0n, bucket.ticksOf(START_MS), 3);
  const before = bucket.ticksOf(START_MS - 3_600_000);
  assert.equal(bucket.state(fullAt, before).waitMs, 100);
  const taken = bucket.take(fullAt, before, 1);
  assert.equal(taken.granted, 0);
  assert.equal(bucket.take(taken.fullAt, bucket.ticksOf(START_MS - 3_600_000 + 100), 1).granted, 1);
});
