/**
 * Commits: compare-and-set, whole or not at all, and rows coming back as they went in.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  assertCode,
  at,
  bucket,
  client,
  logEntry,
  newRow,
  newRows,
  next,
  openStore,
  refOf,
  scan,
  scanAll,
} from "./_conformance_tools.ts";
import type { ConformanceCase } from "./conformance.ts";
import { LOG_START, type Store } from "./store.ts";

/** Everything a commit can change, read back. */
async function everything(store: Store): Promise<unknown> {
  return {
    head: await store.head(),
    rows: await store.readRows(
      ["t1", "t2"].map((rowId) => ({ table: 1, rowId })),
    ),
    page: await scan(store),
    log: await store.readLog(LOG_START, 100),
    clients: await store.readClients(["phone-1", "phone-2"]),
    buckets: await store.readBuckets(["all", "other"]),
    meta: await store.readMeta("schema"),
    answer: await store.readAnswer("k"),
    staged: await store.stagedSummary("phone-1", 2),
    stats: await store.stats(),
  };
}

/** Tests of commits. */
export const commitCases: readonly ConformanceCase[] = [
  {
    name: "moves the head and keeps a stamp beyond 2^53 exactly",
    async run(subject) {
      const store = await openStore(await subject.open());
      const hlc = "18446744073709551615";
      await store.commit({ expectedSeq: 0, head: { seq: 5, hlc } });
      const { seq, hlc: read } = await store.head();
      assert.deepEqual({ seq, hlc: read }, { seq: 5, hlc });
      await store.commit({ expectedSeq: 5, head: { seq: 5, hlc: "1" } });
      assert.equal((await store.head()).hlc, "1");
    },
  },
  {
    name: "refuses a commit on another head and changes nothing",
    async run(subject) {
      const store = await openStore(await subject.open());
      await store.commit(next(0, {
        rows: [newRow("t1", 1)],
        log: [logEntry(1)],
        clients: [client("phone-1")],
        buckets: [bucket()],
        meta: [["schema", "1"]],
      }));
      await store.stagePart({
        clientId: "phone-1",
        mutationId: 2,
        part: 1,
        parts: 2,
        deltas: 3,
        stagedMs: 5,
        payload: new Uint8Array([1]),
      });
      const before = await everything(store);
      for (const expectedSeq of [0, 2]) {
        await assertCode(
          store.commit({
            expectedSeq,
            head: { seq: 3, hlc: "3" },
            rows: [
              {
                ...newRow("t1", 3),
                ref: await refOf(store, "t1"),
                drop: [at(1)],
              },
              newRow("t2", 3),
            ],
            log: [logEntry(3)],
            clients: [client("phone-1", 9), client("phone-2")],
            buckets: [bucket({ bucket: 2, id: "other" })],
            dropBuckets: [1],
            meta: [["schema", "2"]],
            dropParts: [{ clientId: "phone-1", mutationId: 2 }],
            answers: [{ key: "k", bodyHash: "h", answer: "a", expiresMs: 1 }],
          }),
          "BACKPRESSURE",
        );
      }
      assert.deepEqual(await everything(store), before);
    },
  },
  {
    name: "lets one of two commits on the same head win",
    async run(subject) {
      const store = await openStore(await subject.open());
      const outcomes = await Promise.allSettled([
        store.commit(next(0, { meta: [["winner", "a"]] })),
        store.commit(next(0, { meta: [["winner", "b"]] })),
      ]);
      assert.deepEqual(
        outcomes.map(({ status }) => status).sort(),
        ["fulfilled", "rejected"],
      );
      const winner = outcomes[0].status === "fulfilled" ? "a" : "b";
      assert.equal(await store.readMeta("winner"), winner);
      assert.equal((await store.head()).seq, 1);
    },
  },
  {
    name: "answers one element for each row asked for",
    async run(subject) {
      const store = await openStore(await subject.open());
      await store.commit(next(0, {
        rows: [
          newRow("t1", 1, '{"table":1}'),
          { ...newRow("t1", 1, '{"table":2}'), table: 2 },
          { ...newRow("2:t1", 1, '{"tricky":1}') },
        ],
      }));
      const keys = [
        { table: 2, rowId: "t1" },
        { table: 3, rowId: "t1" },
        { table: 1, rowId: "t1" },
        { table: 1, rowId: "T1" },
        { table: 1, rowId: "2:t1" },
        { table: 1, rowId: "t1" },
      ];
      const rows = await store.readRows(keys);
      assert.deepEqual(rows.map((row) => row?.data), [
        '{"table":2}',
        undefined,
        '{"table":1}',
        undefined,
        '{"tricky":1}',
        '{"table":1}',
      ]);
      assert.deepEqual(
        rows.map((row) => row && { table: row.table, rowId: row.rowId }),
        keys.map((key, index) => rows[index] && key),
      );
    },
  },
  {
    name: "replaces and removes rows by their handles",
    async run(subject) {
      const store = await openStore(await subject.open());
      await store.commit(
        next(0, { rows: [newRow("t1", 1), newRow("t2", 1), newRow("t3", 1)] }),
      );
      await store.commit(next(1, {
        rows: [
          {
            ...newRow("t1", 2, '{"new":1}'),
            ref: await refOf(store, "t1"),
            drop: [at(1)],
          },
          {
            table: 1,
            rowId: "t2",
            data: undefined,
            ref: await refOf(store, "t2"),
            drop: [at(1)],
            add: [],
          },
          {
            table: 1,
            rowId: "nobody",
            data: undefined,
            ref: undefined,
            drop: [],
            add: [],
          },
        ],
      }));
      assert.deepEqual(
        (await scan(store)).rows.map(({ rowId, data, position }) => [
          rowId,
          data,
          position.seq,
        ]),
        [["t3", '{"at":1}', 1], ["t1", '{"new":1}', 2]],
      );
      const [removed] = await store.readRows([{ table: 1, rowId: "t2" }]);
      assert.equal(removed, undefined);
      await store.commit(next(2, { rows: [newRow("t2", 3)] }));
      assert.equal((await scan(store)).rows.at(-1)?.rowId, "t2");
    },
  },
  {
    name: "gives texts and bytes of every size back as they were",
    async run(subject) {
      const stores = await subject.open();
      const store = await openStore(stores);
      const texts = new Map([
        ["", ""],
        ["quote ' \" % _ \\", JSON.stringify("\0\n'\"")],
        ["é".repeat(512), "\u{1F600}".repeat(20_000)],
        ["big", "ü".repeat(1_500_000)],
        ["border", "x".repeat(65_536)],
      ]);
      const payload = crypto.getRandomValues(new Uint8Array(60_000));
      await store.commit(next(0, {
        rows: [...texts].map(([rowId, data]) => newRow(rowId, 1, data)),
        log: [{ ...logEntry(1, 0), payload: new Uint8Array(0) }, {
          ...logEntry(1, 1),
          payload: new Uint8Array([...payload, ...payload, ...payload]),
        }],
      }));
      const read = await store.readRows(
        [...texts.keys()].map((rowId) => ({ table: 1, rowId })),
      );
      assert.deepEqual(
        new Map(read.map((row) => [row?.rowId, row?.data])),
        texts,
      );
      assert.deepEqual(
        new Map((await scanAll(store)).map((row) => [row.rowId, row.data])),
        texts,
      );
      const log = await store.readLog(LOG_START, 10);
      assert.equal(log[0]?.payload.length, 0);
      assert.deepEqual(log[1]?.payload.slice(60_000, 120_000), payload);

      for (const data of ["small", "y".repeat(200_000), "small again"]) {
        const { seq } = await store.head();
        await store.commit(next(seq, {
          rows: [{
            ...newRow("big", seq + 1, data),
            ref: await refOf(store, "big"),
            drop: [at(seq)],
          }],
        }));
        assert.equal((await scanAll(store)).at(-1)?.data, data);
      }
    },
  },
  {
    name: "commits thousands of rows whole",
    async run(subject) {
      let stores = await subject.open();
      let store = await openStore(stores);
      await store.commit(next(0, { rows: newRows("a", 2_500, 1) }));
      const page = scan(store, { limit: 10_000 });
      assert.equal((await page).rows.length, 2_500);
      const keys = Array.from(
        { length: 2_500 },
        (_, index) => ({ table: 1, rowId: `a${index}` }),
      );
      const refs = (await store.readRows(keys)).map((row) => row?.ref);
      await store.commit(next(1, {
        rows: keys.map(({ rowId }, index) => ({
          ...newRow(rowId, 2),
          ref: refs[index],
          drop: [at(1)],
        })),
        log: [logEntry(2)],
        clients: [client("phone-1")],
      }));
      stores = await subject.reopen(stores);
      store = await openStore(stores);
      const rows = await scanAll(store, { limit: 700 });
      assert.equal(rows.length, 2_500);
      assert(rows.every(({ data }) => data === '{"at":2}'));
      assert.equal((await store.stats()).logEntries, 1);
    },
  },
];
