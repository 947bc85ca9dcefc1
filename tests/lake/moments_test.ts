/**
 * Both tables of a lake as other programs read them, now and at earlier moments.
 *
 * @module
 */

import assert from "node:assert/strict";
import { lakeAdapter } from "@lakesync/adapters/lake";
import { snapshotOfRef } from "../../adapters/lake/iceberg/metadata.ts";
import type { Lake } from "../../adapters/lake/flush/lake.ts";
import { pause } from "../servers/processes.ts";
import { checksumOf, type Question, type Reader, READERS } from "./readers.ts";
import { hintsWritten, NAMESPACE, openLake, siteTest, tend } from "./testing_lakes.ts";
import { CHANGE_COLUMNS, onlyChanges, ROW_COLUMNS, Workload } from "./testing_workload.ts";
import { useReaders } from "./tests.ts";

const readers = useReaders([...READERS, "clickhouse"]);

const TABLES = ["todos", "todos__changes"] as const;

/** A moment of a table, and the checksum of what it said. */
interface Moment {
  readonly table: typeof TABLES[number];
  readonly snapshotId: bigint;
  readonly timestampMs: number;
  readonly checksum: string;
  /** Whether files name rows of other files that are gone. */
  readonly hasDeletes: boolean;
}

function checksum(table: typeof TABLES[number], rows: readonly string[]): Promise<string> {
  return checksumOf({ columns: table === "todos" ? ROW_COLUMNS : CHANGE_COLUMNS, rows });
}

async function seen(reader: Reader, table: typeof TABLES[number], question: Question) {
  const all = await reader.read(question);
  if (table === "todos") assert.deepEqual(all.columns, ROW_COLUMNS, reader.name);
  return table === "todos" ? all.rows : onlyChanges(all);
}

async function momentOf(lake: Lake, workload: Workload): Promise<Moment[]> {
  const { rows, changes } = workload.expected;
  const moments: Moment[] = [];
  for (const table of TABLES) {
    const metadata = (await lake.catalog.load({ namespace: NAMESPACE, name: table }))?.metadata;
    const snapshot = metadata && snapshotOfRef(metadata);
    assert.ok(snapshot !== undefined);
    moments.push({
      table,
      snapshotId: BigInt(snapshot["snapshot-id"]),
      timestampMs: snapshot["timestamp-ms"],
      checksum: await checksum(table, table === "todos" ? rows : changes),
      hasDeletes: Number(snapshot.summary["total-position-deletes"]) > 0,
    });
  }
  // The next snapshot is to have another time.
  const last = Math.max(...moments.map(({ timestampMs }) => timestampMs));
  while (Date.now() <= last) await pause();
  return moments;
}

siteTest(
  "G10: readers see what the gateway has, now and at three earlier moments",
  async (site) => {
    const { store, location, openCatalog } = site;
    const options = { store, location, catalog: openCatalog, namespace: NAMESPACE, thread: false };
    const adapter = lakeAdapter(options);
    await using lake = openLake(site);
    try {
      const workload = new Workload(adapter, 7);
      await workload.begin();
      await workload.flush(10, 60);
      await tend(lake, false);
      const moments: Moment[] = [];
      for (let i = 0; i < 3; i++) {
        for (let flushes = 0; flushes < 3; flushes++) await workload.flush(4, 5);
        await tend(lake, false);
        moments.push(...await momentOf(lake, workload));
      }
      await workload.flush(2, 40);
      assert.ok(moments.some(({ hasDeletes }) => hasDeletes));
      // Nothing else writes, so all that is not named now is nobody's.
      await tend(lake, true, 0);
      await hintsWritten(store);
      const { rows, changes } = workload.expected;
      for (const reader of readers.all(site.question("todos"))) {
        for (const table of TABLES) {
          const question = site.question(table);
          const now = table === "todos" ? rows : changes;
          assert.deepEqual(await seen(reader, table, question), now, `${reader.name} ${table}`);
          assert.equal(await reader.count(question), now.length, `${reader.name} ${table}`);
        }
        for (const { table, snapshotId, timestampMs, checksum: recorded } of moments) {
          for (const at of [{ snapshotId }, { timestampMs }]) {
            const then = await seen(reader, table, { ...site.question(table), ...at });
            assert.equal(
              await checksum(table, then),
              recorded,
              `${reader.name} ${table} ${Object.keys(at)[0]}`,
            );
          }
        }
      }
    } finally {
      await adapter.close();
    }
  },
);
