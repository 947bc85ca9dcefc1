import assert from "node:assert/strict";
import fc from "fast-check";
import { fileNameOf, gatewayIdOf } from "./_file_name.ts";

Deno.test("fileNameOf gives names that differ in more than case and read back", () => {
  const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/);
  fc.assert(fc.property(id, id, (one, other) => {
    assert.equal(gatewayIdOf(fileNameOf(one)), one);
    const same = fileNameOf(one).toLowerCase() === fileNameOf(other).toLowerCase();
    assert.equal(same, one === other);
  }));
  assert.equal(fileNameOf("MyNotes-1"), "+my+notes-1.db");
  assert.notEqual(fileNameOf("a").toLowerCase(), fileNameOf("A").toLowerCase());
});

Deno.test("gatewayIdOf knows no gateway by another file's name", () => {
  for (const name of ["a.db-wal", "a.db.new", "a", ".db", "+.db", "A.db", "lock"]) {
    assert.equal(gatewayIdOf(name), undefined);
  }
});
