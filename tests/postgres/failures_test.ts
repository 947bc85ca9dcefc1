import assert from "node:assert/strict";
import { DestinationError, type FlushBatch, type RetryKind } from "@lakesync/adapters";
import { postgresAdapter } from "@lakesync/adapters/postgres";
import type { SchemaSpec } from "@lakesync/core";
import { allChanges } from "../conformance/expect.ts";
import { databaseTest } from "../servers/tests.ts";
import { Bed } from "./testing_postgres.ts";

const NOTES: SchemaSpec = {
  version: 1,
  tables: { notes: { primaryKey: ["id"], columns: { id: "string", n: "integer" } } },
};
const ROUNDS = 6;
const ROWS = 3_000;

function fails(retry: RetryKind, text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof DestinationError, String(error));
    assert.equal(error.retry, retry, error.message);
    assert.match(error.message, text);
    return true;
  };
}

databaseTest(
  "postgres",
  "G10: a flush that the database dies in is exact after a retry",
  async ({ url, server }) => {
    await using bed = new Bed(url, NOTES);
    await bed.log.begin();
    let cut = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const from = await bed.adapter.position();
      const changes = bed.log.commit(...Array.from({ length: ROWS }, (_, i) => ({
        op: "INSERT" as const,
        table: "notes",
        rowId: `r${i % 2 === 0 ? i : `${round}-${i}`}`,
        cells: { n: round },
      })));
      const to = bed.log.at({ seq: bed.log.seq });
      const batch: FlushBatch = { from, to, rows: [], changes, isWhole: true };
      const flush = bed.adapter.insertDeltas(batch).then(() => true, (error: unknown) => {
        assert.ok(error instanceof DestinationError && error.retry !== "stop", String(error));
        return false;
      });
      const timer = Promise.withResolvers<void>();
      setTimeout(timer.resolve, 15 + round * 40);
      await timer.promise;
      await server.kill("SIGKILL");
      if (!await flush) cut++;
      await server.restart();
      // Nobody knows whether it was committed, but the database does.
      for (;;) {
        try {
          const position = await bed.adapter.position();
          if (position?.seq !== to.seq) await bed.adapter.insertDeltas(batch);
          break;
        } catch (error) {
          assert.ok(error instanceof DestinationError && error.retry !== "stop", String(error));
        }
      }
      assert.deepEqual(await bed.adapter.position(), to);
    }
    assert.ok(cut > 0, "no flush was cut");
    const changes = await allChanges(bed.adapter);
    assert.equal(changes.length, ROUNDS * ROWS);
    assert.equal(new Set(changes.map(({ deltaId }) => deltaId)).size, ROUNDS * ROWS);
    const notes = await bed.rows(
      `SELECT count(*)::int AS count, count(*) FILTER (WHERE n = ${ROUNDS - 1})::int AS last,
     (SELECT count(*)::int FROM lakesync_state WHERE is_visible) AS kept FROM notes`,
    );
    const count = ROWS / 2 * (ROUNDS + 1);
    assert.deepEqual(notes, [{ count, last: ROWS, kept: count }]);
  },
  { own: {} },
);

databaseTest(
  "postgres",
  "a flush that is stuck on a lock ends, and blocks no reader",
  async ({ url }) => {
    await using bed = new Bed(url, NOTES, { statementTimeoutMs: 300 });
    await bed.log.begin();
    const row = { op: "INSERT" as const, table: "notes", rowId: "r1" };
    await bed.log.insert(bed.log.commit({ ...row, cells: { n: 1 } }));
    const changes = bed.log.commit({ table: "notes", rowId: "r1", cells: { n: 2 } });
    const from = await bed.adapter.position();
    const batch = { from, to: bed.log.at({ seq: 2 }), rows: [], changes, isWhole: true };
    await bed.sql.begin(async (sql) => {
      await sql`SELECT n FROM notes FOR UPDATE`;
      const stuck = bed.adapter.insertDeltas(batch);
      assert.equal((await bed.adapter.position())?.seq, 1);
      assert.equal((await bed.adapter.scanState(undefined, 9)).length, 1);
      await assert.rejects(stuck, fails("now", /^A lock was not given in time/));
    });
    await bed.adapter.insertDeltas(batch);
    assert.deepEqual(await bed.rows("SELECT n::int FROM notes"), [{ n: 2 }]);
  },
);

databaseTest(
  "postgres",
  "a server that says nothing is given up, and found again",
  async ({ url, server }) => {
    await using bed = new Bed(url, NOTES);
    await bed.log.begin();
    await server.kill("SIGSTOP");
    const flush = bed.log.insert(bed.log.commit({ table: "notes", rowId: "r1", cells: { n: 1 } }));
    const failure = assert.rejects(flush, fails("later", /^The database cannot be reached/));
    await bed.adapter.close();
    await failure;
    await server.kill("SIGCONT");
    await using again = new Bed(url, NOTES);
    await again.log.begin();
  },
  { own: { durable: false } },
);

databaseTest("postgres", "failures say when to try again", async ({ url, server }) => {
  const wrong = new URL(url);
  wrong.password = "wrong";
  const tries: [string, RetryKind, RegExp][] = [
    [wrong.href, "stop", /does not let the user in/],
    [url.replace(/[^/]*$/, "nowhere"), "stop", /no such database/],
  ];
  for (const [address, retry, text] of tries) {
    const adapter = postgresAdapter({ url: address });
    await assert.rejects(adapter.position(), fails(retry, text));
    await assert.rejects(
      adapter.refill({ from: undefined, to: { seq: 0, lives: [], writer: "" } }),
      fails(retry, text),
    );
    await adapter.close();
    await assert.rejects(adapter.position(), fails("later", /is closed/));
  }
  await using bed = new Bed(url, NOTES);
  await bed.sql.unsafe(
    `CREATE ROLE guest LOGIN PASSWORD 'guest'; REVOKE ALL ON SCHEMA public FROM public`,
  );
  const guest = new URL(url);
  [guest.username, guest.password] = ["guest", "guest"];
  await using low = new Bed(guest.href, NOTES);
  await assert.rejects(
    low.adapter.ensureSchema(low.log.schema),
    fails("stop", /lacks a privilege/),
  );
  await bed.log.begin();
  await bed.sql.unsafe(
    `ALTER DATABASE "${new URL(url).pathname.slice(1)}" SET default_transaction_read_only = on`,
  );
  await using fresh = new Bed(url, NOTES);
  await assert.rejects(fresh.log.begin(), fails("later", /read-only/));
  await server.kill("SIGKILL");
  await assert.rejects(fresh.adapter.position(), fails("later", /cannot be reached|stopping/));
  await assert.rejects(fresh.adapter.position(), fails("later", /cannot be reached|stopping/));
}, { own: { durable: false } });
