import assert from "node:assert/strict";
import fc from "fast-check";
import { entriesOf, manifestsOf } from "./lake_files.ts";
import { type DataFile, isLive, type ManifestEntry } from "./manifest.ts";
import { MAX_OF_LEVEL } from "./merge_manifests.ts";
import {
  type Long,
  MetadataError,
  snapshotById,
  snapshotOfRef,
  type TableMetadata,
} from "./metadata.ts";
import { planScan } from "./scan.ts";
import { appendFiles, emptySnapshot, overwriteFiles, rewriteManifests } from "./snapshot.ts";
import {
  BY_DAY,
  commitTo,
  deletesOf,
  emptyTable,
  fileOf,
  liveFiles,
  memoryLake,
  namedKeys,
} from "./testing_tables.ts";

const options = { nowMs: 5_000 };

/** Each live file of a snapshot, with the snapshot and sequence number that it came with. */
type Contents = ReadonlyMap<string, readonly [Long, number]>;

function contentsOf(entries: readonly ManifestEntry[]): Contents {
  return new Map(
    entries.map(({ dataFile, snapshotId, sequenceNumber }) => [
      dataFile.filePath,
      [snapshotId, sequenceNumber],
    ]),
  );
}

async function entriesOfMain(
  lake: ReturnType<typeof memoryLake>,
  metadata: TableMetadata,
  id?: Long,
): Promise<readonly ManifestEntry[]> {
  const snapshot = id === undefined ? snapshotOfRef(metadata) : snapshotById(metadata, id);
  return await Array.fromAsync(liveFiles(lake, metadata, snapshot));
}

const command = fc.oneof(
  fc.record({ append: fc.array(fc.integer({ min: -2, max: 2 }), { maxLength: 4 }) }),
  fc.record({
    replace: fc.array(fc.nat(), { maxLength: 4 }),
    by: fc.array(fc.integer({ min: -2, max: 2 }), { maxLength: 3 }),
  }),
  fc.record({ takeFrom: fc.nat() }),
  fc.constantFrom({ manifests: true }, { empty: true }),
);

Deno.test("snapshots have the files that were added and not taken away, each with its number", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 15 }), async (commands) => {
      const lake = memoryLake();
      let metadata = emptyTable(lake, BY_DAY);
      let files: readonly DataFile[] = [];
      let contents: Contents = new Map();
      const history = new Map<Long, Contents>();
      let names = 0;
      for (const command of commands) {
        let [added, removed]: [readonly DataFile[], readonly DataFile[]] = [[], []];
        let plan;
        if ("append" in command) {
          added = command.append.map((day) => fileOf(`${names++}`, [day]));
          plan = await appendFiles(lake, metadata, added, options);
        } else if ("replace" in command) {
          removed = [...new Set(command.replace.map((i) => files[i % files.length]))]
            .filter((file) => file !== undefined);
          added = command.by.map((day) => fileOf(`${names++}`, [day]));
          plan = await overwriteFiles(lake, metadata, { added, removed }, options);
        } else if ("takeFrom" in command) {
          const data = files.filter(({ content }) => content === "data");
          const from = data[command.takeFrom % data.length];
          added = from === undefined ? [] : [deletesOf(`${names++}`, from)];
          plan = await overwriteFiles(lake, metadata, { added, removed }, options);
        } else if ("manifests" in command) plan = await rewriteManifests(lake, metadata, options);
        else plan = await emptySnapshot(lake, metadata, options);
        metadata = await commitTo(lake, metadata, plan);
        files = [...files.filter((file) => !removed.includes(file)), ...added];
        const { "snapshot-id": id, "sequence-number": sequence } = plan.snapshot;
        const kept = contents;
        contents = new Map(files.map(({ filePath }) => [
          filePath,
          kept.get(filePath) ?? [id, sequence],
        ]));
        history.set(id, contents);
        const entries = await entriesOfMain(lake, metadata);
        assert.deepEqual(sorted(contentsOf(entries)), sorted(contents));
        assert.deepEqual(
          new Map(entries.map(({ dataFile }) => [dataFile.filePath, dataFile])),
          new Map(files.toSorted(byPlace(entries)).map((file) => [file.filePath, file])),
        );
        totals(metadata, files);
        if ("manifests" in command) {
          const manifests = await manifestsOf(lake, plan.snapshot);
          assert.ok(manifests.length <= 2, `${manifests.length}`);
        }
      }
      for (const [id, then] of history) {
        assert.deepEqual(sorted(contentsOf(await entriesOfMain(lake, metadata, id))), sorted(then));
      }
      await everythingIsThere(lake, metadata);
    }),
    { numRuns: 60 },
  );
});

function sorted(contents: Contents): readonly (readonly [string, readonly [Long, number]])[] {
  return [...contents].sort(([a], [b]) => a < b ? -1 : 1);
}

function byPlace(entries: readonly ManifestEntry[]): (a: DataFile, b: DataFile) => number {
  const places = new Map(entries.map(({ dataFile }, i) => [dataFile.filePath, i]));
  return (a, b) => (places.get(a.filePath) ?? 0) - (places.get(b.filePath) ?? 0);
}

/** Totals are of all files that are there. */
function totals(metadata: TableMetadata, files: readonly DataFile[]): void {
  const summary = snapshotOfRef(metadata)?.summary ?? {};
  const data = files.filter(({ content }) => content === "data");
  const rows = (files: readonly DataFile[]) =>
    files.reduce((sum, { recordCount }) => sum + recordCount, 0);
  const bytes = files.reduce((sum, { fileSizeInBytes }) => sum + fileSizeInBytes, 0);
  assert.equal(summary["total-data-files"], `${data.length}`);
  assert.equal(summary["total-delete-files"], `${files.length - data.length}`);
  assert.equal(summary["total-records"], `${rows(data)}`);
  assert.equal(summary["total-position-deletes"], `${rows(files) - rows(data)}`);
  assert.equal(summary["total-files-size"], `${bytes}`);
}

/** Every object but files of rows, which are none here, is there, and no other. */
async function everythingIsThere(
  lake: ReturnType<typeof memoryLake>,
  metadata: TableMetadata,
): Promise<void> {
  const named = await namedKeys(lake, metadata);
  const there = await Array.fromAsync(lake.store.listObjects(""), ({ key }) => key);
  assert.deepEqual(there.toSorted(), [...named].toSorted());
}

Deno.test("appendFiles uses manifests as they are, and puts them together when there are too many", async () => {
  const lake = memoryLake();
  let metadata = emptyTable(lake, BY_DAY);
  let most = 0;
  let written = 0;
  for (let i = 0; i < 3 * MAX_OF_LEVEL; i++) {
    const plan = await appendFiles(lake, metadata, [fileOf(`${i}`, [i % 3])], options);
    metadata = await commitTo(lake, metadata, plan);
    const manifests = await manifestsOf(lake, plan.snapshot);
    most = Math.max(most, manifests.length);
    written += plan.objects.length;
  }
  assert.equal((await entriesOfMain(lake, metadata)).length, 3 * MAX_OF_LEVEL);
  assert.ok(most <= MAX_OF_LEVEL + 4, `${most}`);
  assert.ok(written <= 6 * MAX_OF_LEVEL + 4, `${written}`);
});

Deno.test("a manifest of very many files is cut", async () => {
  const lake = memoryLake();
  const files = Array.from({ length: 2_500 }, (_, i) => fileOf(`${i}`));
  const plan = await appendFiles(lake, emptyTable(lake), files, options);
  const metadata = await commitTo(lake, emptyTable(lake), plan);
  const manifests = await manifestsOf(lake, plan.snapshot);
  assert.deepEqual(manifests.map((file) => file.addedFilesCount), [834, 834, 832]);
  assert.equal((await entriesOfMain(lake, metadata)).length, 2_500);
  const merged = await commitTo(lake, metadata, await rewriteManifests(lake, metadata, options));
  assert.deepEqual(
    (await manifestsOf(lake, snapshotOfRef(merged))).map((file) => file.existingFilesCount),
    [1024, 1024, 452],
  );
  const names = (await entriesOfMain(lake, merged)).map(({ dataFile }) => dataFile.filePath);
  assert.deepEqual(names, files.map(({ filePath }) => filePath));
});

Deno.test("overwriteFiles notes what it takes away, and the next snapshot forgets it", async () => {
  const lake = memoryLake();
  const [a, b] = [fileOf("a"), fileOf("b")];
  let metadata = emptyTable(lake);
  metadata = await commitTo(lake, metadata, await appendFiles(lake, metadata, [a, b], options));
  const over = await overwriteFiles(
    lake,
    metadata,
    { added: [fileOf("c")], removed: [a] },
    options,
  );
  assert.equal(over.snapshot.summary["operation"], "overwrite");
  assert.equal(over.snapshot.summary["deleted-data-files"], "1");
  assert.equal(over.snapshot.summary["changed-partition-count"], "1");
  metadata = await commitTo(lake, metadata, over);
  const [rewritten] = await manifestsOf(lake, over.snapshot);
  assert.equal(rewritten?.deletedFilesCount, 1);
  assert.equal(rewritten?.existingFilesCount, 1);
  assert.equal(rewritten?.minSequenceNumber, 1);
  assert.ok(rewritten !== undefined);
  const [gone] = await entriesOf(lake, metadata, rewritten);
  assert.deepEqual(
    [gone?.status, gone?.snapshotId, gone?.sequenceNumber, gone?.fileSequenceNumber],
    ["deleted", over.snapshot["snapshot-id"], 1, 1],
  );
  const rest = { added: [], removed: [b, fileOf("c")] };
  metadata = await commitTo(lake, metadata, await overwriteFiles(lake, metadata, rest, options));
  assert.equal(snapshotOfRef(metadata)?.summary["operation"], "delete");
  const empty = await emptySnapshot(lake, metadata, options);
  assert.deepEqual(
    await manifestsOf(lake, (await commitTo(lake, metadata, empty)).snapshots?.at(-1)),
    [],
  );
  await assert.rejects(
    overwriteFiles(lake, metadata, { added: [], removed: [a] }, options),
    MetadataError,
  );
});

Deno.test("snapshots go on branches, and may begin with nothing", async () => {
  const lake = memoryLake();
  let metadata = emptyTable(lake);
  const [a, b, c] = [fileOf("a"), fileOf("b"), fileOf("c")];
  metadata = await commitTo(lake, metadata, await appendFiles(lake, metadata, [a], options));
  const side = { ...options, branch: "side" };
  for (const file of [b, c]) {
    metadata = await commitTo(lake, metadata, await appendFiles(lake, metadata, [file], side));
  }
  const filesOf = async (ref: string) =>
    (await Array.fromAsync(liveFiles(lake, metadata, snapshotOfRef(metadata, ref))))
      .map(({ dataFile }) => dataFile.filePath);
  assert.deepEqual(await filesOf("main"), [a.filePath]);
  assert.deepEqual(await filesOf("side"), [b.filePath, c.filePath]);
  const anew = await appendFiles(lake, metadata, [a], { ...side, fromNothing: true });
  assert.equal(anew.snapshot["parent-snapshot-id"], undefined);
  assert.equal(anew.snapshot.summary["total-data-files"], "1");
  metadata = await commitTo(lake, metadata, anew);
  assert.deepEqual(await filesOf("side"), [a.filePath]);
});

Deno.test("emptySnapshot and rewriteManifests carry on what is said of LakeSync", async () => {
  const lake = memoryLake();
  let metadata = emptyTable(lake);
  const said = { "lakesync.seq": "7", "lakesync.slice": "1", other: "x" };
  const first = await appendFiles(lake, metadata, [fileOf("a")], { ...options, summary: said });
  metadata = await commitTo(lake, metadata, first);
  const claim = await emptySnapshot(lake, metadata, {
    ...options,
    summary: { "lakesync.writer": "w" },
  });
  assert.equal(claim.snapshot.summary["lakesync.seq"], "7");
  assert.equal(claim.snapshot.summary["lakesync.writer"], "w");
  assert.equal(claim.snapshot.summary["other"], undefined);
  metadata = await commitTo(lake, metadata, claim);
  const merged = await rewriteManifests(lake, metadata, options);
  assert.equal(merged.snapshot.summary["lakesync.writer"], "w");
  assert.equal(merged.snapshot.summary["operation"], "replace");
  const next = await appendFiles(lake, metadata, [], options);
  assert.equal(next.snapshot.summary["lakesync.slice"], undefined);
});

Deno.test("snapshots have numbers below 2^53, and times that do not go back", async () => {
  const lake = memoryLake();
  let metadata = emptyTable(lake);
  for (const nowMs of [9_000, 3_000.7]) {
    const plan = await emptySnapshot(lake, metadata, { nowMs });
    assert.ok(Number.isSafeInteger(plan.snapshot["snapshot-id"]));
    metadata = await commitTo(lake, metadata, plan);
  }
  assert.deepEqual(metadata.snapshots?.map((s) => s["timestamp-ms"]), [9_000, 9_000]);
});

Deno.test("planScan finds entries that were carried on with their snapshots", async () => {
  const lake = memoryLake();
  let metadata = emptyTable(lake);
  const a = fileOf("a");
  metadata = await commitTo(lake, metadata, await appendFiles(lake, metadata, [a], options));
  const [first] = metadata.snapshots ?? [];
  metadata = await commitTo(
    lake,
    metadata,
    await appendFiles(lake, metadata, [fileOf("b")], options),
  );
  metadata = await commitTo(lake, metadata, await rewriteManifests(lake, metadata, options));
  const tasks = await Array.fromAsync(planScan(lake, metadata));
  const entry = tasks.find((task) => task.entry.dataFile.filePath === a.filePath)?.entry;
  assert.equal(entry?.status, "existing");
  assert.equal(entry?.snapshotId, first?.["snapshot-id"]);
  assert.equal(entry?.fileSequenceNumber, 1);
  assert.ok(tasks.every((task) => isLive(task.entry)));
});
