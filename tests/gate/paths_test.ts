import assert from "node:assert/strict";
import { listFiles, readText } from "./files.ts";

/** Places of one machine: home folders, scratch folders and mirrors of registries. */
const OF_ONE_MACHINE: readonly RegExp[] = [
  /(?<![\w.])\/(home|Users|root)\/[\w.-]+/,
  /(?<![\w.:/])\/(work|workspace|mnt)\/[\w.-]+/,
  /[A-Z]:\\Users\\/i,
];

const REGISTRY = /https?:\/\/[^\s"'`)>]*(registry|artifactory|nexus|verdaccio|mirror)[^\s"'`)>]*/gi;
const PUBLIC_REGISTRIES = ["https://registry.npmjs.org"];

function placesIn(text: string): string[] {
  const places = OF_ONE_MACHINE.map((pattern) => pattern.exec(text)?.[0] ?? []).flat();
  const registries = [...text.matchAll(REGISTRY)]
    .map((match) => match[0])
    .filter((url) => !PUBLIC_REGISTRIES.some((known) => url.startsWith(known)));
  return [...places, ...registries];
}

Deno.test("no file names a place of one machine", async () => {
  const found: string[] = [];
  for (const path of await listFiles()) {
    if (path === "tests/gate/paths_test.ts" || path === "LICENSE") continue;
    for (const place of placesIn(await readText(path))) found.push(`${path}: ${place}`);
  }
  assert.deepStrictEqual(found, []);
});

Deno.test("deno.lock names no registry at all", async () => {
  assert.doesNotMatch(await readText("deno.lock"), /https?:\/\//);
});

Deno.test("placesIn finds what it must and nothing else", () => {
  for (
    const text of [
      'cd "/home/alice/lakesync"',
      "file:///Users/alice/x",
      "/root/.cache",
      "cd /workspace/lakesync",
      "C:\\Users\\alice",
      "https://npm-registry.example.com/x.tgz",
      "http://mirror.local/npm",
    ]
  ) {
    assert.equal(placesIn(text).length, 1, text);
  }
  for (
    const text of [
      "/v1/admin/gateways",
      "/data/lakesync",
      "https://example.com/home/alice",
      "npm:hono",
      "./home/x",
      "the path /home",
    ]
  ) {
    assert.deepStrictEqual(placesIn(text), [], text);
  }
});
