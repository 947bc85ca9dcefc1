import assert from "node:assert/strict";
import fc from "fast-check";
import { memoryObjects } from "../../object-store/memory.ts";
import { type ObjectStore, ObjectStoreError } from "../../object-store/object_store.ts";
import { parseMetadata, type TableMetadata } from "../iceberg/metadata.ts";
import { newTableMetadata } from "../iceberg/new_table.ts";
import { SCHEMA } from "../iceberg/testing_tables.ts";
import type { TableUpdate } from "../iceberg/updates.ts";
import { lakeLocation, tableFolder } from "../location.ts";
import { type Catalog, CatalogError, type CatalogFailure } from "./catalog.ts";
import { objectCatalog } from "./object_catalog.ts";
import { deleteOldMetadata, metadataKey, newestVersion } from "./versions.ts";

const location = lakeLocation("s3://bucket/lake");
const table = { namespace: "gw", name: "to do" };
const HOUR = 3_600_000;

function firstOf(name = table): TableMetadata {
  return newTableMetadata({
    uuid: "u",
    location: location.of(tableFolder(name)),
    schema: SCHEMA,
    properties: { log: "" },
    nowMs: 1_000,
  });
}

function setting(updates: Readonly<Record<string, string>>): readonly TableUpdate[] {
  return [{ action: "set-properties", updates }];
}

function adding(id: number): readonly TableUpdate[] {
  const snapshot = {
    "snapshot-id": id,
    "sequence-number": 1,
    "timestamp-ms": 1_000,
    "manifest-list": location.of("list.avro"),
    summary: { operation: "append" },
  } as const;
  return [{ action: "add-snapshot", snapshot }];
}

async function failureOf(work: Promise<unknown>): Promise<CatalogFailure | "none"> {
  try {
    await work;
    return "none";
  } catch (error) {
    assert.ok(error instanceof CatalogError, `${error}`);
    return error.failure;
  }
}

/** A store some of whose calls are answered by something else first. */
function storeWith(store: ObjectStore, calls: Partial<ObjectStore>): ObjectStore {
  return {
    putObject: (key, bytes) => store.putObject(key, bytes),
    createObject: (key, bytes) => store.createObject(key, bytes),
    getObject: (key, range) => store.getObject(key, range),
    headObject: (key) => store.headObject(key),
    listObjects: (folder) => store.listObjects(folder),
    deleteObject: (key) => store.deleteObject(key),
    deleteObjects: (keys) => store.deleteObjects(keys),
    ...calls,
  };
}

async function textAt(store: ObjectStore, key: string): Promise<string> {
  return new TextDecoder().decode(await store.getObject(key));
}

Deno.test("objectCatalog creates, loads, commits and lists tables", async () => {
  const store = memoryObjects();
  const catalog = objectCatalog({ store, location, now: () => 5_000 });
  assert.equal(await catalog.load(table), undefined);
  assert.deepEqual(await catalog.list("gw"), []);
  const created = await catalog.create(table, firstOf());
  assert.equal(created.metadataLocation, "s3://bucket/lake/gw/to+20do/metadata/v1.metadata.json");
  assert.deepEqual(created.metadata, firstOf());
  assert.equal(await failureOf(catalog.create(table, firstOf())), "conflict");
  const elsewhere = { ...firstOf(), location: "s3://bucket/lake/x" };
  assert.equal(await failureOf(catalog.create({ ...table, name: "y" }, elsewhere)), "refused");
  const next = await catalog.commit(created, setting({ a: "b" }));
  assert.equal(next.metadata.properties?.["a"], "b");
  assert.deepEqual(next.metadata["metadata-log"], [
    { "metadata-file": created.metadataLocation, "timestamp-ms": 1_000 },
  ]);
  assert.deepEqual(await catalog.load(table), next);
  assert.equal(await failureOf(catalog.commit(created, setting({ a: "c" }))), "conflict");
  assert.equal(
    await failureOf(catalog.commit(next, [{ action: "set-default-spec", "spec-id": 9 }])),
    "refused",
  );
  assert.deepEqual(await catalog.list("gw"), [table]);
  assert.deepEqual(await catalog.rename(table, { ...table, name: "z" }), table);
  await catalog.close();
  assert.equal(await textAt(store, "gw/to+20do/metadata/version-hint.text"), "2");
});

Deno.test("objectCatalog tells a store that refuses from one whose outcome is open", async () => {
  const store = memoryObjects();
  const created = await objectCatalog({ store, location }).create(table, firstOf());
  const outcome = async (...failures: ("refused" | "unreachable" | "unknown")[]) => {
    const createObject = () =>
      Promise.reject(new ObjectStoreError(failures.shift() ?? "refused", "No"));
    const catalog = objectCatalog({ store: storeWith(store, { createObject }), location });
    return await failureOf(catalog.commit(created, setting({ a: "1" })));
  };
  assert.equal(await outcome("refused", "refused"), "refused");
  assert.equal(await outcome("unreachable", "unreachable"), "unreachable");
  assert.equal(await outcome("unknown", "refused"), "unknown");
  assert.equal(await outcome("refused", "unknown"), "unknown");
  for (const failure of ["refused", "unreachable"] as const) {
    const listObjects = () => {
      throw new ObjectStoreError(failure, "No");
    };
    const catalog = objectCatalog({ store: storeWith(store, { listObjects }), location });
    assert.equal(await failureOf(catalog.load(table)), failure);
  }
});

Deno.test("objectCatalog believes no hint", async () => {
  const store = memoryObjects();
  const catalog = objectCatalog({ store, location });
  const first = await catalog.create(table, firstOf());
  const second = await catalog.commit(first, setting({ a: "1" }));
  const third = await catalog.commit(second, setting({ a: "2" }));
  await catalog.close();
  const key = "gw/to+20do/metadata/version-hint.text";
  for (const hint of ["1", "9", "nonsense", undefined]) {
    if (hint === undefined) await store.deleteObject(key);
    else await store.putObject(key, new TextEncoder().encode(hint));
    assert.deepEqual(await catalog.load(table), third);
  }
});

Deno.test("objectCatalog commits though the hint cannot be written", async () => {
  const store = memoryObjects();
  const broken = storeWith(store, {
    putObject: (key, bytes) =>
      key.endsWith(".text") ? Promise.reject(new Error("full")) : store.putObject(key, bytes),
  });
  const catalog = objectCatalog({ store: broken, location });
  const next = await catalog.commit(await catalog.create(table, firstOf()), setting({ a: "1" }));
  await catalog.close();
  assert.deepEqual(await catalog.load(table), next);
});

Deno.test("objectCatalog lists no table whose creation was never finished", async () => {
  const store = memoryObjects();
  const broken = storeWith(store, { createObject: () => Promise.reject(new Error("gone")) });
  const catalog = objectCatalog({ store: broken, location });
  assert.equal(await failureOf(catalog.create(table, firstOf())), "unknown");
  assert.deepEqual(await catalog.list("gw"), []);
  assert.equal(await catalog.load(table), undefined);
  await objectCatalog({ store, location }).create(table, firstOf());
  assert.deepEqual(await catalog.list("gw"), [table]);
});

Deno.test("objectCatalog knows its own commit when the answer was lost, and what it cannot know", async () => {
  const store = memoryObjects();
  let answers: ("lost" | "never" | "ok")[] = [];
  let reads = true;
  const flaky = storeWith(store, {
    async createObject(key, bytes) {
      const answer = answers.shift() ?? "ok";
      if (answer === "never") throw new Error("never sent");
      const created = await store.createObject(key, bytes);
      if (answer === "lost") throw new Error("no answer");
      return created;
    },
    getObject: (key) => reads ? store.getObject(key) : Promise.reject(new Error("no read")),
  });
  const catalog = objectCatalog({ store: flaky, location });
  let loaded = await catalog.create(table, firstOf());
  for (const [i, lost] of (["lost", "never"] as const).entries()) {
    answers = [lost];
    loaded = await catalog.commit(loaded, setting({ a: `${i}` }));
    assert.deepEqual(await catalog.load(table), loaded);
  }
  answers = ["never", "never"];
  assert.equal(await failureOf(catalog.commit(loaded, setting({ a: "9" }))), "unknown");
  answers = ["lost"];
  reads = false;
  assert.equal(await failureOf(catalog.commit(loaded, setting({ a: "10" }))), "unknown");
  assert.equal(await failureOf(catalog.load(table)), "unreachable");
  reads = true;
  assert.equal((await catalog.load(table))?.metadata.properties?.["a"], "10");
  answers = ["never"];
  assert.equal(await failureOf(catalog.commit(loaded, setting({ a: "11" }))), "conflict");
  await catalog.close();
});

Deno.test("deleteOldMetadata keeps the last and the young, and nobody commits into the gap", async () => {
  let nowMs = 0;
  const store = memoryObjects(() => nowMs);
  const catalog = objectCatalog({ store, location, now: () => nowMs });
  const stale = await catalog.create(table, firstOf());
  let loaded = stale;
  for (let i = 0; i < 30; i++) {
    nowMs += i === 15 ? 2 * HOUR : 1_000;
    loaded = await catalog.commit(loaded, setting({ a: `${i}` }));
  }
  assert.equal(loaded.metadata["metadata-log"]?.length, 20);
  assert.equal(await deleteOldMetadata(store, table, nowMs), 10);
  assert.equal(await deleteOldMetadata(store, table, nowMs), 0);
  assert.equal(await store.headObject(metadataKey(table, 10)), undefined);
  assert.notEqual(await store.headObject(metadataKey(table, 11)), undefined);
  assert.equal(await newestVersion(store, table), 31);
  assert.equal(await failureOf(catalog.commit(stale, adding(1))), "conflict");
  assert.deepEqual(await catalog.load(table), loaded);
  assert.equal(await deleteOldMetadata(store, table, nowMs + 2 * HOUR), 1);
  assert.equal(await failureOf(catalog.create(table, firstOf())), "conflict");
  await catalog.close();
});

/** What becomes of a call: nothing special; an error before it, after it, or long before it. */
const FAULTS = ["none", "none", "none", "none", "before", "after", "late"] as const;

function flakyStore(
  store: ObjectStore,
  scheduler: fc.Scheduler,
  faults: readonly (typeof FAULTS)[number][],
): ObjectStore {
  let calls = 0;
  const turn = () => scheduler.schedule(Promise.resolve());
  async function call<T>(work: () => Promise<T>): Promise<T> {
    const fault = faults[calls++] ?? "none";
    if (fault === "late") {
      // It arrives when its sender has long given up.
      void turn().then(turn).then(turn).then(work).catch(() => {});
      throw new Error("late");
    }
    await turn();
    if (fault === "before") throw new Error("before");
    const result = await work();
    await turn();
    if (fault === "after") throw new Error("after");
    return result;
  }
  return storeWith(store, {
    putObject: (key, bytes) => call(() => store.putObject(key, bytes)),
    createObject: (key, bytes) => call(() => store.createObject(key, bytes)),
    getObject: (key) => call(() => store.getObject(key)),
    async *listObjects(folder) {
      yield* await call(() => Array.fromAsync(store.listObjects(folder)));
    },
  });
}

interface Attempt {
  readonly token: string;
  readonly outcome: CatalogFailure | "none";
}

/** Commits what it has to until it is there: it asks first, as after every error. */
async function writer(catalog: Catalog, name: string, todo: number): Promise<readonly Attempt[]> {
  const attempts: Attempt[] = [];
  for (let i = 0; i < todo;) {
    const loaded = await catalog.load(table).catch(() => undefined);
    if (loaded === undefined) continue;
    const log = loaded.metadata.properties?.["log"] ?? "";
    if (log.includes(`${name}.${i}.`)) {
      i++;
      continue;
    }
    const token = `${name}.${i}.${attempts.length}`;
    const outcome = await failureOf(catalog.commit(loaded, setting({ log: `${log} ${token}` })));
    attempts.push({ token, outcome });
    if (outcome === "none") i++;
  }
  return attempts;
}

Deno.test("G10: of many writers through a store that loses answers no commit is lost or doubled", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.constantFrom(...FAULTS), { minLength: 20, maxLength: 200 }),
      async (scheduler, faults) => {
        const store = memoryObjects();
        await objectCatalog({ store, location, now: () => 1 }).create(table, firstOf());
        const flaky = flakyStore(store, scheduler, faults);
        const catalogs = Array.from(
          { length: 8 },
          () => objectCatalog({ store: flaky, location, now: () => 1 }),
        );
        const writers = catalogs.map((catalog, i) => writer(catalog, `w${i}`, 2));
        const attempts = (await scheduler.waitFor(Promise.all(writers))).flat();
        await scheduler.waitFor(Promise.all(catalogs.map((catalog) => catalog.close())));
        await scheduler.waitIdle();
        await checkHistory(store, attempts);
      },
    ),
    { numRuns: 40 },
  );
});

async function checkHistory(store: ObjectStore, attempts: readonly Attempt[]): Promise<void> {
  const newest = await newestVersion(store, table) ?? 0;
  let before: readonly string[] = [];
  for (let version = 1; version <= newest; version++) {
    const { properties } = parseMetadata(await textAt(store, metadataKey(table, version)));
    const log = (properties?.["log"] ?? "").split(" ").filter((token) => token !== "");
    assert.equal(log.length, version - 1);
    assert.deepEqual(log.slice(0, -1), before.slice(0, version - 2));
    before = log;
  }
  const works = before.map((token) => token.replace(/\.\d+$/, "")).toSorted();
  assert.deepEqual(works, Array.from({ length: 16 }, (_, i) => `w${i >> 1}.${i % 2}`));
  for (const { token, outcome } of attempts) {
    if (outcome === "none") assert.ok(before.includes(token), `${token} was lost`);
    if (outcome === "conflict") assert.ok(!before.includes(token), `${token} was no conflict`);
  }
}

Deno.test("objectCatalog says why the object store failed", async () => {
  const store = memoryObjects();
  const failing = () => Promise.reject(new Error("ENOSPC: no space left on device"));
  const catalog = objectCatalog({
    store: storeWith(store, { createObject: failing, async *listObjects() {} }),
    location,
  });
  await assert.rejects(catalog.create(table, firstOf()), /come into force: ENOSPC: no space/);
  const silent = objectCatalog({ store: storeWith(store, { putObject: failing }), location });
  await assert.rejects(silent.create(table, firstOf()), /fails: ENOSPC: no space/);
});

Deno.test("objectCatalog commits nothing on top of a table that was put back to an older copy", async () => {
  const store = memoryObjects();
  const catalog = objectCatalog({ store, location });
  const first = await catalog.create(table, firstOf());
  const second = await catalog.commit(first, setting({ a: "1" }));
  await store.deleteObject(metadataKey(table, 2));
  assert.equal(await failureOf(catalog.commit(second, setting({ b: "1" }))), "conflict");
  assert.equal(await newestVersion(store, table), 1);
});
