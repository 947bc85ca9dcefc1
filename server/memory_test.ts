import assert from "node:assert/strict";
import { memoryPressure } from "./memory.ts";

Deno.test("memoryPressure has a limit of whole bytes, set or a share of what there is", () => {
  const share = memoryPressure(0).maxBytes;
  assert.ok(Number.isSafeInteger(share) && share > 0, String(share));
  assert.equal(memoryPressure(2_000_000.5).maxBytes, 2_000_000);
});
