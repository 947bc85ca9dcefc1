/**
 * Views: one snapshot for several reads, whatever is committed meanwhile.
 *
 * @module
 */

import assert from "node:assert/strict";
import { LakeSyncError } from "@lakesync/core";
import {
  assertCode,
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
  scanSide,
} from "./_conformance_tools.ts";
import type { ConformanceCase, StoreSubject } from "./conformance.ts";
import { readSnapshot } from "./snapshot.ts";
import type { IndexScan, ReadView, Store } from "./store.ts";

const KEYS = ["t1", "t2", "t3"].map((rowId) => ({ table: 1, rowId }));

/** Everything that a view can show of a small history. */
async function look(view: ReadView): Promise<unknown> {
  const rows = await view.rows(KEYS);
  return {
    head: view.head,
    rows: rows.map((row) => row?.data),
    clients: await view.clients(["phone-1", "nobody"]),
    buckets: await view.buckets(["all", 1, "other", 2]),
    meta: await view.meta("schema"),
    present: await scanSide(view, { bucket: 1, gone: false }, 2),
    gone: await scanSide(view, { bucket: 1, gone: true }, 2),
  };
}

/** What a view that is opened now shows. */
function lookNow(store: Store): Promise<unknown> {
  return readSnapshot(store, look);
}

/** Fails unless a view shows what is expected, or says that it is no snapshot where it may. */
async function assertShows(
  subject: StoreSubject,
  view: ReadView,
  expected: unknown,
): Promise<void> {
  const [shown] = await Promise.allSettled([look(view)]);
  const isOne = await view.end();
  if (subject.versions) assert(isOne, "the view is one snapshot");
  if (!isOne) return;
  if (shown.status === "rejected") {
    assert(!subject.versions && isBackpressure(shown.reason), String(shown.reason));
    return;
  }
  assert.deepEqual(shown.value, expected);
}

function isBackpressure(error: unknown): boolean {
  return error instanceof LakeSyncError && error.code === "BACKPRESSURE";
}

/** Changes everything that {@linkcode look} looks at, by a commit from `seq - 1` to `seq`. */
async function changeAll(store: Store, seq: number): Promise<void> {
  const stored = await store.readRows(KEYS);
  const [first, second, third] = stored;
  const was = (seq - 1) % 2 === 0 ? goneAt(seq - 1) : at(seq - 1);
  const place = seq % 2 === 0 ? goneAt(seq) : at(seq);
  await store.commit(next(seq - 1, {
    rows: [
      { ...newRow("t1", seq), ref: first?.ref, drop: first ? [was] : [], add: [place] },
      {
        ...newRow("t2", seq),
        data: second ? undefined : `new at ${seq}`,
        ref: second?.ref,
        drop: second ? [at(seq - 1)] : [],
        add: second ? [] : [at(seq)],
      },
      {
        ...newRow("t3", seq, "x".repeat(seq * 2_000)),
        ref: third?.ref,
        drop: third ? [at(seq - 1)] : [],
      },
      newRow(`extra ${seq}`, seq),
    ],
    clients: [client("phone-1", seq)],
    dropBuckets: [seq % 2 + 1],
    buckets: [bucket({ bucket: (seq + 1) % 2 + 1, seq, data: `[${seq}]` })],
    meta: [["schema", seq % 3 === 0 ? null : String(seq)]],
  }));
}

/** Tests of views. */
export const viewCases: readonly ConformanceCase[] = [
  {
    name: "shows in a view what there is",
    async run(subject) {
      const store = await openStore(await subject.open());
      await changeAll(store, 1);
      await changeAll(store, 2);
      const view = await store.view();
      assert.deepEqual(view.head, await store.head());
      const clients = await store.readClients(["nobody", "phone-1"]);
      assert.deepEqual(await view.clients(["nobody", "phone-1"]), clients);
      assert.deepEqual(await view.clients([]), []);
      const names = ["all", 1, 2, "other"];
      assert.deepEqual(await view.buckets(names), await store.readBuckets(names));
      assert.equal((await view.buckets(["all"]))[0]?.seq, 2);
      assert.deepEqual(await view.rows(KEYS), await store.readRows(KEYS));
      assert.deepEqual((await view.rows(KEYS)).map((row) => row?.rowId), ["t1", undefined, "t3"]);
      assert.equal(await view.meta("schema"), "2");
      assert.equal(await view.meta("rules"), undefined);
      const present = await scanSide(view, { bucket: 1, gone: false }, 10);
      const gone = await scanSide(view, { bucket: 1, gone: true }, 10);
      assert.deepEqual([...ids(present)].sort(), ["extra 1", "extra 2", "t3"]);
      assert.deepEqual(ids(gone), ["t1"]);
      assert.equal(await view.end(), true);
    },
  },
  {
    name: "shows each view its own snapshot while commits go on",
    async run(subject) {
      const store = await openStore(await subject.open());
      for (let round = 0; round < 6; round++) {
        const { seq } = await store.head();
        const views: [ReadView, unknown][] = [];
        for (let step = 1; step <= 3; step++) {
          const expected = await lookNow(store);
          views.push([await store.view(), expected], [await store.view(), expected]);
          await changeAll(store, seq + step);
        }
        if (round % 2 === 0) views.reverse();
        for (const [view, expected] of views) await assertShows(subject, view, expected);
      }
    },
  },
  {
    name: "lets commits go on between two reads of a view",
    async run(subject) {
      const store = await openStore(await subject.open());
      await store.commit(next(0, {
        rows: newRows("a", 20, 1),
        buckets: [bucket({ rows: 20 })],
      }));
      const view = await store.view();
      const read = async () => {
        const { rows } = await view.scan({
          bucket: 1,
          gone: false,
          after: { seq: 0, tie: "" },
          limit: 7,
        });
        const after = rows.at(-1)?.position ?? { seq: 0, tie: "" };
        const { seq } = await store.head();
        const ref = await refOf(store, "a9");
        await store.commit(next(seq, {
          rows: [
            { ...newRow("a9", seq + 1), ref, drop: [at(seq)] },
            ...newRows(`b${seq}-`, 5, 1),
          ],
          buckets: [bucket({ seq: seq + 1, rows: 20 + seq * 5 })],
        }));
        const rest = await scanSide(view, { bucket: 1, gone: false }, 7, after);
        const [record] = await view.buckets([1]);
        return { found: [...ids(rows), ...ids(rest)], record };
      };
      const [first] = await Promise.allSettled([read()]);
      const [second] = await Promise.allSettled([
        scanSide(view, { bucket: 1, gone: false }, 7),
      ]);
      const isOne = await view.end();
      if (!isOne && !subject.versions) return;
      assert(isOne && first.status === "fulfilled" && second.status === "fulfilled");
      assert.deepEqual(first.value.found, ids(second.value));
      assert.equal(second.value.length, 20);
      assert.equal(first.value.record?.rows, 20);
    },
  },
  {
    name: "shows a large commit to views whole or not at all",
    async run(subject) {
      const store = await openStore(await subject.open());
      await store.commit(next(0, { rows: [newRow("t0", 1)] }));
      const count = async (view: ReadView) => {
        const rows = await scanSide(view, { bucket: 1, gone: false }, 400);
        const [known] = await view.clients(["phone-1"]);
        const [record] = await view.buckets(["all"]);
        return [view.head.seq, rows.length, known?.lastMutationId, record?.rows];
      };
      const before = [1, 1, undefined, undefined];
      const after = [2, 1_501, 2, 1_501];
      const early = await store.view();
      const large = await store.beginLarge();
      for (let slice = 0; slice < 5; slice++) {
        await large.write({ rows: newRows(`s${slice}-`, 300, 2) });
      }
      const middle = await store.view();
      assert.deepEqual(await count(middle), before);
      let published = false;
      const publishing = large.commit(next(1, {
        clients: [client("phone-1", 2)],
        buckets: [bucket({ seq: 2, rows: 1_501 })],
      })).then(() => {
        published = true;
      });
      while (!published) {
        const seen = await readSnapshot(store, count);
        assert.deepEqual(seen, seen[0] === 1 ? before : after);
        await new Promise((resolve) => setTimeout(resolve));
      }
      await publishing;
      for (const view of [early, middle]) {
        const [seen] = await Promise.allSettled([count(view)]);
        if (!await view.end()) assert(!subject.versions);
        else assert.deepEqual(seen, { status: "fulfilled", value: before });
      }
      assert.deepEqual(await readSnapshot(store, count), after);
    },
  },
  {
    name: "shows a view nothing of a large commit that is aborted",
    async run(subject) {
      const store = await openStore(await subject.open());
      await changeAll(store, 1);
      const expected = await lookNow(store);
      const view = await store.view();
      const large = await store.beginLarge();
      await large.write({ rows: newRows("a", 100, 2) });
      await large.abort();
      await assertShows(subject, view, expected);
      assert.deepEqual(await lookNow(store), expected);
    },
  },
  {
    name: "reads each side of a bucket by itself, page by page",
    async run(subject) {
      const store = await openStore(await subject.open());
      for (let seq = 1; seq <= 4; seq++) {
        await store.commit(next(seq - 1, {
          rows: [
            ...newRows(`in${seq}-`, 3, seq),
            ...newRows(`out${seq}-`, 2, seq).map((row) => ({ ...row, add: [goneAt(seq)] })),
            { ...newRow(`other${seq}`, seq), add: [at(seq, 2)] },
          ],
        }));
      }
      const both = (await scan(store)).rows;
      await readSnapshot(store, async (view) => {
        for (const gone of [false, true]) {
          const expected = both.filter((row) => row.gone === gone);
          assert.equal(expected.length, gone ? 8 : 12);
          for (const limit of [1, 2, 5, 7, 8, 12, 100]) {
            assert.deepEqual(await scanSide(view, { bucket: 1, gone }, limit), expected);
          }
          for (const [index, { position }] of expected.entries()) {
            const rest = await scanSide(view, { bucket: 1, gone }, 100, position);
            assert.deepEqual(rest, expected.slice(index + 1));
          }
          const start: IndexScan = { bucket: 1, gone, after: { seq: 0, tie: "" }, limit: 100 };
          const after = { seq: 3, tie: "" };
          assert.deepEqual(
            (await view.scan({ ...start, after })).rows,
            expected.filter(({ position }) => position.seq >= 3),
          );
          const length = expected.length;
          assert.equal((await view.scan({ ...start, limit: length })).complete, true);
          assert.equal((await view.scan({ ...start, limit: length - 1 })).complete, false);
        }
        const nothing = await view.scan({
          bucket: 9,
          gone: false,
          after: { seq: 0, tie: "" },
          limit: 10,
        });
        assert.deepEqual(nothing, { rows: [], complete: true });
      });
    },
  },
  {
    name: "ends a page of a side early when its rows are large",
    async run(subject) {
      const store = await openStore(await subject.open());
      const data = "x".repeat(3 * 1024 * 1024);
      for (let seq = 1; seq <= 5; seq++) {
        await store.commit(
          next(seq - 1, { rows: [{ ...newRow(`t${seq}`, seq, data), add: [goneAt(seq)] }] }),
        );
      }
      await readSnapshot(store, async (view) => {
        const page = await view.scan({
          bucket: 1,
          gone: true,
          after: { seq: 0, tie: "" },
          limit: 10,
        });
        assert.equal(page.rows.length, 3);
        assert.equal(page.complete, false);
        const rows = await scanSide(view, { bucket: 1, gone: true }, 10);
        assert.deepEqual(ids(rows), ["t1", "t2", "t3", "t4", "t5"]);
        assert(rows.every((row) => row.data === data));
      });
    },
  },
  {
    name: "refuses to read a view that has ended, and all views when it is closed",
    async run(subject) {
      const store = await openStore(await subject.open());
      const view = await store.view();
      assert.equal(await view.end(), true);
      await view.end();
      await assertCode(view.clients(["phone-1"]), "INTERNAL_ERROR");
      await assertCode(view.rows(KEYS), "INTERNAL_ERROR");
      const start = { bucket: 1, gone: false, after: { seq: 0, tie: "" }, limit: 1 };
      await assertCode(view.scan(start), "INTERNAL_ERROR");
      const open = await store.view();
      await store.commit(next(0));
      const fresh = await store.view();
      await store.close();
      for (const left of [open, fresh]) {
        await assertCode(left.meta("schema"), "INTERNAL_ERROR");
        await left.end();
      }
      await assertCode(store.view(), "INTERNAL_ERROR");
    },
  },
  {
    name: "serves any number of views at once while commits go on",
    async run(subject) {
      const store = await openStore(await subject.open());
      await changeAll(store, 1);
      let writing = true;
      const reader = async () => {
        const seen = new Set<number>();
        while (writing) {
          const { seq } = await readSnapshot(store, async (view) => {
            const { seq } = view.head;
            const [known] = await view.clients(["phone-1"]);
            assert.equal(known?.lastMutationId, seq);
            const [first] = await view.rows([{ table: 1, rowId: "t1" }]);
            assert.equal(first?.data, `{"at":${seq}}`);
            const [record] = await view.buckets(["all"]);
            assert.equal(record?.seq, seq);
            const gone = await scanSide(view, { bucket: 1, gone: true }, 5);
            assert.deepEqual(ids(gone), seq % 2 === 0 ? ["t1"] : []);
            return view.head;
          });
          seen.add(seq);
        }
        return seen.size;
      };
      const readers = Array.from({ length: 12 }, reader);
      try {
        for (let seq = 2; seq <= 25; seq++) await changeAll(store, seq);
      } finally {
        writing = false;
      }
      for (const seen of await Promise.all(readers)) assert(seen > 1);
    },
  },
  {
    name: "counts what views read, and reads no more than was asked for",
    async run(subject) {
      const store = await openStore(await subject.open());
      await store.commit(next(0, {
        rows: newRows("gone", 400, 1).map((row) => ({ ...row, add: [goneAt(1)] })),
      }));
      await store.commit(next(1, {
        rows: newRows("a", 400, 2),
        clients: Array.from({ length: 100 }, (_, index) => client(`c${index}`)),
      }));
      await store.head();
      const before = store.counters;
      await readSnapshot(store, async (view) => {
        await view.clients(["c7"]);
        const after = { seq: 2, tie: "" };
        const page = await view.scan({ bucket: 1, gone: false, after, limit: 8 });
        assert.equal(page.rows.length, 8);
        const gone = await view.scan({ bucket: 1, gone: true, after, limit: 8 });
        assert.equal(gone.rows.length, 0);
      });
      const { statements, rowsRead } = store.counters;
      assert(rowsRead - before.rowsRead >= 9);
      assert(rowsRead - before.rowsRead <= 40);
      assert(statements - before.statements >= 3);
      assert(statements - before.statements <= 40);
    },
  },
];
