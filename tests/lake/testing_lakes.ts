/**
 * Lakes in all places that tests have: in a folder or a bucket, found by their objects alone or by a
 * REST catalog.
 *
 * @module
 */

import { type LakeLocation, lakeLocation } from "@lakesync/adapters/lake";
import type { Catalog } from "@lakesync/adapters/lake/catalog";
import { objectCatalog } from "@lakesync/adapters/lake/catalog/object";
import { restCatalog } from "@lakesync/adapters/lake/catalog/rest";
import type { ObjectStore } from "@lakesync/adapters/object-store";
import { openFileObjects } from "@lakesync/adapters/object-store/fs";
import { openS3Objects } from "@lakesync/adapters/object-store/s3";
import type { Lake } from "../../adapters/lake/flush/lake.ts";
import { maintain } from "../../adapters/lake/maintain/maintain.ts";
import { ORPHAN_MS } from "../../adapters/lake/maintain/orphans.ts";
import { openParquetReader, openParquetWriter } from "../../adapters/lake/parquet/mod.ts";
import { DEFAULT_MERGE } from "../../adapters/lake/table/merge.ts";
import { mergeLake } from "../../adapters/lake/table/merge_lake.ts";
import { pause } from "../servers/processes.ts";
import { startRestCatalog } from "../servers/rest_catalog.ts";
import { type S3Access, startS3 } from "../servers/s3.ts";
import type { Question } from "./readers.ts";
import { lakeTest } from "./tests.ts";
import type { LakeTools } from "./tools.ts";

/** The namespace of tests' lakes. */
export const NAMESPACE = "app";

/** Where a lake is. */
export interface LakeSite {
  /** Its objects. */
  readonly store: ObjectStore;
  /** What they are called outside. */
  readonly location: LakeLocation;
  /** How readers find a table of the namespace. */
  question(table: string): Question;
  /** Opens the catalog, which whoever opened it closes. */
  openCatalog(): Catalog;
}

/** All places, by what they are called. */
export const SITES = ["folder", "folder, REST catalog", "bucket", "bucket, REST catalog"] as const;

async function openSite(
  tools: LakeTools,
  name: (typeof SITES)[number],
  stack: AsyncDisposableStack,
): Promise<LakeSite> {
  const { store, root, s3 } = name.startsWith("bucket")
    ? await openBucket(stack)
    : await openFolder(stack);
  const location = lakeLocation(root);
  const more = s3 === undefined ? {} : { s3 };
  if (!name.endsWith("REST catalog")) {
    return {
      store,
      location,
      question: (table) => ({
        table: { kind: "files", warehouse: root, namespace: NAMESPACE, name: table },
        ...more,
      }),
      openCatalog: () => objectCatalog({ store, location }),
    };
  }
  const { uri } = stack.use(await startRestCatalog(tools, { warehouse: root, ...more }));
  return {
    store,
    location,
    question: (table) => ({
      table: { kind: "rest", uri, namespace: NAMESPACE, name: table },
      ...more,
    }),
    openCatalog: () => restCatalog({ uri }),
  };
}

interface Objects {
  readonly store: ObjectStore;
  readonly root: string;
  readonly s3?: S3Access;
}

async function openFolder(stack: AsyncDisposableStack): Promise<Objects> {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-lake-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  return { store: await openFileObjects(folder), root: `file://${folder}` };
}

async function openBucket(stack: AsyncDisposableStack): Promise<Objects> {
  const server = stack.use(await startS3());
  const bucket = await server.createBucket();
  const s3 = server.access;
  const store = stack.use(await openS3Objects({ ...s3, bucket, prefix: "lake" }));
  return { store, root: `s3://${bucket}/lake`, s3 };
}

/**
 * Registers a test for each place, with an empty lake.
 *
 * @param name the test's name; the place is added to it
 * @param run the test
 * @param sites the places, all unless given
 */
export function siteTest(
  name: string,
  run: (site: LakeSite) => Promise<void>,
  sites: readonly (typeof SITES)[number][] = SITES,
): void {
  for (const site of sites) {
    lakeTest(`${name} (${site})`, { s3: site.startsWith("bucket") }, async (tools) => {
      await using stack = new AsyncDisposableStack();
      await run(await openSite(tools, site, stack));
    });
  }
}

/**
 * Merges and keeps a lake in shape as if its tables were large: files of a few rows, rows that go by
 * their places, and everything put together again soon. What is kept for readers is as usual.
 *
 * @param lake the lake
 * @param also whether more is done than to merge
 * @param orphanMs for how long what nothing names is left, in milliseconds
 */
export async function tend(
  lake: Lake,
  also: boolean,
  orphanMs: number = ORPHAN_MS,
): Promise<void> {
  const targetBytes = 20_000;
  await mergeLake(lake, { ...DEFAULT_MERGE, targetBytes, smallBytes: 0, maxGone: 0.7 });
  if (!also) return;
  const levels = { targetBytes, smallBytes: 1_000, fanIn: 2 };
  const { failure } = await maintain(lake, {
    changes: { ...levels, minSmall: 2 },
    rows: { ...levels, maxGone: 0.3 },
    maxManifests: 2,
    orphanMs,
  });
  if (failure !== undefined) throw failure;
}

/**
 * Waits until `version-hint.text` of each table names its newest metadata: it is written behind
 * commits, and some readers trust it.
 *
 * @param store the lake's objects
 * @param namespace where the tables are
 */
export async function hintsWritten(
  store: ObjectStore,
  namespace: string = NAMESPACE,
): Promise<void> {
  for (;;) {
    const newest = new Map<string, number>();
    for await (const { key } of store.listObjects(namespace)) {
      const [, folder, version] = /^(.*\/metadata)\/v(\d+)\.metadata\.json$/.exec(key) ?? [];
      if (folder === undefined) continue;
      newest.set(folder, Math.max(newest.get(folder) ?? 0, Number(version)));
    }
    const hints = await Promise.all([...newest].map(async ([folder, version]) => {
      const hint = await store.getObject(`${folder}/version-hint.text`);
      return new TextDecoder().decode(hint) === String(version);
    }));
    if (hints.every((isWritten) => isWritten)) return;
    await pause();
  }
}

/** What works on the tables of a lake beside the adapter; to be closed. */
export function openLake({ store, location, openCatalog }: LakeSite): Lake & AsyncDisposable {
  const catalog = openCatalog();
  const writer = openParquetWriter({ thread: false });
  const reader = openParquetReader({ thread: false });
  return {
    store,
    location,
    catalog,
    writer,
    reader,
    namespace: NAMESPACE,
    now: Date.now,
    nextTurn: () => new Promise((resolve) => setTimeout(resolve)),
    [Symbol.asyncDispose]: async () => {
      await writer.close();
      await reader.close();
      await catalog.close();
    },
  };
}
