import assert from "node:assert/strict";
import { type Delta, type Op, type Value, ZERO_HLC } from "@lakesync/core";
import { Catalog, type CompiledShape, deltaMisfit } from "./catalog.ts";

const CATALOG = Catalog.next(undefined, {
  version: 1,
  tables: {
    t: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        title: "string",
        votes: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
        last: { type: "timestamp", merge: "max" },
      },
    },
  },
});

function compiled(op: Op, columns: readonly string[]): CompiledShape {
  const shape = CATALOG.compile({ op, table: "t", columns });
  assert.ok(typeof shape !== "string");
  return shape;
}

function misfit(op: Op, column: string, value: Value): string | undefined {
  const shape = { op, table: "t", columns: [column] };
  const delta: Delta = { shape, rowId: "r", hlc: ZERO_HLC, values: [value], deltaId: undefined };
  return deltaMisfit(compiled(op, [column]), delta);
}

Deno.test("a compiled shape has one kind for each column it writes, and none when all are lww", () => {
  assert.deepStrictEqual(
    compiled("INSERT", ["votes", "id", "title", "tags", "last"]).kinds,
    ["counter", "lww", "set", "max:timestamp"],
  );
  assert.equal(compiled("INSERT", ["id", "title"]).kinds, undefined);
  assert.equal(compiled("DELETE", []).kinds, undefined);
});

Deno.test("deltaMisfit judges what is written, and takes null for every kind", () => {
  for (const column of ["votes", "tags", "last"]) {
    assert.equal(misfit("UPDATE", column, null), undefined);
  }
  assert.equal(misfit("UPDATE", "votes", { add: 1 }), undefined);
  assert.equal(misfit("INSERT", "votes", 1), undefined);
  assert.equal(misfit("UPDATE", "tags", { add: ["a"] }), undefined);
  assert.equal(misfit("INSERT", "tags", ["a"]), undefined);
  assert.match(
    misfit("UPDATE", "votes", 1) ?? "fits",
    /^Column votes of type integer is a counter and takes/,
  );
  assert.match(misfit("UPDATE", "tags", []) ?? "fits", /^Column tags of type json is a set and/);
  assert.match(misfit("UPDATE", "last", "now") ?? "fits", /^Column last of type timestamp takes/);
});
