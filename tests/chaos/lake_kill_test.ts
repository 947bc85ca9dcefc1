/**
 * The gateway process is killed at random instants of flushes to a lake and of merges while clients
 * write.
 * `LAKESYNC_TEST_FLUSH_KILLS=100` is the full run.
 */

import assert from "node:assert/strict";
import type { LatestState } from "@lakesync/adapters";
import type { Value } from "@lakesync/core";
import { toStoredValue } from "../../adapters/database/stored_value.ts";
import { loadTables } from "../../adapters/lake/flush/tables.ts";
import { canonicalValue } from "../../adapters/lake/flush/values.ts";
import { mergeLake } from "../../adapters/lake/table/merge_lake.ts";
import { seenRows } from "../../adapters/lake/table/testing_lake.ts";
import { foldedLake, lakeRows, readingLake } from "../conformance/testing_lake.ts";
import { gatewayRows } from "./support_flush_checks.ts";
import { FLUSH_KILLS } from "./support_flush_site.ts";
import { LakeSite } from "./support_lake_site.ts";

const WRITERS = 4;
const WRITE_EVERY_MS = 80;

/** The share of kills that do not wait for a flush after the start, and come so long after it. */
const EARLY = 0.25;
const START_MS = 600;

/** Other kills come so long at most after a flush. */
const WORK_MS = 150;

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Checks what the tables have of the commits at or before the lake's position: of each writer the
 * first marks without a gap, as many as its head says, and no change twice.
 *
 * @returns whether a table is ahead of the position: the flush had ended in the middle
 */
async function checkWhole(site: LakeSite): Promise<boolean> {
  const position = await site.position();
  if (position === undefined) return false;
  const all = (await lakeRows(await site.objects(), site.place)).flatMap((row) =>
    row.kind === "change" ? [row.change] : []
  );
  const ids = new Set(all.map(({ deltaId }) => deltaId));
  assert.equal(ids.size, all.length, "a change is there twice");
  const arrived = all.filter(({ seq }) => seq <= position.seq);
  const heads = new Map<string, number>();
  const marks = new Map<string, number[]>();
  for (const { table, rowId, clientId, columns } of arrived) {
    const n = Number(columns["n"]);
    if (table === "heads") heads.set(rowId, Math.max(n, heads.get(rowId) ?? 0));
    if (table === "marks") marks.set(clientId, [...marks.get(clientId) ?? [], n]);
  }
  for (const [writer, head] of heads) {
    const expected = Array.from({ length: head }, (_, i) => i + 1);
    assert.deepEqual(marks.get(writer)?.sort((a, b) => a - b), expected, writer);
  }
  return all.length > arrived.length;
}

/** Cells as one text for one row, without nulls. */
function shown(cells: Iterable<readonly [name: string | number, value: Value]>): string {
  const known = [...cells].filter(([, value]) => value !== null)
    .map(([name, value]) => [name, toStoredValue(value)]);
  return JSON.stringify(Object.fromEntries(known.sort(([a], [b]) => (`${a}` < `${b}` ? -1 : 1))));
}

/**
 * Checks that what the lake has makes the gateway's rows, value for value, and that its tables of
 * rows have them once all is merged.
 */
async function checkRows(site: LakeSite): Promise<number> {
  const expected = await gatewayRows(site);
  // It would merge beside what is merged here.
  await site.server.kill();
  const store = await site.objects();
  const merging = readingLake(store, site.place);
  await mergeLake(merging);
  const { rows, written } = await foldedLake(store, undefined, site.place);
  const { changes } = await loadTables(readingLake(store, site.place));
  let count = 0;
  for (const { id, layout } of changes.values()) {
    const named = new Map(layout?.columns.map(({ number, name }) => [number, name]));
    const keys = new Set(layout?.columns.filter(({ isKey }) => isKey).map(({ name }) => name));
    const types = new Map(layout?.columns.map(({ name, type }) => [name, type]));
    const wantedIn = (form: (name: string, value: Value) => Value) =>
      new Map(
        [...expected.get(layout?.newest?.name ?? "") ?? []].map(([rowId, row]) => [
          rowId,
          shown(
            [...row].filter(([name]) => !keys.has(name))
              .map(([name, value]) => [name, form(name, value)]),
          ),
        ]),
      );
    const wanted = wantedIn((_, value) => value);
    for (const data of [rows, written]) {
      const found = data.sorted.filter(({ key, isVisible }) => key.table === id && isVisible);
      const texts = found.map(({ key, cells }: LatestState) =>
        [
          key.rowId,
          shown(cells.map(([column, value]) => [named.get(column) ?? column, value])),
        ] as const
      );
      assert.deepEqual(new Map(texts), wanted, layout?.newest?.name);
    }
    const seen = await seenRows(merging, id);
    const texts = [...seen].map(([rowId, cells]) =>
      [
        rowId,
        shown([...cells].map(([column, value]) => [named.get(column) ?? column, value])),
      ] as const
    );
    // Of what can be written in several ways a table of rows has one.
    const merged = wantedIn((name, value) => canonicalValue(types.get(name) ?? "json", value));
    assert.deepEqual(new Map(texts), merged, `${layout?.newest?.name} as merged`);
    count += wanted.size;
  }
  return count;
}

Deno.test(`G10: ${FLUSH_KILLS} SIGKILLs of a gateway in its flushes to a lake lose, double and halve nothing`, async () => {
  await using site = await LakeSite.open();
  site.write(WRITERS, WRITE_EVERY_MS);
  const start = performance.now();
  let inFlush = 0;
  for (let kill = 1; kill <= FLUSH_KILLS; kill++) {
    if (Math.random() < EARLY) await delay(Math.random() * START_MS);
    else {
      await site.moved(1);
      await delay(Math.random() * WORK_MS);
    }
    await site.server.kill();
    if (await checkWhole(site)) inFlush++;
    await site.server.start();
  }
  await site.quiet();
  const ms = await site.flushed();
  assert.equal(await checkWhole(site), false);
  const rows = await checkRows(site);
  const sent = new Set(site.writers.flatMap(({ acknowledged }) => [...acknowledged.keys()]));
  const ids = (await lakeRows(await site.objects(), site.place)).flatMap((row) =>
    row.kind === "change" ? [row.change.deltaId] : []
  );
  assert.deepEqual(new Set(ids), sent, "acknowledged, and in the lake");
  console.log(
    `lake: ${FLUSH_KILLS} kills of the gateway in ${
      Math.round((performance.now() - start) / 1_000)
    } s, ${inFlush} of them between two commits of a flush, ${ids.length} changes once, ${rows} ` +
      `rows as the gateway's, caught up ${Math.round(ms)} ms after the last write`,
  );
});
