/**
 * The client of REST catalogs on a real one, Apache Iceberg's own for tests.
 *
 * @module
 */

import assert from "node:assert/strict";
import { CatalogError, type CatalogFailure } from "@lakesync/adapters/lake/catalog";
import { restCatalog } from "@lakesync/adapters/lake/catalog/rest";
import { newTableMetadata } from "../../adapters/lake/iceberg/new_table.ts";
import type { TableUpdate } from "../../adapters/lake/iceberg/updates.ts";
import { startRestCatalog } from "../servers/rest_catalog.ts";
import { lakeTest } from "./tests.ts";

async function fails(failure: CatalogFailure, work: Promise<unknown>): Promise<void> {
  const error = await work.then(() => undefined, (error) => error);
  assert.ok(error instanceof CatalogError, `${error}`);
  assert.equal(error.failure, failure, error.message);
}

function metadataAt(location: string) {
  return newTableMetadata({
    uuid: crypto.randomUUID(),
    location,
    schema: {
      fields: [
        { id: 5, name: "_seq", type: "long", required: false },
        { id: 9, name: "_committed_at", type: "timestamptz", required: false },
        { id: 1002, name: "id", type: "string", required: true },
        { id: 1001, name: "price", type: "decimal(18, 2)", required: false, doc: "In euros" },
      ],
      identifierFieldIds: [1002],
    },
    partitionBy: [{ fieldId: 9, transform: "day", name: "_committed_at_day" }],
    sortBy: [1002],
    properties: { "lakesync.position": '{"seq":1}' },
    nowMs: 1,
  });
}

function appendUpdates(location: string, id: number | bigint, sequence: number): TableUpdate[] {
  const snapshot = {
    "snapshot-id": id,
    "sequence-number": sequence,
    "timestamp-ms": Date.now(),
    "manifest-list": `${location}/metadata/snap-${id}.avro`,
    summary: { operation: "append" },
    "schema-id": 0,
  };
  return [
    { action: "add-snapshot", snapshot },
    { action: "set-snapshot-ref", "ref-name": "main", type: "branch", "snapshot-id": id },
  ];
}

lakeTest(
  "restCatalog keeps numbers of columns and all that a table is created with",
  {},
  async (tools) => {
    await using server = await startRestCatalog(tools);
    const catalog = restCatalog({ uri: server.uri });
    const table = { namespace: "app", name: "todos__changes" };
    try {
      assert.deepEqual(await catalog.list("app"), []);
      assert.equal(await catalog.load(table), undefined);
      const wanted = metadataAt(`${server.warehouse}/app/todos__changes`);
      const { metadata } = await catalog.create(table, wanted);
      assert.equal(metadata["table-uuid"], wanted["table-uuid"]);
      assert.equal(metadata.location, wanted.location);
      assert.deepEqual(metadata.schemas, wanted.schemas);
      assert.deepEqual(metadata["partition-specs"], wanted["partition-specs"]);
      assert.equal(metadata["default-sort-order-id"], 1);
      assert.deepEqual(metadata["sort-orders"].at(-1), wanted["sort-orders"].at(-1));
      assert.equal(metadata["last-column-id"], 1002);
      assert.deepEqual(metadata.properties, wanted.properties);
      assert.deepEqual((await catalog.load(table))?.metadata, metadata);
      await fails("conflict", catalog.create(table, metadataAt(wanted.location)));
    } finally {
      await catalog.close();
    }
  },
);

lakeTest("restCatalog commits once, and to what it has read only", {}, async (tools) => {
  await using server = await startRestCatalog(tools);
  const catalog = restCatalog({ uri: server.uri });
  const table = { namespace: "app", name: "todos" };
  const location = `${server.warehouse}/app/todos`;
  const big = 9_223_372_036_854_775_807n;
  try {
    const created = await catalog.create(table, metadataAt(location));
    const first = await catalog.commit(created, appendUpdates(location, big, 1));
    assert.equal(first.snapshot?.["snapshot-id"], big);
    // The same again, as after a lost answer: it is in force already.
    assert.deepEqual(await catalog.commit(created, appendUpdates(location, big, 1)), first);
    await fails("conflict", catalog.commit(created, appendUpdates(location, 7, 2)));
    const second = await catalog.commit(first, [
      ...appendUpdates(location, 7, 2),
      { action: "set-properties", updates: { "lakesync.position": '{"seq":2}' } },
    ]);
    assert.equal(second.metadata.properties?.["lakesync.position"], '{"seq":2}');
    const [schema] = second.metadata.schemas;
    assert.ok(schema !== undefined);
    const note = { id: 1003, name: "note", type: "string", required: false };
    const evolved = await catalog.commit(second, [
      { action: "add-schema", schema: { ...schema, fields: [...schema.fields, note] } },
      { action: "set-current-schema", "schema-id": -1 },
    ]);
    assert.equal(evolved.metadata["current-schema-id"], 1);
    assert.deepEqual(evolved.metadata.schemas[1]?.fields.at(-1), note);
    assert.equal(evolved.metadata["last-column-id"], 1003);
    await fails(
      "conflict",
      catalog.commit(second, [
        { action: "set-properties", updates: { late: "1" } },
      ]),
    );
    const fewer = await catalog.commit(evolved, [
      { action: "remove-snapshots", "snapshot-ids": [big] },
    ]);
    assert.deepEqual(fewer.metadata.snapshots?.map((each) => each["snapshot-id"]), [7]);
    const unknown: TableUpdate = {
      action: "set-snapshot-ref",
      "ref-name": "main",
      type: "branch",
      "snapshot-id": 99,
    };
    await fails("refused", catalog.commit(fewer, [unknown]));
    const other = { namespace: "app", name: "notes" };
    assert.deepEqual(await catalog.rename(table, other), other);
    assert.deepEqual(await catalog.list("app"), [other]);
    assert.deepEqual((await catalog.load(other))?.metadata, fewer.metadata);
    await fails("conflict", catalog.commit(fewer, appendUpdates(location, 8, 3)));
  } finally {
    await catalog.close();
  }
});

lakeTest(
  "restCatalog lists all pages, and goes on when the catalog comes back",
  {},
  async (tools) => {
    await using server = await startRestCatalog(tools);
    const catalog = restCatalog({ uri: server.uri, timeoutMs: 2_000 });
    try {
      const names = Array.from({ length: 23 }, (_, i) => `t${String(i).padStart(2, "0")}`);
      for (const name of names) {
        await catalog.create(
          { namespace: "app", name },
          metadataAt(`${server.warehouse}/app/${name}`),
        );
      }
      assert.deepEqual((await catalog.list("app")).map(({ name }) => name).sort(), names);
      await server.kill("SIGSTOP");
      await fails("unreachable", catalog.list("app"));
      await server.kill("SIGKILL");
      await fails("unreachable", catalog.list("app"));
      await server.restart();
      assert.equal((await catalog.list("app")).length, names.length);
    } finally {
      await catalog.close();
    }
  },
);
