import assert from "node:assert/strict";
import { watchEventLoop } from "./event_loop.ts";

/** A clock whose timers come by as much too late as a test says. */
function lateClock() {
  let nowMs = 0;
  let due: (() => void) | undefined;
  return {
    now: () => nowMs,
    setTimer: (ms: number, callback: () => void) => {
      due = () => {
        nowMs += ms;
        callback();
      };
      return () => due = undefined;
    },
    comes: (lateMs: number) => {
      nowMs += lateMs;
      due?.();
    },
    get isSet() {
      return due !== undefined;
    },
  };
}

Deno.test("watchEventLoop counts a stall as often as it hid a look, each with what was left of it", () => {
  const clock = lateClock();
  const delays: number[] = [];
  const stop = watchEventLoop((seconds) => delays.push(Math.round(seconds * 1000)), clock);
  clock.comes(0);
  clock.comes(3);
  assert.deepEqual(delays, [0, 3]);
  clock.comes(70);
  assert.deepEqual(delays, [0, 3, 70, 50, 30, 10]);
  stop();
  assert.equal(clock.isSet, false);
});

Deno.test("watchEventLoop bounds what one stall counts, such as that of a machine that slept", () => {
  const clock = lateClock();
  let looks = 0;
  const stop = watchEventLoop(() => looks++, clock);
  clock.comes(24 * 3_600_000);
  assert.equal(looks, 1_000);
  stop();
});

Deno.test("watchEventLoop sees a real stall, and leaves nothing behind", async () => {
  const delays: number[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = watchEventLoop((seconds) => {
    delays.push(seconds);
    if (seconds > 0.05) resolve();
  });
  // Deno lets go of a process that only waits for such a timer.
  const alive = setInterval(() => {}, 10);
  const untilMs = performance.now() + 120;
  while (performance.now() < untilMs);
  await promise;
  clearInterval(alive);
  stop();
  assert.ok(Math.max(...delays) >= 0.05 && delays.length >= 3, String(delays));
});
