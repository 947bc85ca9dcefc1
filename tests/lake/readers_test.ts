/**
 * Proves the readers on tables that LakeSync has not written: each sees the values at the edges of
 * every type as they are, in files alone and by a REST catalog.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type S3Access, startS3 } from "../servers/s3.ts";
import { startRestCatalog } from "../servers/rest_catalog.ts";
import { type Question, type Reader, rowText, type TableRows } from "./readers.ts";
import { lakeTest, useReaders } from "./tests.ts";

const readers = useReaders();

const MAKE = `CREATE TABLE {catalog}.app.edges (
  id STRING NOT NULL, flag BOOLEAN, small INT, big BIGINT, ratio DOUBLE, price DECIMAL(18, 2),
  exact DECIMAL(38, 10), day DATE, at TIMESTAMP, data BINARY, note STRING
) USING iceberg TBLPROPERTIES (
  'format-version' = '2', 'write.delete.mode' = 'merge-on-read',
  'write.parquet.compression-codec' = 'zstd'
)`;
const FILL = `INSERT INTO {catalog}.app.edges VALUES
  ('most', true, 2147483647, 9223372036854775807, double('Infinity'), 9999999999999999.99,
    9999999999999999999999999999.9999999999, DATE '9999-12-31',
    TIMESTAMP '9999-12-31 23:59:59.999999Z', X'00ff', 'é 😀 "\\n'),
  ('least', false, -2147483648, -9223372036854775808, 4.9E-324, -9999999999999999.99,
    -9999999999999999999999999999.9999999999, DATE '0001-01-01',
    TIMESTAMP '0001-01-01 00:00:00.000001Z', X'', ''),
  ('before', false, -1, -1, double('-0.0'), -0.01, 0.0000000001, DATE '1969-12-31',
    TIMESTAMP '1969-12-31 23:59:59.999999Z', X'80', 'x'),
  ('nan', null, 0, 9007199254740993, double('NaN'), 0, 0, DATE '1970-01-01',
    TIMESTAMP '2024-02-29 12:00:00.123456+05:30', X'00', null),
  ('null', null, null, null, null, null, null, null, null, null, null),
  ('gone', null, null, null, null, null, null, null, null, null, null)`;
const CHANGES = [
  "DELETE FROM {catalog}.app.edges WHERE id = 'gone'",
  "ALTER TABLE {catalog}.app.edges ALTER COLUMN small TYPE BIGINT",
  "ALTER TABLE {catalog}.app.edges ALTER COLUMN price TYPE DECIMAL(20, 2)",
  "ALTER TABLE {catalog}.app.edges RENAME COLUMN note TO remark",
  "ALTER TABLE {catalog}.app.edges ADD COLUMN extra DOUBLE",
];

const EARLIER = [
  ["id", "string"],
  ["flag", "boolean"],
  ["small", "int"],
  ["big", "long"],
  ["ratio", "double"],
  ["price", "decimal(18, 2)"],
  ["exact", "decimal(38, 10)"],
  ["day", "date"],
  ["at", "timestamptz"],
  ["data", "binary"],
  ["note", "string"],
] as const;
const NOW = [
  ...EARLIER.map(([name, type]) =>
    [
      name === "note" ? "remark" : name,
      name === "small" ? "long" : name === "price" ? "decimal(20, 2)" : type,
    ] as const
  ),
  ["extra", "double"] as const,
];
const NINES = "9999999999999999999999999999.9999999999";
const VALUES = [
  [
    ...["most", true, "2147483647", "9223372036854775807", "7ff0000000000000"],
    ...["9999999999999999.99", NINES, "2932896", "253402300799999999", "00ff", 'é 😀 "\n'],
  ],
  [
    ...["least", false, "-2147483648", "-9223372036854775808", "0000000000000001"],
    ...["-9999999999999999.99", `-${NINES}`, "-719162", "-62135596799999999", "", ""],
  ],
  [
    ...["before", false, "-1", "-1", "8000000000000000"],
    ...["-0.01", "0.0000000001", "-1", "-1", "80", "x"],
  ],
  [
    ...["nan", null, "0", "9007199254740993", "7ff8000000000000"],
    ...["0.00", "0.0000000000", "0", "1709188200123456", "00", null],
  ],
  ["null", ...Array(10).fill(null)],
];

function answer(columns: TableRows["columns"], rows: readonly unknown[][]): TableRows {
  return { columns, rows: rows.map((row) => rowText(columns, row)).sort() };
}

async function assertEdges(all: readonly Reader[], question: Question): Promise<void> {
  const spark = readers.get("spark");
  await spark.run(question, ["CREATE NAMESPACE IF NOT EXISTS {catalog}.app", MAKE, FILL]);
  const before = answer(EARLIER, [...VALUES, ["gone", ...Array(10).fill(null)]]);
  for (const reader of all) assert.deepEqual(await reader.read(question), before, reader.name);
  const filled = await spark.value(
    question,
    "SELECT snapshot_id FROM {catalog}.app.edges.snapshots",
  );
  await spark.run(question, CHANGES);
  const after = answer(NOW, VALUES.map((row) => [...row, null]));
  for (const reader of all) {
    assert.deepEqual(await reader.read(question), after, reader.name);
    assert.equal(await reader.count(question), VALUES.length, reader.name);
    const then = await reader.read({ ...question, snapshotId: BigInt(filled) });
    assert.deepEqual(then, before, reader.name);
  }
}

lakeTest("readers agree on the edges of types in files alone", {}, async () => {
  const folder = await Deno.makeTempDir();
  try {
    const table = { kind: "files", namespace: "app", name: "edges" } as const;
    await assertEdges(readers.all(), { table: { ...table, warehouse: `file://${folder}` } });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

async function onS3(run: (s3: S3Access, lake: string) => Promise<void>): Promise<void> {
  await using server = await startS3();
  await run(server.access, `s3://${await server.createBucket()}/lake`);
}

lakeTest(
  "readers agree on the edges of types in a bucket alone",
  { s3: true },
  () =>
    onS3(async (s3, warehouse) => {
      const table = { kind: "files", warehouse, namespace: "app", name: "edges" } as const;
      await assertEdges(readers.all(), { table, s3 });
    }),
);

lakeTest(
  "readers agree on the edges of types in a bucket by a REST catalog",
  { s3: true },
  (tools) =>
    onS3(async (s3, warehouse) => {
      await using catalog = await startRestCatalog(tools, { warehouse, s3 });
      const table = { kind: "rest", uri: catalog.uri, namespace: "app", name: "edges" } as const;
      await assertEdges(readers.all(), { table, s3 });
    }),
);

lakeTest("readers agree on the edges of types by a REST catalog", {}, async (tools) => {
  await using catalog = await startRestCatalog(tools);
  const table = { kind: "rest", uri: catalog.uri, namespace: "app", name: "edges" } as const;
  await assertEdges(readers.all(), { table });
});
