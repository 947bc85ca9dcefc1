import assert from "node:assert/strict";
import { guardTrigger, writtenTables } from "./app_triggers.ts";
import { inspectStatement } from "./statement.ts";

Deno.test("inspectStatement finds the kind behind white space and comments", () => {
  const cases: [string, string, boolean, boolean][] = [
    ["SELECT 1", "read", false, false],
    [" -- x\n/* INSERT */ insert INTO t VALUES (1);  -- end", "write", false, false],
    ["WITH a AS (SELECT 1) DELETE FROM t", "write", false, false],
    ["BEGIN", "begin", false, true],
    ["savepoint s", "begin", false, false],
    ["ROLLBACK TO s", "rollback", false, false],
    ["ROLLBACK TRANSACTION TO s", "rollback", false, false],
    ["ROLLBACK", "rollback", false, true],
    ["END", "commit", false, true],
    ["INSERT INTO t VALUES (';'); DELETE FROM t", "write", true, false],
    ["INSERT INTO t VALUES ('a;''b', \"x;\", [y;], `z;`) -- ;\n;", "write", false, false],
    ["CREATE TABLE t (a)", "other", false, false],
    ["", "other", false, false],
    ["/* never closed", "other", false, false],
  ];
  for (const [sql, kind, several, ends] of cases) {
    assert.deepEqual(inspectStatement(sql), { kind, several, ends }, sql);
  }
});

Deno.test("writtenTables finds what a trigger's statements write", () => {
  const sql = `CREATE TRIGGER x AFTER UPDATE OF a, b ON Items WHEN NEW.a <> 'INSERT INTO no' BEGIN
    INSERT OR REPLACE INTO "One" VALUES (1); REPLACE INTO [two] SELECT 1;
    UPDATE three SET a = 1; UPDATE OR IGNORE \`four\` SET a = 1; -- UPDATE no
    DELETE FROM five WHERE a IN (SELECT a FROM six);
    INSERT INTO seven VALUES (1) ON CONFLICT DO UPDATE SET a = 1; END`;
  assert.deepEqual([...writtenTables(sql)].sort(), [
    "five",
    "four",
    "one",
    "seven",
    "three",
    "two",
  ]);
});

Deno.test("guardTrigger adds a condition, with and without one there", () => {
  const guard = "WHEN (SELECT applying FROM _lakesync_clock) = 0";
  assert.equal(
    guardTrigger("CREATE TRIGGER a AFTER INSERT ON t FOR EACH ROW BEGIN SELECT 1; END"),
    `CREATE TRIGGER a AFTER INSERT ON t FOR EACH ROW ${guard} BEGIN SELECT 1; END`,
  );
  assert.equal(
    guardTrigger(
      'CREATE TRIGGER "when" AFTER INSERT ON t WHEN CASE WHEN 1 THEN 1 END -- x\nBEGIN SELECT CASE WHEN 1 THEN 2 END; END',
    ),
    `CREATE TRIGGER "when" AFTER INSERT ON t ${guard} AND (CASE WHEN 1 THEN 1 END -- x\n) BEGIN SELECT CASE WHEN 1 THEN 2 END; END`,
  );
});
