import { defineSchema, type Hlc } from "@lakesync/core";
import assert from "node:assert/strict";
import { type AnyLocalDatabase, openLocal } from "./local.ts";
import { copyDatabase, MemoryGateway, WIDE, withFolder } from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: {
    t: { primaryKey: ["id"], columns: { id: "string", n: { type: "integer", merge: "counter" } } },
  },
});

const START = { mutationId: 0, part: 0 };

async function write(db: AnyLocalDatabase, ...ids: readonly string[]): Promise<void> {
  for (const id of ids) await db.exec("INSERT INTO t VALUES (?, 1)", [id]);
}

/** Runs a function with a database and a copy of it as it is when it is copied. */
async function withCopy(
  work: (one: AnyLocalDatabase, copy: () => Promise<AnyLocalDatabase>) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const paths = [`${folder}/a.db`, `${folder}/b.db`] as const;
    const open = (path: string) => openLocal({ database: path, schema: SCHEMA, watchMs: 0 });
    const one = await open(paths[0]);
    const opened = [one];
    const copy = async () => {
      copyDatabase(...paths);
      const db = await open(paths[1]);
      opened.push(db);
      return db;
    };
    try {
      await work(one, copy);
    } finally {
      for (const db of opened) await db.close();
    }
  });
}

Deno.test("G13: copies that send the same again fork to one name, and send the same bytes", async () => {
  await withCopy(async (one, copy) => {
    await write(one, "a", "b");
    await one.exec("UPDATE t SET n = n + 1");
    const other = await copy();
    // Whether the link was known before makes no difference.
    await one.nextBatch(START, WIDE);
    await write(other, "mine");
    for (const db of [one, other]) await db.fork(1);
    const [state, theirs] = await Promise.all([one.state(), other.state()]);
    assert.equal(state.clientId, theirs.clientId);
    const batches = await Promise.all([one, other].map((db) => db.nextBatch(START, WIDE)));
    assert.equal(batches[1]?.transactions.length, 3);
    assert.deepEqual(batches[0]?.transactions, batches[1]?.transactions.slice(0, 2));
    await write(one, "theirs");
    for (const db of [one, other]) await db.fork(2);
    assert.notEqual((await one.state()).clientId, (await other.state()).clientId);
  });
});

Deno.test("G13: copies that stamp the same anew, each for itself, still send the same", async () => {
  await withCopy(async (one, copy) => {
    await write(one, "a", "b");
    const other = await copy();
    await other.receiveHlc((BigInt(Date.now() + 60_000) << 16n) as Hlc);
    for (const db of [one, other]) await db.restamp(1);
    const read = async () =>
      await Promise.all([one, other].map(async (db) => {
        const { transactions = [] } = await db.nextBatch(START, WIDE) ?? {};
        return {
          stamps: transactions.flatMap(({ deltas }) => deltas.map(({ hlc }) => hlc)),
          links: transactions.map(({ chain }) => chain),
        };
      }));
    const [mine, theirs] = await read();
    assert.notDeepEqual(mine?.stamps, theirs?.stamps);
    assert.deepEqual(mine?.links, theirs?.links);
    for (const db of [one, other]) await db.fork(1);
    assert.equal((await one.state()).clientId, (await other.state()).clientId);
    const [after, copied] = await read();
    assert.equal(after?.links.length, 1);
    assert.deepEqual(after?.links, copied?.links);
  });
});

Deno.test("G13: what a copy has sent under other stamps does not hold the next ones in the future", async () => {
  let now = 9_000_000;
  const db = await openLocal({ database: ":memory:", schema: SCHEMA, now: () => now });
  await write(db, "a", "b");
  now = 1_000_000;
  const serverHlc = (1_000_007n << 16n) as Hlc;
  const serverTime = new Date(now).toISOString();
  await db.pushed({ lastMutationId: 1, rejected: [], seq: 1, serverTime, serverHlc });
  await db.restamp(2);
  const batch = await db.nextBatch({ mutationId: 1, part: 0 }, WIDE);
  const stamps = batch?.transactions.flatMap(({ deltas }) => deltas.map(({ hlc }) => hlc));
  assert.deepEqual(stamps, [serverHlc + 1n]);
  await db.close();
});

Deno.test("G13: copies that have nothing to send again fork to names of their own", async () => {
  await withCopy(async (one, copy) => {
    await write(one, "a");
    const other = await copy();
    for (const db of [one, other]) await db.fork(1);
    assert.notEqual((await one.state()).clientId, (await other.state()).clientId);
  });
});

Deno.test("G13: a fork gives back what is kept after what was purged", async () => {
  let now = 1_000_000;
  const db = await openLocal({
    database: ":memory:",
    schema: SCHEMA,
    keepAcceptedDays: 1,
    now: () => now,
  });
  const gateway = new MemoryGateway();
  const { clientId } = await db.state();
  const accept = async () => {
    const batch = await db.nextBatch(
      { mutationId: (await db.state()).settledMutationId, part: 0 },
      WIDE,
    );
    await db.pushed(gateway.push(clientId, batch?.transactions ?? []));
    const { cursor } = await db.state();
    for (const page of gateway.pull(clientId, cursor)) await db.receive(page);
  };
  await write(db, "a", "b");
  await accept();
  now += 2 * 86_400_000;
  await write(db, "c");
  await accept();
  await write(db, "d");
  await assert.rejects(db.nextBatch(START, WIDE), /no longer kept/);
  await db.fork(0);
  const batch = await db.nextBatch(START, WIDE);
  assert.deepEqual(
    batch?.transactions.map(({ mutationId, deltas }) => [mutationId, deltas[0]?.rowId]),
    [[1, "c"], [2, "d"]],
  );
  assert.equal(await db.pendingOf("t", "c"), "pending");
  await db.close();
});
