/**
 * A row that the database does not take stops no other, is shown, and is tried again.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { DatabaseAdapter } from "@lakesync/adapters";
import type { SchemaSpec } from "@lakesync/core";
import { allRows, cellsOf } from "./expect.ts";
import type { Case } from "./suite.ts";
import { numbered, START_MS, TestLog, TODOS } from "./testing_log.ts";

const FAMILY: SchemaSpec = {
  version: 1,
  tables: {
    children: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        parent: { type: "string", references: "parents" },
        sibling: { type: "string", references: "children" },
      },
    },
    parents: {
      primaryKey: ["id"],
      columns: { id: "string", eldest: { type: "string", references: "children" } },
    },
  },
};

/** Which rows have problems, and of which kind. */
async function problems(adapter: DatabaseAdapter): Promise<Record<string, string>> {
  const found = await adapter.problems(100);
  for (const { reason, seq } of found) {
    assert.ok(reason.length > 0);
    assert.ok(seq > 0);
  }
  return Object.fromEntries(
    found.map(({ table, key, kind }) => [`${table}/${key.rowId}`, kind]).sort(),
  );
}

/** Rows that others reference are forgotten only after those. */
export async function forgetsChildrenFirst(adapter: DatabaseAdapter): Promise<void> {
  const log = await new TestLog(adapter, numbered(FAMILY)).begin();
  await log.insert([
    ...log.commit({ table: "parents", rowId: "p1" }),
    ...log.commit({ table: "parents", rowId: "p2" }),
    ...log.commit({ table: "children", rowId: "c1", cells: { parent: "p1" } }),
    ...log.commit({ table: "children", rowId: "c2", cells: { parent: "p2" } }),
  ]);
  const through = async (throughSeq: number) => {
    const what = { committedBeforeMs: START_MS + 1e9, throughSeq, rows: true };
    for (let i = 0; await adapter.forget(what); i++) assert.ok(i < 100);
    return (await allRows(adapter)).map(({ key }) => key.rowId);
  };
  assert.deepEqual(await through(2), ["c1", "c2", "p1", "p2"]);
  assert.deepEqual(await through(3), ["c2", "p2"]);
  assert.deepEqual(await through(4), []);
  assert.deepEqual(await problems(adapter), {});
}

/** Cases of rows that are refused. */
export const PROBLEMS: readonly Case[] = [
  {
    name: "has no problems with rows that are whole",
    async run({ adapter }) {
      const log = await new TestLog(adapter, numbered(FAMILY)).begin();
      await log.insert(log.commit(
        { table: "children", rowId: "c1", cells: { parent: "p1", sibling: "c2" } },
        { table: "children", rowId: "c2", cells: { parent: "p1", sibling: "c1" } },
        { table: "children", rowId: "c3", cells: { parent: null, sibling: "c3" } },
        { table: "parents", rowId: "p1", cells: { eldest: "c1" } },
      ));
      assert.deepEqual(await problems(adapter), {});
      assert.equal((await allRows(adapter)).length, 4);
    },
  },
  {
    name: "parks a row whose parent is not there, until it comes",
    async run({ adapter, reopen }) {
      if (!adapter.capabilities.foreignKeys) return;
      const log = await new TestLog(adapter, numbered(FAMILY)).begin();
      await log.insert(log.commit(
        { table: "children", rowId: "c1", cells: { parent: "p1" } },
        { table: "children", rowId: "c2", cells: { sibling: "c1" } },
        { table: "children", rowId: "c3", cells: {} },
      ));
      const parked = await problems(adapter);
      assert.equal(parked["children/c1"], "parked");
      assert.equal(parked["children/c3"], undefined);
      assert.deepEqual((await cellsOf(adapter, log, "children", "c1"))?.cells, { parent: "p1" });
      const again = await reopen?.() ?? adapter;
      assert.deepEqual(await problems(again), parked);
      const after = new TestLog(again, log.schema);
      after.seq = log.seq;
      await after.insert(after.commit({ table: "parents", rowId: "p1" }));
      assert.deepEqual(await problems(again), {});
    },
  },
  {
    name: "parks the children of a parent that is deleted, and takes them when they are mended",
    async run({ adapter }) {
      if (!adapter.capabilities.foreignKeys) return;
      const log = await new TestLog(adapter, numbered(FAMILY)).begin();
      await log.insert(log.commit(
        { table: "children", rowId: "c1", cells: { parent: "p1" } },
        { table: "parents", rowId: "p1" },
      ));
      await log.insert(log.commit({ op: "DELETE", table: "parents", rowId: "p1" }));
      assert.deepEqual(await problems(adapter), { "children/c1": "parked" });
      await log.insert(log.commit({ table: "children", rowId: "c1", cells: { parent: null } }));
      assert.deepEqual(await problems(adapter), {});
    },
  },
  {
    name: "forgets a row that others reference only after those",
    async run({ adapter }) {
      if (!adapter.capabilities.foreignKeys) return;
      await forgetsChildrenFirst(adapter);
    },
  },
  {
    name: "takes a text with NUL, or shows the row and goes on",
    async run({ adapter }) {
      const log = await new TestLog(adapter, numbered(TODOS)).begin();
      await log.insert(log.commit(
        { table: "todos", rowId: "bad", cells: { title: "a\0b" } },
        { table: "todos", rowId: "good", cells: { title: "ab" } },
      ));
      const { nulInText } = adapter.capabilities;
      assert.deepEqual(await problems(adapter), nulInText ? {} : { "todos/bad": "dead" });
      const found = await cellsOf(adapter, log, "todos", "bad");
      assert.deepEqual(found?.cells, { title: "a\0b" });
      await log.insert(log.commit({ table: "todos", rowId: "bad", cells: { title: "mended" } }));
      assert.deepEqual(await problems(adapter), {});
    },
  },
];
