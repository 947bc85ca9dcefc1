/**
 * Tables of a lake as other programs read them: every type at its edges, columns that were added,
 * renamed and widened, in every place that a lake can be.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { SchemaSpec, Value } from "@lakesync/core";
import { lakeAdapter } from "@lakesync/adapters/lake";
import { numbered, TestLog } from "../conformance/testing_log.ts";
import { rowText, type TableRows } from "./readers.ts";
import {
  hintsWritten,
  type LakeSite,
  NAMESPACE,
  openLake,
  siteTest,
  tend,
} from "./testing_lakes.ts";
import { useReaders } from "./tests.ts";

const readers = useReaders();

const BEFORE: SchemaSpec = {
  version: 1,
  tables: {
    kinds: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        flag: "boolean",
        big: "integer",
        ratio: "number",
        price: "decimal(18,2)",
        exact: "decimal(38,10)",
        day: "date",
        at: "timestamp",
        data: "bytes",
        doc: "json",
        uid: "uuid",
        note: "string",
      },
    },
  },
};
const { note: _, ...KEPT } = BEFORE.tables.kinds?.columns ?? {};
const AFTER: SchemaSpec = {
  version: 2,
  tables: {
    kinds: {
      primaryKey: ["id"],
      columns: { ...KEPT, price: "decimal(20,2)", remark: "string", extra: "number" },
    },
  },
};
const AFTER_NUMBERS = new Map([
  ["kinds", { id: 1, columns: [...Array(13).keys()].map((i) => i + 1) }],
]);

/** A row, and the same as readers tell it. */
interface Edge {
  readonly cells: Readonly<Record<string, Value>>;
  readonly told: Readonly<Record<string, string | boolean | null>>;
}

const NINES = `${"9".repeat(28)}.${"9".repeat(10)}`;
const EDGES: Readonly<Record<string, Edge>> = {
  most: {
    cells: {
      flag: true,
      big: 2n ** 63n - 1n,
      ratio: Number.MAX_VALUE,
      price: "9999999999999999.99",
      exact: NINES,
      day: "9999-12-31",
      at: "9999-12-31T23:59:59.999999Z",
      data: new Uint8Array([0, 255]),
      doc: { a: [1.5, null, "é"] },
      uid: "ffffffff-ffff-ffff-ffff-ffffffffffff",
      note: 'é 😀 "\n',
    },
    told: {
      flag: true,
      big: "9223372036854775807",
      ratio: "7fefffffffffffff",
      price: "9999999999999999.99",
      exact: NINES,
      day: "2932896",
      at: "253402300799999999",
      data: "00ff",
      doc: '{"a":[1.5,null,"é"]}',
      uid: "ffffffff-ffff-ffff-ffff-ffffffffffff",
      note: 'é 😀 "\n',
    },
  },
  least: {
    cells: {
      flag: false,
      big: -(2n ** 63n),
      ratio: Number.MIN_VALUE,
      price: "-9999999999999999.99",
      exact: `-${NINES}`,
      day: "0001-01-01",
      at: "0001-01-01T00:00:00.000001Z",
      data: new Uint8Array(),
      doc: {},
      uid: "00000000-0000-0000-0000-000000000000",
      note: "",
    },
    told: {
      flag: false,
      big: "-9223372036854775808",
      ratio: "0000000000000001",
      price: "-9999999999999999.99",
      exact: `-${NINES}`,
      day: "-719162",
      at: "-62135596799999999",
      data: "",
      doc: "{}",
      uid: "00000000-0000-0000-0000-000000000000",
      note: "",
    },
  },
  before: {
    cells: {
      flag: false,
      big: -1,
      ratio: -0,
      price: "-0.01",
      exact: "0.0000000001",
      day: "1969-12-31",
      at: "1969-12-31T23:59:59.999999Z",
      data: new Uint8Array([128]),
      doc: "text",
      uid: "0188c1f0-5b5e-7cc3-98c4-dc0c0c07398f",
      note: "x".repeat(5_000),
    },
    told: {
      flag: false,
      big: "-1",
      ratio: "8000000000000000",
      price: "-0.01",
      exact: "0.0000000001",
      day: "-1",
      at: "-1",
      data: "80",
      doc: '"text"',
      uid: "0188c1f0-5b5e-7cc3-98c4-dc0c0c07398f",
      note: "x".repeat(5_000),
    },
  },
  zero: {
    cells: {
      big: 2n ** 53n + 1n,
      ratio: 0.1,
      price: "0",
      exact: "-7.5",
      day: "0000-02-29",
      at: "0000-01-01T00:00:00Z",
      data: Uint8Array.from({ length: 256 }, (_, i) => i),
      doc: [null],
      note: "\ufeff",
    },
    told: {
      big: "9007199254740993",
      ratio: "3fb999999999999a",
      price: "0.00",
      exact: "-7.5000000000",
      day: "-719469",
      at: "-62167219200000000",
      data: Uint8Array.from({ length: 256 }, (_, i) => i).toHex(),
      doc: "[null]",
      note: "\ufeff",
    },
  },
  null: { cells: {}, told: {} },
};

const OWN = [
  ["_op", "string"],
  ["_row", "string"],
  ["_client_id", "string"],
  ["_hlc", "long"],
  ["_seq", "long"],
  ["_slice", "int"],
  ["_mutation_id", "long"],
  ["_delta_id", "string"],
  ["_committed_at", "timestamptz"],
  ["_schema_version", "int"],
  ["_changed", "string"],
  ["_raw", "string"],
  ["_effect", "string"],
] as const;
const COLUMNS_BEFORE = [
  ["id", "string"],
  ["flag", "boolean"],
  ["big", "long"],
  ["ratio", "double"],
  ["price", "decimal(18, 2)"],
  ["exact", "decimal(38, 10)"],
  ["day", "date"],
  ["at", "timestamptz"],
  ["data", "binary"],
  ["doc", "string"],
  ["uid", "string"],
  ["note", "string"],
] as const;
const COLUMNS_AFTER = [
  ...COLUMNS_BEFORE.map(([name, type]) =>
    [
      name === "note" ? "remark" : name,
      name === "price" ? "decimal(20, 2)" : type,
    ] as const
  ),
  ["extra", "double"] as const,
];

/** Only these columns of what a reader saw. */
function only(seen: TableRows, columns: TableRows["columns"]): readonly string[] {
  return seen.rows.map((text) => JSON.parse(text))
    .map((row) => rowText(columns, columns.map(([name]) => row[name]))).sort();
}

function told(columns: TableRows["columns"], renamed: boolean): readonly string[] {
  return Object.entries(EDGES).map(([id, { told }]) => {
    const values: Record<string, string | boolean | null> = { id, ...told };
    if (renamed) values.remark = told.note ?? null;
    return rowText(columns, columns.map(([name]) => values[name] ?? null));
  }).sort();
}

/** Has all readers read both tables, and holds them to the rows that there are. */
async function assertRead(
  site: LakeSite,
  columns: TableRows["columns"],
  rows: readonly string[],
): Promise<void> {
  await hintsWritten(site.store);
  const wanted = rows.toSorted();
  for (const [table, own] of [["kinds", []], ["kinds__changes", OWN]] as const) {
    const question = site.question(table);
    const first = await readers.get("pyiceberg").read(question);
    for (const reader of readers.all()) {
      const seen = await reader.read(question);
      const text = `${table} by ${reader.name}`;
      assert.deepEqual(seen.columns, [...own, ...columns], text);
      assert.deepEqual(only(seen, columns), wanted, text);
      assert.deepEqual(seen, first, text);
      assert.equal(await reader.count(question), wanted.length, text);
    }
  }
}

siteTest("G10: readers agree with the gateway at the edges of types", async (site) => {
  const { store, location, openCatalog } = site;
  const options = { store, location, catalog: openCatalog, namespace: NAMESPACE, thread: false };
  const adapter = lakeAdapter(options);
  await using lake = openLake(site);
  try {
    const log = await new TestLog(adapter, numbered(BEFORE)).begin();
    const write = (rowId: string, cells: Edge["cells"]) =>
      log.commit({ op: "INSERT", table: "kinds", rowId, cells: { id: rowId, ...cells } });
    await log.insert(Object.entries(EDGES).flatMap(([id, { cells }]) => write(id, cells)));
    await tend(lake, false);
    await assertRead(site, COLUMNS_BEFORE, told(COLUMNS_BEFORE, false));
    log.schema = numbered(AFTER, AFTER_NUMBERS);
    await adapter.ensureSchema(log.schema);
    const cells = { price: "999999999999999999.99", extra: 0.5, remark: "r" };
    await log.insert(write("new", cells));
    await tend(lake, false);
    const newest = new Map(Object.entries({ id: "new", ...cells, extra: "3fe0000000000000" }));
    const added = rowText(COLUMNS_AFTER, COLUMNS_AFTER.map(([name]) => newest.get(name) ?? null));
    await assertRead(site, COLUMNS_AFTER, [...told(COLUMNS_AFTER, true), added]);
  } finally {
    await adapter.close();
  }
});
