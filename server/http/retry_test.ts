import assert from "node:assert/strict";
import fc from "fast-check";
import { retryAfterHeader, spreadRetry } from "./retry.ts";

Deno.test("spreadRetry is never before the time it was given, nor after its double", () => {
  const least = fc.double({ min: 0.001, max: 3600, noNaN: true });
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(fc.property(least, random, (seconds, chance) => {
    const spread = spreadRetry(seconds, chance);
    assert.ok(spread >= seconds && spread <= 2 * Math.ceil(seconds));
    const header = Number(retryAfterHeader(spread));
    assert.ok(Number.isInteger(header) && header >= seconds && header <= 2 * Math.ceil(seconds));
  }));
});

Deno.test("spreadRetry gives those who were refused together different times", () => {
  const times = new Set(Array.from({ length: 100 }, (_, n) => spreadRetry(1, n / 100)));
  assert.equal(times.size, 100);
  const headers = Array.from({ length: 100 }, (_, n) => retryAfterHeader(spreadRetry(1, n / 100)));
  assert.equal(headers.filter((header) => header === "1").length, 50);
});
