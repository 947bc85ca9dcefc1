import assert from "node:assert/strict";
import { listFiles, readText } from "./files.ts";
import { specifiersOf, violationsOf } from "./imports.ts";

Deno.test("no file imports against the direction, and core and gateway are pure", async () => {
  const files = await listFiles("*.ts", "*.tsx");
  assert.ok(files.length > 30);
  const violations: string[] = [];
  for (const path of files) {
    for (const what of violationsOf(path, await readText(path))) {
      violations.push(`${path} ${what}`);
    }
  }
  assert.deepStrictEqual(violations, []);
});

const CASES: readonly (readonly [string, string, RegExp])[] = [
  ["core/x.ts", 'import { a } from "@lakesync/client";', /core must not know client/],
  ["core/x.ts", 'export * from "@lakesync/server";', /core must not know server/],
  ["core/x.ts", 'import type { A } from "../client/mod.ts";', /by its name/],
  ["core/a/x.ts", 'import "../../server/mod.ts";', /by its name/],
  ["core/x.ts", 'import { a } from "@lakesync/core";', /its own package/],
  ["client/x.ts", 'import {\n  a,\n} from "@lakesync/server";', /client must not know server/],
  ["client/x.ts", 'import { a } from "@lakesync/adapters/s3";', /not know adapters/],
  ["client/x.ts", 'await import("@lakesync/server")', /client must not know server/],
  ["client/x_test.ts", 'import { a } from "@lakesync/server";', /not know server/],
  ["adapters/x.ts", 'import { a } from "@lakesync/server";', /not know server/],
  ["server/x.ts", 'import { a } from "@lakesync/client";', /not know client/],
  ["server/x.ts", 'import { a } from "../tests/help.ts";', /by its name/],
  ["mod.ts", 'export * from "@lakesync/server";', /mod\.ts must not know server/],
  ["tests/x.ts", 'import "../bench/main.ts";', /tests must not know bench/],
  ["bench/x.ts", 'import "../examples/demo/main.ts";', /bench must not know examples/],
  ["new/x.ts", "", /a room that nobody planned/],
  ["core/x.ts", 'import { readFileSync } from "node:fs";', /any runtime/],
  ["server/gateway/x.ts", 'import { Database } from "bun:sqlite";', /any runtime/],
  ["server/gateway/x.ts", "const f = Deno.open(p);", /uses a Deno API/],
  ["server/gateway/x.ts", "const now = Date.now();", /reads the clock/],
  ["server/gateway/x.ts", "const now = new Date();", /reads the clock/],
  ["core/x.ts", "const x = Math.random();", /chance of its own/],
  ["core/x.ts", "const id = crypto.randomUUID();", /chance of its own/],
  ["server/gateway/x.ts", "setTimeout(f, 1);", /sets a timer/],
  ["server/gateway/x.ts", "await fetch(url);", /uses the network/],
];

for (const [path, source, expected] of CASES) {
  Deno.test(`violationsOf finds in ${path}: ${source.replaceAll("\n", " ")}`, () => {
    const violations = violationsOf(path, source);
    assert.equal(violations.length, 1, violations.join("; "));
    assert.match(violations[0] ?? "", expected);
  });
}

Deno.test("violationsOf allows what the architecture allows", () => {
  const allowed: readonly (readonly [string, string])[] = [
    ["core/x.ts", 'import { a } from "./y.ts"; import { b } from "@noble/hashes/sha2.js";'],
    ["core/protocol/x.ts", 'import { a } from "../y.ts";'],
    ["core/x_test.ts", 'import assert from "node:assert/strict";'],
    ["client/x.ts", 'import { a } from "@lakesync/core"; import "node:sqlite";'],
    ["adapters/x.ts", 'import { a } from "@lakesync/core";'],
    ["server/x.ts", 'import { a } from "@lakesync/adapters"; Deno.serve(f);'],
    ["server/gateway/x.ts", "environment.setTimeout(f, 1); new Date(now);"],
    ["mod.ts", 'export * from "@lakesync/core";'],
    ["tests/x.ts", 'import "../server/store/memory.ts"; import "@lakesync/client";'],
    ["server/gateway/x.ts", '/** @example import { a } from "node:fs"; Deno.exit() */'],
    ["server/gateway/x.ts", '// import { a } from "@lakesync/client";'],
  ];
  for (const [path, source] of allowed) {
    assert.deepStrictEqual(violationsOf(path, source), [], `${path}: ${source}`);
  }
});

Deno.test("specifiersOf finds static, type, side-effect, dynamic and re-exported imports", () => {
  const source = `
    import a, { b as c } from "one";
    import type { D } from 'two';
    import "three";
    export * from "four";
    export { e } from "./five.ts";
    const f = await import("six");
    const text = "from nowhere";
  `;
  assert.deepStrictEqual(specifiersOf(source), ["one", "two", "three", "four", "./five.ts", "six"]);
});
