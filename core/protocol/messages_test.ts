import assert from "node:assert/strict";
import { isClientId, isGatewayId } from "./messages.ts";

const NEVER = [
  "",
  "-a",
  "_a",
  "a/b",
  "../a",
  "a\\b",
  "a%2f",
  "a b",
  "a\n",
  "a\0",
  "é",
  1,
  null,
  {},
];

Deno.test("isGatewayId takes names that are safe in a path and in a file name", () => {
  for (const id of ["default", "a", "0", "A-b_c", "a".repeat(64)]) assert.ok(isGatewayId(id), id);
  for (const id of [...NEVER, "a.b", ".", "..", "a:b", "a".repeat(65), ["a"], undefined]) {
    assert.ok(!isGatewayId(id), JSON.stringify(id));
  }
});

Deno.test("isClientId takes names of 1 to 128 letters, digits and . _ : -", () => {
  for (const id of ["phone-1", "a.b:c_D", "0190d6f4-5b1e", "a".repeat(128)]) {
    assert.ok(isClientId(id), id);
  }
  for (const id of [...NEVER, ".a", ":a", "a".repeat(129), ["a"], undefined]) {
    assert.ok(!isClientId(id), JSON.stringify(id));
  }
});
