import { defineSchema, type PushResult, type Rejection } from "@lakesync/core";
import assert from "node:assert/strict";
import { type AnyLocalDatabase, type LocalDatabase, openLocal } from "./local.ts";
import type { DeadLetter } from "./replica.ts";
import { MemoryGateway, WIDE } from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: {
    t: { primaryKey: ["id"], columns: { id: "string", a: "string", b: "boolean", j: "json" } },
  },
});

type Local = LocalDatabase<typeof SCHEMA>;

async function withLocal(
  work: (db: Local, gateway: MemoryGateway) => Promise<void>,
): Promise<void> {
  const db = await openLocal({ database: ":memory:", schema: SCHEMA });
  try {
    await work(db, new MemoryGateway());
  } finally {
    await db.close();
  }
}

async function push(
  db: Local,
  gateway: MemoryGateway,
  refused: readonly number[],
): Promise<PushResult> {
  const { clientId, settledMutationId } = await db.state();
  const batch = await db.nextBatch({ mutationId: settledMutationId, part: 0 }, WIDE);
  return gateway.push(clientId, batch?.transactions ?? [], (id) => refused.includes(id));
}

async function pull(db: Local, gateway: MemoryGateway): Promise<void> {
  const { clientId, cursor } = await db.state();
  for (const page of gateway.pull(clientId, cursor)) await db.receive(page);
}

async function rows(db: AnyLocalDatabase): Promise<unknown> {
  return (await db.query("SELECT id, a FROM t ORDER BY id")).map(({ id, a }) => [id, a]);
}

Deno.test("G6: a refused transaction is undone at once, and the ones behind it stay", async () => {
  await withLocal(async (db, gateway) => {
    await db.exec("INSERT INTO t (id, a) VALUES ('a', '1'), ('b', '1')");
    await db.pushed(await push(db, gateway, []));
    await pull(db, gateway);
    await db.exec("UPDATE t SET a = '2'");
    await db.exec("DELETE FROM t WHERE id = 'b'");
    await db.exec("UPDATE t SET b = 1 WHERE id = 'a'");
    await db.pushed(await push(db, gateway, [2, 3]));
    assert.deepEqual(await rows(db), [["a", "1"], ["b", "1"]]);
    assert.equal((await db.tables.t.get("a"))?.b, true);
    await pull(db, gateway);
    assert.deepEqual(await rows(db), [["a", "1"], ["b", "1"]]);
    assert.equal(await db.pendingCount(), 0);
  });
});

Deno.test("G6: a transaction whose key only the gateway could judge is undone when it is refused", async () => {
  const key = { a: "string", n: "integer", price: "decimal(4,2)" } as const;
  const schema = defineSchema({
    version: 1,
    tables: { prices: { primaryKey: ["a", "n", "price"], columns: { ...key, v: "string" } } },
  });
  const db = await openLocal({ database: ":memory:", schema });
  try {
    await db.exec(
      "INSERT INTO prices VALUES ('x', 9007199254740993, '-', 'v'), ('x', 1, '1', 'v')",
    );
    await db.exec("INSERT INTO prices VALUES ('x', 2, '1', 'v')");
    const { clientId } = await db.state();
    const batch = await db.nextBatch({ mutationId: 0, part: 0 }, WIDE);
    const gateway = new MemoryGateway();
    await db.pushed(gateway.push(clientId, batch?.transactions ?? [], (id) => id === 1));
    assert.deepEqual(await db.query("SELECT n FROM prices"), [{ n: 2 }]);
    assert.equal((await db.deadLetters()).length, 1);
  } finally {
    await db.close();
  }
});

Deno.test("a refusal is reported once, with what was written, and kept until it is dismissed", async () => {
  await withLocal(async (db, gateway) => {
    const heard: DeadLetter[] = [];
    const stop = db.onRejected((letter) => heard.push(letter));
    await db.tables.t.insert({ id: "a", a: "x", b: true, j: [1] });
    const result = await push(db, gateway, [1]);
    await db.pushed(result);
    await db.pushed(result);
    const letters = await db.deadLetters();
    assert.deepEqual(heard, letters);
    const [letter] = letters;
    assert.equal(letters.length, 1);
    assert.ok(letter !== undefined);
    const { id, refusedMs, ...rest } = letter;
    assert.ok(Math.abs(refusedMs - Date.now()) < 60_000);
    assert.deepEqual(rest, {
      mutationId: 1,
      code: "FORBIDDEN_WRITE",
      message: "Not allowed",
      delta: 0,
      changes: [{ op: "INSERT", table: "t", rowId: "a", columns: { a: "x", b: true, j: [1] } }],
    });
    assert.equal((await db.state()).refusalsSeen, 1);
    assert.equal(await db.dismiss(id), true);
    assert.equal(await db.dismiss(id), false);
    await db.pushed(result);
    assert.deepEqual(await db.deadLetters(), []);
    assert.equal(heard.length, 1);
    stop();
  });
});

Deno.test("a refusal is reported though a checkpoint covered it while the answer was lost", async () => {
  await withLocal(async (db, gateway) => {
    await db.exec("INSERT INTO t (id) VALUES ('a')");
    await push(db, gateway, [1]);
    await pull(db, gateway);
    assert.deepEqual(await rows(db), []);
    const state = await db.state();
    assert.deepEqual([state.lastMutationId, state.settledMutationId], [1, 0]);
    assert.equal(await db.pendingCount(), 1);
    await db.pushed(await push(db, gateway, []));
    const [letter] = await db.deadLetters();
    assert.equal(letter?.changes[0]?.rowId, "a");
    assert.equal(await db.pendingCount(), 0);
  });
});

Deno.test("retry issues the writes again as one new transaction, edited", async () => {
  await withLocal(async (db, gateway) => {
    await db.transaction(async (tx) => {
      await tx.tables.t.insert({ id: "a", a: "bad", j: { x: 1 } });
      await tx.tables.t.insert({ id: "b", a: "good" });
      await tx.tables.t.update("b", { b: true });
      await tx.tables.t.delete("b");
      await tx.tables.t.insert({ id: "c" });
    });
    await db.pushed(await push(db, gateway, [1]));
    assert.deepEqual(await rows(db), []);
    const [letter] = await db.deadLetters();
    await db.retry(
      letter?.id ?? 0,
      (change) =>
        change.rowId === "c" ? undefined : {
          ...change,
          columns: { ...change.columns, ...(change.rowId === "a" ? { a: "ok" } : {}) },
        },
    );
    assert.deepEqual(await db.tables.t.all(), [{ id: "a", a: "ok", b: null, j: { x: 1 } }]);
    assert.deepEqual(await db.deadLetters(), []);
    assert.equal((await db.state()).highestMutationId, 2);
    await db.pushed(await push(db, gateway, []));
    await pull(db, gateway);
    assert.deepEqual(await rows(db), [["a", "ok"]]);
    await assert.rejects(db.retry(letter?.id ?? 0), /no dead letter/);
  });
});

Deno.test("G13: a refused transaction is given to a restored gateway empty, under its old link", async () => {
  await withLocal(async (db, gateway) => {
    const backup = gateway.backup();
    await db.exec("INSERT INTO t (id) VALUES ('a')");
    await db.exec("INSERT INTO t (id, a) VALUES ('b', printf('%.*c', 1000, 'x'))");
    await db.exec("INSERT INTO t (id) VALUES ('c')");
    const read = async (limits = WIDE) =>
      (await db.nextBatch({ mutationId: 0, part: 0 }, limits))?.transactions ?? [];
    const sent = await read();
    await db.pushed(await push(db, gateway, [2]));
    gateway.restore(backup);
    const again = await read();
    assert.deepEqual(again.map(({ deltas }) => deltas.length), [1, 0, 1]);
    assert.deepEqual(again.map(({ chain }) => chain), sent.map(({ chain }) => chain));
    await db.exec("INSERT INTO t (id) VALUES ('d')");
    assert.deepEqual((await read()).slice(0, 3), again);
    assert.deepEqual((await read({ ...WIDE, bytes: 500 })).slice(0, 3), again);
  });
});

Deno.test("a refusal of a transaction that is not known here only counts as seen", async () => {
  await withLocal(async (db) => {
    const rejection: Rejection = {
      mutationId: 9,
      code: "STALE_WRITE",
      message: "Too old",
      delta: 0,
    };
    await db.pushed({
      lastMutationId: 9,
      rejected: [rejection],
      seq: 1,
      serverTime: "2026-01-01T00:00:00Z",
      serverHlc: 1n as never,
    });
    assert.deepEqual(await db.deadLetters(), []);
    const { refusalsSeen, settledMutationId } = await db.state();
    assert.deepEqual([refusalsSeen, settledMutationId], [9, 0]);
  });
});
