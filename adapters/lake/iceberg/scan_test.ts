import assert from "node:assert/strict";
import fc from "fast-check";
import { DELETE_PATH_ID, DeleteIndex } from "./delete_index.ts";
import { type LakeFiles, manifestsOf, MissingObjectError } from "./lake_files.ts";
import type { DataFile, ManifestEntry } from "./manifest.ts";
import { MetadataError, type TableMetadata } from "./metadata.ts";
import { fileMayMatch } from "./pruning.ts";
import { planScan, type ScanOptions } from "./scan.ts";
import { encodeValue } from "./single_value.ts";
import { appendFiles, overwriteFiles } from "./snapshot.ts";
import { BY_DAY, commitTo, deletesOf, emptyTable, fileOf, memoryLake } from "./testing_tables.ts";

const options = { nowMs: 5_000 };
const DAY = 86_400_000_000n;

async function namesOf(
  lake: LakeFiles,
  metadata: TableMetadata,
  scan: ScanOptions = {},
): Promise<readonly string[]> {
  const tasks = await Array.fromAsync(planScan(lake, metadata, scan));
  return tasks.map(({ entry: { dataFile }, deletes }) =>
    [dataFile, ...deletes].map(({ filePath }) => /(\w+)(-deletes)?\.parquet/.exec(filePath)?.[1])
      .join("-")
  );
}

Deno.test("planScan finds files with the deletes of them, of any moment", async () => {
  const lake = memoryLake();
  let metadata = emptyTable(lake);
  const [a, b] = [fileOf("a"), fileOf("b")];
  metadata = await commitTo(lake, metadata, await appendFiles(lake, metadata, [a, b], options));
  const changes = { added: [deletesOf("x", a), fileOf("c")], removed: [] };
  metadata = await commitTo(lake, metadata, await overwriteFiles(lake, metadata, changes, options));
  assert.deepEqual(await namesOf(lake, metadata), ["a-x", "b", "c"]);
  const [first] = metadata.snapshots ?? [];
  assert.ok(first !== undefined);
  assert.deepEqual(await namesOf(lake, metadata, { snapshotId: first["snapshot-id"] }), ["a", "b"]);
  assert.deepEqual(await namesOf(lake, emptyTable(lake)), []);
  await assert.rejects(namesOf(lake, metadata, { snapshotId: 1 }), MetadataError);
});

Deno.test("planScan leaves out manifests and files that cannot have the rows", async () => {
  const lake = memoryLake();
  let metadata = emptyTable(lake, BY_DAY);
  const reads: string[] = [];
  const files = [fileOf("a", [-1], [0, 9]), fileOf("b", [0], [10, 19]), fileOf("c", [1], [20, 29])];
  for (const file of files) {
    metadata = await commitTo(lake, metadata, await appendFiles(lake, metadata, [file], options));
  }
  const spied: LakeFiles = {
    ...lake,
    store: Object.assign(Object.create(lake.store), {
      getObject: (key: string) => {
        reads.push(key);
        return lake.store.getObject(key);
      },
    }),
  };
  const at = (lower: bigint, upper: bigint) => ({ ranges: [{ fieldId: 2, lower, upper }] });
  assert.deepEqual(await namesOf(spied, metadata, at(-1n, -1n)), ["a"]);
  assert.equal(reads.length, 2);
  assert.deepEqual(await namesOf(lake, metadata, at(0n, DAY)), ["b", "c"]);
  assert.deepEqual(await namesOf(lake, metadata, at(0n, DAY - 1n)), ["b"]);
  assert.deepEqual(await namesOf(lake, metadata, { ranges: [{ fieldId: 1, upper: 10n }] }), [
    "a",
    "b",
  ]);
  assert.deepEqual(await namesOf(lake, metadata, { ranges: [{ fieldId: 1, lower: 20n }] }), ["c"]);
});

Deno.test("fileMayMatch leaves out no file that has a row of the range", () => {
  const values = fc.array(fc.option(fc.bigInt({ min: -20n, max: 20n })), { minLength: 1 });
  const bound = fc.option(fc.bigInt({ min: -20n, max: 20n }), { nil: undefined });
  fc.assert(
    fc.property(values, bound, bound, (values, lower, upper) => {
      const there = values.filter((value) => value !== null).toSorted((a, b) => Number(a - b));
      const [low, high] = [there[0], there.at(-1)];
      const bounds = (value: bigint | undefined) =>
        new Map(value === undefined ? [] : [[1, encodeValue("long", value)]]);
      const file: DataFile = {
        ...fileOf("a"),
        valueCounts: new Map([[1, values.length]]),
        nullValueCounts: new Map([[1, values.length - there.length]]),
        lowerBounds: bounds(low),
        upperBounds: bounds(high),
      };
      const range = {
        fieldId: 1,
        ...(lower === undefined ? {} : { lower }),
        ...(upper === undefined ? {} : { upper }),
      };
      const has = there.some((value) =>
        (lower === undefined || value >= lower) && (upper === undefined || value <= upper)
      );
      const may = fileMayMatch(file, new Map([[1, "long"]]), [range]);
      assert.ok(may || !has);
      if (there.length === 0) assert.ok(!may);
      if (low !== undefined && upper !== undefined && low > upper) assert.ok(!may);
      if (high !== undefined && lower !== undefined && high < lower) assert.ok(!may);
    }),
    { numRuns: 1_000 },
  );
});

function entryOf(dataFile: DataFile, sequenceNumber: number): ManifestEntry {
  return {
    status: "existing",
    snapshotId: 1,
    sequenceNumber,
    fileSequenceNumber: sequenceNumber,
    dataFile,
  };
}

Deno.test("DeleteIndex holds deletes to their order, their partition and their file", () => {
  const index = new DeleteIndex();
  const data = fileOf("a", [1]);
  const bytes = new TextEncoder().encode(data.filePath);
  const { referencedDataFile: _, ...anyFile } = deletesOf("x", data);
  const bounds = (low: Uint8Array, high: Uint8Array) => ({
    lowerBounds: new Map([[DELETE_PATH_ID, low]]),
    upperBounds: new Map([[DELETE_PATH_ID, high]]),
  });
  const named = (name: string, file: Partial<DataFile>): DataFile => ({
    ...anyFile,
    ...file,
    filePath: name,
  });
  const deletes: readonly (readonly [string, Partial<DataFile>, number])[] = [
    ["same number", {}, 5],
    ["earlier", {}, 4],
    ["later", {}, 6],
    ["elsewhere", { partition: [2] }, 6],
    ["by path", { referencedDataFile: data.filePath }, 5],
    ["by another path", { referencedDataFile: "b" }, 5],
    ["by bounds", bounds(bytes, bytes), 5],
    ["by wide bounds", bounds(bytes.slice(0, 9), Uint8Array.of(255)), 5],
    ["by other bounds", bounds(Uint8Array.of(255), Uint8Array.of(255)), 5],
    ["by other wide bounds", bounds(Uint8Array.of(254), Uint8Array.of(255)), 5],
    ["equal, same number", { content: "equality-deletes" }, 5],
    ["equal, later", { content: "equality-deletes" }, 6],
    ["equal, everywhere", { content: "equality-deletes", partition: [], specId: 1 }, 6],
  ];
  for (const [name, file, sequence] of deletes) index.add(entryOf(named(name, file), sequence));
  assert.deepEqual(
    new Set(index.of(entryOf(data, 5)).map(({ filePath }) => filePath)),
    new Set([
      "same number",
      "later",
      "by path",
      "by bounds",
      "by wide bounds",
      "equal, later",
      "equal, everywhere",
    ]),
  );
});

Deno.test("planScan reads some manifests ahead, in order, and fails where one is missing", async () => {
  const lake = memoryLake();
  let metadata = emptyTable(lake);
  const names = Array.from({ length: 40 }, (_, i) => `f${i}`);
  for (const name of names) {
    const plan = await appendFiles(lake, metadata, [fileOf(name)], options);
    metadata = await commitTo(lake, metadata, plan);
  }
  let [open, most] = [0, 0];
  const slow: LakeFiles = {
    ...lake,
    store: Object.assign(Object.create(lake.store), {
      async getObject(key: string) {
        most = Math.max(most, ++open);
        for (let i = 0; i < key.charCodeAt(key.length - 9) % 4; i++) await Promise.resolve();
        open--;
        return await lake.store.getObject(key);
      },
    }),
  };
  assert.deepEqual(await namesOf(slow, metadata), names);
  assert.ok(most > 1 && most <= 8, `${most}`);
  for await (const _ of planScan(slow, metadata)) break;
  const manifests = await manifestsOf(lake, metadata.snapshots?.at(-1));
  for (const { manifestPath } of manifests.slice(5, 8)) {
    await lake.store.deleteObject(lake.location.keyOf(manifestPath) ?? "");
  }
  await assert.rejects(namesOf(slow, metadata), MissingObjectError);
});
