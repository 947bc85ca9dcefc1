import assert from "node:assert/strict";
import { isDiskFull, storeClosed, writeFailed } from "./_errors.ts";

Deno.test("writeFailed tells a full disk, which goes on by itself, from what somebody must look at", () => {
  const full = new TypeError("database or disk is full");
  const { code, details, cause } = writeFailed(full);
  assert.deepEqual([code, details, cause], ["BACKPRESSURE", { retryAfterSeconds: 2 }, full]);
  assert.equal(isDiskFull("database or disk is full"), false);
  assert.equal(writeFailed(new Error("disk I/O error")).code, "INTERNAL_ERROR");
  const known = storeClosed();
  assert.equal(writeFailed(known), known);
});
