import {
  chainedIdOf,
  chainOf,
  defineSchema,
  type Hlc,
  LakeSyncError,
  type Transaction,
} from "@lakesync/core";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type AnyLocalDatabase, openLocal } from "./local.ts";
import type { Batch, BatchLimits, BatchPosition } from "./replica.ts";
import { MemoryGateway, WIDE, withFolder } from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: { t: { primaryKey: ["id"], columns: { id: "string", a: "string", b: "integer" } } },
});

async function withLocal(
  work: (db: AnyLocalDatabase, path: string) => Promise<void>,
  keepAcceptedDays = 7,
): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/a.db`;
    const db = await openLocal({ database: path, schema: SCHEMA, watchMs: 0, keepAcceptedDays });
    try {
      await work(db, path);
    } finally {
      await db.close();
    }
  });
}

async function insertMany(db: AnyLocalDatabase, rows: number, prefix: string): Promise<void> {
  await db.exec(
    `WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?1)
     INSERT INTO t SELECT ?2 || i, 'text ' || i, i FROM c`,
    [rows, prefix],
  );
}

async function readAll(
  db: AnyLocalDatabase,
  limits: BatchLimits,
  from: BatchPosition = { mutationId: 0, part: 0 },
): Promise<Batch[]> {
  const batches: Batch[] = [];
  let position = from;
  while (true) {
    const batch = await db.nextBatch(position, limits);
    if (batch === undefined) return batches;
    batches.push(batch);
    position = batch.next;
  }
}

function chainsOf(clientId: string, transactions: readonly Transaction[]): string[] {
  const chains: string[] = [];
  for (const { deltas } of transactions) {
    const ids = deltas.map((delta) => chainedIdOf(clientId, delta) ?? "");
    chains.push(chainOf(chains.at(-1) ?? "", ids));
  }
  return chains;
}

Deno.test("nextBatch gives whole transactions in order, up to the limits", async () => {
  await withLocal(async (db) => {
    for (const rows of [2, 3, 1, 4]) await insertMany(db, rows, `r${rows}-`);
    const shapes = (await readAll(db, { ...WIDE, deltas: 5 })).map(({ transactions }) =>
      transactions.map(({ mutationId, deltas }) => [mutationId, deltas.length])
    );
    assert.deepEqual(shapes, [[[1, 2], [2, 3]], [[3, 1], [4, 4]]]);
    const few = await readAll(db, { ...WIDE, transactions: 3 });
    assert.deepEqual(few.map(({ transactions }) => transactions.length), [3, 1]);
    const bytes = await readAll(db, { ...WIDE, bytes: 210 });
    assert.deepEqual(bytes.map(({ next }) => next.mutationId), [1, 3, 4]);
    assert.equal(await db.nextBatch({ mutationId: 4, part: 0 }, WIDE), undefined);
  });
});

Deno.test("nextBatch shares a shape between deltas of one kind", async () => {
  await withLocal(async (db) => {
    await insertMany(db, 3, "r");
    await db.exec("UPDATE t SET a = 'x'");
    const [batch] = await readAll(db, WIDE);
    const deltas = batch?.transactions.flatMap(({ deltas }) => deltas) ?? [];
    assert.equal(new Set(deltas.map(({ shape }) => shape)).size, 2);
  });
});

Deno.test("stamps rise with every change and follow the clock that was given", async () => {
  let now = 1_000_000;
  const db = await openLocal({ database: ":memory:", schema: SCHEMA, now: () => now });
  await db.exec("INSERT INTO t (id) VALUES ('a'), ('b')");
  await db.setClockOffset(500);
  now = 1_000_001;
  await db.exec("INSERT INTO t (id) VALUES ('c')");
  now = 5;
  await db.exec("INSERT INTO t (id) VALUES ('d')");
  const [batch] = await readAll(db, WIDE);
  const stamps = batch?.transactions.flatMap(({ deltas }) => deltas.map(({ hlc }) => hlc));
  const first = 1_000_000n << 16n;
  const third = 1_000_501n << 16n;
  assert.deepEqual(stamps, [first, first + 1n, third, third + 1n]);
  await db.close();
});

Deno.test("the chain of every transaction is what core's chainOf says", async () => {
  await withLocal(async (db) => {
    await insertMany(db, 3, "a");
    await db.exec("UPDATE t SET b = NULL, a = 'é' WHERE id = 'a1'");
    await db.exec("DELETE FROM t");
    const [batch] = await readAll(db, WIDE);
    const transactions = batch?.transactions ?? [];
    const { clientId } = await db.state();
    assert.deepEqual(transactions.map(({ chain }) => chain), chainsOf(clientId, transactions));
  });
});

Deno.test("a transaction over the limits comes in parts, the same ones after a restart", async () => {
  await withFolder(async (folder) => {
    const options = { database: `${folder}/a.db`, schema: SCHEMA, watchMs: 0 };
    const first = await openLocal(options);
    await insertMany(first, 2, "small");
    await insertMany(first, 25, "large");
    await insertMany(first, 2, "after");
    const limits = { ...WIDE, deltas: 10 };
    const once = await readAll(first, limits);
    assert.deepEqual(
      once.map(({ transactions: [one], next }) => [
        one?.mutationId,
        one?.part,
        one?.parts,
        one?.deltas.length,
        next,
      ]),
      [
        [1, undefined, undefined, 2, { mutationId: 1, part: 0 }],
        [2, 1, 3, 10, { mutationId: 1, part: 1 }],
        [2, 2, 3, 10, { mutationId: 1, part: 2 }],
        [2, 3, 3, 5, { mutationId: 2, part: 0 }],
        [3, undefined, undefined, 2, { mutationId: 3, part: 0 }],
      ],
    );
    await first.close();
    const second = await openLocal(options);
    assert.deepEqual(await readAll(second, limits), once);
    assert.deepEqual(await readAll(second, { ...limits, deltas: 12 }), once);
    const { clientId } = await second.state();
    const parts = once.slice(1, 4).flatMap(({ transactions }) => transactions);
    const whole: Transaction[] = [
      ...once[0]?.transactions ?? [],
      { mutationId: 2, deltas: parts.flatMap(({ deltas }) => deltas) },
      ...once[4]?.transactions ?? [],
    ];
    assert.deepEqual(parts.map(({ chain }) => chain === undefined), [true, true, false]);
    assert.deepEqual(
      [once[0], once[3], once[4]].map((batch) => batch?.transactions[0]?.chain),
      chainsOf(clientId, whole),
    );
    await second.close();
  });
});

Deno.test("the last part has its chain though the earlier ones were read in another life", async () => {
  await withFolder(async (folder) => {
    const options = { database: `${folder}/a.db`, schema: SCHEMA, watchMs: 0 };
    const limits = { ...WIDE, deltas: 4 };
    const first = await openLocal(options);
    await insertMany(first, 10, "r");
    const one = await first.nextBatch({ mutationId: 0, part: 0 }, limits);
    await first.close();
    const second = await openLocal(options);
    const rest = await readAll(second, limits, one?.next);
    const { clientId } = await second.state();
    const deltas = [one, ...rest].flatMap((batch) => batch?.transactions[0]?.deltas ?? []);
    assert.equal(deltas.length, 10);
    assert.equal(
      rest.at(-1)?.transactions[0]?.chain,
      chainsOf(clientId, [{ mutationId: 1, deltas }])[0],
    );
    await second.close();
  });
});

Deno.test("parts that no longer fit are cut anew, into more", async () => {
  await withLocal(async (db) => {
    await insertMany(db, 25, "r");
    const partsAt = async (deltas: number) =>
      (await readAll(db, { ...WIDE, deltas })).map(({ transactions: [one] }) => [
        one?.parts,
        one?.deltas.length,
      ]);
    assert.deepEqual(await partsAt(10), [[3, 10], [3, 10], [3, 5]]);
    assert.deepEqual(await partsAt(9), [5, 5, 5, 5, 5].map((n) => [5, n]));
    assert.deepEqual(await partsAt(10), [5, 5, 5, 5, 5].map((n) => [5, n]));
  });
});

Deno.test("parts are cut by bytes too", async () => {
  await withLocal(async (db) => {
    await db.exec(
      "INSERT INTO t (id, a) SELECT value, printf('%.*c', 1000, 'x') FROM json_each(?)",
      [
        JSON.stringify(["a", "b", "c", "d", "e"]),
      ],
    );
    const batches = await readAll(db, { ...WIDE, bytes: 2_500 });
    assert.deepEqual(batches.map(({ transactions: [one] }) => one?.deltas.length), [2, 2, 1]);
  });
});

Deno.test("the statement that would pass a million changes in one transaction fails", async () => {
  await withLocal(async (db, path) => {
    await db.exec("INSERT INTO t (id) VALUES ('a')");
    const other = new DatabaseSync(path);
    other.exec("UPDATE _lakesync_clock SET sealed_n = n - 999999");
    other.exec("INSERT INTO t (id) VALUES ('b')");
    assert.throws(
      () => other.exec("INSERT OR IGNORE INTO t (id) VALUES ('c')"),
      /LakeSync: a transaction takes at most 1000000 changes/,
    );
    other.exec("UPDATE _lakesync_clock SET sealed_n = n, bytes = 300000000");
    assert.throws(() => other.exec("DELETE FROM t"), /at most 268435456 bytes/);
    other.close();
  });
});

Deno.test("G13: restamp gives new stamps in order, keeps what was consumed, and all links", async () => {
  let now = 1_000_000;
  const db = await openLocal({ database: ":memory:", schema: SCHEMA, now: () => now });
  for (const id of ["a", "b", "c"]) {
    await db.exec("INSERT INTO t (id) VALUES (?), (?)", [id, id + 2]);
    now = 2_000_000;
  }
  const before = (await readAll(db, WIDE))[0]?.transactions ?? [];
  now = 1_000_001;
  await db.receiveHlc((1_000_500n << 16n) as Hlc);
  await db.restamp(2);
  await db.exec("INSERT INTO t (id) VALUES ('d')");
  const after = (await readAll(db, WIDE))[0]?.transactions ?? [];
  assert.deepEqual(after[0], before[0]);
  const stamps = after.flatMap(({ deltas }) => deltas.map(({ hlc }) => hlc ?? 0n));
  assert.deepEqual(stamps.slice(2), [1n, 2n, 3n, 4n, 5n].map((i) => (1_000_500n << 16n) + i));
  const { clientId } = await db.state();
  assert.deepEqual(after.map(({ chain }) => chain), chainsOf(clientId, after));
  const links = before.map(({ chain }) => chain);
  assert.deepEqual(after.map(({ chain }) => chain).slice(0, 3), links);
  await db.restamp(2);
  const again = (await readAll(db, WIDE))[0]?.transactions ?? [];
  assert.deepEqual(again.map(({ chain }) => chain).slice(0, 3), links);
  await db.close();
});

Deno.test("restamp follows a clock that was set back when nothing was consumed", async () => {
  let now = 9_000_000;
  const db = await openLocal({ database: ":memory:", schema: SCHEMA, now: () => now });
  await db.exec("INSERT INTO t (id) VALUES ('a')");
  now = 1_000_000;
  await db.restamp(1);
  await db.exec("INSERT INTO t (id) VALUES ('b')");
  const [batch] = await readAll(db, WIDE);
  const stamps = batch?.transactions.flatMap(({ deltas }) => deltas.map(({ hlc }) => hlc));
  assert.deepEqual(stamps, [1_000_000n << 16n, (1_000_000n << 16n) + 1n]);
  await db.close();
});

Deno.test("G13: fork goes on under a new clientId from the last common transaction", async () => {
  await withLocal(async (db) => {
    const gateway = new MemoryGateway();
    const before = await db.state();
    for (const id of ["a", "b", "c"]) await db.exec("INSERT INTO t (id) VALUES (?)", [id]);
    const [batch] = await readAll(db, WIDE);
    await db.pushed(gateway.push(before.clientId, batch?.transactions.slice(0, 1) ?? []));
    const stamp = (BigInt(Date.now()) << 16n) as Hlc;
    const other = { shape: { op: "INSERT", table: "t", columns: ["a"] }, rowId: "x" } as const;
    const theirs = { ...other, hlc: stamp, values: ["copy"], deltaId: undefined };
    gateway.push(before.clientId, [{ mutationId: 2, deltas: [theirs] }]);
    for (const page of gateway.pull(before.clientId, undefined)) await db.receive(page);
    const ids = async () => (await db.query("SELECT id FROM t ORDER BY id")).map(({ id }) => id);
    assert.deepEqual(await ids(), ["a", "c", "x"], "its own second write seems to be covered");
    await db.fork(1);
    assert.deepEqual(await ids(), ["a", "b", "c", "x"]);
    const state = await db.state();
    assert.notEqual(state.clientId, before.clientId);
    assert.deepEqual(
      [state.lastMutationId, state.settledMutationId, state.highestMutationId, state.refusalsSeen],
      [0, 0, 2, 0],
    );
    const [again] = await readAll(db, WIDE);
    const transactions = again?.transactions ?? [];
    assert.deepEqual(transactions.map(({ mutationId }) => mutationId), [1, 2]);
    assert.deepEqual(
      transactions.map(({ chain }) => chain),
      chainsOf(state.clientId, transactions),
    );
    await db.pushed(gateway.push(state.clientId, transactions));
    for (const page of gateway.pull(state.clientId, state.cursor)) await db.receive(page);
    assert.deepEqual(await ids(), ["a", "b", "c", "x"]);
    assert.equal(await db.pendingOf("t", "b"), "synced");
  });
});

Deno.test("G13: what counts as the old client's stays visible until the next checkpoint has it", async () => {
  await withLocal(async (db) => {
    await db.exec("INSERT INTO t (id) VALUES ('a')");
    await db.exec("INSERT INTO t (id) VALUES ('b')");
    await db.fork(1);
    assert.equal((await db.query("SELECT id FROM t")).length, 2);
    const gateway = new MemoryGateway();
    for (const page of gateway.pull("new", undefined)) await db.receive(page);
    assert.deepEqual(await db.query("SELECT id FROM t"), [{ id: "b" }]);
  });
});

Deno.test("accepted transactions are purged when they are old, and asking for them says so", async () => {
  await withLocal(async (db) => {
    const gateway = new MemoryGateway();
    const { clientId } = await db.state();
    for (const id of ["a", "b"]) await db.exec("INSERT INTO t (id) VALUES (?)", [id]);
    const [batch] = await readAll(db, WIDE);
    await db.pushed(gateway.push(clientId, batch?.transactions ?? []));
    await db.exec("INSERT INTO t (id) VALUES ('c')");
    for (const page of gateway.pull(clientId, undefined)) await db.receive(page);
    await assert.rejects(db.nextBatch({ mutationId: 0, part: 0 }, WIDE), (error) => {
      assert.ok(error instanceof LakeSyncError);
      assert.equal(error.code, "MUTATION_GAP");
      return true;
    });
    const rest = await db.nextBatch({ mutationId: 2, part: 0 }, WIDE);
    assert.deepEqual(rest?.transactions.map(({ mutationId }) => mutationId), [3]);
    const all = [...batch?.transactions ?? [], ...rest?.transactions ?? []];
    assert.equal(rest?.transactions[0]?.chain, chainsOf(clientId, all).at(-1));
    assert.equal((await db.query("SELECT * FROM t")).length, 3);
  }, -1);
});

Deno.test("accepted transactions are kept for the days that were asked for", async () => {
  await withLocal(async (db) => {
    const gateway = new MemoryGateway();
    const { clientId } = await db.state();
    await db.exec("INSERT INTO t (id) VALUES ('a')");
    const [batch] = await readAll(db, WIDE);
    await db.pushed(gateway.push(clientId, batch?.transactions ?? []));
    for (const page of gateway.pull(clientId, undefined)) await db.receive(page);
    assert.deepEqual(await readAll(db, WIDE), [batch]);
  });
});
