/**
 * Another session of the database holds what a flush needs. Pushes and pulls are answered as fast
 * as without it, and afterwards the flush catches up. `LAKESYNC_TEST_FLUSH_LOCK_SECONDS=60` is the
 * full run.
 */

import assert from "node:assert/strict";
import { until } from "../e2e/wait.ts";
import { openSession } from "../servers/testing_sql.ts";
import { databaseTest, type Product } from "../servers/tests.ts";
import { checkAll } from "./support_flush_checks.ts";
import { FlushReader } from "./support_flush_reader.ts";
import { FlushSite, ZONES } from "./support_flush_site.ts";

const LOCK_MS = Number(Deno.env.get("LAKESYNC_TEST_FLUSH_LOCK_SECONDS") ?? "10") * 1_000;

/** Without a lock it is measured for so long, before it and after. */
const FREE_MS = Math.min(LOCK_MS / 2, 15_000);

/** Some waits for the lock end by themselves, and the flush is tried again. */
const STATEMENT_MS = LOCK_MS / 4;

const WRITERS = 4;
const READERS = 2;
const EVERY_MS = 50;

/** What p99 may be more, since other programs have their share of the processors too. */
const FACTOR = 3;
const MORE_MS = 50;

/** Takes a lock, and gives it back. */
type Lock = readonly [what: string, take: readonly string[], release: string];

const LOCKS: Readonly<Record<Product, readonly Lock[]>> = {
  postgres: [
    ["a table", ["BEGIN", "LOCK TABLE items IN ACCESS EXCLUSIVE MODE"], "ROLLBACK"],
    ["rows", ["BEGIN", "SELECT id FROM tallies FOR UPDATE"], "ROLLBACK"],
    ["the position", ["BEGIN", "SELECT * FROM lakesync_position FOR UPDATE"], "ROLLBACK"],
  ],
  mariadb: [
    ["a table", ["LOCK TABLES items WRITE"], "UNLOCK TABLES"],
    ["rows", ["BEGIN", "SELECT id FROM tallies FOR UPDATE"], "ROLLBACK"],
    ["the position", ["BEGIN", "SELECT * FROM lakesync_position FOR UPDATE"], "ROLLBACK"],
  ],
};

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The value that 99 of 100 are not above, and forgets them. */
function takeP99(times: number[]): number {
  const sorted = times.splice(0).sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? NaN;
}

for (const product of ["postgres", "mariadb"] as const) {
  // The short run takes one lock of each database, not the same.
  const few = product === "postgres" ? 0 : 1;
  const locks = LOCK_MS < 60_000 ? LOCKS[product].slice(few, few + 1) : LOCKS[product];
  for (const [what, take, release] of locks) {
    databaseTest(
      product,
      `G6 G11: a flush that waits for ${what} for ${LOCK_MS / 1_000} s delays no push and no pull`,
      async (database) => {
        await using site = await FlushSite.open(product, database, {
          statementTimeoutMs: STATEMENT_MS,
        });
        site.write(WRITERS, EVERY_MS, false);
        const readers = Array.from(
          { length: READERS },
          (_, i) => new FlushReader(`r${i}`, site.server.url, EVERY_MS),
        );
        await using _readers = { [Symbol.asyncDispose]: () => stopAll(readers) };
        await site.moved(20);
        const measure = async (ms: number) => {
          const pushes = () => site.writers.map(({ answerMs }) => answerMs);
          const pulls = () => readers.map(({ answerMs }) => answerMs);
          for (const times of [...pushes(), ...pulls()]) times.length = 0;
          await delay(ms);
          return {
            push: takeP99(pushes().flatMap((times) => times.splice(0))),
            pull: takeP99(pulls().flatMap((times) => times.splice(0))),
          };
        };
        const first = await measure(FREE_MS);

        await using session = await openSession(database.url);
        for (const statement of take) await session.query(statement);
        let before = await site.standing();
        await until("the flush waits", async () => {
          const { seq } = before;
          await delay(500);
          before = await site.standing();
          return before.seq === seq;
        });
        const locked = await measure(LOCK_MS);
        const { seq, lagCommits } = await site.standing();
        assert.equal(seq, before.seq, "the flush did not wait");
        await session.query(release);

        const ms = await until(
          "what waited has arrived",
          async () => await site.seq() >= Number(seq) + lagCommits,
          LOCK_MS + 60_000,
        );
        const after = await measure(FREE_MS);
        await site.quiet();
        await stopAll(readers);
        await site.flushed();
        const { changes } = await checkAll(site);
        console.log(
          `${product}, ${what} locked for ${LOCK_MS / 1_000} s: p99 of pushes ` +
            `${first.push.toFixed(1)} ms before, ${locked.push.toFixed(1)} ms beside it and ` +
            `${after.push.toFixed(1)} ms after, of pulls ${first.pull.toFixed(1)} ms, ` +
            `${locked.pull.toFixed(1)} ms and ${after.pull.toFixed(1)} ms; ${lagCommits} commits ` +
            `that waited were there ${Math.round(ms)} ms after, ${changes} changes once`,
        );
        // Before and after, since what else runs on the machine comes and goes.
        for (const kind of ["push", "pull"] as const) {
          const free = Math.max(first[kind], after[kind]);
          assert.ok(
            locked[kind] <= FACTOR * free + MORE_MS,
            `p99 of ${kind}: ${locked[kind]} ms beside the lock, ${free} ms without`,
          );
        }
        assert.deepEqual(site.writers.flatMap(({ failures }) => failures), []);
        assert.deepEqual(readers.flatMap(({ failures }) => failures), []);
      },
      { own: { settings: ZONES[product] } },
    );
  }
}

async function stopAll(readers: readonly FlushReader[]): Promise<void> {
  await Promise.all(readers.map((reader) => reader.stop()));
}
