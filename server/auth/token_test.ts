import assert from "node:assert/strict";
import { isSubject, signToken, type SignTokenOptions } from "./token.ts";

const GOOD: SignTokenOptions = {
  secret: "a secret of at least thirty-two characters",
  sub: "alice",
  gw: "default",
};

Deno.test("signToken refuses what the gateway would refuse", async () => {
  const bad: Partial<SignTokenOptions>[] = [
    { secret: "short" },
    { sub: "" },
    { sub: "a\nb" },
    { gw: "a/b" },
    { ttlSeconds: 0 },
    { ttlSeconds: 1.5 },
    { claims: { exp: 1 } },
    { claims: { role: "admin" } },
  ];
  for (const more of bad) {
    await assert.rejects(
      signToken({ ...GOOD, ...more }),
      { code: "VALIDATION_ERROR" },
      JSON.stringify(more),
    );
  }
});

Deno.test("isSubject counts characters and refuses what stores would change", () => {
  assert.equal(isSubject("álice 🐟"), true);
  assert.equal(isSubject("🐟".repeat(256)), true);
  assert.equal(isSubject("a".repeat(257)), false);
  assert.equal(isSubject("a\0"), false);
  assert.equal(isSubject("\udfff"), false);
  assert.equal(isSubject(undefined), false);
});
