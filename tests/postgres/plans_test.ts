import assert from "node:assert/strict";
import type { SchemaSpec } from "@lakesync/core";
import postgres from "postgres";
import { PostgresBackend } from "../../adapters/postgres/backend.ts";
import { completeOptions } from "../../adapters/postgres/options.ts";
import { SqlAdapter } from "../../adapters/database/sql_adapter.ts";
import { numbered, TestLog } from "../conformance/testing_log.ts";
import { databaseTest } from "../servers/tests.ts";

const FAMILY: SchemaSpec = {
  version: 1,
  tables: {
    lists: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
    todos: {
      primaryKey: ["org", "no"],
      columns: { org: "uuid", no: "integer", list: { type: "string", references: "lists" } },
    },
  },
};

/** What only the making of tables asks of the database's own catalog, or of all rows of a table. */
const NOT_OF_A_FLUSH = /pg_class|pg_inherits|pg_namespace|pg_constraint|to_regclass|max\(seq\)/;

/** Whether a plan reads a whole table: without an index, or all of an index that nothing bounds. */
function isWalk(text: string, plan: readonly string[]): boolean {
  return plan.some((line, i) => {
    if (/Seq Scan/.test(line)) return true;
    // One row for each table of the schema.
    if (!/Index (Only )?Scan|Bitmap Index Scan/.test(line) || /lakesync_tables/.test(line)) {
      return false;
    }
    return !/Index Cond/.test(plan[i + 1] ?? "") && !/ LIMIT \$/.test(text);
  });
}

databaseTest("postgres", "every statement finds what it needs by an index", async ({ url }) => {
  const seen = new Map<string, readonly unknown[]>();
  const settings = completeOptions({ url, retentionDays: 1 });
  const backend = new PostgresBackend(settings, Date.now, (text, parameters) => {
    if (/^(SELECT|INSERT|UPDATE|DELETE|WITH)/.test(text)) seen.set(text, parameters);
  });
  const adapter = new SqlAdapter("plans", backend);
  const log = await new TestLog(adapter, numbered(FAMILY)).begin();
  const rowId = JSON.stringify(["0188c1f0-5b5e-7cc3-98c4-dc0c0c07398f", 1]);
  const todo = { table: "todos", rowId };
  await log.insert(log.commit(
    { op: "INSERT", table: "lists", rowId: "l1", cells: { name: "a" } },
    { op: "INSERT", ...todo, cells: { list: "l1" } },
  ));
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  await sql.unsafe(`UPDATE todos SET props = '{"a": 1}'`);
  await log.insert(log.commit({ op: "DELETE", table: "lists", rowId: "l1" }));
  await log.insert(log.commit({ op: "INSERT", table: "lists", rowId: "l1", cells: {} }));
  await log.insert([], { rows: [log.effect({ table: "lists", rowId: "l2", replaces: true })] });
  await log.rewind(2, "life-2");
  const from = await adapter.position();
  await adapter.refill({ from, to: log.at({ seq: 2 }) });
  const key = log.key("lists", "l1");
  await Promise.all([
    adapter.unsettled(10),
    adapter.problems(10),
    adapter.scanState(key, 10),
    adapter.getLatestState([key]),
    adapter.queryDeltasSince({ seq: 0 }, 10),
  ]);
  for (const rows of [true, false]) {
    await adapter.forget({ committedBeforeMs: Date.now(), throughSeq: 9, rows });
  }
  await log.insert([], {
    rows: ["l1", "l2"].map((rowId) => log.effect({ table: "lists", rowId, replaces: true })),
  });
  await adapter.forget({ committedBeforeMs: Date.now(), throughSeq: 9, rows: true });
  await adapter.close();

  // As the adapter's connections are set up; a scan of a whole table costs too much to be chosen
  // unless there is no other way.
  await sql.unsafe(
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off",
  );
  const walks: string[] = [];
  let judged = 0;
  for (const [text, parameters] of seen) {
    if (NOT_OF_A_FLUSH.test(text)) continue;
    await sql.unsafe(`PREPARE p AS ${text}`);
    const literals = parameters.map((value) =>
      value === null ? "NULL" : `'${String(value).replaceAll("'", "''")}'`
    );
    const list = literals.length === 0 ? "" : `(${literals.join(", ")})`;
    const plan = await sql.unsafe(`EXPLAIN EXECUTE p${list}`);
    const lines = plan.map((row) => String(row["QUERY PLAN"]));
    if (isWalk(text, lines)) walks.push(`${text}\n${lines.join("\n")}`);
    await sql.unsafe("DEALLOCATE p");
    judged++;
  }
  await sql.end();
  assert.deepEqual(walks, []);
  assert.ok(judged > 25, `${judged} statements were seen`);
});
