import assert from "node:assert/strict";
import { type Hlc, parseSchema, type SchemaSpec, type Value } from "@lakesync/core";
import {
  type Change,
  type DatabaseAdapter,
  DestinationError,
  type DestinationSchema,
  type FlushPosition,
  type RowEffect,
} from "../adapter.ts";
import { memoryObjects } from "../object-store/memory.ts";
import type { ObjectStore } from "../object-store/object_store.ts";
import { lakeAdapter } from "./adapter.ts";
import { type Catalog, CatalogError } from "./catalog/catalog.ts";
import { objectCatalog } from "./catalog/object_catalog.ts";
import { changesFiles } from "./flush/change_files.ts";
import { PROPERTY } from "./flush/properties.ts";
import { newTableMetadata } from "./iceberg/new_table.ts";
import { emptySnapshot } from "./iceberg/snapshot.ts";
import { lakeLocation } from "./location.ts";
import { tableFolder } from "./location.ts";

const LOCATION = lakeLocation("memory://lake");
const DAY_MS = 86_400_000;

function open(store: ObjectStore): DatabaseAdapter {
  return lakeAdapter({ store, location: LOCATION, namespace: "main", thread: false });
}

function catalogOf(store: ObjectStore): ReturnType<typeof objectCatalog> {
  return objectCatalog({ store, location: LOCATION });
}

async function tableOf(store: ObjectStore, name: string) {
  const table = await catalogOf(store).load({ namespace: "main", name });
  assert.ok(table !== undefined, name);
  return table;
}

/** Columns of a table as `name type`, by their field ids. */
async function columnsOf(store: ObjectStore, name: string): Promise<Record<number, string>> {
  const { metadata } = await tableOf(store, name);
  const schema = metadata.schemas.find((each) =>
    each["schema-id"] === metadata["current-schema-id"]
  );
  const own = schema?.fields.filter(({ id }) => id > 1_000) ?? [];
  return Object.fromEntries(own.map(({ id, name, type }) => [id, `${name} ${type}`]));
}

function numbered(spec: SchemaSpec, ids: readonly number[] = []): DestinationSchema {
  const { version, tables } = parseSchema(spec);
  return {
    version,
    tables: [...tables.values()].map((table, i) => ({
      id: ids[i] ?? i + 1,
      table,
      columnIds: table.columns.map((_, j) => j + 1),
    })),
  };
}

const NOTES: SchemaSpec = {
  version: 1,
  tables: { notes: { primaryKey: ["id"], columns: { id: "string", n: "integer" } } },
};

function at(seq: number, writer = "w1"): FlushPosition {
  return { seq, lives: [{ id: "life", fromSeq: 0 }], writer };
}

function change(seq: number, rowId: string, columns: Record<string, Value>, version = 1): Change {
  const stamp = { hlc: BigInt(seq) as Hlc, clientId: "c" };
  const effect: RowEffect = {
    key: { table: 1, rowId },
    isVisible: true,
    replaces: false,
    cells: Object.values(columns).map((value) => [2, value, stamp]),
  };
  return {
    deltaId: `d${seq}`,
    op: "UPDATE",
    table: "notes",
    rowId,
    columns,
    ...stamp,
    mutationId: seq,
    seq,
    slice: 0,
    committedMs: seq * DAY_MS,
    schemaVersion: version,
    effect,
  };
}

async function insert(
  adapter: DatabaseAdapter,
  to: FlushPosition,
  ...changes: readonly Change[]
): Promise<void> {
  const { ahead: _, ...from } = await adapter.position() ?? at(0);
  const isNew = await adapter.position() === undefined;
  await adapter.insertDeltas({
    from: isNew ? undefined : from,
    to,
    rows: [],
    changes,
    isWhole: true,
  });
}

async function begun(store: ObjectStore, spec: SchemaSpec = NOTES): Promise<DatabaseAdapter> {
  const adapter = open(store);
  await adapter.ensureSchema(numbered(spec));
  await insert(adapter, at(0));
  return adapter;
}

async function rowsIn(store: ObjectStore, name: string): Promise<number> {
  const files = await changesFiles({ store, location: LOCATION }, await tableOf(store, name));
  return files.reduce((sum, { file }) => sum + file.recordCount, 0);
}

Deno.test("G10: a write of a flusher that is gone fails when it arrives after another's claim", async () => {
  const objects = memoryObjects();
  let late = () => Promise.resolve(true);
  let isHeld = false;
  const store: ObjectStore = {
    ...objects,
    putObject: (key, bytes) => objects.putObject(key, bytes),
    getObject: (key, range) => objects.getObject(key, range),
    headObject: (key) => objects.headObject(key),
    listObjects: (folder) => objects.listObjects(folder),
    deleteObject: (key) => objects.deleteObject(key),
    deleteObjects: (keys) => objects.deleteObjects(keys),
    createObject(key, bytes) {
      if (!isHeld || !key.includes("notes__changes")) return objects.createObject(key, bytes);
      late = () => objects.createObject(key, bytes);
      return Promise.reject(new Error("No answer"));
    },
  };
  const first = await begun(store);
  isHeld = true;
  await assert.rejects(insert(first, at(1), change(1, "r", { n: 1 })), DestinationError);
  await first.close();
  const second = open(objects);
  await insert(second, at(0, "w2"));
  assert.equal(await late(), false);
  assert.deepEqual(await second.position(), at(0, "w2"));
  assert.equal(await rowsIn(objects, "notes__changes"), 0);
  await insert(second, at(1, "w2"), change(1, "r", { n: 1 }));
  assert.equal(await rowsIn(objects, "notes__changes"), 1);
  await second.close();
});

/** A lake whose table of notes has two commits, of which its position says nothing. */
async function aheadByTwo(objects: ObjectStore): Promise<DatabaseAdapter> {
  const adapter = await begun(objects);
  await adapter.close();
  const store: ObjectStore = {
    putObject: (key, bytes) => objects.putObject(key, bytes),
    getObject: (key, range) => objects.getObject(key, range),
    headObject: (key) => objects.headObject(key),
    listObjects: (folder) => objects.listObjects(folder),
    deleteObject: (key) => objects.deleteObject(key),
    deleteObjects: (keys) => objects.deleteObjects(keys),
    createObject: (key, bytes) =>
      key.includes("lakesync_position")
        ? Promise.reject(new Error("No answer"))
        : objects.createObject(key, bytes),
  };
  const cut = open(store);
  const changes = [change(1, "r", { n: 1 }), change(2, "r", { n: 2 })];
  await assert.rejects(insert(cut, at(2), ...changes), { retry: "later" });
  await cut.close();
  const again = open(objects);
  assert.deepEqual(await again.position(), { ...at(0), ahead: [{ seq: 2, lives: at(2).lives }] });
  return again;
}

const SET: RowEffect = {
  key: { table: 1, rowId: "r" },
  isVisible: true,
  replaces: true,
  cells: [[2, 1]],
};

Deno.test("a table that is ahead takes no row of an older place, and no change twice", async () => {
  const store = memoryObjects();
  const adapter = await aheadByTwo(store);
  const changes = [change(1, "r", { n: 1 })];
  await adapter.insertDeltas({ from: at(0), to: at(1), rows: [SET], changes, isWhole: true });
  assert.equal(await rowsIn(store, "notes__changes"), 2);
  assert.deepEqual(await adapter.position(), { ...at(1), ahead: [{ seq: 2, lives: at(2).lives }] });
  const rest = [change(2, "r", { n: 2 }), change(3, "r", { n: 3 })];
  await adapter.insertDeltas({ from: at(1), to: at(3), rows: [SET], changes: rest, isWhole: true });
  assert.equal(await rowsIn(store, "notes__changes"), 4);
  assert.deepEqual(await adapter.position(), at(3));
  await adapter.close();
});

Deno.test("a table that is ahead goes back when rows are filled", async () => {
  const store = memoryObjects();
  const adapter = await aheadByTwo(store);
  const start = { ...at(0), filled: "", floor: 0 };
  await adapter.refill({ from: at(0), to: start });
  const changes = [change(1, "r", { n: 1 })];
  const to = { ...at(1), filled: "x", floor: 0 };
  await adapter.insertDeltas({ from: start, to, rows: [SET], changes, isWhole: true });
  assert.equal(await rowsIn(store, "notes__changes"), 2);
  assert.deepEqual(await adapter.position(), to);
  assert.deepEqual(await adapter.unsettled(9), []);
  await adapter.close();
});

Deno.test("a flush goes on when maintenance commits to a table at the same time", async () => {
  const store = memoryObjects();
  const adapter = await begun(store);
  const catalog = catalogOf(store);
  const files = { store, location: LOCATION };
  for (let seq = 1; seq < 4; seq++) {
    const base = await tableOf(store, "notes__changes");
    const { objects, updates } = await emptySnapshot(files, base.metadata, { nowMs: seq });
    for (const { key, bytes } of objects) await store.putObject(key, bytes);
    await catalog.commit(base, updates);
    await insert(adapter, at(seq), change(seq, "r", { n: seq }));
  }
  assert.equal(await rowsIn(store, "notes__changes"), 3);
  await adapter.close();
  await catalog.close();
});

Deno.test("ensureSchema gives way to names of LakeSync's, of Iceberg's and of other tables", async () => {
  const store = memoryObjects();
  const columns = { id: "string", _OP: "string", _row_id: "integer", _op_1: "date" } as const;
  const table = { primaryKey: ["id"], columns };
  const adapter = await begun(store, { version: 1, tables: { a__changes: table, a: table } });
  assert.deepEqual(await columnsOf(store, "a"), {
    1001: "id string",
    1002: "_OP_1 string",
    1003: "_row_id_1 long",
    1004: "_op_1_1 date",
  });
  const names = (await catalogOf(store).list("main")).map(({ name }) => name).sort();
  assert.deepEqual(names, [
    "a",
    "a__changes",
    "a__changes_1",
    "a__changes_1__changes",
    "lakesync_position",
  ]);
  await adapter.close();
});

Deno.test("ensureSchema keeps the values of a column that widens in a way Iceberg does not know", async () => {
  const store = memoryObjects();
  const adapter = await begun(store);
  await insert(adapter, at(1), change(1, "r", { n: 7 }));
  const columns = { id: "string", n: "number", more: "decimal(5,2)" } as const;
  const wider: SchemaSpec = { version: 2, tables: { notes: { primaryKey: ["id"], columns } } };
  await adapter.ensureSchema(numbered(wider));
  await adapter.ensureSchema(numbered(wider));
  await insert(adapter, at(2), change(2, "r", { n: 7.5 }, 2));
  const digits = { ...columns, more: "decimal(9,2)" } as const;
  await adapter.ensureSchema(
    numbered({ version: 3, tables: { notes: { primaryKey: ["id"], columns: digits } } }),
  );
  assert.deepEqual(await columnsOf(store, "notes"), {
    1001: "id string",
    1003: "more decimal(9, 2)",
    1002: "n_integer long",
    1001002: "n double",
  });
  assert.equal(await rowsIn(store, "notes__changes"), 2);
  const versions = (await tableOf(store, "notes")).metadata.schemas.length;
  await adapter.close();
  const again = open(store);
  assert.equal((await again.schema())?.version, 3);
  await again.ensureSchema(numbered(wider));
  assert.equal((await tableOf(store, "notes")).metadata.schemas.length, versions);
  await again.close();
});

Deno.test("a table that somebody else made is not touched", async () => {
  const store = memoryObjects();
  const named = { namespace: "main", name: "notes__changes" };
  const theirs = await catalogOf(store).create(
    named,
    newTableMetadata({
      uuid: "11111111-1111-4111-8111-111111111111",
      location: LOCATION.of(tableFolder(named)),
      schema: { fields: [{ id: 1, name: "x", type: "int", required: false }] },
      nowMs: 0,
    }),
  );
  const adapter = open(store);
  const ready = adapter.ensureSchema(numbered(NOTES));
  await assert.rejects(ready, { name: "DestinationError", retry: "stop" });
  assert.deepEqual((await tableOf(store, "notes__changes")).metadata, theirs.metadata);
  await adapter.close();
});

Deno.test("a lake that a newer version wrote is left alone", async () => {
  const store = memoryObjects();
  await (await begun(store)).close();
  const base = await tableOf(store, "notes__changes");
  const properties = { [PROPERTY.format]: "2" };
  await catalogOf(store).commit(base, [{ action: "set-properties", updates: properties }]);
  const adapter = open(store);
  await assert.rejects(adapter.position(), { name: "DestinationError", retry: "stop" });
  await adapter.close();
});

Deno.test("changes of tables that nobody knows have a table of their own", async () => {
  const store = memoryObjects();
  const adapter = await begun(store);
  const { effect: _, ...unknown } = change(1, "x", { any: { a: 1 } });
  await insert(adapter, at(1), { ...unknown, table: "gone", effect: undefined });
  assert.equal(await rowsIn(store, "lakesync_changes"), 1);
  await adapter.close();
});

Deno.test("forget drops the files of days that are over, once their changes are in the rows", async () => {
  const store = memoryObjects();
  const adapter = await begun(store);
  for (const seq of [1, 2, 3]) await insert(adapter, at(seq), change(seq, "r", { n: seq }));
  const what = { committedBeforeMs: 3.5 * DAY_MS, throughSeq: 9, rows: true };
  assert.equal(await adapter.forget(what), false);
  const rows = await tableOf(store, "notes");
  const merged = { [PROPERTY.position]: JSON.stringify(at(1)) };
  await catalogOf(store).commit(rows, [{ action: "set-properties", updates: merged }]);
  while (await adapter.forget(what));
  assert.equal(await adapter.forgottenSeq(), 1);
  assert.equal(await rowsIn(store, "notes__changes"), 2);
  await insert(adapter, at(4), change(4, "r", { n: 4 }));
  await adapter.close();
  const again = open(store);
  assert.equal(await again.forgottenSeq(), 1);
  const { ahead: _, ...from } = await again.position() ?? at(0);
  await again.rewind({ from, to: at(0) });
  assert.equal(await again.forgottenSeq(), 0);
  assert.deepEqual(await again.unsettled(9), [{ table: 1, rowId: "r" }]);
  await again.close();
});

/** A catalog whose commits are others. */
function committing(catalog: Catalog, commit: Catalog["commit"]): Catalog {
  return {
    list: (namespace) => catalog.list(namespace),
    load: (table) => catalog.load(table),
    create: (table, metadata) => catalog.create(table, metadata),
    rename: (from, to) => catalog.rename(from, to),
    close: () => catalog.close(),
    commit,
  };
}

Deno.test("a commit that a catalog says came too late, but has, is one that succeeded", async () => {
  const store = memoryObjects();
  const catalog = catalogOf(store);
  const adapter = lakeAdapter({
    store,
    location: LOCATION,
    namespace: "main",
    thread: false,
    catalog: committing(catalog, async (base, updates) => {
      const after = await catalog.commit(base, updates);
      if (updates.every(({ action }) => action !== "add-snapshot")) return after;
      throw new CatalogError("conflict", "Somebody else was first");
    }),
  });
  await adapter.ensureSchema(numbered(NOTES));
  await insert(adapter, at(0));
  await insert(adapter, at(1), change(1, "r", { n: 1 }));
  assert.equal(await rowsIn(store, "notes__changes"), 1);
  assert.deepEqual(await adapter.position(), at(1));
  await adapter.close();
});

Deno.test("what a catalog fails with tells when to try again", async () => {
  const failures = { conflict: "now", unknown: "later", refused: "stop", unreachable: "later" };
  for (const [failure, retry] of Object.entries(failures)) {
    const store = memoryObjects();
    const catalog = catalogOf(store);
    const adapter = lakeAdapter({
      store,
      location: LOCATION,
      namespace: "main",
      thread: false,
      catalog: committing(
        catalog,
        () => Promise.reject(new CatalogError(failure as "conflict", "It failed")),
      ),
    });
    await assert.rejects(insert(adapter, at(0)), { name: "DestinationError", retry });
    await adapter.close();
  }
});
