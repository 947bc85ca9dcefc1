import assert from "node:assert/strict";
import { forkedClientId } from "./forked_name.ts";
import { isClientId } from "./protocol/messages.ts";

Deno.test("forkedClientId is a clientId that differs by name and by link", () => {
  const names = [["a", "1"], ["a", "2"], ["b", "1"]].map(([clientId = "", chain = ""]) =>
    forkedClientId(clientId, chain)
  );
  assert.equal(new Set(names).size, 3);
  for (const name of names) {
    assert.ok(isClientId(name));
    assert.match(name, /^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  }
  assert.equal(forkedClientId("a", "1"), names[0]);
});
