/**
 * What batches make of rows and changes.
 *
 * @module
 */

import assert from "node:assert/strict";
import { allChanges, allRows, cellsOf, held, stored } from "./expect.ts";
import type { Case } from "./suite.ts";
import { START_MS, TestLog } from "./testing_log.ts";

/** Cases of batches. */
export const BATCHES: readonly Case[] = [
  {
    name: "keeps changes in the order of the log, with all that is known of them",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      const changes = [
        ...log.commit(
          { op: "INSERT", table: "todos", rowId: "r1", cells: { title: "a", done: false } },
          { op: "INSERT", table: "lists", rowId: "r1", cells: { name: "b" } },
          { op: "UPDATE", table: "todos", rowId: "r1", cells: { n: 3 } },
        ),
        ...log.commit({ op: "DELETE", table: "todos", rowId: "r1" }),
        ...log.commit({ table: "gone", rowId: "x", effect: "unknown", cells: { any: 1 } }),
      ];
      await log.insert(changes.slice(0, 4));
      await log.insert(changes.slice(4));
      assert.deepEqual(await allChanges(adapter), changes.map(stored));
    },
  },
  {
    name: "merges effects into rows: cells that an effect does not name stay",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      const row = { table: "todos", rowId: "r1" };
      await log.insert(log.commit({ ...row, cells: { title: "a", done: false } }));
      await log.insert([
        ...log.commit({ ...row, cells: { title: "b" } }),
        ...log.commit({ ...row, cells: { n: 7 } }),
      ]);
      assert.deepEqual(await cellsOf(adapter, log, "todos", "r1"), {
        isVisible: true,
        cells: { title: "b", done: false, n: 7 },
      });
    },
  },
  {
    name: "takes away all other cells where an effect replaces",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      const row = { table: "todos", rowId: "r1" };
      await log.insert(log.commit({ ...row, cells: { title: "a", done: false, n: 1 } }));
      await log.insert([
        ...log.commit({ ...row, replaces: true, cells: { n: 2 } }),
        ...log.commit({ ...row, cells: { done: true } }),
      ]);
      assert.deepEqual(await cellsOf(adapter, log, "todos", "r1"), {
        isVisible: true,
        cells: { done: true, n: 2 },
      });
    },
  },
  {
    name: "keeps the cells of a hidden row aside, and shows them again",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      const row = { table: "todos", rowId: "r1" };
      await log.insert(log.commit({ ...row, cells: { title: "a", n: 1 } }));
      await log.insert(log.commit({ ...row, op: "DELETE" }));
      const hidden = { isVisible: false, cells: { title: "a", n: 1 } };
      assert.deepEqual(await cellsOf(adapter, log, "todos", "r1"), hidden);
      await log.insert(log.commit({ ...row, isVisible: false, cells: { n: 2 } }));
      await log.insert(log.commit({ ...row, op: "INSERT", cells: { title: "b" } }));
      const shown = { isVisible: true, cells: { title: "b", n: 2 } };
      assert.deepEqual(await cellsOf(adapter, log, "todos", "r1"), shown);
    },
  },
  {
    name: "knows of a row that is gone, without cells, until it is forgotten",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      await log.insert([
        ...log.commit({ op: "INSERT", table: "todos", rowId: "r1", cells: { n: 1 } }),
        ...log.commit({ op: "DELETE", table: "todos", rowId: "r1", replaces: true }),
        ...log.commit({ op: "DELETE", table: "todos", rowId: "never there" }),
      ]);
      const gone = { isVisible: false, cells: {} };
      assert.deepEqual(await cellsOf(adapter, log, "todos", "r1"), gone);
      assert.deepEqual(await cellsOf(adapter, log, "todos", "never there"), gone);
      assert.equal(await cellsOf(adapter, log, "todos", "unheard of"), undefined);
    },
  },
  {
    name: "tells which commit changed a row last, and when",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      await log.insert([
        ...log.commit({ table: "todos", rowId: "r1", cells: { n: 1 } }),
        ...log.commit({ table: "todos", rowId: "r2", cells: { n: 1 } }),
        ...log.commit({ table: "todos", rowId: "r1", cells: { n: 2 } }),
      ]);
      const rows = await allRows(adapter);
      assert.deepEqual(rows.map(({ key, seq, committedMs }) => [key.rowId, seq, committedMs]), [
        ["r1", 3, START_MS + 3_000],
        ["r2", 2, START_MS + 2_000],
      ]);
    },
  },
  {
    name: "keeps the stamp of a cell that comes without one",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      const row = { table: "todos", rowId: "r1" };
      const [first] = log.commit({ ...row, cells: { title: "a", n: 1 } });
      assert.ok(first !== undefined);
      await log.insert([
        first,
        ...log.commit({ ...row, cells: { title: "b", done: true }, isUnstamped: true }),
        ...log.commit({ ...row, replaces: true, cells: { n: 1, title: "c" }, isUnstamped: true }),
      ]);
      const { hlc, clientId } = first;
      const [{ cells } = { cells: [] }] = await allRows(adapter);
      assert.deepEqual(cells.map(([column, value, stamp]) => [column, value, stamp]), [
        [log.column("todos", "title"), "c", { hlc, clientId }],
        [log.column("todos", "n"), 1, { hlc, clientId }],
      ]);
    },
  },
  {
    name: "sets rows before the changes of the same batch",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      await log.insert(log.commit({ table: "todos", rowId: "r1", cells: { title: "a", n: 1 } }));
      const row = log.effect({
        table: "todos",
        rowId: "r1",
        replaces: true,
        cells: { title: "set", done: true },
      });
      const changes = log.commit({ table: "todos", rowId: "r1", cells: { title: "changed" } });
      await log.insert(changes, { rows: [row] });
      assert.deepEqual(await cellsOf(adapter, log, "todos", "r1"), {
        isVisible: true,
        cells: { title: "changed", done: true },
      });
    },
  },
  {
    name: "takes a transaction in slices, and stands between them",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      const slices = [0, 1, 2].map((slice) =>
        log.changes(1, [
          { table: "todos", rowId: "r1", cells: { n: slice } },
          { table: "todos", rowId: `s${slice}`, cells: { n: slice } },
        ], slice)
      );
      for (const [slice, changes] of slices.entries()) {
        const isWhole = slice === 2;
        const to = log.at(isWhole ? { seq: 1 } : { seq: 1, slice });
        await log.insert(changes, { to, isWhole });
        assert.deepEqual(await adapter.position(), to);
        assert.deepEqual(await allChanges(adapter), slices.slice(0, slice + 1).flat().map(stored));
      }
      assert.equal((await allRows(adapter)).length, 4);
    },
  },
  {
    name: "does not count a change twice, but applies it again",
    needs: "knowsChanges",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      const first = log.commit({ table: "todos", rowId: "r1", cells: { title: "a", n: 1 } });
      const second = log.commit({ table: "todos", rowId: "r1", cells: { title: "b" } });
      await log.insert([...first, ...second]);
      await log.insert(first, { to: log.at({ seq: 3 }) });
      assert.deepEqual(await allChanges(adapter), [...first, ...second].map(stored));
      assert.deepEqual(await cellsOf(adapter, log, "todos", "r1"), {
        isVisible: true,
        cells: { title: "a", n: 1 },
      });
    },
  },
  {
    name: "moves over commits that changed nothing",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      await log.insert([], { to: log.at({ seq: 9 }) });
      const { position, ...rest } = await held(adapter);
      assert.deepEqual(position, log.at({ seq: 9 }));
      assert.deepEqual(rest, { changes: [], rows: [], unsettled: [] });
    },
  },
  {
    name: "keeps everything when it is opened again",
    async run({ adapter, reopen }) {
      if (reopen === undefined) return;
      const log = await new TestLog(adapter).begin();
      await log.insert([
        ...log.commit({ table: "todos", rowId: "r1", cells: { n: 1 } }),
        ...log.commit({ table: "lists", rowId: "l1", effect: "unsettles" }),
      ]);
      const before = await held(adapter);
      const again = await reopen();
      assert.deepEqual(await held(again), before);
      assert.deepEqual((await again.schema())?.tables.map(({ id, table }) => [id, table.name]), [
        [1, "todos"],
        [2, "lists"],
      ]);
    },
  },
];
