/**
 * The log, staged parts, clients, buckets, small records and counts.
 *
 * @module
 */

import assert from "node:assert/strict";
import { bucket, client, logEntry, MAX_SLICE, next, openStore } from "./_conformance_tools.ts";
import type { ConformanceCase } from "./conformance.ts";
import { type KeptAnswer, LOG_START, type StagedPart } from "./store.ts";

function part(number: number, bytes: number, mutationId = 7, stagedMs = 0): StagedPart {
  return {
    clientId: "phone-1",
    mutationId,
    part: number,
    parts: 3,
    deltas: number * 10,
    stagedMs,
    payload: new Uint8Array(bytes).fill(number),
  };
}

function answer(key: string, expiresMs: number): KeptAnswer {
  return { key, bodyHash: `hash of ${key}`, answer: "200 {}", expiresMs };
}

/** Tests of everything but rows. */
export const recordCases: readonly ConformanceCase[] = [
  {
    name: "reads the log in order of seq and slice",
    async run(subject) {
      const store = await openStore(await subject.open());
      const entries = [
        logEntry(1),
        logEntry(2, 0),
        logEntry(2, 1),
        logEntry(2, 2),
        logEntry(10, 0, 70_000),
        logEntry(11),
      ];
      await store.commit({
        expectedSeq: 0,
        head: { seq: 2, hlc: "2" },
        log: entries.slice(0, 4),
      });
      await store.commit({
        expectedSeq: 2,
        head: { seq: 11, hlc: "11" },
        log: entries.slice(4),
      });
      assert.deepEqual(await store.readLog(LOG_START, 100), entries);
      assert.deepEqual(await store.readLog({ seq: 1, slice: MAX_SLICE }, 100), entries.slice(1));
      assert.deepEqual(await store.readLog({ seq: 2, slice: MAX_SLICE }, 100), entries.slice(4));
      assert.deepEqual(await store.readLog(LOG_START, 3), entries.slice(0, 3));
      for (const [at, entry] of entries.entries()) {
        assert.deepEqual(await store.readLog(entry, 100), entries.slice(at + 1));
      }
      assert.deepEqual(await store.readLog({ seq: 11, slice: MAX_SLICE }, 100), []);
    },
  },
  {
    name: "trims the log oldest first and counts what is left",
    async run(subject) {
      const store = await openStore(await subject.open());
      await store.commit({
        expectedSeq: 0,
        head: { seq: 6, hlc: "6" },
        log: [1, 2, 3, 4, 5, 6].map((seq) => logEntry(seq, 0, seq * 100)),
      });
      assert.equal((await store.stats()).logBytes, 2_100);
      assert.equal(await store.trimLog(4, 3), 3);
      assert.deepEqual(await store.stats(), {
        logEntries: 3,
        logBytes: 1_500,
        clients: 0,
      });
      assert.equal(await store.trimLog(4, 3), 1);
      assert.equal(await store.trimLog(4, 3), 0);
      assert.deepEqual(
        (await store.readLog(LOG_START, 9)).map(({ seq }) => seq),
        [5, 6],
      );
      assert.equal((await store.head()).seq, 6);
      assert.equal(await store.trimLog(99, 99), 2);
      assert.deepEqual(await store.stats(), {
        logEntries: 0,
        logBytes: 0,
        clients: 0,
      });
    },
  },
  {
    name: "keeps staged parts, replaces them and drops them with a commit",
    async run(subject) {
      let stores = await subject.open();
      let store = await openStore(stores);
      assert.equal(await store.stagedSummary("phone-1", 7), undefined);
      await store.stagePart(part(3, 150_000));
      await store.stagePart(part(1, 10));
      await store.stagePart(part(1, 20));
      await store.stagePart(part(2, 5, 8));
      const summary = { present: [1, 3], parts: 3, deltas: 40, bytes: 150_020 };
      assert.deepEqual(await store.stagedSummary("phone-1", 7), summary);
      stores = await subject.reopen(stores);
      store = await openStore(stores);
      assert.deepEqual(await store.stagedSummary("phone-1", 7), summary);
      assert.deepEqual(await store.readPart("phone-1", 7, 1), part(1, 20));
      assert.deepEqual(await store.readPart("phone-1", 7, 3), part(3, 150_000));
      assert.equal(await store.readPart("phone-1", 7, 2), undefined);
      assert.equal(await store.stagedSummary("phone-2", 7), undefined);
      await store.commit(next(0, {
        dropParts: [
          { clientId: "phone-1", mutationId: 7 },
          { clientId: "phone-1", mutationId: 99 },
        ],
      }));
      assert.equal(await store.stagedSummary("phone-1", 7), undefined);
      assert.equal(await store.readPart("phone-1", 7, 3), undefined);
      assert.deepEqual(await store.readPart("phone-1", 8, 2), part(2, 5, 8));
    },
  },
  {
    name: "keeps staged parts until they are swept",
    async run(subject) {
      let stores = await subject.open();
      let store = await openStore(stores);
      await store.stagePart(part(1, 10, 7, 100));
      await store.stagePart(part(2, 80_000, 7, 200));
      await store.stagePart(part(1, 10, 8, 150));
      await store.stagePart(part(1, 20, 8, 300));
      await store.stagePart(part(1, 10, 9, 100));
      await store.commit(next(0, { dropParts: [{ clientId: "phone-1", mutationId: 9 }] }));
      assert.equal(await store.sweepParts(100, 9), 0);
      assert.equal(await store.sweepParts(200, 9), 1);
      assert.deepEqual((await store.stagedSummary("phone-1", 7))?.present, [2]);
      stores = await subject.reopen(stores);
      store = await openStore(stores);
      assert.deepEqual(await store.readPart("phone-1", 8, 1), part(1, 20, 8, 300));
      assert.equal(await store.sweepParts(999, 1), 1);
      assert.equal(await store.stagedSummary("phone-1", 7), undefined);
      assert.equal(await store.readPart("phone-1", 7, 2), undefined);
      assert.equal(await store.sweepParts(999, 9), 1);
      assert.equal(await store.stagedSummary("phone-1", 8), undefined);
      assert.equal(await store.sweepParts(999, 9), 0);
    },
  },
  {
    name: "keeps clients whole and counts them once",
    async run(subject) {
      const store = await openStore(await subject.open());
      const full = {
        ...client("phone-1", 3),
        sub: "auth0|älice\0\ud800",
        refusals: [{
          mutationId: 2,
          code: "FORBIDDEN_WRITE" as const,
          message: "No",
          delta: 0,
        }],
        chain: [{ mutationId: 3, hash: "ab" }],
        orphans: 4,
      };
      await store.commit(next(0, { clients: [full, client("phone-2")] }));
      assert.deepEqual(
        await store.readClients(["phone-2", "nobody", "phone-1"]),
        [client("phone-2"), undefined, full],
      );
      await store.commit(
        next(1, { clients: [client("phone-1", 4), client("phone-3")] }),
      );
      assert.deepEqual(await store.readClients(["phone-1"]), [
        client("phone-1", 4),
      ]);
      assert.equal((await store.stats()).clients, 3);
    },
  },
  {
    name: "keeps buckets and finds them by number and by name",
    async run(subject) {
      const store = await openStore(await subject.open());
      const all = bucket({ data: "x".repeat(70_000) });
      const list = bucket({ bucket: 2, id: '3:["l42","ü"]', rows: 0, data: "" });
      await store.commit(next(0, { buckets: [all, list] }));
      assert.deepEqual(
        await store.readBuckets([list.id, "3:", 1, "all", 2, 3, "2"]),
        [list, undefined, all, all, list, undefined, undefined],
      );
      const changed = { ...all, seq: 2, rows: 3, data: "y".repeat(80_000) };
      await store.commit(next(1, { buckets: [changed] }));
      assert.deepEqual(await store.readBuckets(["all", 1]), [changed, changed]);
      const renamed = { ...changed, id: "some", data: "{}" };
      await store.commit(next(2, { buckets: [renamed] }));
      assert.deepEqual(
        await store.readBuckets(["all", "some", 1]),
        [undefined, renamed, renamed],
      );
      assert.deepEqual(await store.readBuckets([]), []);
    },
  },
  {
    name: "forgets buckets that are dropped, and lets their names be used again",
    async run(subject) {
      let stores = await subject.open();
      let store = await openStore(stores);
      const records = [1, 2, 3].map((number) =>
        bucket({ bucket: number, id: `b${number}`, data: "x".repeat(70_000) })
      );
      await store.commit(next(0, { buckets: records }));
      await store.commit(next(1, { dropBuckets: [1, 3, 9] }));
      const kept = [undefined, records[1], undefined];
      assert.deepEqual(await store.readBuckets([1, 2, 3]), kept);
      assert.deepEqual(await store.readBuckets(["b1", "b2", "b3"]), kept);
      const heir = bucket({ bucket: 4, id: "b2" });
      const again = bucket({ bucket: 2, id: "b5" });
      await store.commit(next(2, { dropBuckets: [2], buckets: [heir, again] }));
      for (const reopened of [false, true]) {
        if (reopened) {
          stores = await subject.reopen(stores);
          store = await openStore(stores);
        }
        assert.deepEqual(
          await store.readBuckets(["b2", "b5", 2, 4, 1]),
          [heir, again, again, heir, undefined],
        );
      }
    },
  },
  {
    name: "keeps small records of any text until they are removed",
    async run(subject) {
      const store = await openStore(await subject.open());
      const value = "\0\ud800 ü \u{1F600} " + "x".repeat(100_000);
      await store.commit(
        next(0, { meta: [["schema", value], ["rules", ""]] }),
      );
      assert.equal(await store.readMeta("schema"), value);
      assert.equal(await store.readMeta("rules"), "");
      assert.equal(await store.readMeta("Schema"), undefined);
      await store.commit(
        next(1, { meta: [["schema", null], ["rules", "1"], ["x", null]] }),
      );
      assert.equal(await store.readMeta("schema"), undefined);
      assert.equal(await store.readMeta("rules"), "1");
    },
  },
  {
    name: "keeps answers until they are swept",
    async run(subject) {
      const store = await openStore(await subject.open());
      const tricky = answer("alice\0default\0/push\0k", 30);
      await store.commit(next(0, {
        answers: [
          answer("a", 10),
          answer("b", 20),
          { ...tricky, answer: "\0" + "y".repeat(80_000) },
          answer("c", 10),
        ],
      }));
      assert.equal(await store.sweepAnswers(10, 9), 0);
      assert.equal(await store.sweepAnswers(20, 1), 1);
      assert.equal(await store.sweepAnswers(20, 9), 1);
      assert.equal(await store.readAnswer("a"), undefined);
      assert.equal(await store.readAnswer("c"), undefined);
      assert.deepEqual(await store.readAnswer("b"), answer("b", 20));
      assert.equal((await store.readAnswer(tricky.key))?.answer.length, 80_001);
      await store.commit(next(1, { answers: [answer("b", 50)] }));
      assert.equal(await store.sweepAnswers(50, 9), 1);
      assert.deepEqual(await store.readAnswer("b"), answer("b", 50));
    },
  },
  {
    name: "counts at the same cost whatever it holds",
    async run(subject) {
      const store = await openStore(await subject.open());
      const cost = async () => {
        const before = store.counters;
        await store.stats();
        const { statements, rowsRead } = store.counters;
        return {
          statements: statements - before.statements,
          rowsRead: rowsRead - before.rowsRead,
        };
      };
      const empty = await cost();
      await store.commit({
        expectedSeq: 0,
        head: { seq: 200, hlc: "1" },
        log: Array.from({ length: 200 }, (_, index) => logEntry(index + 1)),
        clients: Array.from({ length: 200 }, (_, index) => client(`c${index}`)),
      });
      assert.deepEqual(await cost(), empty);
      assert.deepEqual(await store.stats(), {
        logEntries: 200,
        logBytes: 2_000,
        clients: 200,
      });
    },
  },
];
