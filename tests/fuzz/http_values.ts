/**
 * Values by JSON Schema, and the many ways to break one.
 *
 * @module
 */

import { forkedClientId } from "@lakesync/core";
import fc from "fast-check";
import type { Api, Json } from "./http_api.ts";
import { NEXT_SCHEMA, SCHEMA } from "./http_world.ts";

/** Text that has broken readers before. */
export const ODD_TEXTS: readonly string[] = [
  "",
  " ",
  "\u0000",
  "a\u0000b",
  "\ud800",
  "\udfff\ud800",
  "\u202e\u200f",
  "🧀".repeat(20),
  "e\u0301",
  "\ufeff",
  "__proto__",
  "constructor",
  "../../etc/passwd",
  "'; DROP TABLE todos; --",
  "%00%2e%2e",
  "\r\nSet-Cookie: a=b",
  "x".repeat(2_000),
  "9".repeat(400),
  "-1",
  "1e9",
  "NaN",
];

/** Stands for the cursor that the last pull gave. */
export const LAST_CURSOR = "@last-cursor";

/** Stands for JSON that no value gives: {@linkcode writeJson} writes what is between the marks. */
const raw = (text: string) => `@raw<${text}>`;

const odd: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom(...ODD_TEXTS),
  fc.constantFrom<Json>(
    null,
    true,
    false,
    0,
    -1,
    1,
    0.5,
    2 ** 31,
    2 ** 32,
    2 ** 53 - 1,
    2 ** 53,
    -(2 ** 63),
    1e300,
    5e-324,
    [],
    {},
    [[]],
    [null],
    { add: 1 },
    { add: [], remove: [null] },
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "f".repeat(64),
    "2026-02-30",
    "AAA=",
  ),
  fc.constantFrom(
    raw("1e999"),
    raw("-0"),
    raw("1".repeat(400)),
    raw('{"__proto__":{"a":1}}'),
    raw('{"a":1,"a":2}'),
    raw("[".repeat(70) + "]".repeat(70)),
    raw('{"a":'.repeat(70) + "1" + "}".repeat(70)),
    raw('"\\ud83d"'),
  ),
  fc.jsonValue({ maxDepth: 2 }),
);

/** Writes a value, raw pieces as they are. */
export function writeJson(value: Json): string {
  return JSON.stringify(value)
    .replaceAll(/"@raw<((?:[^"\\]|\\.)*)>"/g, (_, text) => JSON.parse(`"${text}"`));
}

const clientId = fc.constantFrom("phone-1", "phone-2", "laptop");
const cell = fc.oneof(
  fc.constantFrom<Json>(null, "Buy milk", true, false, 0, 7, { add: 1 }, { add: ["a"] }, ["b"]),
  odd,
);

/** Values by the name of the field they stand in, so that requests meet what is there. */
const HINTS: Readonly<Record<string, fc.Arbitrary<Json>>> = {
  clientId,
  schemaVersion: fc.constantFrom(0, 1, 1, 1, 2),
  version: fc.constantFrom(1, 2, 3),
  table: fc.constantFrom("todos", "todos", "lists", "nothing"),
  rowId: fc.constantFrom("t1", "t2", '["a",1]', '["a","b"]'),
  mutationId: fc.constantFrom(1, 1, 1, 1, 2),
  hlc: fc.constant(null),
  deltaId: fc.constant(null),
  chain: fc.constant(null),
  part: fc.constantFrom(1, 2),
  parts: fc.constantFrom(2, 3),
  refusalsSeen: fc.constantFrom(0, 1, 2),
  wait: fc.constant(0),
  limit: fc.constantFrom(1, 2, 100, 20_000),
  cursor: fc.constantFrom("", LAST_CURSOR, LAST_CURSOR, LAST_CURSOR, "WzEsIlhYIl0"),
  columns: fc.dictionary(
    fc.constantFrom("id", "title", "done", "votes", "tags", "due", "data", "nothing"),
    cell,
    { maxKeys: 3, noNullPrototype: true },
  ),
  claims: fc.record({ sub: fc.constantFrom("alice", "bob"), org: cell }, { requiredKeys: ["sub"] }),
  column: fc.constantFrom("id", "title", "done", "tags"),
  from: fc.constantFrom("todos", "lists"),
  tables: fc.dictionary(
    fc.constantFrom("todos", "lists"),
    fc.record({ mode: fc.constantFrom("two-way", "download-only", "upload-only") }),
    { noNullPrototype: true },
  ),
};

/** What the schemas of fields must point to for their hint, where others have the same name. */
const HINTED: Readonly<Record<string, string>> = { columns: "/Columns", tables: "mode" };

/** Right bodies by operation, beside those that the schema alone gives. */
const GOOD_BODIES: Readonly<Record<string, readonly Json[]>> = {
  putSchema: [SCHEMA, NEXT_SCHEMA],
  putRules: [
    { buckets: [{ name: "all", tables: ["*"] }], write: [{ tables: ["*"], ops: ["INSERT"] }] },
    {
      buckets: [{
        name: "mine",
        parameters: {
          p: {
            from: "lists",
            column: "a",
            filters: [{ column: "name", op: "eq", value: "jwt:sub" }],
          },
        },
        tables: [{ table: "todos", key: "title", columns: ["title", "votes"] }, "lists"],
        filters: [{ any: [{ claim: "sub", op: "neq", value: "bob" }] }],
      }],
      write: [{ tables: ["todos"], ops: ["INSERT", "UPDATE", "DELETE"] }],
      tables: { lists: { mode: "download-only" } },
      exempt: ["admin"],
    },
  ],
};

const MAX_DEPTH = 7;

/** Right bodies of an operation. */
export function bodyOf(api: Api, operation: string, schema: Json): fc.Arbitrary<Json> {
  const good = GOOD_BODIES[operation];
  const general = valueOf(api, schema);
  return good === undefined ? general : fc.oneof(fc.constantFrom(...good), general);
}

/**
 * Values of a schema.
 *
 * @param api the description that the schema is of
 * @param input the schema
 * @returns values that the schema allows
 */
export function valueOf(api: Api, input: Json, depth = 0): fc.Arbitrary<Json> {
  const schema = api.follow(input);
  const alternatives: Json[] | undefined = schema.anyOf ?? schema.oneOf;
  if (alternatives !== undefined) {
    if (depth > MAX_DEPTH) return valueOf(api, alternatives[0], depth + 1);
    return fc.oneof(
      ...alternatives.map((one, i) => ({
        arbitrary: valueOf(api, one, depth + 1),
        weight: i === 0 ? 4 : 1,
      })),
    );
  }
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  switch (schema.type) {
    case "null":
      return fc.constant(null);
    case "boolean":
      return fc.boolean();
    case "integer":
    case "number": {
      const { minimum: min = -(2 ** 53) + 1, maximum: max = 2 ** 53 - 1 } = schema;
      return fc.oneof(fc.integer({ min, max }), fc.integer({ min, max: Math.min(max, min + 5) }));
    }
    case "string":
      if (schema.pattern !== undefined) return fc.stringMatching(new RegExp(schema.pattern));
      return fc.oneof(
        fc.string({ unit: "binary", maxLength: 12 }),
        fc.constantFrom("todos", "id", "t1", "title"),
      );
    case "array":
      return fc.array(valueOf(api, schema.items, depth + 1), {
        minLength: schema.minItems ?? 0,
        maxLength: depth > MAX_DEPTH ? schema.minItems ?? 0 : 3,
      });
    case "object":
      return objectOf(api, schema, depth);
    default:
      return cell;
  }
}

function objectOf(api: Api, schema: Json, depth: number): fc.Arbitrary<Json> {
  const { properties, required = [], additionalProperties } = schema;
  if (properties === undefined) {
    const names = schema.propertyNames === undefined
      ? fc.constantFrom("id", "title", "todos", "lists", "a")
      : fc.oneof(
        fc.constantFrom("id", "title", "todos", "lists"),
        valueOf(api, {
          type: "string",
          ...schema.propertyNames,
        }),
      );
    return fc.dictionary(names, valueOf(api, additionalProperties ?? {}, depth + 1), {
      maxKeys: 3,
      noNullPrototype: true,
    });
  }
  const model = Object.fromEntries(
    Object.entries<Json>(properties).map(([name, property]) => {
      const general = valueOf(api, property, depth + 1);
      const hint = hintOf(api, name, property);
      return [
        name,
        hint === undefined ? general : fc.oneof({ arbitrary: hint, weight: 12 }, general),
      ];
    }),
  );
  const record = fc.record(model, { requiredKeys: required, noNullPrototype: true });
  if ("origin" in properties) return fc.tuple(record, fc.boolean()).map(namedByOrigin);
  return "parts" in properties ? record.map(partsTogether) : record;
}

/** The name of a push with an origin follows from that, which its schema does not say. */
function namedByOrigin([push, isNamed]: [push: Json, isNamed: boolean]): Json {
  const { origin } = push;
  if (!isNamed || typeof origin?.next !== "string") return push;
  return { ...push, clientId: forkedClientId(origin.clientId, origin.next) };
}

/** How many values of a hint are tried, to see whether any fits. */
const HINT_SAMPLE = { numRuns: 50, seed: 1 };

/** Those of a field's hint that its schema allows; a search for one would not end where none is. */
function hintOf(api: Api, name: string, property: Json): fc.Arbitrary<Json> | undefined {
  const hint = JSON.stringify(property).includes(HINTED[name] ?? "") ? HINTS[name] : undefined;
  const fits = (value: Json) => api.misfit(property, value) === undefined;
  if (hint === undefined || !fc.sample(hint, HINT_SAMPLE).some(fits)) return undefined;
  return hint.filter(fits);
}

/** A transaction has both part and parts or none, which its schema does not say. */
function partsTogether({ part, parts, ...transaction }: Json): Json {
  if (typeof part !== "number" || typeof parts !== "number") return transaction;
  return { ...transaction, part: Math.min(part, parts), parts: Math.max(part, parts) };
}

/** One way to break a value: at a place by its number, something else instead or beside. */
export interface Break {
  /** Counts the places of the value. */
  readonly place: number;
  /** What is done there. */
  readonly kind: "replace" | "remove" | "add" | "wrap" | "repeat";
  /** What is put there. */
  readonly value: Json;
}

/** Ways to break a value. */
export const breaks: fc.Arbitrary<readonly Break[]> = fc.array(
  fc.record({
    place: fc.nat(200),
    kind: fc.constantFrom("replace", "replace", "replace", "remove", "add", "wrap", "repeat"),
    value: odd,
  }),
  { minLength: 1, maxLength: 3 },
);

interface Place {
  readonly holder: Json;
  readonly key: string | number;
}

function placesOf(value: Json, places: Place[]): Place[] {
  if (typeof value !== "object" || value === null) return places;
  for (const key of Object.keys(value)) {
    places.push({ holder: value, key });
    placesOf(value[key], places);
  }
  return places;
}

/** How often a value is repeated, at most, and how long that may be, in characters. */
const MAX_REPEATS = 1_001;
const MAX_REPEATED_LENGTH = 16 * 1024 * 1024;

/** Repeating what was repeated would take gigabytes of the test's own memory. */
function repeats(value: Json): number {
  const length = JSON.stringify(value).length;
  return Math.max(2, Math.min(MAX_REPEATS, Math.floor(MAX_REPEATED_LENGTH / length)));
}

function breakOnce(root: { value: Json }, { place, kind, value }: Break): void {
  const places = placesOf(root, []);
  const chosen = places[place % places.length];
  if (chosen === undefined) return;
  const { holder, key } = chosen;
  const here = holder[key];
  switch (kind) {
    case "replace":
      holder[key] = structuredClone(value);
      break;
    case "remove":
      if (holder === root) holder[key] = null;
      else if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
      break;
    case "add":
      if (Array.isArray(here)) here.push(structuredClone(value));
      else if (typeof here === "object" && here !== null) here["odd"] = structuredClone(value);
      else holder[key] = [here, structuredClone(value)];
      break;
    case "wrap":
      holder[key] = [here];
      break;
    case "repeat":
      if (Array.isArray(holder)) holder.push(structuredClone(here));
      else holder[key] = Array.from({ length: repeats(here) }, () => structuredClone(here));
  }
}

/**
 * Breaks a value.
 *
 * @param value stays as it is
 * @returns another one
 */
export function broken(value: Json, ways: readonly Break[]): Json {
  const root = { value: structuredClone(value) };
  for (const way of ways) breakOnce(root, way);
  return root.value;
}
