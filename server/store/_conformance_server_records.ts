/**
 * What every store of records must do, as one suite: it holds each sentence of the port in
 * `records.ts`.
 *
 * @module
 */

import assert from "node:assert/strict";
import fc from "fast-check";
import { MemoryRecords } from "./_memory_server_records.ts";
import {
  MAX_RECORD_BATCH_CHARS,
  MAX_RECORD_BATCH_ITEMS,
  MAX_RECORD_KEY_BYTES,
  MAX_RECORD_VALUE_CHARS,
  type RecordBatch,
  type RecordStore,
} from "./records.ts";

/** How the suite gets records of one kind, all of one place. */
export interface RecordsSubject {
  /** The clock that its records expire by. */
  nowMs: number;
  /** Opens them. */
  open(): Promise<RecordStore>;
  /** Closes them and opens them again; left out where they end with the process. */
  reopen?(): Promise<RecordStore>;
}

/** Makes a subject over an empty place, and what cleans up after it. */
export type MakeRecords = () => Promise<RecordsSubject & AsyncDisposable>;

const START_MS = 1_800_000_000_000;
const ALL = { from: "", to: "\u{10ffff}", limit: 1_000 };

async function keysOf(records: RecordStore, range: Partial<typeof ALL> = {}): Promise<string[]> {
  return (await records.list({ ...ALL, ...range })).map(({ key }) => key);
}

type Case = (records: RecordStore, subject: RecordsSubject) => Promise<void>;

const CASES: Readonly<Record<string, Case>> = {
  "give back what was written, with another version each time": async (records) => {
    assert.equal(await records.get("a"), undefined);
    const versions = new Set<string>();
    for (const value of ["one", "", "two", "two", "\u{1f600}é'\"\n\\"]) {
      assert.equal(await records.commit({ set: [{ key: "a/1", value }] }), true);
      const found = await records.get("a/1");
      assert.equal(found?.value, value);
      assert.equal(found.key, "a/1");
      versions.add(found.version);
      await records.commit({ remove: ["a/1", "was never there"] });
      assert.equal(await records.get("a/1"), undefined);
    }
    assert.equal(versions.size, 5);
  },

  "list keys in the order of their UTF-8 bytes": async (records) => {
    const keys = ["", "a", "a/", "a/b", "a0", "b", "é", "\u{ffee}", "\u{1f600}"];
    for (const key of keys.toReversed()) await records.commit({ set: [{ key, value: key }] });
    assert.deepEqual(await keysOf(records), keys);
    assert.deepEqual(await keysOf(records, { from: "a", to: "a0" }), ["a", "a/", "a/b"]);
    assert.deepEqual(await keysOf(records, { from: "a/b", to: "a/b" }), []);
    assert.deepEqual(await keysOf(records, { from: "b", to: "a" }), []);
    assert.deepEqual(await keysOf(records, { limit: 2 }), ["", "a"]);
    const last = await records.list({ ...ALL, limit: 2, reverse: true });
    assert.deepEqual(last.map(({ key }) => key), ["\u{1f600}", "\u{ffee}"]);
    assert.deepEqual(last.map(({ value }) => value), ["\u{1f600}", "\u{ffee}"]);
  },

  "write nothing when a check does not hold": async (records) => {
    await records.commit({ set: [{ key: "a", value: "1" }] });
    const version = (await records.get("a"))?.version ?? "";
    const set = [{ key: "b", value: "2" }];
    const wrong: RecordBatch[] = [
      { checks: [{ key: "a", version: null }], set },
      { checks: [{ key: "a", version: "0" }], remove: ["a"] },
      { checks: [{ key: "c", version }], set },
      { checks: [{ key: "a", version }, { key: "b", version }], set },
    ];
    for (const batch of wrong) assert.equal(await records.commit(batch), false);
    assert.deepEqual(await keysOf(records), ["a"]);
    const checks = [{ key: "a", version }, { key: "b", version: null }];
    assert.equal(await records.commit({ checks, set, remove: ["a"] }), true);
    assert.deepEqual(await keysOf(records), ["b"]);
    await records.commit({ set: [{ key: "a", value: "1" }] });
    assert.equal(await records.commit({ checks: [{ key: "a", version }] }), false);
  },

  "forget records when they expire and not before": async (records, subject) => {
    const expiresMs = START_MS + 1_000;
    await records.commit({ set: [{ key: "a", value: "1", expiresMs }, { key: "b", value: "2" }] });
    const version = (await records.get("a"))?.version ?? null;
    subject.nowMs = expiresMs - 1;
    assert.deepEqual(await keysOf(records), ["a", "b"]);
    subject.nowMs = expiresMs;
    assert.equal(await records.get("a"), undefined);
    assert.deepEqual(await keysOf(records, { limit: 1 }), ["b"]);
    assert.equal(await records.commit({ checks: [{ key: "a", version }] }), false);
    const set = [{ key: "a", value: "3" }];
    assert.equal(await records.commit({ checks: [{ key: "a", version: null }], set }), true);
    assert.equal((await records.get("a"))?.value, "3");
    await records.commit({ set: [{ key: "b", value: "4", expiresMs: 1 }] });
    assert.equal(await records.get("b"), undefined);
  },

  "take keys, values and batches of the largest size": async (records) => {
    const key = "é".repeat(MAX_RECORD_KEY_BYTES / 2);
    const value = "\u{20ac}".repeat(MAX_RECORD_VALUE_CHARS);
    assert.equal(await records.commit({ set: [{ key, value }] }), true);
    assert.equal((await records.get(key))?.value, value);
    const batch = Array.from({ length: MAX_RECORD_BATCH_ITEMS }, (_, index) => ({
      key: String(index).padStart(400, "\u{20ac}").slice(-120),
      value: "\u{20ac}".repeat(MAX_RECORD_BATCH_CHARS / MAX_RECORD_BATCH_ITEMS - 120),
    }));
    assert.equal(await records.commit({ set: batch }), true);
    const checks = await Promise.all(batch.map(async ({ key }) => ({
      key,
      version: (await records.get(key))?.version ?? null,
    })));
    assert.equal(await records.commit({ checks }), true);
    assert.equal((await keysOf(records)).length, MAX_RECORD_BATCH_ITEMS + 1);
  },

  "refuse what passes the bounds and write nothing of it": async (records) => {
    const good = { key: "good", value: "" };
    const key = "é".repeat(MAX_RECORD_KEY_BYTES / 2) + "x";
    const part = { value: "x".repeat(MAX_RECORD_VALUE_CHARS) };
    const wrong: RecordBatch[] = [
      { set: [good, { key, value: "" }] },
      { set: [good, { key: "a", value: "x".repeat(MAX_RECORD_VALUE_CHARS + 1) }] },
      { set: [good], checks: [{ key, version: null }] },
      { set: [good], remove: [key] },
      { set: [good, { key: "a\0", value: "" }] },
      { set: [good, { key: "a", value: "\ud800" }] },
      { set: [good, good] },
      { set: [good], remove: ["good"] },
      { set: [good, ...Array.from("0123456789", (key) => ({ key, ...part }))] },
      { set: [good], remove: Array.from({ length: MAX_RECORD_BATCH_ITEMS }, (_, i) => `${i}`) },
    ];
    for (const batch of wrong) await assert.rejects(records.commit(batch), RangeError);
    assert.deepEqual(await keysOf(records), []);
  },

  "let one of many win who expect the same version": async (records) => {
    await records.commit({ set: [{ key: "n", value: "0" }] });
    const increment = async () => {
      for (;;) {
        const found = await records.get("n");
        const value = String(Number(found?.value) + 1);
        const checks = [{ key: "n", version: found?.version ?? null }];
        if (await records.commit({ checks, set: [{ key: "n", value }] })) return;
      }
    };
    await Promise.all(Array.from({ length: 12 }, increment));
    assert.equal((await records.get("n"))?.value, "12");
  },

  "be there after they were closed and opened again": async (records, subject) => {
    if (subject.reopen === undefined) return;
    const expiresMs = START_MS + 1_000;
    await records.commit({ set: [{ key: "a", value: "1", expiresMs }, { key: "b", value: "2" }] });
    const before = await records.get("b");
    let again = await subject.reopen();
    await assert.rejects(records.get("b"), { code: "INTERNAL_ERROR" });
    assert.deepEqual(await again.get("b"), before);
    assert.deepEqual(await keysOf(again), ["a", "b"]);
    await again.commit({ set: [{ key: "b", value: "2" }] });
    assert.notEqual((await again.get("b"))?.version, before?.version);
    subject.nowMs = expiresMs;
    again = await subject.reopen();
    assert.deepEqual(await keysOf(again), ["b"]);
  },
};

const key = fc.constantFrom("", "a", "a/1", "a/2", "b", "é", "\u{ffee}", "\u{1f600}");
const expiry = fc.option(fc.integer({ min: -2, max: 6 }), { nil: undefined });

/** A step of a random history; which version is checked is settled when it comes to it. */
const step = fc.oneof(
  fc.record({
    kind: fc.constant("commit" as const),
    checks: fc.array(fc.record({ key, holds: fc.boolean() }), { maxLength: 2 }),
    set: fc.uniqueArray(fc.record({ key, value: fc.string({ maxLength: 3 }), expiry }), {
      maxLength: 3,
      selector: (write) => write.key,
    }),
    remove: fc.uniqueArray(key, { maxLength: 2 }),
  }),
  fc.record({
    kind: fc.constant("list" as const),
    from: key,
    to: key,
    limit: fc.integer({ min: 1, max: 4 }),
    reverse: fc.boolean(),
  }),
  fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 3 }) }),
);

async function sameAsModel(
  steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[],
  subject: RecordsSubject,
): Promise<void> {
  const model = new MemoryRecords(() => subject.nowMs);
  const records = await subject.open();
  for (const { key } of await records.list(ALL)) await records.commit({ remove: [key] });
  const plain = (list: readonly { key: string; value: string }[]) =>
    list.map(({ key, value }) => ({ key, value }));
  for (const act of steps) {
    if (act.kind === "pass") subject.nowMs += act.ms;
    else if (act.kind === "list") {
      assert.deepEqual(plain(await records.list(act)), plain(await model.list(act)));
    } else {
      const set = act.set.map(({ key, value, expiry }) => ({
        key,
        value: value.replaceAll("\0", "0"),
        ...(expiry === undefined ? {} : { expiresMs: subject.nowMs + expiry }),
      }));
      const remove = act.remove.filter((key) => !set.some((write) => write.key === key));
      const batchFor = async (store: RecordStore): Promise<RecordBatch> => ({
        set,
        remove,
        checks: await Promise.all(act.checks.map(async ({ key, holds }) => {
          const version = (await store.get(key))?.version ?? null;
          return { key, version: holds ? version : version === null ? "1" : null };
        })),
      });
      const done = await records.commit(await batchFor(records));
      assert.equal(done, await model.commit(await batchFor(model)));
    }
    assert.deepEqual(plain(await records.list(ALL)), plain(await model.list(ALL)));
  }
}

/**
 * Registers the suite for one kind of records.
 *
 * @param name the kind
 * @param make makes a subject for one test
 * @param modelRuns how many random histories to compare with the model
 */
export function testRecords(name: string, make: MakeRecords, modelRuns: number): void {
  for (const [does, run] of Object.entries(CASES)) {
    Deno.test(`${name} records ${does}`, async () => {
      await using subject = await make();
      subject.nowMs = START_MS;
      await run(await subject.open(), subject);
    });
  }
  Deno.test(`${name} records do what the model does`, async () => {
    await using subject = await make();
    subject.nowMs = START_MS;
    const histories = fc.array(step, { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(histories, (steps) => sameAsModel(steps, subject)),
      { numRuns: modelRuns },
    );
  });
}
