/**
 * A simulated day of flushes every ten seconds with merges and maintenance on: files, metadata and
 * the time of a full scan at its end, beside the same tables freshly put together.
 *
 * @module
 */

import { lakeDay, type TableShape } from "../adapters/lake/maintain/testing_day.ts";
import { verdict } from "./support.ts";

const HOURS = Number(Deno.env.get("LAKESYNC_BENCH_HOURS") ?? 24);
const EVERY_MS = Number(Deno.env.get("LAKESYNC_BENCH_EVERY_MS") ?? 10_000);
const CHANGES = 20;
/** Nothing is more than so many times what it is freshly put together. */
const AIM = 2;

/** Plays the day and prints what it came to. */
export async function benchLakeDay(): Promise<void> {
  console.log(
    `\nA day of a lake: ${HOURS} h, a flush of ${CHANGES} changes every ${EVERY_MS / 1_000} s`,
  );
  const started = performance.now();
  const result = await lakeDay({ hours: HOURS, everyMs: EVERY_MS, changes: CHANGES });
  const { flushes, flushMs, keepMs, compactedBytes, end, fresh } = result;
  console.log(`  played in ${((performance.now() - started) / 1_000).toFixed(0)} s`);
  console.log(`  a flush took ${(flushMs / flushes).toFixed(1)} ms`);
  console.log(`  merges and maintenance took ${(keepMs / flushes).toFixed(1)} ms a flush`);
  console.log(`  maintenance wrote ${(compactedBytes / 1e6).toFixed(1)} MB anew`);
  for (const [i, table] of end.entries()) {
    const other = fresh[i];
    if (other !== undefined) print(table, other);
  }
}

function print(end: TableShape, fresh: TableShape): void {
  const { table, rows, snapshots, objects, bareBytes } = end;
  console.log(`  ${table}: ${rows} rows, ${snapshots} snapshots, ${objects} objects`);
  console.log(`    metadata without earlier snapshots: ${bareBytes}`);
  for (const what of ["files", "metadataBytes", "scanMs"] as const) {
    const [a, b] = [end[what], fresh[what]];
    const ratio = a / b;
    console.log(
      `    ${what}: ${a.toFixed(0)}, freshly ${b.toFixed(0)}: ${ratio.toFixed(2)} times, ` +
        verdict(ratio, AIM, "less"),
    );
  }
}

if (import.meta.main) await benchLakeDay();
