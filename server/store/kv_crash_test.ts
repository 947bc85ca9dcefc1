import assert from "node:assert/strict";
import { at, newRow, next, refOf } from "./_conformance_tools.ts";
import { tempFolder } from "./testing_folders.ts";
import { assertWhole, BIG, database, FailingOnce, FailingSession, history } from "./testing_kv.ts";

for (const afterwards of [false, true]) {
  const when = afterwards ? "after it was done" : "before it was done";
  Deno.test(`kv store is whole whichever write fails ${when}`, async () => {
    const outcomes = new Set<number>();
    for (let failsAt = 0;; failsAt++) {
      await using folder = await tempFolder();
      using db = await database(folder.path);
      const session = new FailingSession(db.kv, failsAt, afterwards);
      const failing = await db.open(session);
      const [outcome] = await Promise.allSettled([
        history(failing).then(() => assertWhole(failing)),
      ]);
      await failing.close();
      const store = await db.open(undefined, false);
      const seq = await assertWhole(store);
      outcomes.add(seq);
      await store.close();
      await (await db.open(undefined, false)).close();
      assert.equal(await db.count("staged"), 0);
      assert.equal(await db.count("trash"), 0);
      assert.equal(await db.count("blob"), seq === 0 ? 0 : 5);
      if (!session.failed) {
        assert.equal(outcome.status, "fulfilled");
        break;
      }
    }
    assert.deepEqual([...outcomes].sort(), [0, 1, 2]);
  });
}

Deno.test("kv store goes on after a write that was done although it failed", async () => {
  for (let failsAt = 0; failsAt < 12; failsAt++) {
    await using folder = await tempFolder();
    using db = await database(folder.path);
    const session = new FailingOnce(db.kv, failsAt);
    const store = await db.open(session);
    await history(store).catch(() => {});
    await store.head().catch(() => {});
    const seq = await assertWhole(store);
    await store.commit({ expectedSeq: seq, head: { seq, hlc: "9" } });
    assert.equal(await assertWhole(store), seq);
    await store.close();
  }
});

Deno.test("kv store removes a large value when it is replaced", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  const store = await db.open();
  await history(store);
  for (let seq = 2; seq < 5; seq++) {
    await store.commit(next(seq, {
      rows: [{
        ...newRow("t1", seq + 1, BIG),
        ref: await refOf(store, "t1"),
        drop: [at(seq)],
      }],
    }));
  }
  await store.trimLog(9, 9);
  await store.close();
  await (await db.open(undefined, false)).close();
  assert.equal(await db.count("blob"), 3);
});
