import assert from "node:assert/strict";
import fc from "fast-check";
import {
  createClock,
  type Hlc,
  hlcCounter,
  hlcMs,
  isHlc,
  makeHlc,
  MAX_HLC,
  parseHlc,
  ZERO_HLC,
} from "./clock.ts";

const MAX_MS = 2 ** 47 - 1;

const ms = fc.oneof(
  fc.integer({ min: 0, max: 20 }),
  fc.maxSafeNat().map((n) => n % MAX_MS),
);
const hlc = fc.tuple(ms, fc.integer({ min: 0, max: 0xffff }))
  .map(([ms, counter]) => makeHlc(ms, counter));

Deno.test("makeHlc gives back its parts, in their order", () => {
  fc.assert(
    fc.property(hlc, hlc, (a, b) => {
      assert.equal(makeHlc(hlcMs(a), hlcCounter(a)), a);
      const byParts = hlcMs(a) - hlcMs(b) || hlcCounter(a) - hlcCounter(b);
      assert.equal(a < b, byParts < 0);
    }),
  );
  assert.equal(makeHlc(MAX_MS, 0xffff), MAX_HLC);
  assert.equal(makeHlc(1, 2), 65_538n);
});

Deno.test("makeHlc throws RangeError when a part is out of its range", () => {
  for (
    const [ms, counter] of [
      [-1, 0],
      [0.5, 0],
      [NaN, 0],
      [Infinity, 0],
      [MAX_MS + 1, 0],
      [0, -1],
      [0, 0x10000],
      [0, 0.5],
    ] as const
  ) {
    assert.throws(() => makeHlc(ms, counter), RangeError);
  }
});

Deno.test("parseHlc reads what String wrote, and nothing else", () => {
  fc.assert(fc.property(hlc, (a) => assert.equal(parseHlc(String(a)), a)));
  assert.equal(parseHlc("9223372036854775807"), MAX_HLC);
  for (
    const text of [
      "",
      "-1",
      "+1",
      "01",
      "1.0",
      "1e3",
      " 1",
      "1\n",
      "0x10",
      "9223372036854775808",
      "99999999999999999999",
      "٣",
    ]
  ) {
    assert.equal(parseHlc(text), undefined, JSON.stringify(text));
  }
});

Deno.test("isHlc holds from 0 to the greatest signed 64-bit integer", () => {
  assert.ok(isHlc(0n) && isHlc(MAX_HLC));
  assert.ok(!isHlc(-1n) && !isHlc(MAX_HLC + 1n));
});

/** What may happen to a clock: its physical time jumps, it stamps, it hears from elsewhere. */
const life = fc.array(fc.oneof(
  fc.record({ kind: fc.constant("jump" as const), ms }),
  fc.record({ kind: fc.constant("tick" as const) }),
  fc.record({ kind: fc.constant("receive" as const), hlc }),
));

Deno.test("tick is greater than every stamp given out or received before, wherever the physical clock jumps", () => {
  fc.assert(
    fc.property(life, hlc, (events, last) => {
      let now = 0;
      const clock = createClock(() => now, last);
      let greatest = last;
      for (const event of events) {
        if (event.kind === "jump") now = event.ms;
        else if (event.kind === "receive") {
          clock.receive(event.hlc);
          if (event.hlc > greatest) greatest = event.hlc;
          assert.equal(clock.last, greatest);
        } else {
          const stamp = clock.tick();
          assert.ok(stamp > greatest);
          assert.ok(hlcMs(stamp) >= now);
          assert.equal(clock.last, stamp);
          greatest = stamp;
        }
      }
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("tick stays with the physical clock when that is ahead", () => {
  let now = 1_000;
  const clock = createClock(() => now);
  assert.equal(clock.tick(), makeHlc(1_000, 0));
  assert.equal(clock.tick(), makeHlc(1_000, 1));
  now = 1_001.9;
  assert.equal(clock.tick(), makeHlc(1_001, 0));
});

Deno.test("tick is causal: a message carries its sender's order to the receiver", () => {
  const fast = createClock(() => 9_000);
  const slow = createClock(() => 1_000);
  const sent = fast.tick();
  slow.receive(sent);
  const answer = slow.tick();
  assert.ok(answer > sent);
  fast.receive(answer);
  assert.ok(fast.tick() > answer);
});

Deno.test("tick carries into the milliseconds when the counter overflows", () => {
  const clock = createClock(() => 5, makeHlc(5, 0xffff));
  assert.equal(clock.tick(), makeHlc(6, 0));
  const busy = createClock(() => 5);
  let last = busy.tick();
  for (let i = 0; i < 70_000; i++) {
    const next = busy.tick();
    assert.ok(next > last);
    last = next;
  }
  assert.equal(last, makeHlc(6, 70_000 - 0x10000));
});

Deno.test("tick goes on when the physical clock goes back, even before 1970", () => {
  let now = 10_000;
  const clock = createClock(() => now);
  const before = clock.tick();
  now = -3_600_000;
  assert.equal(clock.tick(), before + 1n);
});

Deno.test("tick throws RangeError when no stamp is left", () => {
  const clock = createClock(() => 0, MAX_HLC);
  assert.throws(() => clock.tick(), RangeError);
  assert.equal(clock.last, MAX_HLC);
});

Deno.test("receive does nothing when the stamp is not greater", () => {
  const clock = createClock(() => 100);
  const stamp = clock.tick();
  clock.receive(ZERO_HLC);
  clock.receive(stamp);
  assert.equal(clock.last, stamp);
});

Deno.test("driftMs is the distance to the physical clock, not to the greatest stamp", () => {
  const clock = createClock(() => 10_000, makeHlc(60_000, 0));
  assert.equal(clock.driftMs(makeHlc(15_001, 7)), 5_001);
  assert.equal(clock.driftMs(makeHlc(9_000, 0) as Hlc), -1_000);
});
