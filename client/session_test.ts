import { defineSchema, type Hlc, type PullResult } from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import type { SqliteConnection, SqliteDriver } from "./database/driver.ts";
import { loadDriver } from "./database/open.ts";
import { openLocal } from "./local.ts";
import { WIDE, withFolder } from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: { notes: { primaryKey: ["id"], columns: { id: "string", title: "string" } } },
});
const FULL = 2;
const COMMIT = /\b(COMMIT|END)\b/;

/** Notes how each commit of the first connection, the writer, waits for the disk. */
class LevelDriver implements SqliteDriver {
  readonly levels: unknown[] = [];
  #opened = 0;

  async open(path: string): Promise<SqliteConnection> {
    const inner = await (await loadDriver()).open(path);
    if (this.#opened++ > 0) return inner;
    const note = async (sql: string) => {
      if (!COMMIT.test(sql)) return;
      const [row] = await inner.values("PRAGMA synchronous");
      this.levels.push(row?.[0]);
    };
    return {
      get inTransaction() {
        return inner.inTransaction;
      },
      script: async (sql) => {
        await note(sql);
        await inner.script(sql);
      },
      run: async (sql, params) => {
        await note(sql);
        return await inner.run(sql, params);
      },
      runMany: (sql, rows) => inner.runMany(sql, rows),
      values: (sql, params) => inner.values(sql, params),
      all: (sql, params) => inner.all(sql, params),
      close: () => inner.close(),
    };
  }
}

function page(seq: number, rowIds: readonly string[]): PullResult {
  const shape = { op: "PUT", table: "notes", columns: ["title"] } as const;
  return {
    changes: rowIds.map((rowId) => ({ shape, rowId, values: [`title ${seq}`] })),
    cursor: `cursor ${seq}`,
    complete: true,
    lastMutationId: 0,
    serverHlc: 1n as Hlc,
    checkpoint: { seq, buckets: [{ id: "all", rows: 1 }] },
  };
}

Deno.test("G1: the app's commits wait for the disk, whatever steps came before", async () => {
  const step = fc.constantFrom("receive", "push", "offset", "resync", "restamp");
  const write = fc.constantFrom("exec", "transaction", "by hand", "script", "create");
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(step, write), { minLength: 1, maxLength: 12 }),
      (actions) =>
        withFolder(async (folder) => {
          const driver = new LevelDriver();
          const database = `${folder}/a.db`;
          const db = await openLocal({ database, schema: SCHEMA, driver, watchMs: 0 });
          const insert = "INSERT INTO notes VALUES (hex(randomblob(8)), 'mine')";
          const durable: Record<string, () => Promise<unknown>> = {
            exec: () => db.exec(insert),
            transaction: () => db.transaction((tx) => tx.exec(insert)),
            "by hand": async () => {
              await db.exec("BEGIN");
              await db.exec(insert);
              await db.exec("COMMIT");
            },
            script: () => db.exec(`BEGIN; ${insert}; COMMIT`),
            create: () => db.exec(`CREATE TABLE IF NOT EXISTS own (id)`),
            resync: () => db.resync(),
            restamp: () => db.restamp(1),
          };
          let seq = 0;
          const others: Record<string, () => Promise<unknown>> = {
            receive: () => db.receive(page(++seq, ["n1"])),
            push: () => db.nextBatch({ mutationId: 0, part: 0 }, WIDE),
            offset: () => db.setClockOffset(5),
          };
          try {
            for (const action of actions) {
              driver.levels.length = 0;
              const isDurable = durable[action];
              await (isDurable ?? others[action])?.();
              if (isDurable === undefined) continue;
              assert.ok(driver.levels.every((level) => level === FULL), `${action} after others`);
            }
          } finally {
            await db.close();
          }
        }),
    ),
    { numRuns: 40 },
  );
});

Deno.test("G5: a step is applied by the tables as they are, though another connection rebuilt one", async () => {
  await withFolder(async (folder) => {
    const database = `${folder}/a.db`;
    const db = await openLocal({ database, schema: SCHEMA, watchMs: 0 });
    const other = await (await loadDriver()).open(database);
    try {
      await db.receive(page(1, ["n1", "n2"]));
      assert.deepEqual((await db.verify())?.drifts, []);
      await other.script("PRAGMA busy_timeout = 1000");
      await other.script(
        `DROP TABLE notes;
         CREATE TABLE notes (id TEXT NOT NULL, title TEXT, own TEXT DEFAULT 'x' UNIQUE ON CONFLICT
           REPLACE, PRIMARY KEY (id)) WITHOUT ROWID`,
      );
      await db.receive(page(2, ["n1"]));
      await db.receive(page(3, ["n2"]));
      const rows = await db.query("SELECT id, title FROM notes ORDER BY id");
      assert.deepEqual(rows, [{ id: "n1", title: "title 2" }], "n2 replaces no other row");
      assert.deepEqual((await db.blockedRows()).map(({ rowId }) => rowId), ["n2"]);
      assert.equal((await db.verify())?.rows, 2, "read in the order it is stored in now");
    } finally {
      await other.close();
      await db.close();
    }
  });
});
