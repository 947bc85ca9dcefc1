/**
 * Tables with columns of every type, and values at the edges of each.
 *
 * @module
 */

import type { Column, ColumnType, Value } from "@lakesync/core";

/** Tables that reference each other and themselves, counters, sets, and a key of several columns. */
export const SCHEMA = {
  version: 1,
  tables: {
    heads: { primaryKey: ["id"], columns: { id: "string", n: "integer" } },
    marks: { primaryKey: ["id"], columns: { id: "string", writer: "string", n: "integer" } },
    lists: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
    items: {
      primaryKey: ["id"],
      columns: {
        id: "integer",
        list: { type: "string", references: "lists" },
        up: { type: "integer", references: "items" },
        text: "string",
        whole: "integer",
        num: "number",
        yes: "boolean",
        at: "timestamp",
        day: "date",
        ref: "uuid",
        blob: "bytes",
        meta: "json",
        price: "decimal(38,10)",
      },
    },
    tallies: {
      primaryKey: ["id"],
      columns: {
        id: "uuid",
        n: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
        most: { type: "integer", merge: "max" },
        first: { type: "timestamp", merge: "min" },
      },
    },
    pairs: {
      primaryKey: ["day", "no", "name"],
      columns: { day: "date", no: "integer", name: "string", note: "string" },
    },
  },
} as const;

/** The bytes of a large value. */
const LARGE_BYTES = 1 << 20;

const TEXTS: readonly string[] = [
  "",
  " ",
  "NULL",
  "\\N",
  "🎈👩‍👩‍👧 \"'\\{},\r\n\t\x1a%_$1?",
  " trailing ",
  "é e\u0301 ﷽ \u202e \ufeff \uffff",
];

const EDGES: Readonly<Record<string, readonly Value[]>> = {
  string: TEXTS,
  integer: [0, -1, 2 ** 53 - 1, -(2 ** 53) + 1, 2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n)],
  number: [0, -0, 0.1, 1 / 3, 1e308, -Number.MAX_VALUE, Number.MIN_VALUE, 1e21, 2 ** 53 + 2],
  boolean: [true, false],
  timestamp: [
    "2026-01-31T09:30:00Z",
    "2026-01-31T09:30:00.1Z",
    "2026-03-29T01:59:59.999999Z",
    "2026-10-25T01:00:00.000001Z",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00Z",
    "1582-10-10T12:00:00.120Z",
    "1969-12-31T23:59:59.999999Z",
  ],
  date: ["0001-01-01", "1582-10-10", "1900-02-28", "2024-02-29", "9999-12-31"],
  uuid: [
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "0188c1f0-5b5e-7cc3-98c4-dc0c0c07398f",
  ],
  bytes: [
    new Uint8Array(),
    Uint8Array.from([0]),
    Uint8Array.from({ length: 256 }, (_, i) => i),
    new TextEncoder().encode("\\x00 'quoted' \\"),
  ],
  json: [
    {},
    [],
    "null",
    "",
    false,
    0.1,
    1e-7,
    ["\\\"'", 1.5, null, { "": "🎈" }],
    { b: [[], {}], a: 9_007_199_254_740_991, "ключ": { "$1": "%s" } },
  ],
  decimal: [
    "0",
    "-0.5",
    "1.10",
    "0.0000000001",
    `${"9".repeat(28)}.${"9".repeat(10)}`,
    `-${"9".repeat(28)}.${"9".repeat(10)}`,
  ],
};

/** One of several, by chance. */
export function pick<T>(all: readonly T[]): T {
  const one = all[Math.floor(Math.random() * all.length)];
  if (one === undefined) throw new Error("There is nothing to pick from");
  return one;
}

/** Whether something that happens once in so many times happens now. */
export function oneIn(times: number): boolean {
  return Math.random() * times < 1;
}

/** A value of a type: null, one at its edges, or one by chance. */
export function valueOf(type: ColumnType): Value {
  if (oneIn(8)) return null;
  if (oneIn(2)) return pick(EDGES[type.replace(/\(.*/, "")] ?? []);
  const n = Math.floor(Math.random() * 1e9);
  switch (type) {
    case "string":
      return `text ${n}`;
    case "integer":
      return n;
    case "number":
      return Math.random() * 10 ** (n % 600 - 300);
    case "boolean":
      return n % 2 === 0;
    case "timestamp":
      return new Date(n * 4_000).toISOString();
    case "date":
      return new Date(n * 4_000).toISOString().slice(0, 10);
    case "uuid":
      return crypto.randomUUID();
    case "bytes":
      return crypto.getRandomValues(new Uint8Array(n % 300));
    case "json":
      return { n, list: [n, `${n}`], text: pick(TEXTS) };
    default:
      return `${n}.${n % 1_000}`;
  }
}

/** A mebibyte, as a value of a type. */
export function largeOf(type: "string" | "bytes" | "json"): Value {
  const part = `${crypto.randomUUID()} 🎈\\"'`;
  if (type === "string") return part.repeat(LARGE_BYTES / 44);
  if (type === "json") return { parts: Array.from({ length: LARGE_BYTES / 50 }, () => part) };
  const bytes = new Uint8Array(LARGE_BYTES);
  for (let i = 0; i < LARGE_BYTES; i += 1 << 16) {
    crypto.getRandomValues(bytes.subarray(i, i + (1 << 16)));
  }
  return bytes;
}

/** The columns of a table that are not its key's, as cells to write. */
export function cellsOf(columns: readonly Column[]): Record<string, Value> {
  return Object.fromEntries(columns.map(({ name, type }) => [name, valueOf(type)]));
}
