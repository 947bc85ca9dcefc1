/**
 * The database, all its processes, is killed at random instants of flushes while clients write to
 * the gateway, which answers them all the while. `LAKESYNC_TEST_FLUSH_KILLS=100` is the full run.
 */

import assert from "node:assert/strict";
import { databaseTest } from "../servers/tests.ts";
import { checkAll, checkWhole } from "./support_flush_checks.ts";
import { FLUSH_KILLS, FlushSite, ZONES } from "./support_flush_site.ts";

const WRITERS = 6;
const WRITE_EVERY_MS = 60;

/** A kill comes so long at most after a flush. */
const WORK_MS = 60;

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

for (const product of ["postgres", "mariadb"] as const) {
  databaseTest(
    product,
    `G6 G10: ${FLUSH_KILLS} SIGKILLs of a database in flushes lose, double, halve and delay nothing`,
    async (database) => {
      await using site = await FlushSite.open(product, database);
      site.write(WRITERS, WRITE_EVERY_MS);
      const start = performance.now();
      let inFlush = 0;
      for (let kill = 1; kill <= FLUSH_KILLS; kill++) {
        await site.moved(1);
        await checkWhole(site);
        await delay(Math.random() * WORK_MS);
        // A moment before, since a server that is gone cannot be asked.
        if (await site.isFlushing()) inFlush++;
        await database.server.kill("SIGKILL");
        await database.server.restart();
      }
      await site.quiet();
      const ms = await site.flushed();
      assert.equal(await site.isFlushing(), false, "a transaction is open, and nothing to flush");
      const { changes, rows } = await checkAll(site);
      const answers = site.writers.flatMap(({ answerMs }) => answerMs);
      console.log(
        `${product}: ${FLUSH_KILLS} kills of the database in ` +
          `${Math.round((performance.now() - start) / 1_000)} s, a transaction was open before ` +
          `${inFlush} of them, ${changes} changes once, ${rows} rows as the gateway's, caught up ` +
          `${Math.round(ms)} ms after the last write; ${answers.length} pushes answered`,
      );
      const failures = site.writers.flatMap((writer) => writer.failures);
      assert.deepEqual(failures, [], "a push was not answered while the database was gone");
    },
    { own: { settings: ZONES[product] } },
  );
}
