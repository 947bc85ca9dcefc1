import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeAvro, encodeAvro } from "./avro.ts";
import type { DataFile, ManifestEntry, ManifestFile } from "./manifest.ts";
import {
  type ManifestHead,
  readManifest,
  readManifestList,
  writeManifest,
  writeManifestList,
} from "./manifest_file.ts";
import { LIST_SCHEMA, MANIFEST_NAMES } from "./manifest_schema.ts";
import { toTableSchema } from "./schema_json.ts";
import { decodeValue } from "./single_value.ts";
import { fileOf, SCHEMA } from "./testing_tables.ts";

const TYPES = [
  "boolean",
  "int",
  "long",
  "double",
  "date",
  "timestamptz",
  "string",
  "binary",
  "decimal(9, 2)",
  "decimal(38, 10)",
];
const head: ManifestHead = {
  manifestPath: "s3://bucket/lake/gw/todos/manifests/m.avro",
  content: "data",
  snapshotId: 77,
  sequenceNumber: 9,
  schema: toTableSchema(SCHEMA),
  spec: {
    "spec-id": 0,
    fields: TYPES.map((_, i) => ({
      "source-id": i + 1,
      "field-id": 1000 + i,
      name: `p ${i}`,
      transform: "identity",
    })),
  },
  types: TYPES,
};

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const partition = fc.tuple(
  fc.option(fc.boolean()),
  fc.option(int32),
  fc.option(int64),
  fc.option(fc.double({ noNaN: true })),
  fc.option(int32),
  fc.option(int64),
  fc.option(fc.string({ unit: "grapheme" })),
  fc.option(fc.uint8Array()),
  fc.option(fc.bigInt({ min: 1n - 10n ** 9n, max: 10n ** 9n - 1n })),
  fc.option(fc.bigInt({ min: 1n - 10n ** 38n, max: 10n ** 38n - 1n })),
);
const counts = fc.array(fc.tuple(fc.integer({ min: 1, max: 2 ** 31 - 1 }), fc.nat()))
  .map((pairs) => new Map(pairs));
const bounds = fc.array(fc.tuple(fc.integer({ min: 1, max: 2 ** 31 - 1 }), fc.uint8Array()))
  .map((pairs) => new Map(pairs));
const dataFile: fc.Arbitrary<DataFile> = fc.record({
  content: fc.constantFrom("data", "position-deletes", "equality-deletes"),
  filePath: fc.string({ unit: "grapheme" }),
  fileFormat: fc.constant("PARQUET"),
  specId: fc.constant(0),
  partition,
  recordCount: fc.nat({ max: 2 ** 40 }),
  fileSizeInBytes: fc.nat(),
  columnSizes: counts,
  valueCounts: counts,
  nullValueCounts: counts,
  nanValueCounts: counts,
  lowerBounds: bounds,
  upperBounds: bounds,
  keyMetadata: fc.uint8Array(),
  splitOffsets: fc.array(fc.nat()),
  equalityIds: fc.array(int32),
  sortOrderId: fc.nat(),
  referencedDataFile: fc.string(),
}, {
  requiredKeys: [
    "content",
    "filePath",
    "fileFormat",
    "specId",
    "partition",
    "recordCount",
    "fileSizeInBytes",
  ],
  noNullPrototype: true,
});
const entry: fc.Arbitrary<ManifestEntry> = fc.oneof(
  fc.record({
    status: fc.constant("added" as const),
    snapshotId: fc.constant(77),
    sequenceNumber: fc.constantFrom(9, 9, 4),
    fileSequenceNumber: fc.constant(9),
    dataFile,
  }, { noNullPrototype: true }),
  fc.record({
    status: fc.constantFrom("existing" as const, "deleted" as const),
    snapshotId: fc.oneof(fc.nat(), fc.constant(2n ** 63n - 1n)),
    sequenceNumber: fc.integer({ min: 1, max: 8 }),
    fileSequenceNumber: fc.integer({ min: 1, max: 8 }),
    dataFile,
  }, { noNullPrototype: true }),
);

Deno.test("readManifest reads what writeManifest writes, of every type and with all that is known", () => {
  fc.assert(fc.property(fc.array(entry, { minLength: 1 }), (entries) => {
    const { bytes, file } = writeManifest(head, entries);
    assert.deepStrictEqual([...readManifest(bytes, file, head)], entries);
    const live = entries.filter(({ status }) => status !== "deleted");
    assert.equal(file.minSequenceNumber, Math.min(9, ...live.map((e) => e.sequenceNumber)));
    assert.equal(
      file.addedFilesCount + file.existingFilesCount + file.deletedFilesCount,
      entries.length,
    );
    assert.deepStrictEqual(readManifestList(writeManifestList(snapshot, [file, file])), [
      file,
      file,
    ]);
  }));
});

const snapshot = { "snapshot-id": 77, "sequence-number": 9 };

Deno.test("writeManifest tells the range of each value of partitions", () => {
  const entries = [-3n, null, 5n].map((value, i): ManifestEntry => ({
    status: "added",
    snapshotId: 77,
    sequenceNumber: 9,
    fileSequenceNumber: 9,
    dataFile: fileOf(`${i}`, [value]),
  }));
  const by = { ...head.spec, fields: head.spec.fields.slice(0, 1) };
  const { file } = writeManifest({ ...head, spec: by, types: ["long"] }, entries);
  const [summary] = file.partitions ?? [];
  assert.equal(summary?.containsNull, true);
  assert.equal(decodeValue("long", summary?.lowerBound ?? new Uint8Array()), -3n);
  assert.equal(decodeValue("long", summary?.upperBound ?? new Uint8Array()), 5n);
});

Deno.test("writeManifest says in the head what other engines look for", () => {
  const { bytes } = writeManifest({ ...head, content: "deletes" }, []);
  const { metadata } = decodeAvro(bytes, MANIFEST_NAMES);
  assert.equal(metadata.get("format-version"), "2");
  assert.equal(metadata.get("content"), "deletes");
  assert.equal(metadata.get("partition-spec-id"), "0");
  assert.equal(metadata.get("schema-id"), "0");
  assert.deepEqual(JSON.parse(metadata.get("partition-spec") ?? ""), head.spec.fields);
  assert.deepEqual(JSON.parse(metadata.get("schema") ?? ""), head.schema);
  const schema = metadata.get("avro.schema") ?? "";
  for (
    const id of ['"field-id":134', '"element-id":133', '"logicalType":"map"', '"field-id":117']
  ) {
    assert.ok(schema.includes(id), id);
  }
});

Deno.test("readManifest reads manifests of other engines: other names, fewer fields, wider numbers", () => {
  const theirs = {
    type: "record",
    name: "manifest_entry",
    fields: [
      { name: "Status", type: "int", "field-id": 0 },
      { name: "snapshot_id", type: ["null", "long"], default: null, "field-id": 1 },
      {
        name: "data_file",
        "field-id": 2,
        type: {
          type: "record",
          name: "r2",
          fields: [
            { name: "file_path", type: "string", "field-id": 100 },
            { name: "file_format", type: "string", "field-id": 101 },
            {
              name: "partition",
              "field-id": 102,
              type: {
                type: "record",
                name: "r102",
                fields: [{ name: "p_x200", type: ["null", "int"], "field-id": 1000 }],
              },
            },
            { name: "record_count", type: "long", "field-id": 103 },
            { name: "file_size_in_bytes", type: "long", "field-id": 104 },
            { name: "block_size_in_bytes", type: "long", "field-id": 105 },
            {
              name: "equality_ids",
              "field-id": 135,
              type: ["null", { type: "array", items: "long", "element-id": 136 }],
            },
          ],
        },
      },
    ],
  };
  const row = (status: number, snapshot_id: bigint | null) => ({
    status,
    snapshot_id,
    data_file: {
      file_path: "a",
      file_format: "parquet",
      partition: { _1000: 4 },
      record_count: 1,
      file_size_in_bytes: 2,
      _105: 64,
      equality_ids: [1],
    },
  });
  const bytes = encodeAvro(theirs, MANIFEST_NAMES, new Map(), [
    row(1, null),
    row(0, 2n ** 62n + 1n),
  ]);
  const manifest: ManifestFile = {
    ...writeManifest(head, []).file,
    sequenceNumber: 5,
    addedSnapshotId: 2n ** 62n + 3n,
  };
  const by = { ...head.spec, fields: head.spec.fields.slice(0, 1) };
  const [added, existing] = readManifest(bytes, manifest, { spec: by, types: ["long"] });
  assert.equal(added?.sequenceNumber, 5);
  assert.equal(added?.snapshotId, 2n ** 62n + 3n);
  assert.deepEqual(added?.dataFile.partition, [4n]);
  assert.deepEqual(added?.dataFile.equalityIds, [1]);
  assert.equal(added?.dataFile.content, "data");
  assert.equal(existing?.snapshotId, 2n ** 62n + 1n);
  assert.equal(existing?.sequenceNumber, 0);
});

Deno.test("readManifestList reads lists of tables that were of version 1", () => {
  const old = {
    type: "record",
    name: "manifest_file",
    fields:
      LIST_SCHEMA.fields?.filter((field) =>
        [500, 501, 502, 503].includes(field["field-id"] ?? 0)
      ) ?? [],
  };
  const bytes = encodeAvro(old, MANIFEST_NAMES, new Map(), [{
    manifest_path: "m",
    manifest_length: 3,
    partition_spec_id: 0,
    added_snapshot_id: 2n ** 62n + 1n,
  }]);
  const [file] = readManifestList(bytes);
  assert.equal(file?.content, "data");
  assert.equal(file?.sequenceNumber, 0);
  assert.equal(file?.addedSnapshotId, 2n ** 62n + 1n);
});
