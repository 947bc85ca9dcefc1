import assert from "node:assert/strict";
import { runSnippet, snippetsOf } from "./snippets.ts";

Deno.test("snippetsOf finds ts and sh run blocks with their lines, and no others", () => {
  const markdown = [
    "# Title",
    "```ts",
    "const a = 1;",
    "",
    "const b = 2;",
    "```",
    "```sh",
    "deno task start",
    "```",
    "```sh run",
    "echo ok",
    "```",
    "1. In a list",
    "   ```ts",
    "   if (a) {",
    "     b();",
    "   }",
    "   ```",
    "````md",
    "```ts",
    "quoted();",
    "```",
    "````",
    "```json",
    "{}",
    "```",
    "```ts",
    "last();",
    "```",
  ].join("\n");
  assert.deepStrictEqual(snippetsOf(markdown), [
    { language: "ts", line: 3, code: "const a = 1;\n\nconst b = 2;\n" },
    { language: "sh", line: 11, code: "echo ok\n" },
    { language: "ts", line: 15, code: "if (a) {\n  b();\n}\n" },
    { language: "ts", line: 28, code: "last();\n" },
  ]);
});

function outcomeOf(language: "ts" | "sh", code: string) {
  return runSnippet({ language, line: 1, code }, "place");
}

Deno.test("runSnippet runs a program in an empty folder with the workspace's imports", async () => {
  const { passed, output } = await outcomeOf(
    "ts",
    `import { makeHlc } from "@lakesync/core";
     const names = [...Deno.readDirSync(".")].map((entry) => entry.name);
     if (names.join() !== "snippet.ts" || makeHlc(0, 1) !== 1n) throw new Error(names.join());`,
  );
  assert.equal(passed, 1, output);
});

Deno.test("runSnippet fails for a wrong type, an error, an assertion and a failed command", async () => {
  const cases: readonly (readonly ["ts" | "sh", string, RegExp])[] = [
    ["ts", 'const a: number = "text"; console.log(a);', /TS2322/],
    ["ts", 'throw new Error("broken");', /broken/],
    ["ts", "console.assert(1 > 2);", /Assertion failed/],
    ["sh", "false | true\necho not reached", /^place\n$/],
  ];
  for (const [language, code, expected] of cases) {
    const { passed, failed, output } = await outcomeOf(language, code);
    assert.deepStrictEqual([passed, failed], [0, 1], code);
    assert.match(output, expected);
  }
});
