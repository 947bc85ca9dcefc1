/**
 * The database is stopped in the middle of flushes, so that it takes connections and answers nothing,
 * and goes on. What takes too long is given up and made again, and every change arrives once.
 */

import assert from "node:assert/strict";
import { until } from "../e2e/wait.ts";
import { databaseTest } from "../servers/tests.ts";
import { checkAll } from "./support_flush_checks.ts";
import { FlushSite, ZONES } from "./support_flush_site.ts";

const STOPS = 3;
const WRITERS = 4;
const WRITE_EVERY_MS = 40;
const FLUSH_TIMEOUT_MS = 500;

for (const product of ["postgres", "mariadb"] as const) {
  databaseTest(
    product,
    "G6 G10: a write to a database that hangs is given up in time, and made again",
    async (database) => {
      await using site = await FlushSite.open(product, database, {
        flushTimeoutMs: FLUSH_TIMEOUT_MS,
      });
      site.write(WRITERS, WRITE_EVERY_MS);
      const givenUp: number[] = [];
      for (let stop = 0; stop < STOPS; stop++) {
        await site.moved(5);
        await database.server.kill("SIGSTOP");
        try {
          const late = /did not answer within 500 ms/;
          givenUp.push(
            await until("it is given up", async () => {
              return late.test((await site.standing()).lastError?.message ?? "");
            }),
          );
        } finally {
          await database.server.kill("SIGCONT");
        }
      }
      await site.quiet();
      const ms = await site.flushed();
      const { changes } = await checkAll(site);
      console.log(
        `${product}: given up after ${givenUp.map(Math.round).join(", ")} ms, caught up ` +
          `${Math.round(ms)} ms after the last write, ${changes} changes once`,
      );
      assert.deepEqual(site.writers.flatMap(({ failures }) => failures), []);
    },
    { own: { settings: ZONES[product] } },
  );
}
