import assert from "node:assert/strict";
import type { DatabaseAdapter } from "@lakesync/adapters";
import { SqlAdapter } from "../../adapters/database/sql_adapter.ts";
import { MysqlBackend } from "../../adapters/mysql/backend.ts";
import { completeOptions } from "../../adapters/mysql/options.ts";
import type { SchemaSpec } from "@lakesync/core";
import { numbered, START_MS, TestLog, type Written } from "../conformance/testing_log.ts";
import { databaseTest } from "../servers/tests.ts";
import { Bed } from "./testing_mysql.ts";

const SPEC: SchemaSpec = {
  version: 1,
  tables: {
    lists: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
    todos: {
      primaryKey: ["id"],
      columns: {
        id: "integer",
        list: { type: "string", references: "lists" },
        up: { type: "integer", references: "todos" },
        n: "integer",
      },
    },
    pairs: { primaryKey: ["a", "b"], columns: { a: "string", b: "integer", n: "integer" } },
  },
};

const COUNT = 6_000;

/** Tables of a few rows, whatever was flushed. */
const SMALL = /lakesync_position|lakesync_tables|information_schema|GET_LOCK/;

function rows(part: readonly number[]): readonly Written[] {
  return part.flatMap((i): Written[] => [
    { op: "INSERT", table: "lists", rowId: `l${i}`, cells: { name: `${i}` } },
    {
      op: "INSERT",
      table: "todos",
      rowId: `${i}`,
      cells: { list: `l${i}`, up: i % 50 === 0 ? i + 1 : i > 1 ? i - 1 : null },
    },
    { op: "INSERT", table: "pairs", rowId: JSON.stringify([`p${i}`, i]), cells: { n: i } },
  ]);
}

/** Calls everything that an adapter has. */
async function callAll(adapter: DatabaseAdapter, log: TestLog): Promise<void> {
  const some = Array.from({ length: 300 }, (_, i) => i * 17 + 1);
  await log.insert([
    ...log.commit(
      ...some.map((i): Written => ({ table: "todos", rowId: `${i}`, cells: { n: i } })),
    ),
    ...log.commit(
      { op: "DELETE", table: "lists", rowId: "l700" },
      { op: "DELETE", table: "todos", rowId: "900" },
      { op: "DELETE", table: "pairs", rowId: JSON.stringify(["p5", 5]) },
      { op: "INSERT", table: "todos", rowId: "77777", cells: { list: "nowhere" } },
      { table: "lists", rowId: "l3", effect: "unsettles" },
    ),
  ]);
  await log.insert([
    ...log.commit({ op: "INSERT", table: "lists", rowId: "l700" }),
    ...log.commit({ op: "INSERT", table: "lists", rowId: "nowhere" }),
  ]);
  const key = (rowId: string) => ({ table: log.table("lists"), rowId });
  await adapter.problems(10);
  await adapter.unsettled(10);
  await adapter.schema();
  await adapter.getLatestState(some.map((i) => key(`l${i}`)));
  await adapter.scanState(undefined, 10);
  await adapter.scanState(key("l3"), 10);
  await adapter.queryDeltasSince({ seq: 2, slice: 0 }, 10);
  await adapter.queryDeltasSince({ seq: 1 }, 10);
  await adapter.forget({ committedBeforeMs: START_MS + 3_000, throughSeq: 3, rows: true });
  await adapter.forget({ committedBeforeMs: START_MS + 3_000, throughSeq: 4, rows: false });
  await log.rewind(log.seq - 1, "life-2");
  const from = await adapter.position();
  const to = log.at({ seq: log.seq + 1 }, { filled: "", floor: log.seq + 1 });
  await adapter.refill({ from, to });
  log.seq++;
  await log.insert(log.commit({ op: "INSERT", table: "lists", rowId: "after", replaces: true }));
}

databaseTest("mariadb", "every statement finds rows by an index", async ({ url }) => {
  const statements = new Set<string>();
  const backend = new MysqlBackend(
    completeOptions({ url, retentionDays: 10_000 }),
    undefined,
    (statement) => statements.add(statement),
  );
  const adapter = new SqlAdapter("explained", backend);
  await using bed = new Bed(url, SPEC);
  const log = await new TestLog(adapter, numbered(SPEC)).begin();
  const all = Array.from({ length: COUNT }, (_, i) => i);
  for (let i = 0; i < COUNT; i += 1_000) {
    await log.insert(log.commit(...rows(all.slice(i, i + 1_000))));
  }
  assert.equal((await adapter.problems(1)).length, 0);
  for (const table of ["lists", "todos", "pairs", "lakesync_state", "lakesync_deltas"]) {
    await bed.rows(`ANALYZE TABLE ${table}`);
  }
  statements.clear();
  await callAll(adapter, log);
  await adapter.close();
  const explained = [...statements].filter((each) =>
    /^(SELECT|UPDATE|DELETE|INSERT .* SELECT)/s.test(each) && !SMALL.test(each)
  );
  assert.ok(explained.length > 30, `${explained.length} statements`);
  const kinds = new Set<string>();
  for (const statement of explained) {
    const what = statement.slice(0, 400);
    for (const plan of await bed.rows(`EXPLAIN ${statement}`)) {
      const { table, type, Extra } = plan;
      if (table === null || /^<|^lakesync_problems$|^p$|^lakesync_kept/.test(String(table))) {
        continue;
      }
      kinds.add(`${table} ${type}`);
      const walks = type === "ALL" || (type === "index" && !/ LIMIT \d+$/.test(statement));
      assert.equal(walks, false, `${JSON.stringify(plan)} of ${what}`);
      assert.doesNotMatch(String(Extra), /filesort/, what);
    }
  }
  assert.ok(kinds.has("todos range") && kinds.has("s range"), [...kinds].join());
});
