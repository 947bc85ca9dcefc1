/**
 * The walk of all rows: order, paging, and rows that come, change and go meanwhile.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { at, ids, newRow, newRows, next, openStore } from "./_conformance_tools.ts";
import type { ConformanceCase } from "./conformance.ts";
import type { RowPage, Store } from "./store.ts";

type Walked = RowPage["rows"][number];

/** Walks to the end; `between` happens after each page. */
async function walk(
  store: Store,
  limit: number,
  between: () => Promise<void> = () => Promise.resolve(),
): Promise<readonly Walked[]> {
  const rows: Walked[] = [];
  while (true) {
    const page = await store.scanRows({ after: rows.at(-1)?.position ?? "", limit });
    assert(page.rows.length <= limit, "a page is not larger than its limit");
    rows.push(...page.rows);
    if (page.complete) return rows;
    assert(page.rows.length > 0, "a page that is not complete has rows");
    await between();
  }
}

async function change(store: Store, rowId: string, data: string | undefined): Promise<void> {
  const [row] = await store.readRows([{ table: 1, rowId }]);
  if (!row && data === undefined) return;
  const { seq } = await store.head();
  const write = { ...newRow(rowId, 1, data), ref: row?.ref, drop: row ? [at(1)] : [] };
  await store.commit(
    next(seq, {
      rows: [{ ...write, data, add: data === undefined ? [] : write.add }],
    }),
  );
}

/** Tests of the walk. */
export const walkCases: readonly ConformanceCase[] = [
  {
    name: "walks nothing when there are no rows",
    async run(subject) {
      const store = await openStore(await subject.open());
      assert.deepEqual(await store.scanRows({ after: "", limit: 10 }), {
        rows: [],
        complete: true,
      });
    },
  },
  {
    name: "walks all rows of all tables, in a bucket or not, at any page size",
    async run(subject) {
      let stores = await subject.open();
      let store = await openStore(stores);
      await store.commit(next(0, {
        rows: [
          ...newRows("a", 7, 1),
          { ...newRow("a1", 1, "of table 2"), table: 2 },
          { ...newRow("nowhere", 1, "x".repeat(80_000)), add: [] },
        ],
      }));
      await store.commit(next(1, { rows: newRows("b", 3, 2) }));
      for (const reopened of [false, true]) {
        if (reopened) {
          stores = await subject.reopen(stores);
          store = await openStore(stores);
        }
        const all = await walk(store, 100);
        assert.equal(all.length, 12);
        assert.equal(new Set(all.map(({ table, rowId }) => `${table} ${rowId}`)).size, 12);
        for (const limit of [1, 2, 5, 11, 12]) {
          assert.deepEqual(await walk(store, limit), all);
        }
        const read = await store.readRows(all);
        assert.deepEqual(
          all.map(({ table, rowId, data }) => ({ table, rowId, data })),
          read.map((row) => row && { table: row.table, rowId: row.rowId, data: row.data }),
        );
        assert.equal((await store.scanRows({ after: "", limit: 12 })).complete, true);
        assert.equal((await store.scanRows({ after: "", limit: 11 })).complete, false);
      }
    },
  },
  {
    name: "gives with a walked row the handle to write it by",
    async run(subject) {
      const store = await openStore(await subject.open());
      await store.commit(next(0, { rows: [newRow("t1", 1), newRow("t2", 1)] }));
      const walked = await walk(store, 10);
      await store.commit(next(1, {
        rows: walked.map(({ position: _, ...row }) => ({
          ...row,
          data: "placed",
          drop: [at(1)],
          add: [at(1), at(2, 2)],
        })),
      }));
      const rows = await walk(store, 10);
      assert.deepEqual(rows.map(({ data }) => data), ["placed", "placed"]);
      assert.deepEqual(ids(rows), ids(walked));
    },
  },
  {
    name: "walks every row that is there all the while once, whatever changes meanwhile",
    async run(subject) {
      const step = fc.record({
        rowId: fc.integer({ min: 0, max: 14 }).map((number) => `r${number}`),
        removes: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { maxLength: 20 }),
          fc.integer({ min: 1, max: 4 }),
          async (steps, limit) => {
            const stores = await subject.open();
            const store = await openStore(stores);
            await store.commit(next(0, { rows: newRows("r", 10, 1) }));
            const touched = new Set<string>();
            const left = steps.values();
            const walked = await walk(store, limit, async () => {
              for (const { rowId, removes } of left.take(3)) {
                touched.add(removes ? rowId : "");
                await change(store, rowId, removes ? undefined : "changed");
              }
            });
            assert.equal(new Set(walked.map(({ position }) => position)).size, walked.length);
            for (const { rowId } of newRows("r", 10, 1)) {
              if (touched.has(rowId)) continue;
              assert.equal(ids(walked).filter((id) => id === rowId).length, 1);
            }
            await store.close();
          },
        ),
        { numRuns: subject.versions ? 20 : 5 },
      );
    },
  },
  {
    name: "ends a page of a walk early when its rows are large",
    async run(subject) {
      const store = await openStore(await subject.open());
      const data = "x".repeat(3 * 1024 * 1024);
      for (let seq = 1; seq <= 5; seq++) {
        await store.commit(next(seq - 1, { rows: [newRow(`t${seq}`, seq, data)] }));
      }
      const page = await store.scanRows({ after: "", limit: 100 });
      assert.equal(page.rows.length, 3);
      assert.equal(page.complete, false);
      const rows = await walk(store, 100);
      assert.deepEqual([...ids(rows)].sort(), ["t1", "t2", "t3", "t4", "t5"]);
      assert(rows.every((row) => row.data === data));
    },
  },
  {
    name: "reads for a page of a walk no more than the page",
    async run(subject) {
      const store = await openStore(await subject.open());
      await store.commit(next(0, { rows: newRows("a", 500, 1) }));
      const { rows } = await store.scanRows({ after: "", limit: 200 });
      const before = store.counters;
      const page = await store.scanRows({ after: rows.at(-1)?.position ?? "", limit: 8 });
      assert.equal(page.rows.length, 8);
      assert(store.counters.rowsRead > before.rowsRead);
      assert(store.counters.rowsRead - before.rowsRead <= 40);
      assert(store.counters.statements - before.statements <= 40);
    },
  },
];
