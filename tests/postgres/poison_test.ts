import assert from "node:assert/strict";
import type { SchemaSpec } from "@lakesync/core";
import { databaseTest } from "../servers/tests.ts";
import { Bed } from "./testing_postgres.ts";

const NOTES: SchemaSpec = {
  version: 1,
  tables: { notes: { primaryKey: ["id"], columns: { id: "string", n: "integer" } } },
};

databaseTest(
  "postgres",
  "rows that are refused stop no others, and are mended",
  async ({ url }) => {
    await using bed = new Bed(url, NOTES);
    await bed.log.begin();
    await bed.sql`ALTER TABLE notes ADD CONSTRAINT small CHECK (n < 1000)`;
    const bad = new Set([0, 333, 334, 999]);
    await bed.log.insert(bed.log.commit(
      ...Array.from({ length: 1_000 }, (_, i) => ({
        op: "INSERT" as const,
        table: "notes",
        rowId: `r${i}`,
        cells: { n: bad.has(i) ? 5_000 : i },
      })),
    ));
    const dead = Object.fromEntries([...bad].map((i) => [`notes/r${i}`, "dead"]));
    assert.deepEqual(await bed.problems(), dead);
    const [problem] = await bed.adapter.problems(1);
    assert.deepEqual([problem?.code, problem?.seq], ["23514", 1]);
    assert.match(problem?.reason ?? "", /violates check constraint "small"/);
    assert.deepEqual(await bed.rows("SELECT count(*)::int FROM notes"), [{ count: 996 }]);
    const [kept] = await bed.adapter.getLatestState([bed.log.key("notes", "r333")]);
    assert.deepEqual(kept?.cells.map(([, value]) => value), [5_000]);
    await bed.log.insert(bed.log.commit(
      { table: "notes", rowId: "r0", cells: { n: 1 } },
      { op: "DELETE", table: "notes", rowId: "r333" },
      { table: "notes", rowId: "r1", cells: { n: 6_000 } },
    ));
    // What was there before is not what the row is, so it is not shown either.
    assert.deepEqual(await bed.problems(), {
      "notes/r1": "dead",
      "notes/r334": "dead",
      "notes/r999": "dead",
    });
    assert.deepEqual(await bed.rows("SELECT n::int FROM notes WHERE id IN ('r0', 'r1')"), [{
      n: 1,
    }]);
  },
);

databaseTest(
  "postgres",
  "a row that a consumer references stays, and is shown",
  async ({ url }) => {
    await using bed = new Bed(url, NOTES);
    await bed.log.begin();
    await bed.log.insert(bed.log.commit(
      { op: "INSERT", table: "notes", rowId: "a", cells: { n: 1 } },
      { op: "INSERT", table: "notes", rowId: "b", cells: { n: 2 } },
    ));
    await bed.sql`CREATE TABLE marks (note text REFERENCES notes)`;
    await bed.sql`INSERT INTO marks VALUES ('a')`;
    await bed.log.insert(bed.log.commit(
      { op: "DELETE", table: "notes", rowId: "a" },
      { op: "DELETE", table: "notes", rowId: "b" },
    ));
    assert.deepEqual(await bed.rows("SELECT id FROM notes"), [{ id: "a" }]);
    const [problem] = await bed.adapter.problems(1);
    assert.match(problem?.reason ?? "", /^The row could not be taken from its table: .*"marks"/);
  },
);

databaseTest(
  "postgres",
  "integers beyond double precision are refused, not rounded",
  async ({ url }) => {
    await using bed = new Bed(url, {
      version: 1,
      tables: { notes: { primaryKey: ["id"], columns: { id: "string", n: "number" } } },
    });
    await bed.log.begin();
    await bed.log.insert(bed.log.commit(
      { op: "INSERT", table: "notes", rowId: "fits", cells: { n: 2n ** 60n } },
      { op: "INSERT", table: "notes", rowId: "not", cells: { n: 2n ** 60n + 1n } },
    ));
    assert.deepEqual(Object.values(await bed.problems()), ["dead"]);
    assert.deepEqual(await bed.rows("SELECT id FROM notes"), [{ id: "fits" }]);
  },
);

const RAISES = {
  "a code of its own": "RAISE EXCEPTION 'no' USING ERRCODE = 'SHOP1'",
  "no row": "SELECT 1 INTO STRICT found WHERE false",
  "too many rows": "found := (SELECT n FROM generate_series(1, 2) n)",
  "an assertion": "ASSERT false",
  "a case too few": "CASE 1 WHEN 2 THEN found := 3; END CASE",
};

for (const [what, statement] of Object.entries(RAISES)) {
  databaseTest("postgres", `a trigger that raises stops no others: ${what}`, async ({ url }) => {
    await using bed = new Bed(url, NOTES);
    await bed.log.begin();
    await bed.sql.unsafe(
      `CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$
       DECLARE found integer;
       BEGIN IF NEW.id = 'bad' THEN ${statement}; END IF; RETURN NEW; END $$;
       CREATE TRIGGER judge BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION judge()`,
    );
    await bed.log.insert(bed.log.commit(
      { op: "INSERT", table: "notes", rowId: "bad" },
      { op: "INSERT", table: "notes", rowId: "good" },
    ));
    assert.deepEqual(await bed.problems(), { "notes/bad": "dead" });
    assert.deepEqual(await bed.rows("SELECT id FROM notes"), [{ id: "good" }]);
  });
}
