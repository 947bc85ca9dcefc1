/**
 * The position is kept as it is given, and nothing is written from another one.
 *
 * @module
 */

import assert from "node:assert/strict";
import { DestinationError } from "@lakesync/adapters";
import { held } from "./expect.ts";
import type { Case } from "./suite.ts";
import { numbered, TestLog, TODOS } from "./testing_log.ts";

/** Cases of the position. */
export const POSITION: readonly Case[] = [
  {
    name: "has no position, no rows and no changes before the first flush",
    async run({ adapter }) {
      assert.equal(await adapter.position(), undefined);
      await adapter.ensureSchema(numbered(TODOS));
      assert.deepEqual(await held(adapter), {
        position: undefined,
        changes: [],
        rows: [],
        unsettled: [],
      });
      assert.equal(await adapter.forgottenSeq(), 0);
    },
  },
  {
    name: "keeps each field of a position",
    async run({ adapter, reopen }) {
      const log = new TestLog(adapter);
      await adapter.ensureSchema(log.schema);
      log.lives = [{ id: "a", fromSeq: 0 }, { id: "b", fromSeq: 3 }];
      const first = log.at({ seq: 7, slice: 0 }, { filled: '1 "x"', floor: 7 });
      await log.insert([], { to: first, isWhole: false });
      assert.deepEqual(await adapter.position(), first);
      const second = { ...log.at({ seq: 2 ** 45 }), writer: "another" };
      await log.insert([], { to: second });
      assert.deepEqual(await adapter.position(), second);
      if (reopen === undefined) return;
      const again = await reopen();
      assert.deepEqual(await again.position(), second);
    },
  },
  {
    name: "is claimed by a write of nothing but the writer's name",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      await log.insert(log.commit({ table: "todos", rowId: "r1", cells: { title: "a" } }));
      const before = await held(adapter);
      log.writer = "writer-2";
      await log.insert([]);
      const { position, ...rest } = await held(adapter);
      assert.deepEqual(position, log.at({ seq: 1 }));
      assert.deepEqual({ ...rest, position: before.position }, before);
    },
  },
  {
    name: "G10: refuses every write from a position that is not its own, and writes nothing",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      await log.insert(log.commit({ table: "todos", rowId: "r1", cells: { title: "a" } }));
      const before = await held(adapter);
      const changes = log.commit({ table: "todos", rowId: "r1", cells: { title: "b" } });
      const row = log.effect({ table: "todos", rowId: "r1", replaces: true });
      const [to, own] = [log.at({ seq: 2 }), log.at({ seq: 1 })];
      const others = [
        undefined,
        log.at({ seq: 0 }),
        log.at({ seq: 2 }),
        log.at({ seq: 1, slice: 0 }),
        { ...own, writer: "other" },
        { ...own, lives: [{ id: "other", fromSeq: 0 }] },
        { ...own, filled: "" },
        { ...own, floor: 1 },
      ];
      for (const from of others) {
        const what = JSON.stringify(from);
        const insert = adapter.insertDeltas({ from, to, rows: [row], changes, isWhole: true });
        await assert.rejects(insert, DestinationError, what);
        const move = { from, to: log.at({ seq: 0 }) };
        await assert.rejects(adapter.rewind(move), DestinationError, what);
        await assert.rejects(adapter.refill(move), DestinationError, what);
        assert.deepEqual(await held(adapter), before, what);
      }
      await log.insert(changes);
      await assert.rejects(
        adapter.insertDeltas({ from: undefined, to, rows: [], changes, isWhole: true }),
        DestinationError,
      );
    },
  },
  {
    name: "G10: takes one of two writes that are sent at once from the same position",
    async run({ adapter }) {
      const log = await new TestLog(adapter).begin();
      const from = await adapter.position();
      const writes = ["one", "two", "three"].map((title, i) => {
        const changes = log.changes(1, [{ table: "todos", rowId: title, cells: { title } }]);
        const to = { ...log.at({ seq: 1 }), writer: `racer-${i}` };
        return { from, to, rows: [], changes, isWhole: true };
      });
      const results = await Promise.allSettled(writes.map((batch) => adapter.insertDeltas(batch)));
      const taken = results.flatMap(({ status }, i) => status === "fulfilled" ? [i] : []);
      assert.equal(taken.length, 1);
      const winner = writes[taken[0] ?? 0];
      const after = await held(adapter);
      assert.deepEqual(after.position, winner?.to);
      assert.deepEqual(after.changes.map(({ deltaId }) => deltaId), [
        winner?.changes[0]?.deltaId,
      ]);
      assert.equal(after.rows.length, 1);
    },
  },
];
