/**
 * What must hold of the rows that writers wrote, at any time and in the end.
 *
 * @module
 */

import assert from "node:assert/strict";
import { rowsOf } from "../e2e/world.ts";
import { until } from "../e2e/wait.ts";
import type { Ledger } from "./support_ledger.ts";
import type { Site, SiteClient } from "./support_site.ts";
import { KEPT, NOTES_EACH, TALLIES, type Writer } from "./support_writer.ts";

const TABLES = ["marks", "notes", "tallies"] as const;

/** In one statement, and so in one snapshot: what there is of each writer. */
const BY_WRITER = `
  SELECT m.writer, m.count AS marks, m.last, coalesce(k.count, 0) AS notes,
    coalesce(k.first, 1) AS first_note, coalesce(k.last, 0) AS last_note
  FROM (SELECT writer, count(*) AS count, max(n) AS last FROM marks GROUP BY writer) m
  LEFT JOIN (SELECT writer, count(*) AS count, min(n) AS first, max(n) AS last
    FROM notes GROUP BY writer) k ON k.writer = m.writer`;

/**
 * Checks that a client sees no transaction in part: of each writer the marks are the first ones
 * without a gap, and the notes are those of the last marks.
 *
 * @param client sees rows at any time
 */
export async function checkWhole(client: SiteClient): Promise<void> {
  for (const row of await client.query(BY_WRITER)) {
    const last = Number(row["last"]);
    assert.deepEqual({ ...row }, {
      writer: row["writer"],
      marks: last,
      last,
      notes: NOTES_EACH * Math.min(last, KEPT),
      first_note: Math.max(1, last - KEPT + 1),
      last_note: last,
    });
  }
  const orphans = await client.query(
    "SELECT id FROM notes WHERE writer NOT IN (SELECT writer FROM marks)",
  );
  assert.deepEqual(orphans, []);
}

/** All rows of tables as one text. */
async function dump(client: SiteClient, names: readonly string[] = TABLES): Promise<string> {
  const tables = await Promise.all(names.map((table) => rowsOf(client, table)));
  return JSON.stringify(tables);
}

/** Whether a client has sent all it wrote and has the marks of everybody. */
async function isComplete(client: SiteClient, marks: number): Promise<boolean> {
  if (await client.pendingCount() > 0) return false;
  const [row] = await client.query("SELECT count(*) AS n FROM marks");
  return row?.["n"] === marks;
}

/**
 * Waits until all writers, which no longer write, have sent all and hold the marks of all, and the
 * same rows of the tables that do not grow.
 *
 * @param writers the writers
 * @param withinMs the deadline
 * @returns how long it took, in milliseconds
 */
export async function converge(
  writers: readonly Writer[],
  withinMs?: number,
): Promise<number> {
  const marks = writers.reduce((sum, { written }) => sum + written, 0);
  const what = `${marks} transactions at ${writers.length} writers, nothing pending`;
  return await until(what, async () => {
    for (const { client } of writers) if (!await isComplete(client, marks)) return false;
    const [first, ...others] = await Promise.all(
      writers.map(({ client }) => dump(client, ["notes", "tallies"])),
    );
    return others.every((other) => other === first);
  }, withinMs);
}

/**
 * Checks, after writers have converged, that nothing was lost, doubled or halved: at each writer,
 * at a client that was never there before, and in the gateway's log.
 *
 * @param site the gateway
 * @param writers all who wrote, beside the one transaction that made the tallies
 * @param ledger what was acknowledged
 */
export async function checkHistory(
  site: Site,
  writers: readonly Writer[],
  ledger: Ledger,
): Promise<void> {
  const marks = writers.reduce((sum, { written }) => sum + written, 0);
  const fresh = await site.client("fresh");
  await until("a fresh client has all", () => isComplete(fresh, marks));
  const all = await dump(fresh);
  for (const { name, client } of writers) {
    assert.ok(await dump(client) === all, `${name} and a fresh client hold different rows`);
    assert.deepEqual(await client.deadLetters(), []);
    assert.deepEqual((await client.verify())?.drifts, []);
    assert.equal(client.status.value.repairs, 0);
  }
  await checkWhole(fresh);
  const ids = new Set((await fresh.query("SELECT id FROM marks")).map((row) => String(row["id"])));
  const lost = [...ledger.acknowledged].filter((id) => id !== "" && !ids.has(id));
  assert.deepEqual(lost, [], "acknowledged and lost");
  assert.deepEqual(ledger.sentAgain, [], "acknowledged and asked for again");
  assert.deepEqual(ledger.refused, []);
  for (const { name, written } of writers) {
    for (let n = 1; n <= written; n++) assert.ok(ids.has(`${name}.${n}`), `${name}.${n} is lost`);
  }
  for (let i = 0; i < TALLIES; i++) {
    const row = await fresh.tables.tallies.get(`t${i}`);
    const parts = writers.map(({ tallies }) => tallies[i]);
    assert.equal(row?.n, parts.reduce((sum, part) => sum + (part?.n ?? 0), 0), `counter ${i}`);
    assert.deepEqual(
      new Set(JSON.parse(JSON.stringify(row?.tags))),
      new Set(parts.flatMap((part) => [...(part?.tags ?? [])])),
    );
  }
  const { log } = await site.stats();
  assert.equal(log.entries, marks + 1, "a transaction is in the log twice, or not at all");
}
