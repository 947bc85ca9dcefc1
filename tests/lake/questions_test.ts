/**
 * LakeSync's own answers about a lake, wherever it is and however it is kept in shape.
 *
 * @module
 */

import assert from "node:assert/strict";
import { lakeAdapter } from "@lakesync/adapters/lake";
import { type LakeQuery, openLakeQuery, type QueryOptions } from "@lakesync/adapters/lake/query";
import type { Value } from "@lakesync/core";
import { rowText } from "./readers.ts";
import { NAMESPACE, openLake, siteTest, tend } from "./testing_lakes.ts";
import { CHANGE_COLUMNS, ROW_COLUMNS, Workload } from "./testing_workload.ts";

/** What a table says, in the form of other readers. */
async function said(
  query: LakeQuery,
  table: "todos" | "todos__changes",
  options: QueryOptions = {},
): Promise<readonly string[]> {
  const columns = table === "todos" ? ROW_COLUMNS : CHANGE_COLUMNS;
  const names = columns.map(([name]) => name).join(", ");
  const where = table === "todos" ? "" : "WHERE _op <> 'SET'";
  const { rows } = await query.query(`SELECT ${names} FROM ${table} ${where}`, options);
  const told = (value: Value) =>
    value === null || typeof value === "boolean" ? value : String(value);
  return rows.map((row) => rowText(columns, row.map(told))).sort();
}

siteTest(
  "G10: questions are answered as of every flush, merged and compacted or not",
  async (site) => {
    const { store, location, openCatalog } = site;
    const adapter = lakeAdapter({
      ...{ store, location, catalog: openCatalog, namespace: NAMESPACE, thread: false },
    });
    await using lake = openLake(site);
    const query = openLakeQuery({ store, location, catalog: lake.catalog, namespace: NAMESPACE });
    try {
      const workload = new Workload(adapter, 11);
      await workload.begin();
      const moments = new Map<number, typeof workload.expected>();
      for (let i = 0; i < 6; i++) {
        for (let flushes = 0; flushes < 3; flushes++) {
          await workload.flush(2, 10);
          moments.set(workload.seq, workload.expected);
        }
        if (i % 2 === 1) await tend(lake, i > 2);
      }
      const { rows, changes } = workload.expected;
      assert.deepEqual(await said(query, "todos"), rows);
      assert.deepEqual(await said(query, "todos__changes"), changes);
      for (const [seq, { rows, changes }] of moments) {
        assert.deepEqual(await said(query, "todos", { asOf: { seq } }), rows, `rows ${seq}`);
        if (seq % 12 !== 0) continue;
        const told = await said(query, "todos__changes", { asOf: { seq } });
        assert.deepEqual(told, changes, `changes ${seq}`);
      }
    } finally {
      await query.close();
      await adapter.close();
    }
  },
);
