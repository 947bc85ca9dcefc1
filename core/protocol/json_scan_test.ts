import assert from "node:assert/strict";
import fc from "fast-check";
import { MAX_JSON_CONTAINERS, MAX_OBJECT_MEMBERS, scanJson } from "./json_scan.ts";

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

Deno.test("scanJson passes every JSON within the bounds, whatever its strings hold", () => {
  fc.assert(
    fc.property(fc.json({ stringUnit: fc.constantFrom('"', "\\", "[", "{", ",", "é") }), (text) => {
      if (depthOf(JSON.parse(text)) <= 64) scanJson(text);
    }),
  );
});

Deno.test("scanJson counts no brackets in strings, quoted quotes and all", () => {
  for (const quotes of ['"', '\\"', '\\\\"', '"\\']) {
    scanJson(JSON.stringify([`${quotes}${"[{".repeat(100)}`]));
    const deep = `[${JSON.stringify(quotes)},${"[".repeat(64)}`;
    assert.throws(() => scanJson(deep), { code: "VALIDATION_ERROR" });
  }
});

Deno.test("G11: scanJson refuses what would cost too much, and nothing that is as large", () => {
  const members = (count: number) =>
    `{${Array.from({ length: count }, (_, n) => `"k${n}":1`).join(",")}}`;
  const lists = (count: number) => `[${Array.from({ length: count }, () => "{}").join(",")}]`;
  scanJson(members(MAX_OBJECT_MEMBERS));
  scanJson(lists(MAX_JSON_CONTAINERS - 1));
  scanJson(`[${"1,".repeat(2_000_000)}1]`);
  scanJson(JSON.stringify(lists(MAX_JSON_CONTAINERS)));
  const refused = [
    [members(MAX_OBJECT_MEMBERS + 1), /more than 100000 members/],
    [lists(MAX_JSON_CONTAINERS), /more than 1000000 objects and lists/],
    ["[".repeat(65), /deeper than 64 levels/],
    [`{"a":${members(MAX_OBJECT_MEMBERS + 1)}}`, /more than 100000 members/],
  ] as const;
  for (const [text, message] of refused) {
    assert.throws(() => scanJson(text), { code: "VALIDATION_ERROR", message });
  }
});

Deno.test("scanJson leaves what is no JSON to the parser, at once", () => {
  for (
    const text of ["", "]]", "}".repeat(1_000_000), "],".repeat(1_000_000), '"', '"\\', '"\\"']
  ) {
    scanJson(text);
  }
  scanJson(`"${"\\".repeat(1_000_000)}`);
});
