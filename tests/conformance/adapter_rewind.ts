/**
 * The gateway lost the end of its history, or its log lost what an adapter lacks: what is given up,
 * which rows are unsettled, and what settles them.
 *
 * @module
 */

import assert from "node:assert/strict";
import { allChanges, allRows, cellsOf, held, names, stored } from "./expect.ts";
import type { Case } from "./suite.ts";
import { START_MS, TestLog } from "./testing_log.ts";

/** Cases of histories that are lost. */
export const REWIND: readonly Case[] = [
  {
    name: "rewinds: gives up the changes after a commit and unsettles the rows they touched",
    needs: "mergesRows",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      const kept = [
        ...log.commit({ table: "todos", rowId: "r1", cells: { n: 1 } }),
        ...log.commit({ table: "todos", rowId: "r2", cells: { n: 1 } }),
      ];
      await log.insert([
        ...kept,
        ...log.commit({ table: "todos", rowId: "r1", cells: { n: 2 } }),
        ...log.commit({ table: "lists", rowId: "r2", cells: { name: "x" } }),
        ...log.commit({ table: "todos", rowId: "r3", op: "DELETE" }),
      ]);
      const rows = await allRows(adapter);
      const to = await log.rewind(2, "life-2");
      assert.deepEqual(await held(adapter), {
        position: to,
        changes: kept.map(stored),
        rows,
        unsettled: ["1/r1", "1/r3", "2/r2"],
      });
      assert.equal((await adapter.unsettled(2)).length, 2);
    },
  },
  {
    name: "G10: counts what was given up again, at its new place",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      const first = log.commit({ table: "todos", rowId: "r1", cells: { n: 1 } });
      const [lost] = log.commit({ table: "todos", rowId: "r1", cells: { n: 2 } });
      assert.ok(lost !== undefined);
      await log.insert([...first, lost]);
      await log.rewind(1, "life-2");
      const other = log.commit({ table: "todos", rowId: "r2", cells: { n: 3 } });
      const again = { ...lost, seq: ++log.seq, committedMs: START_MS + 99_000 };
      await log.insert([...other, again]);
      assert.deepEqual(await allChanges(adapter), [...first, ...other, again].map(stored));
      await log.rewind(2, "life-3");
      assert.deepEqual(await allChanges(adapter), [...first, ...other].map(stored));
    },
  },
  {
    name: "settles a row that is set, and one that a change replaces, and no other",
    needs: "mergesRows",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      await log.insert(
        ["r1", "r2", "r3", "r4"].flatMap((rowId) =>
          log.commit({ table: "todos", rowId, cells: { title: "lost", n: 1 } })
        ),
      );
      await log.rewind(0, "life-2");
      assert.equal((await adapter.unsettled(9)).length, 4);
      const set = log.effect({ table: "todos", rowId: "r1", replaces: true, cells: { n: 2 } });
      await log.insert([
        ...log.commit({ table: "todos", rowId: "r2", replaces: true, cells: { n: 3 } }),
        ...log.commit({ table: "todos", rowId: "r3", cells: { n: 4 } }),
      ], { rows: [set] });
      assert.deepEqual(names(await adapter.unsettled(9)), ["1/r3", "1/r4"]);
      const gone = log.effect({ table: "todos", rowId: "r4", isVisible: false, replaces: true });
      await log.insert([], { rows: [gone] });
      assert.deepEqual(names(await adapter.unsettled(9)), ["1/r3"]);
      const cells = async (id: string) => (await cellsOf(adapter, log, "todos", id))?.cells;
      assert.deepEqual(await cells("r1"), { n: 2 });
      assert.deepEqual(await cells("r2"), { n: 3 });
      assert.deepEqual(await cells("r3"), { title: "lost", n: 4 });
      assert.deepEqual(await cells("r4"), {});
    },
  },
  {
    name: "says of a row that was set that the position's commit may have changed it",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      await log.insert(log.commit({ table: "todos", rowId: "r1", cells: { n: 1 } }));
      const rows = ["r1", "r2"].map((rowId) =>
        log.effect({ table: "todos", rowId, replaces: true, cells: { n: 2 } })
      );
      await log.insert([], { rows, to: log.at({ seq: 7 }) });
      const found = await allRows(adapter);
      assert.deepEqual(found.map(({ seq, committedMs }) => [seq, committedMs]), [
        [7, START_MS + 1_000],
        [7, 0],
      ]);
      await log.rewind(5, "life-2");
      assert.deepEqual(names(await adapter.unsettled(9)), ["1/r1", "1/r2"]);
    },
  },
  {
    name: "unsettles the row of a change whose effect is not known",
    async run({ adapter, reopen }) {
      const log = await new TestLog(adapter).begin();
      await log.insert([
        ...log.commit({ table: "todos", rowId: "r1", cells: { title: "a", n: 1 } }),
        ...log.commit({ table: "todos", rowId: "r1", effect: "unsettles", cells: { n: 2 } }),
        ...log.commit({ table: "todos", rowId: "new", effect: "unsettles", cells: { n: 3 } }),
        ...log.commit({ table: "todos", rowId: "set", effect: "unsettles" }),
        ...log.commit({ table: "todos", rowId: "set", replaces: true, cells: { n: 4 } }),
        ...log.commit({ table: "todos", rowId: "both", replaces: true, cells: { n: 5 } }),
        ...log.commit({ table: "todos", rowId: "both", effect: "unsettles" }),
      ]);
      const again = await reopen?.() ?? adapter;
      assert.deepEqual(names(await again.unsettled(9)), ["1/both", "1/new", "1/r1"]);
      const found = (await allRows(again)).map(({ key, isVisible, cells, seq }) => [
        key.rowId,
        isVisible,
        cells.map(([, value]) => value),
        seq,
      ]);
      assert.deepEqual(found, [
        ["both", true, [5], 7],
        ["new", false, [], 3],
        ["r1", true, ["a", 1], 2],
        ["set", true, [4], 5],
      ]);
      assert.deepEqual((await allChanges(again)).map(({ key }) => key?.rowId), [
        ...["r1", "r1", "new", "set", "set", "both", "both"],
      ]);
    },
  },
  {
    name: "begins to be filled: keeps its changes, and every row is unsettled",
    needs: "mergesRows",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      const changes = [
        ...log.commit({ table: "todos", rowId: "r1", cells: { n: 1 } }),
        ...log.commit({ table: "todos", rowId: "gone", op: "DELETE" }),
        ...log.commit({ table: "lists", rowId: "l1", cells: { name: "a" } }),
      ];
      await log.insert(changes);
      const rows = await allRows(adapter);
      const to = log.at({ seq: 20 }, { filled: "", floor: 20 });
      await adapter.refill({ from: await adapter.position(), to });
      assert.deepEqual(await held(adapter), {
        position: to,
        changes: changes.map(stored),
        rows,
        unsettled: ["1/gone", "1/r1", "2/l1"],
      });
      const set = log.effect({ table: "todos", rowId: "r1", replaces: true, cells: { n: 9 } });
      const place = { ...to, filled: "r1" };
      await log.insert([], { rows: [set], to: place });
      assert.deepEqual(await adapter.position(), place);
      assert.deepEqual(names(await adapter.unsettled(9)), ["1/gone", "2/l1"]);
    },
  },
  {
    name: "is empty and is filled from rows",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      const to = log.at({ seq: 5 }, { filled: "", floor: 5 });
      await adapter.refill({ from: await adapter.position(), to });
      const rows = ["a", "b"].map((rowId) =>
        log.effect({ table: "todos", rowId, replaces: true, cells: { title: rowId } })
      );
      await log.insert([], { rows, to: log.at({ seq: 5 }, { floor: 5 }) });
      const after = await held(adapter);
      assert.deepEqual(after.unsettled, []);
      assert.deepEqual(after.rows.map(({ cells }) => cells.map(([, value]) => value)), [
        ["a"],
        ["b"],
      ]);
    },
  },
];
