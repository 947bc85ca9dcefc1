import assert from "node:assert/strict";
import * as fc from "fast-check";
import { PageTurns } from "./page_turns.ts";

Deno.test("G11: PageTurns gives so many turns at once, in order, and none while memory is short", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.boolean(), { maxLength: 30 }),
      fc.integer({ min: 1, max: 4 }),
      async (shorts, pages) => {
        let isShort = false;
        const check = () => {
          if (isShort) throw new Error("short");
        };
        const turns = new PageTurns({ check, freeBytes: (pages + 0.5) * 48 * 1024 * 1024 });
        const begun: number[] = [];
        const ends: (() => void)[] = [];
        const asked = shorts.map((_, i) =>
          turns.begin().then((end) => {
            begun.push(i);
            ends.push(end);
          }, () => begun.push(-i - 1))
        );
        for (const short of shorts) {
          await new Promise((resolve) => setTimeout(resolve));
          assert.ok(ends.length <= pages);
          isShort = short;
          ends.shift()?.();
        }
        await new Promise((resolve) => setTimeout(resolve));
        isShort = false;
        while (ends.length > 0 || begun.length < asked.length) {
          ends.shift()?.();
          await new Promise((resolve) => setTimeout(resolve));
        }
        const order = begun.map((i) => i < 0 ? -i - 1 : i);
        assert.deepEqual(order, shorts.map((_, i) => i));
      },
    ),
    { numRuns: 30 },
  );
});
