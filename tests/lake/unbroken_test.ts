/**
 * Readers that look again and again while a lake is written, merged and cleaned up: each time they
 * see it as it was after some commit, and never go back.
 *
 * @module
 */

import assert from "node:assert/strict";
import { lakeAdapter } from "@lakesync/adapters/lake";
import { type Reader, READERS } from "./readers.ts";
import {
  hintsWritten,
  type LakeSite,
  NAMESPACE,
  openLake,
  siteTest,
  tend,
} from "./testing_lakes.ts";
import { onlyChanges, Workload } from "./testing_workload.ts";
import { useReaders } from "./tests.ts";

const readers = useReaders([...READERS, "clickhouse"]);

const FLUSHES = 24;
const MERGE_EVERY = 2;
const MAINTAIN_EVERY = 6;

/** What each table said after each flush, as one text. */
interface Told {
  readonly rows: string[];
  readonly changes: string[];
}

const textOf = (rows: readonly string[]) => rows.join("\n");

/** Looks until told to stop, and once more; gives how often it saw something new. */
async function watch(
  reader: Reader,
  site: LakeSite,
  told: Told,
  isDone: () => boolean,
): Promise<number> {
  const last = { rows: -1, changes: -1 };
  let news = 0;
  const see = (table: keyof Told, rows: readonly string[]) => {
    const at = told[table].indexOf(textOf(rows), Math.max(0, last[table]));
    assert.ok(at >= 0, `${reader.name} saw ${table} as they never were, or went back`);
    if (at > last[table]) news++;
    last[table] = at;
  };
  for (let last = false; !last;) {
    last = isDone();
    see("changes", onlyChanges(await reader.read(site.question("todos__changes"))));
    see("rows", (await reader.read(site.question("todos"))).rows);
  }
  assert.equal(last.changes, told.changes.length - 1, reader.name);
  assert.equal(last.rows, told.rows.length - 1, reader.name);
  return news;
}

siteTest("G10: no reader ever sees a broken table", async (site) => {
  const { store, location, openCatalog } = site;
  const options = { store, location, catalog: openCatalog, namespace: NAMESPACE, thread: false };
  const adapter = lakeAdapter(options);
  await using lake = openLake(site);
  try {
    const workload = new Workload(adapter, 11);
    await workload.begin();
    const told: Told = { rows: [], changes: [] };
    // What is about to be true is told before it is, since a reader may be that quick.
    const tell = () => {
      const { rows, changes } = workload.expected;
      told.rows.push(textOf(rows));
      told.changes.push(textOf(changes));
    };
    tell();
    let isDone = false;
    const write = async () => {
      try {
        for (let i = 1; i <= FLUSHES; i++) {
          await workload.flush(2, 3, tell);
          if (i % MERGE_EVERY === 0) await tend(lake, i % MAINTAIN_EVERY === 0);
        }
        await hintsWritten(store);
      } finally {
        isDone = true;
      }
    };
    const watching = readers.all(site.question("todos")).map((reader) =>
      watch(reader, site, told, () => isDone)
    );
    const [wrote, ...watched] = await Promise.allSettled([write(), ...watching]);
    if (wrote.status === "rejected") throw wrote.reason;
    for (const each of watched) {
      if (each.status === "rejected") throw each.reason;
      assert.ok(each.value >= 2);
    }
  } finally {
    await adapter.close();
  }
});
