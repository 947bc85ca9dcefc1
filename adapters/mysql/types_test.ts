import assert from "node:assert/strict";
import { parseSchema } from "@lakesync/core";
import { incompatibility, misfitOf, nativeOf, type TypedColumn } from "./types.ts";

function column(type: string, key = false, references?: string): TypedColumn {
  return { type, key, references } as TypedColumn;
}

Deno.test("nativeOf keeps keys of several texts within an index", () => {
  const { tables } = parseSchema({
    version: 1,
    tables: {
      t: {
        primaryKey: ["a", "b", "c", "d"],
        columns: { a: "string", b: "string", c: "timestamp", d: "decimal(38,2)", e: "string" },
      },
    },
  });
  const table = tables.get("t");
  assert.ok(table !== undefined);
  const types = table.columns.map((each) => nativeOf(each, table.primaryKey).replace(/ .*/, ""));
  assert.deepEqual(types, [
    "varchar(373)",
    "varchar(373)",
    "varchar(27)",
    "varchar(41)",
    "longtext",
  ]);
  assert.ok(373 * 4 * 2 + 27 + 41 <= 3_072);
});

Deno.test("misfitOf finds what would be cut or rounded without a word", () => {
  const fits: readonly (readonly [native: string, value: string | bigint])[] = [
    ["varchar(3)", "🎈🎈🎈"],
    ["tinytext", "a".repeat(255)],
    ["longtext", "a".repeat(70_000)],
    ["decimal(33,30)", `1.${"0".repeat(35)}`],
    ["double", 2n ** 60n],
    ["bigint", 2n ** 60n + 1n],
  ];
  for (const [native, value] of fits) assert.equal(misfitOf(native, value), undefined, native);
  const misfits: typeof fits = [
    ["varchar(3)", "aaa "],
    ["char(36) character set ascii", "a".repeat(37)],
    ["tinytext", "é".repeat(128)],
    ["decimal(33,30)", `1.${"0".repeat(30)}1`],
    ["double", 2n ** 60n + 1n],
    ["longtext", "\udc00"],
  ];
  for (const [native, value] of misfits) assert.ok(misfitOf(native, value), native);
});

Deno.test("incompatibility lets types be wider or refuse, never round", () => {
  const exact = "utf8mb4_0900_bin";
  const taken: readonly (readonly [TypedColumn, string, string?])[] = [
    [column("string"), "varchar(9)", "utf8mb4_general_ci"],
    [column("string", true), "varchar(9)", exact],
    [column("uuid", true), "char(36)", "ascii_bin"],
    [column("integer"), "int(10) unsigned"],
    [column("decimal(8,2)"), "decimal(65,30)"],
    [column("json"), "json"],
  ];
  for (const [wanted, type, collation] of taken) {
    assert.equal(incompatibility(wanted, { type, collation }), undefined, type);
  }
  const refused: typeof taken = [
    [column("string"), "text", "latin1_bin"],
    [column("string", true), "varchar(9)", "utf8mb4_bin"],
    [column("string", false, "lists"), "longtext", exact],
    [column("number"), "float"],
    [column("timestamp"), "datetime"],
    [column("timestamp"), "timestamp(6)"],
    [column("decimal(8,2)"), "decimal(8,1)"],
    [column("decimal(8,2)"), "decimal(7,2)"],
    [column("bytes"), "longtext", exact],
  ];
  for (const [wanted, type, collation] of refused) {
    assert.ok(incompatibility(wanted, { type, collation }), type);
  }
});
