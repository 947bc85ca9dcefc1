import assert from "node:assert/strict";
import { CursorSeal } from "./cursor_seal.ts";

Deno.test("G7: a sealed cursor shows nothing, opens for its user alone and cannot be changed", () => {
  const seal = new CursorSeal("a secret");
  const sealed = seal.seal('["secret row"]', "alice");
  assert.match(sealed, /^[A-Za-z0-9_-]+$/);
  assert.ok(!atob(sealed.slice(9).replaceAll("-", "+").replaceAll("_", "/")).includes("secret"));
  assert.deepEqual(seal.open(sealed, "alice"), { kind: "ours", text: '["secret row"]' });
  assert.deepEqual(new CursorSeal("a secret").open(sealed, "alice").kind, "ours");
  assert.deepEqual(seal.open(sealed, "bob"), { kind: "never" });
  for (let at = 9; at < sealed.length; at++) {
    const other = sealed[at] === "A" ? "B" : "A";
    const changed = sealed.slice(0, at) + other + sealed.slice(at + 1);
    assert.equal(seal.open(changed, "alice").kind, "never", `changed at ${at}`);
  }
});

Deno.test("a seal tells cursors of another gateway from texts that never were cursors", () => {
  const seal = new CursorSeal("a secret");
  const other = new CursorSeal("another").seal('["a cursor of another life"]', "alice");
  assert.deepEqual(seal.open(other, "alice"), { kind: "another" });
  for (const text of ["", "nope", "3", "W10", "3".repeat(39), "ü".repeat(60), "3 ".repeat(40)]) {
    assert.deepEqual(seal.open(text, "alice"), { kind: "never" }, text);
  }
});
