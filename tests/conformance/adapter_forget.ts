/**
 * What is old is forgotten, a piece at a time, and an adapter says so.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type DatabaseAdapter, DestinationError, type Forget } from "@lakesync/adapters";
import { allChanges, allRows, names } from "./expect.ts";
import type { Case } from "./suite.ts";
import { START_MS, TestLog } from "./testing_log.ts";

async function forgetAll(adapter: DatabaseAdapter, what: Forget): Promise<void> {
  for (let i = 0; await adapter.forget(what); i++) assert.ok(i < 1_000, "it comes to an end");
}

/** The time after a commit. */
function after(seq: number): number {
  return START_MS + seq * 1_000 + 1;
}

async function filled(adapter: DatabaseAdapter): Promise<TestLog> {
  const log = await new TestLog(adapter).begin();
  await log.insert([
    ...log.commit({ table: "todos", rowId: "old", cells: { n: 1 } }),
    ...log.commit({ table: "todos", rowId: "gone", cells: { n: 1 } }),
    ...log.commit({ table: "todos", rowId: "gone", op: "DELETE" }),
    ...log.commit({ table: "todos", rowId: "touched", cells: { n: 1 } }),
    ...log.commit({ table: "todos", rowId: "late", op: "DELETE" }),
    ...log.commit({ table: "todos", rowId: "touched", cells: { n: 2 } }),
  ]);
  return log;
}

async function rowIds(adapter: DatabaseAdapter): Promise<readonly string[]> {
  return (await allRows(adapter)).map(({ key }) => key.rowId);
}

/** Cases of forgetting. */
export const FORGET: readonly Case[] = [
  {
    name: "forgets changes that are old, and what is left of deleted rows",
    needs: "mergesRows",
    async run({ adapter }) {
      const log = await filled(adapter);
      const what = { committedBeforeMs: after(4), throughSeq: 9, rows: false };
      await forgetAll(adapter, what);
      assert.equal(await adapter.forgottenSeq(), 4);
      assert.deepEqual((await allChanges(adapter)).map(({ seq }) => seq), [5, 6]);
      assert.deepEqual(await rowIds(adapter), ["late", "old", "touched"]);
      assert.deepEqual(await adapter.position(), log.at({ seq: 6 }));
      assert.equal(await adapter.forget(what), false);
    },
  },
  {
    name: "forgets nothing after the commit that it is told",
    needs: "mergesRows",
    async run({ adapter }) {
      await filled(adapter);
      await forgetAll(adapter, { committedBeforeMs: after(99), throughSeq: 2, rows: true });
      assert.equal(await adapter.forgottenSeq(), 2);
      assert.deepEqual((await allChanges(adapter)).map(({ seq }) => seq), [3, 4, 5, 6]);
      assert.deepEqual(await rowIds(adapter), ["gone", "late", "touched"]);
    },
  },
  {
    name: "forgets rows too, where it is told so, and takes them up again",
    needs: "mergesRows",
    async run({ adapter, reopen }) {
      const log = await filled(adapter);
      await forgetAll(adapter, { committedBeforeMs: after(5), throughSeq: 9, rows: true });
      assert.deepEqual(await rowIds(adapter), ["touched"]);
      const row = log.effect({ table: "todos", rowId: "old", replaces: true, cells: { n: 1 } });
      const changes = log.commit({ table: "todos", rowId: "old", cells: { title: "again" } });
      await log.insert(changes, { rows: [row] });
      const again = await reopen?.() ?? adapter;
      const found = await again.getLatestState([log.key("todos", "old")]);
      assert.deepEqual(found[0]?.cells.map(([, value]) => value), ["again", 1]);
      assert.equal(await again.forgottenSeq(), 5);
    },
  },
  {
    name: "tells who asks for changes from before what was forgotten",
    needs: "mergesRows",
    async run({ adapter }) {
      await filled(adapter);
      await forgetAll(adapter, { committedBeforeMs: after(4), throughSeq: 9, rows: false });
      const trimmed = async (seq: number, slice?: number) =>
        (await adapter.queryDeltasSince(slice === undefined ? { seq } : { seq, slice }, 10))
          .isTrimmed;
      assert.deepEqual(await Promise.all([0, 3, 4, 6].map((seq) => trimmed(seq))), [
        true,
        true,
        false,
        false,
      ]);
      assert.deepEqual([await trimmed(4, 0), await trimmed(5, 0)], [true, false]);
    },
  },
  {
    name: "forgets no row that is unsettled",
    needs: "mergesRows",
    async run({ adapter }) {
      const log = await filled(adapter);
      await log.rewind(5, "life-2");
      await forgetAll(adapter, { committedBeforeMs: after(99), throughSeq: 99, rows: true });
      assert.deepEqual(names(await adapter.unsettled(9)), ["1/touched"]);
      assert.ok((await rowIds(adapter)).includes("touched"));
    },
  },
  {
    name: "goes back to before what was forgotten, and has forgotten nothing after that",
    needs: "mergesRows",
    async run({ adapter }) {
      const log = await filled(adapter);
      await forgetAll(adapter, { committedBeforeMs: after(4), throughSeq: 9, rows: false });
      try {
        await log.rewind(2, "life-2");
      } catch (error) {
        // One that says at once that it is to be filled has gone back all the same.
        assert.ok(error instanceof DestinationError && error.retry === "now");
        assert.ok(((await adapter.position())?.floor ?? 0) > 2);
        return;
      }
      assert.equal(await adapter.forgottenSeq(), 2);
      const changes = log.commit({ table: "todos", rowId: "new", cells: { n: 1 } });
      await log.insert(changes);
      assert.deepEqual((await allChanges(adapter)).map(({ seq }) => seq), [3]);
    },
  },
];
