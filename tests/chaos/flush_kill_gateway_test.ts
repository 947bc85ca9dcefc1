/**
 * The gateway process is killed at random instants of flushes while clients write.
 * `LAKESYNC_TEST_FLUSH_KILLS=100` is the full run.
 */

import assert from "node:assert/strict";
import { databaseTest } from "../servers/tests.ts";
import { checkAll, checkWhole } from "./support_flush_checks.ts";
import { FLUSH_KILLS, FlushSite, ZONES } from "./support_flush_site.ts";

const WRITERS = 6;
const WRITE_EVERY_MS = 60;

/** The share of kills that do not wait for a flush after the start, and come so long after it. */
const EARLY = 0.25;
const START_MS = 600;

/** Other kills come so long at most after a flush. */
const WORK_MS = 60;

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

for (const product of ["postgres", "mariadb"] as const) {
  databaseTest(
    product,
    `G10: ${FLUSH_KILLS} SIGKILLs of a gateway in its flushes lose, double and halve nothing`,
    async (database) => {
      await using site = await FlushSite.open(product, database);
      site.write(WRITERS, WRITE_EVERY_MS);
      const start = performance.now();
      let inFlush = 0;
      for (let kill = 1; kill <= FLUSH_KILLS; kill++) {
        if (Math.random() < EARLY) {
          await delay(Math.random() * START_MS);
        } else {
          await site.moved(1);
          await delay(Math.random() * WORK_MS);
        }
        // It stands still at that instant, and can be looked at.
        if (site.server.pid !== undefined) Deno.kill(site.server.pid, "SIGSTOP");
        if (await site.isFlushing()) inFlush++;
        await site.server.kill();
        if (await site.seq() > 0) await checkWhole(site);
        await site.server.start();
      }
      await site.quiet();
      const ms = await site.flushed();
      assert.equal(await site.isFlushing(), false, "a transaction is open, and nothing to flush");
      const { changes, rows } = await checkAll(site);
      console.log(
        `${product}: ${FLUSH_KILLS} kills of the gateway in ${
          seconds(performance.now() - start)
        } s, ` +
          `${inFlush} of them within a transaction, ${changes} changes once, ${rows} rows as the ` +
          `gateway's, caught up ${Math.round(ms)} ms after the last write`,
      );
      assert.ok(inFlush > 0 || FLUSH_KILLS < 10, "no kill came within a transaction");
    },
    { own: { settings: ZONES[product] } },
  );
}

function seconds(ms: number): number {
  return Math.round(ms / 1_000);
}
