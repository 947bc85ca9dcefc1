import assert from "node:assert/strict";
import { ERROR_STATUS, isErrorCode, LakeSyncError, REJECTION_CODES } from "./errors.ts";

Deno.test("ERROR_STATUS is the list of the protocol page", () => {
  const byStatus = Map.groupBy(
    Object.entries(ERROR_STATUS),
    ([, status]) => status,
  );
  const list = [...byStatus].map(([status, codes]) =>
    `${status} ${codes.map(([code]) => code).join(" ")}`
  );
  assert.deepStrictEqual(list, [
    "400 VALIDATION_ERROR",
    "401 AUTH_ERROR",
    "403 FORBIDDEN CLIENT_NOT_YOURS",
    "404 NOT_FOUND",
    "405 METHOD_NOT_ALLOWED",
    "409 MUTATION_GAP CLIENT_FORKED SCHEMA_CONFLICT",
    "410 RESYNC_REQUIRED",
    "413 PAYLOAD_TOO_LARGE",
    "415 UNSUPPORTED_MEDIA_TYPE",
    "422 SCHEMA_ERROR IDEMPOTENCY_MISMATCH",
    "429 RATE_LIMITED",
    "500 INTERNAL_ERROR",
    "502 ADAPTER_ERROR",
    "503 BACKPRESSURE DRAINING",
    "504 TIMEOUT",
  ]);
  assert.equal(new Set(REJECTION_CODES).size, 7);
});

Deno.test("LakeSyncError carries its code, status, details and cause", () => {
  const cause = new Error("the disk is full");
  const error = new LakeSyncError(
    "BACKPRESSURE",
    "Too much at once, retry later",
    { retryAfterSeconds: 2 },
    { cause },
  );
  assert.ok(error instanceof Error);
  assert.equal(error.name, "LakeSyncError");
  assert.equal(error.status, 503);
  assert.deepStrictEqual(error.details, { retryAfterSeconds: 2 });
  assert.equal(error.cause, cause);
  assert.deepStrictEqual(new LakeSyncError("NOT_FOUND", "x").details, {});
});

Deno.test("isErrorCode holds for the codes of the list only", () => {
  assert.ok(Object.keys(ERROR_STATUS).every(isErrorCode));
  for (const other of ["", "toString", "__proto__", "not_found", 404, null]) {
    assert.ok(!isErrorCode(other));
  }
});
