/**
 * Large commits: slices that nobody sees until they are published whole.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  assertCode,
  at,
  bucket as bucketOf,
  client,
  ids,
  logEntry,
  MAX_SLICE,
  newRow,
  newRows,
  next,
  openStore,
  refOf,
  scan,
  scanAll,
} from "./_conformance_tools.ts";
import type { ConformanceCase } from "./conformance.ts";
import { type LargeCommit, LOG_START, type Store } from "./store.ts";

/** Begins a large commit on `t0` at seq 1, and writes two slices. */
async function begin(store: Store): Promise<LargeCommit> {
  await store.commit(next(0, { rows: [newRow("t0", 1)] }));
  const large = await store.beginLarge();
  const [old] = await large.readRows([{ table: 1, rowId: "t0" }]);
  await large.write({
    rows: [
      ...newRows("a", 600, 2),
      { ...newRow("t0", 2), ref: old?.ref, drop: [at(1)] },
    ],
    log: [logEntry(2, 0)],
    clients: [client("phone-1", 1)],
  });
  const keys = ["a0", "a1", "t0", "a2"].map((rowId) => ({ table: 1, rowId }));
  const [first, second, zero] = await large.readRows(keys);
  await large.write({
    rows: [
      { ...newRow("a0", 2, "again"), ref: first?.ref, add: [] },
      {
        table: 1,
        rowId: "a1",
        data: undefined,
        ref: second?.ref,
        drop: [at(2)],
        add: [],
      },
      { ...newRow("t0", 2, "twice"), ref: zero?.ref, drop: [at(2)] },
      newRow("b0", 2, "x".repeat(100_000)),
    ],
    log: [logEntry(2, 1, 90_000)],
    clients: [client("phone-1", 2), client("phone-2")],
    meta: [["k", "1"]],
  });
  return large;
}

async function assertUntouched(store: Store): Promise<void> {
  const page = await scan(store);
  assert.equal(page.head.seq, 1);
  assert.deepEqual(ids(page.rows), ["t0"]);
  assert.equal(page.rows[0]?.data, '{"at":1}');
  const rows = await store.readRows([{ table: 1, rowId: "a2" }]);
  assert.deepEqual(rows, [undefined]);
  assert.deepEqual(await store.readLog(LOG_START, 9), []);
  assert.deepEqual(await store.readClients(["phone-1"]), [undefined]);
  assert.equal(await store.readMeta("k"), undefined);
  assert.deepEqual(await store.stats(), {
    logEntries: 0,
    logBytes: 0,
    clients: 0,
  });
}

/** Tests of large commits. */
export const largeCases: readonly ConformanceCase[] = [
  {
    name: "shows a large commit to itself and to nobody else",
    async run(subject) {
      const store = await openStore(await subject.open());
      const large = await begin(store);
      await assertUntouched(store);
      const keys = ["a0", "a1", "a2", "t0", "no"]
        .map((rowId) => ({ table: 1, rowId }));
      assert.deepEqual(
        (await large.readRows(keys)).map((row) => row?.data),
        ["again", undefined, '{"at":2}', "twice", undefined],
      );
      await large.abort();
    },
  },
  {
    name: "publishes all slices of a large commit at once",
    async run(subject) {
      let stores = await subject.open();
      let store = await openStore(stores);
      const large = await begin(store);
      const publishing = large.commit(next(1, {
        log: [logEntry(2, 2)],
        rows: [newRow("last", 2)],
        clients: [client("phone-1", 3)],
        buckets: [bucketOf({ seq: 2, rows: 602 })],
      }));
      for (let read = 0; read < 5; read++) {
        const { head, bucket, rows, client } = await scan(store);
        assert.equal(rows.length, head.seq === 2 ? 602 : 1);
        assert.equal(bucket?.rows, head.seq === 2 ? 602 : undefined);
        assert.equal(client?.lastMutationId, head.seq === 2 ? 3 : undefined);
      }
      await publishing;
      for (const reopened of [false, true]) {
        if (reopened) {
          stores = await subject.reopen(stores);
          store = await openStore(stores);
        }
        const rows = await scanAll(store, { limit: 250 });
        assert.equal(rows.length, 602);
        assert(rows.every(({ position }) => position.seq === 2));
        const data = new Map(rows.map((row) => [row.rowId, row.data]));
        assert.equal(data.size, 602);
        assert.equal(data.get("a0"), "again");
        assert.equal(data.get("a1"), undefined);
        assert.equal(data.get("t0"), "twice");
        assert.equal(data.get("b0")?.length, 100_000);
        assert.deepEqual(
          (await store.readLog({ seq: 1, slice: MAX_SLICE }, 9)).map(({ slice }) => slice),
          [0, 1, 2],
        );
        assert.deepEqual(await store.readClients(["phone-1", "phone-2"]), [
          client("phone-1", 3),
          client("phone-2"),
        ]);
        assert.equal(await store.readMeta("k"), "1");
        assert.deepEqual(await store.stats(), {
          logEntries: 3,
          logBytes: 90_020,
          clients: 2,
        });
      }
      await store.commit(next(2, {
        rows: [
          { ...newRow("b0", 3), ref: await refOf(store, "b0"), drop: [at(2)] },
          newRow("c", 3),
        ],
      }));
      const last = await scan(store, { after: { seq: 3, tie: "" } });
      assert.deepEqual([...ids(last.rows)].sort(), ["b0", "c"]);
    },
  },
  {
    name: "leaves nothing of a large commit that is aborted",
    async run(subject) {
      let stores = await subject.open();
      let store = await openStore(stores);
      const large = await begin(store);
      await large.abort();
      await large.abort();
      await assertCode(large.write({}), "INTERNAL_ERROR");
      await assertCode(large.commit(next(1)), "INTERNAL_ERROR");
      await assertUntouched(store);
      stores = await subject.reopen(stores);
      store = await openStore(stores);
      await assertUntouched(store);
      await store.commit(next(1, { rows: [newRow("a0", 2)] }));
      assert.deepEqual(ids((await scan(store)).rows), ["t0", "a0"]);
    },
  },
  {
    name: "leaves nothing of a large commit that was never published",
    async run(subject) {
      const stores = await subject.open();
      await begin(await openStore(stores));
      const store = await openStore(await subject.reopen(stores));
      await assertUntouched(store);
      const large = await store.beginLarge();
      assert.deepEqual(
        await large.readRows([{ table: 1, rowId: "a0" }]),
        [undefined],
      );
      await large.write({ rows: [newRow("z", 2)] });
      await large.commit(next(1));
      assert.deepEqual(ids((await scan(store)).rows), ["t0", "z"]);
    },
  },
  {
    name: "refuses a large commit on another head and publishes nothing",
    async run(subject) {
      const store = await openStore(await subject.open());
      const large = await begin(store);
      await assertCode(large.commit(next(0)), "BACKPRESSURE");
      await assertUntouched(store);
      await store.commit(next(1, { rows: [newRow("a0", 2)] }));
      assert.deepEqual(ids((await scan(store)).rows), ["t0", "a0"]);
    },
  },
  {
    name: "refuses other commits while a large one is open, not other writes",
    async run(subject) {
      const store = await openStore(await subject.open());
      const large = await begin(store);
      await assert.rejects(store.commit(next(1)), /large commit is open/);
      await assert.rejects(store.beginLarge(), /large commit is open/);
      const part = {
        clientId: "phone-2",
        mutationId: 1,
        part: 1,
        parts: 1,
        deltas: 1,
        stagedMs: 5,
        payload: new Uint8Array([1]),
      };
      const staged = store.stagePart(part);
      const trimmed = store.trimLog(2, 1);
      await large.commit(next(1));
      await staged;
      assert((await trimmed) <= 1);
      assert.deepEqual(await store.readPart("phone-2", 1, 1), part);
      assert.equal((await store.stats()).logEntries, 2 - await trimmed);
      await store.commit(next(2));
    },
  },
];
