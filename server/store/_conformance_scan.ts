/**
 * Scans of a bucket: order, paging, rows that are gone, and one snapshot.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  at,
  bucket,
  client,
  goneAt,
  ids,
  newRow,
  newRows,
  next,
  openStore,
  refOf,
  scan,
  scanAll,
} from "./_conformance_tools.ts";
import type { ConformanceCase } from "./conformance.ts";

/** Tests of bucket scans. */
export const scanCases: readonly ConformanceCase[] = [
  {
    name: "finds nothing in a bucket nobody knows",
    async run(subject) {
      const store = await openStore(await subject.open());
      const page = await scan(store, { bucket: 9, clientId: "nobody" });
      assert.deepEqual(page, {
        head: await store.head(),
        client: undefined,
        bucket: undefined,
        rows: [],
        complete: true,
      });
    },
  },
  {
    name: "pages by position, also among rows of one seq",
    async run(subject) {
      const store = await openStore(await subject.open());
      await store.commit(next(0, { rows: newRows("a", 5, 1) }));
      await store.commit(next(1, { rows: newRows("b", 4, 2) }));
      const all = (await scan(store)).rows;
      assert.equal(all.length, 9);
      assert.deepEqual(all.map(({ position }) => position.seq), [
        ...Array(5).fill(1),
        ...Array(4).fill(2),
      ]);
      for (const limit of [1, 2, 3, 4, 8]) {
        assert.deepEqual(await scanAll(store, { limit }), all);
      }
      for (const [index, { position }] of all.entries()) {
        const page = await scan(store, { after: position });
        assert.deepEqual(page.rows, all.slice(index + 1));
      }
      assert.equal((await scan(store, { limit: 9 })).complete, true);
      assert.equal((await scan(store, { limit: 8 })).complete, false);
      const fromTwo = await scan(store, { after: { seq: 2, tie: "" } });
      assert.deepEqual(fromTwo.rows, all.slice(5));
      const fromThree = await scan(store, { after: { seq: 3, tie: "" } });
      assert.deepEqual(fromThree.rows, []);
    },
  },
  {
    name: "takes a tie that it never gave as the place before all",
    async run(subject) {
      const store = await openStore(await subject.open());
      await store.commit(next(0, { rows: newRows("a", 2, 1) }));
      for (const tie of ["x", "1e3", "-1", "9".repeat(40)]) {
        const page = await scan(store, { after: { seq: 1, tie } });
        assert.equal(page.rows.length, 2);
      }
    },
  },
  {
    name: "moves entries when rows change, in each bucket by itself",
    async run(subject) {
      const store = await openStore(await subject.open());
      await store.commit(next(0, {
        rows: [
          { ...newRow("t1", 1), add: [at(1, 1), at(1, 2)] },
          { ...newRow("t2", 1), add: [at(1, 2)] },
        ],
      }));
      await store.commit(next(1, {
        rows: [{
          ...newRow("t1", 2),
          ref: await refOf(store, "t1"),
          drop: [at(1, 1)],
          add: [goneAt(2, 1)],
        }],
      }));
      const places = async (bucket: number) =>
        (await scan(store, { bucket })).rows.map(({ rowId, position, gone }) =>
          `${rowId}@${position.seq}${gone ? " gone" : ""}`
        ).sort();
      assert.deepEqual(await places(1), ["t1@2 gone"]);
      assert.deepEqual(await places(2), ["t1@1", "t2@1"]);
      await store.commit(next(2, {
        rows: [{
          ...newRow("t1", 3),
          ref: await refOf(store, "t1"),
          drop: [goneAt(2, 1), at(1, 2)],
          add: [at(3, 1), at(3, 2)],
        }],
      }));
      assert.deepEqual(await places(1), ["t1@3"]);
      assert.deepEqual(await places(2), ["t1@3", "t2@1"]);
      await store.commit(next(3, {
        rows: [{
          ...newRow("t1", 4),
          ref: await refOf(store, "t1"),
          drop: [at(3, 1)],
          add: [at(3, 1)],
        }],
      }));
      assert.deepEqual(await places(1), ["t1@3"]);
    },
  },
  {
    name: "reads head, client, record and rows of a bucket from one snapshot",
    async run(subject) {
      const store = await openStore(await subject.open());
      const rowIds = Array.from({ length: 30 }, (_, index) => `t${index}`);
      const write = async (seq: number) => {
        const refs = await store.readRows(
          rowIds.map((rowId) => ({ table: 1, rowId })),
        );
        await store.commit(next(seq - 1, {
          rows: rowIds.map((rowId, index) => ({
            ...newRow(rowId, seq, String(seq)),
            ref: refs[index]?.ref,
            drop: seq > 1 ? [at(seq - 1)] : [],
          })),
          clients: [client("phone-1", seq)],
          buckets: [bucket({ seq, rows: 30 })],
        }));
      };
      let writing = true;
      const reader = async () => {
        const seen = new Set<number>();
        while (writing) {
          const { head, ...page } = await scan(store);
          seen.add(head.seq);
          if (head.seq === 0) continue;
          assert.equal(page.client?.lastMutationId, head.seq);
          assert.equal(page.bucket?.seq, head.seq);
          assert.equal(page.rows.length, 30);
          for (const row of page.rows) {
            assert.equal(row.data, String(head.seq));
            assert.equal(row.position.seq, head.seq);
          }
        }
        return seen.size;
      };
      const readers = [reader(), reader()];
      try {
        for (let seq = 1; seq <= 25; seq++) await write(seq);
      } finally {
        writing = false;
      }
      for (const seen of await Promise.all(readers)) assert(seen > 1);
    },
  },
  {
    name: "ends a page early when its rows are large",
    async run(subject) {
      const store = await openStore(await subject.open());
      const data = "x".repeat(3 * 1024 * 1024);
      for (let seq = 1; seq <= 5; seq++) {
        await store.commit(
          next(seq - 1, { rows: [newRow(`t${seq}`, seq, data)] }),
        );
      }
      const page = await scan(store);
      assert.equal(page.rows.length, 3);
      assert.equal(page.complete, false);
      const rows = await scanAll(store);
      assert.deepEqual(ids(rows), ["t1", "t2", "t3", "t4", "t5"]);
      assert(rows.every((row) => row.data === data));
    },
  },
  {
    name: "reads for a page no more than the page, however large the bucket",
    async run(subject) {
      const store = await openStore(await subject.open());
      await store.commit(next(0, {
        rows: newRows("gone", 400, 1)
          .map((row) => ({ ...row, add: [goneAt(1)] })),
      }));
      await store.commit(next(1, { rows: newRows("a", 400, 2) }));
      await store.commit(next(2, { rows: newRows("b", 10, 3) }));
      const before = store.counters;
      const page = await scan(store, {
        after: { seq: 2, tie: String(Number.MAX_SAFE_INTEGER) },
        limit: 8,
      });
      assert.deepEqual(page.rows.length, 8);
      assert(store.counters.rowsRead - before.rowsRead <= 40);
      assert(store.counters.statements - before.statements <= 40);
    },
  },
];
