import assert from "node:assert/strict";
import fc from "fast-check";
import { type Long, MetadataError, type Snapshot, type TableMetadata } from "./metadata.ts";
import { creationUpdates, newTableMetadata } from "./new_table.ts";
import { toTableSchema } from "./schema_json.ts";
import { BY_DAY, emptyTable, memoryLake, SCHEMA } from "./testing_tables.ts";
import { applyUpdates, type TableUpdate } from "./updates.ts";

const table = emptyTable(memoryLake(), BY_DAY);

function snapshot(id: Long, sequence: number, at = 2_000): Snapshot {
  return {
    "snapshot-id": id,
    "sequence-number": sequence,
    "timestamp-ms": at,
    "manifest-list": `s3://bucket/lake/gw/todos/manifests/${id}.avro`,
    summary: { operation: "append" },
  };
}

function added(id: Long, sequence: number, ref = "main", at?: number): readonly TableUpdate[] {
  return [
    { action: "add-snapshot", snapshot: snapshot(id, sequence, at) },
    { action: "set-snapshot-ref", "ref-name": ref, type: "branch", "snapshot-id": id },
  ];
}

Deno.test("applyUpdates adds snapshots and moves branches, and logs what main was", () => {
  const one = applyUpdates(table, added(2n ** 63n - 1n, 1), 2_500);
  assert.equal(one["current-snapshot-id"], 2n ** 63n - 1n);
  assert.equal(one["last-sequence-number"], 1);
  const side = applyUpdates(one, added(5, 2, "side"), 3_000);
  assert.equal(side["current-snapshot-id"], 2n ** 63n - 1n);
  assert.equal(side.refs?.["side"]?.["snapshot-id"], 5);
  assert.equal(side["snapshot-log"]?.length, 1);
  const moved = applyUpdates(side, [
    { action: "set-snapshot-ref", "ref-name": "main", type: "branch", "snapshot-id": 5 },
    { action: "remove-snapshot-ref", "ref-name": "side" },
  ], 4_000);
  assert.deepEqual(moved["snapshot-log"], [
    { "snapshot-id": 2n ** 63n - 1n, "timestamp-ms": 2_000 },
    { "snapshot-id": 5, "timestamp-ms": 4_000 },
  ]);
  assert.deepEqual(Object.keys(moved.refs ?? {}), ["main"]);
});

Deno.test("applyUpdates logs of several snapshots of one commit the last alone", () => {
  const { "snapshot-log": log } = applyUpdates(table, [...added(1, 1), ...added(2, 2)], 2_000);
  assert.deepEqual(log, [{ "snapshot-id": 2, "timestamp-ms": 2_000 }]);
});

Deno.test("applyUpdates drops the log before a snapshot that is gone, and names of what is gone", () => {
  let metadata: TableMetadata = table;
  for (const id of [1, 2, 3, 4]) metadata = applyUpdates(metadata, added(id, id), id * 1_000);
  metadata = applyUpdates(metadata, added(5, 5, "side"), 6_000);
  const thinned = applyUpdates(
    metadata,
    [{ action: "remove-snapshots", "snapshot-ids": [2, 5] }],
    9_000,
  );
  assert.deepEqual(thinned.snapshots?.map((s) => s["snapshot-id"]), [1, 3, 4]);
  assert.deepEqual(thinned["snapshot-log"]?.map((entry) => entry["snapshot-id"]), [3, 4]);
  assert.deepEqual(Object.keys(thinned.refs ?? {}), ["main"]);
  const empty = applyUpdates(thinned, [{ action: "remove-snapshots", "snapshot-ids": [4] }], 9_000);
  assert.equal(empty["current-snapshot-id"], undefined);
  assert.deepEqual(empty.refs, {});
});

Deno.test("applyUpdates lets no time go back", () => {
  const later = applyUpdates(table, added(1, 1, "main", 9_000), 100);
  assert.equal(later["last-updated-ms"], 9_000);
  const again = applyUpdates(later, added(2, 2, "main", 9_000), 200);
  assert.equal(again["last-updated-ms"], 9_000);
  assert.deepEqual(again["snapshot-log"]?.map((entry) => entry["timestamp-ms"]), [9_000, 9_000]);
});

Deno.test("applyUpdates refuses what is no change of the table", () => {
  const one = applyUpdates(table, added(1, 1), 2_000);
  const wrong: readonly (readonly TableUpdate[])[] = [
    added(1, 2),
    added(2, 1),
    [{ action: "set-snapshot-ref", "ref-name": "main", type: "tag", "snapshot-id": 1 }],
    [{ action: "set-snapshot-ref", "ref-name": "side", type: "branch", "snapshot-id": 9 }],
    [{ action: "set-current-schema", "schema-id": 7 }],
    [{ action: "set-current-schema", "schema-id": -1 }],
    [{ action: "set-default-spec", "spec-id": 7 }],
    [{ action: "set-default-sort-order", "sort-order-id": 7 }],
    [{ action: "upgrade-format-version", "format-version": 1 }],
    [{ action: "upgrade-format-version", "format-version": 3 }],
    [{ action: "add-schema", schema: toTableSchema(SCHEMA), "last-column-id": 2 }],
    [{
      action: "add-schema",
      schema: toTableSchema({ fields: [...SCHEMA.fields, ...SCHEMA.fields] }),
    }],
    [{ action: "add-schema", schema: toTableSchema({ ...SCHEMA, identifierFieldIds: [1] }) }],
    [{ action: "make-coffee" } as unknown as TableUpdate],
  ];
  for (const updates of wrong) {
    assert.throws(() => applyUpdates(one, updates, 3_000), MetadataError, JSON.stringify(updates));
  }
});

Deno.test("applyUpdates gives new schemas, specs and orders numbers, and known ones theirs", () => {
  const more = { id: 9, name: "more", type: "string", required: false } as const;
  const wider = { fields: [...SCHEMA.fields, more] };
  const by = { "source-id": 1, name: "id", transform: "identity" };
  const updates: readonly TableUpdate[] = [
    { action: "add-schema", schema: toTableSchema(wider) },
    { action: "set-current-schema", "schema-id": -1 },
    { action: "add-spec", spec: { fields: [by] } },
    { action: "set-default-spec", "spec-id": -1 },
    {
      action: "add-sort-order",
      "sort-order": {
        "order-id": 0,
        fields: [{
          transform: "identity",
          "source-id": 1,
          direction: "asc",
          "null-order": "nulls-first",
        }],
      },
    },
    { action: "set-default-sort-order", "sort-order-id": -1 },
  ];
  const next = applyUpdates(table, updates, 2_000);
  assert.equal(next["last-column-id"], 9);
  assert.equal(next["current-schema-id"], 1);
  assert.equal(next["default-spec-id"], 1);
  assert.equal(next["last-partition-id"], 1001);
  assert.equal(next["partition-specs"][1]?.fields[0]?.["field-id"], 1001);
  assert.equal(next["default-sort-order-id"], 1);
  const back = applyUpdates(next, [
    { action: "add-schema", schema: toTableSchema(SCHEMA) },
    { action: "set-current-schema", "schema-id": -1 },
  ], 3_000);
  assert.equal(back["current-schema-id"], 0);
  assert.deepEqual(applyUpdates(next, updates, 3_000), { ...next, "last-updated-ms": 3_000 });
});

Deno.test("applyUpdates keeps what it does not know, and changes nothing in place", () => {
  const known = { ...table, statistics: [{ "snapshot-id": 1 }] };
  const frozen = structuredClone(known);
  const next = applyUpdates(known, [
    ...added(1, 1),
    { action: "set-properties", updates: { a: "1", b: "2" } },
    { action: "remove-properties", removals: ["a", "c"] },
    { action: "set-location", location: "s3://elsewhere" },
    { action: "assign-uuid", uuid: "u" },
  ], 5_000);
  assert.deepEqual(known, frozen);
  assert.deepEqual(next.properties, { b: "2" });
  assert.equal(next.location, "s3://elsewhere");
  assert.equal(next["table-uuid"], "u");
  assert.deepEqual((next as typeof known).statistics, known.statistics);
});

Deno.test("creationUpdates make the table from one that has nothing", () => {
  const wanted = newTableMetadata({
    uuid: "u",
    location: "s3://bucket/lake/gw/t",
    schema: {
      fields: [{ id: 1, name: "id", type: "long", required: true }, ...SCHEMA.fields.slice(1)],
      identifierFieldIds: [1],
    },
    partitionBy: BY_DAY,
    sortBy: [1],
    properties: { a: "b" },
    nowMs: 1_000,
  });
  const nothing: TableMetadata = {
    ...wanted,
    "table-uuid": "",
    location: "",
    "last-column-id": 0,
    schemas: [],
    "current-schema-id": -1,
    "partition-specs": [],
    "default-spec-id": -1,
    "last-partition-id": 999,
    properties: {},
    "sort-orders": [],
    "default-sort-order-id": -1,
  };
  assert.deepEqual(applyUpdates(nothing, creationUpdates(wanted), 1_000), wanted);
});

/** A step of a history: a snapshot on a branch, or snapshots that go. */
const step = fc.oneof(
  fc.record({ ref: fc.constantFrom("main", "main", "side"), at: fc.nat(10_000) }),
  fc.record({ drop: fc.array(fc.nat(20), { minLength: 1 }) }),
  fc.record({ point: fc.nat(20), ref: fc.constantFrom("main", "side") }),
);

Deno.test("applyUpdates keeps every history as readers need it", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      let metadata: TableMetadata = table;
      let sequence = 0;
      for (const step of steps) {
        const ids = metadata.snapshots?.map((s) => s["snapshot-id"]) ?? [];
        let updates: readonly TableUpdate[];
        if ("at" in step) {
          sequence++;
          updates = added(sequence, sequence, step.ref, step.at);
        } else if ("drop" in step) {
          updates = [{
            action: "remove-snapshots",
            "snapshot-ids": step.drop.map((i) => ids[i] ?? 999),
          }];
        } else {
          const id = ids[step.point];
          if (id === undefined) continue;
          updates = [{
            action: "set-snapshot-ref",
            "ref-name": step.ref,
            type: "branch",
            "snapshot-id": id,
          }];
        }
        const before = metadata;
        metadata = applyUpdates(metadata, updates, "at" in step ? step.at : 0);
        holds(metadata, before);
      }
    }),
    { numRuns: 500 },
  );
});

/** What the specification, and readers, ask of metadata. */
function holds(metadata: TableMetadata, before: TableMetadata): void {
  const { snapshots = [], refs = {}, "snapshot-log": log = [] } = metadata;
  const ids = new Set(snapshots.map((s) => s["snapshot-id"]));
  assert.equal(ids.size, snapshots.length);
  for (const { "snapshot-id": id } of [...Object.values(refs), ...log]) assert.ok(ids.has(id));
  assert.equal(metadata["current-snapshot-id"], refs["main"]?.["snapshot-id"]);
  assert.equal(log.at(-1)?.["snapshot-id"], refs["main"]?.["snapshot-id"]);
  const times = log.map((entry) => entry["timestamp-ms"]);
  assert.deepEqual(times, times.toSorted((a, b) => a - b));
  assert.ok(metadata["last-updated-ms"] >= Math.max(0, ...times));
  assert.ok(metadata["last-updated-ms"] >= before["last-updated-ms"]);
  assert.ok(metadata["last-sequence-number"] >= before["last-sequence-number"]);
  assert.ok(snapshots.every((s) => s["sequence-number"] <= metadata["last-sequence-number"]));
}
