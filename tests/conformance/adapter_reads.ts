/**
 * Changes and rows are read back in order, a page at a time.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { Change } from "@lakesync/adapters";
import { allChanges, allRows, stored } from "./expect.ts";
import type { Case } from "./suite.ts";
import { TestLog } from "./testing_log.ts";

/** Cases of reading. */
export const READS: readonly Case[] = [
  {
    name: "reads changes in pages of whole slices, from every place",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      const sizes = [[1], [3], [2, 1, 2], [1]];
      const changes: Change[] = [];
      for (const slices of sizes) {
        const seq = ++log.seq;
        for (const [slice, size] of slices.entries()) {
          const written = Array.from({ length: size }, (_, i) => ({
            table: i % 2 === 0 ? "todos" : "lists",
            rowId: `${seq}-${slice}-${i}`,
          }));
          changes.push(...log.changes(seq, written, slice));
        }
      }
      await log.insert(changes);
      const all = changes.map(stored);
      for (let limit = 1; limit <= all.length + 1; limit++) {
        assert.deepEqual(await allChanges(adapter, limit), all, `limit ${limit}`);
      }
      for (const { seq, slice } of all) {
        const page = await adapter.queryDeltasSince({ seq, slice }, 100);
        const after = all.filter((other) =>
          other.seq > seq || (other.seq === seq && other.slice > slice)
        );
        assert.deepEqual(page, { changes: after, isComplete: true, isTrimmed: false });
        const whole = await adapter.queryDeltasSince({ seq }, 100);
        assert.deepEqual(whole.changes, all.filter((other) => other.seq > seq));
      }
    },
  },
  {
    name: "says of a page that is full by chance whether there is more",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      await log.insert([1, 2].flatMap((n) => log.commit({ table: "todos", rowId: `r${n}` })));
      const one = await adapter.queryDeltasSince({ seq: 0 }, 1);
      assert.deepEqual([one.changes.length, one.isComplete], [1, false]);
      const two = await adapter.queryDeltasSince({ seq: 0 }, 2);
      assert.deepEqual([two.changes.length, two.isComplete], [2, true]);
      const none = await adapter.queryDeltasSince({ seq: 2 }, 2);
      assert.deepEqual(none, { changes: [], isComplete: true, isTrimmed: false });
    },
  },
  {
    name: "reads rows in the order of the keys that it is given",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      await log.insert([
        ...log.commit({ table: "todos", rowId: "a", cells: { n: 1 } }),
        ...log.commit({ table: "lists", rowId: "a", cells: { name: "x" } }),
        ...log.commit({ table: "todos", rowId: "b", cells: { n: 2 } }),
      ]);
      const keys = [
        log.key("lists", "a"),
        log.key("todos", "none"),
        log.key("todos", "b"),
        log.key("todos", "a"),
        log.key("lists", "a"),
        log.key("lists", "b"),
      ];
      const rows = await adapter.getLatestState(keys);
      assert.deepEqual(rows.map((row) => row?.key), [
        keys[0],
        undefined,
        ...keys.slice(2, 5),
        undefined,
      ]);
      assert.deepEqual(rows.map((row) => row?.cells.map(([, value]) => value)), [
        ["x"],
        undefined,
        [2],
        [1],
        ["x"],
        undefined,
      ]);
      assert.deepEqual(await adapter.getLatestState([]), []);
    },
  },
  {
    name: "walks over rows in the order of table numbers and of the rowId's bytes",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      const ids = ["", " ", "A", "B", "a", "a ", "aa", "b", "é", "ﬀ", "🎈", "10", "9", "\t", "Z"];
      const rowIds = ids.filter((id) => id !== "");
      const changes = [...rowIds].reverse().flatMap((rowId) => [
        ...log.commit({ table: "lists", rowId, cells: { name: rowId } }),
        ...log.commit({ table: "todos", rowId, cells: { title: rowId } }),
      ]);
      await log.insert(changes);
      const bytes = (text: string) =>
        [...new TextEncoder().encode(text)]
          .map((byte) => byte.toString(16).padStart(2, "0")).join("");
      const sorted = rowIds.toSorted((a, b) => bytes(a) < bytes(b) ? -1 : 1);
      const expected = [1, 2].flatMap((table) => sorted.map((rowId) => ({ table, rowId })));
      for (const limit of [1, 2, 7, expected.length, 1_000]) {
        const rows = await allRows(adapter, limit);
        assert.deepEqual(rows.map(({ key }) => key), expected, `limit ${limit}`);
      }
      const between = await adapter.scanState({ table: 1, rowId: "zz" }, 1);
      const next = sorted.find((rowId) => bytes(rowId) > bytes("zz"));
      assert.deepEqual(between[0]?.key, { table: 1, rowId: next });
    },
  },
  {
    name: "gives cells ascending by column",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      await log.insert([
        ...log.commit({ table: "todos", rowId: "r1", cells: { n: 1 } }),
        ...log.commit({ table: "todos", rowId: "r1", cells: { done: true, title: "a" } }),
      ]);
      const [row] = await adapter.getLatestState([log.key("todos", "r1")]);
      assert.deepEqual(row?.cells.map(([column]) => column), [2, 3, 4]);
    },
  },
];
