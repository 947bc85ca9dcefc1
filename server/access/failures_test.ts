import assert from "node:assert/strict";
import { BURST_OF_ADDRESS, BURST_OF_ALL, FAILURE_WINDOW_MS, TokenFailures } from "./failures.ts";

function counter() {
  const told: (string | undefined)[] = [];
  const clock = { ms: 1_000_000 };
  const failures = new TokenFailures(() => clock.ms, ({ ip }) => told.push(ip));
  const refuse = (ip: string, times: number) => {
    for (let i = 0; i < times; i++) failures.refused(ip);
  };
  return { told, clock, refuse };
}

Deno.test("TokenFailures tells each burst of an address once, and again in another window", () => {
  const { told, clock, refuse } = counter();
  refuse("a", BURST_OF_ADDRESS - 1);
  refuse("b", BURST_OF_ADDRESS - 1);
  assert.deepEqual(told, []);
  refuse("a", 100);
  assert.deepEqual(told, ["a"]);
  clock.ms += FAILURE_WINDOW_MS;
  refuse("a", BURST_OF_ADDRESS - 1);
  refuse("b", 1);
  assert.deepEqual(told, ["a"]);
  refuse("a", 1);
  assert.deepEqual(told, ["a", "a"]);
});

Deno.test("G11: TokenFailures tells a burst from many addresses, however many they are", () => {
  const { told, clock, refuse } = counter();
  for (let i = 0; i < 30_000; i++) refuse(`address ${i}`, 1);
  assert.deepEqual(told, [undefined]);
  // Addresses of a window that is over make room for others.
  clock.ms += FAILURE_WINDOW_MS;
  refuse("another", BURST_OF_ADDRESS);
  assert.deepEqual(told, [undefined, "another"]);
  assert.ok(BURST_OF_ALL > BURST_OF_ADDRESS);
});
