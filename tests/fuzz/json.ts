/**
 * Hostile JSON text: a document in which nodes are replaced, doubled or renamed, with what JSON
 * allows and programs stumble over: huge numbers, lone surrogates, keys that are there twice or that
 * objects of JavaScript have by themselves, and deep nesting.
 *
 * @module
 */

import type { JsonValue } from "@lakesync/core";
import fc from "fast-check";

/** Keys that mean something to JavaScript. */
const KEYS = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "",
  "\ud800",
  "length",
];

/** JSON text that is put in the place of a node. */
const twig = fc.oneof(
  fc.constantFrom(
    "null",
    "true",
    "0",
    "-0",
    "-1",
    "1.5",
    "1e400",
    "-1e400",
    "5e-324",
    "4294967296",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "18446744073709551616",
    `1${"0".repeat(400)}`,
    '""',
    '"\\u0000"',
    '"\\ud800"',
    '"\\udc00x"',
    '"__proto__"',
    '"constructor"',
    '"claim:__proto__"',
    '"param:constructor"',
    '"9223372036854775808"',
    "[]",
    "{}",
    "[[]]",
    '{"__proto__":1}',
    '{"__proto__":{"clientId":"a"}}',
    '{"constructor":{"prototype":{}}}',
    '{"a":1,"a":{}}',
  ),
  fc.integer({ min: 30, max: 3_000 }).map((n) => `${"[".repeat(n)}${"]".repeat(n)}`),
  fc.integer({ min: 30, max: 3_000 }).map((n) => `${'{"all":['.repeat(n)}${"]}".repeat(n)}`),
  fc.integer({ min: 100, max: 20_000 }).map((n) => JSON.stringify("x".repeat(n))),
  fc.integer({ min: 100, max: 20_000 }).map((n) => `[${"0,".repeat(n)}0]`),
  fc.json({ maxDepth: 3 }),
);

type Edit = readonly [
  kind: "replace" | "remove" | "double" | "rename" | "add",
  at: number,
  twig: string,
  key: string,
];

const edit: fc.Arbitrary<Edit> = fc.tuple(
  fc.constantFrom("replace", "replace", "replace", "remove", "double", "rename", "add"),
  fc.nat(200),
  twig,
  fc.oneof(fc.constantFrom(...KEYS), fc.string({ maxLength: 5 })),
);

function nodeCount(value: JsonValue): number {
  if (value === null || typeof value !== "object") return 1;
  return Object.values(value).reduce((sum: number, item) => sum + nodeCount(item), 1);
}

/** Writes a document, with the edits of its nodes by their place in the order of writing. */
function write(document: JsonValue, edits: ReadonlyMap<number, Edit>): string {
  let place = 0;
  const walk = (node: JsonValue): string => {
    const edit = edits.get(place++);
    if (edit?.[0] === "replace") return edit[2];
    if (node === null || typeof node !== "object") return JSON.stringify(node);
    const more = edit?.[0] === "add" ? edit : undefined;
    if (Array.isArray(node)) {
      const items = node.map(walk);
      if (more !== undefined) items.push(more[2]);
      if (edit?.[0] === "double") items.push(...items);
      return `[${edit?.[0] === "remove" ? items.slice(1) : items}]`;
    }
    const members = Object.entries(node).map(([key, item], i): [string, string] => [
      edit?.[0] === "rename" && i === 0 ? edit[3] : key,
      walk(item),
    ]);
    if (more !== undefined) members.push([more[3], more[2]]);
    const [first] = members;
    if (edit?.[0] === "double" && first !== undefined) members.push([first[0], edit[2]]);
    if (edit?.[0] === "remove") members.shift();
    return `{${members.map(([key, item]) => `${JSON.stringify(key)}:${item}`)}}`;
  };
  return walk(document);
}

/**
 * JSON text that is nearly a document.
 *
 * @param document what a reader takes
 */
export function hostileJson(document: JsonValue): fc.Arbitrary<string> {
  const count = nodeCount(document);
  return fc.array(edit, { maxLength: 3 }).map((edits) =>
    write(document, new Map(edits.map((edit) => [edit[1] % count, edit])))
  );
}
