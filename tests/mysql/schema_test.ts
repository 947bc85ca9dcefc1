import assert from "node:assert/strict";
import { DestinationError } from "@lakesync/adapters";
import type { SchemaSpec } from "@lakesync/core";
import { MysqlBackend } from "../../adapters/mysql/backend.ts";
import { completeOptions } from "../../adapters/mysql/options.ts";
import { SqlAdapter } from "../../adapters/database/sql_adapter.ts";
import { numbered } from "../conformance/testing_log.ts";
import { databaseTest } from "../servers/tests.ts";
import { Bed } from "./testing_mysql.ts";
import { AFTER, BEFORE } from "./testing_schemas.ts";

function stops(text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof DestinationError);
    assert.equal(error.retry, "stop");
    assert.match(error.message, text);
    return true;
  };
}

async function begun(bed: Bed): Promise<void> {
  await bed.log.begin();
  await bed.log.insert(bed.log.commit(
    { op: "INSERT", table: "lists", rowId: "l1" },
    {
      op: "INSERT",
      table: "notes",
      rowId: "r1",
      cells: {
        a: 7,
        b: "0004-02-29",
        c: "1.5",
        d: "2026-01-31T09:30:00.100Z",
        list: "l1",
        free: "any text",
      },
    },
    { op: "INSERT", table: "notes", rowId: "r2", cells: { a: 8 } },
  ));
  await bed.rows(`UPDATE notes SET props = '{"mine": 1}'`);
}

/** Looks at everything that {@linkcode AFTER} is to make of what {@linkcode begun} wrote. */
async function check(bed: Bed, what: string): Promise<void> {
  assert.deepEqual(
    await bed.rows("SELECT id, a, b, CAST(c AS CHAR) AS c, d, list, free, owner FROM memos"),
    [{ id: "r2", a: null, b: 8, c: null, d: null, list: null, free: null, owner: null }],
    what,
  );
  assert.deepEqual(await bed.problems(), { "memos/r1": "parked" }, what);
  assert.deepEqual(await bed.rows("SELECT * FROM notes"), [], what);
  bed.log.schema = AFTER;
  await bed.log.insert(bed.log.commit({ op: "INSERT", table: "groups", rowId: "any text" }));
  assert.deepEqual(await bed.problems(), {}, what);
  const [row] = await bed.rows(
    "SELECT a, b, CAST(c AS CHAR) AS c, d, list, free, owner, " +
      "JSON_VALUE(props, '$.mine') AS mine FROM memos WHERE id = 'r1'",
  );
  assert.deepEqual(row, {
    a: "0004-02-29",
    b: 7,
    c: "1.50",
    d: "2026-01-31T09:30:00.100Z",
    list: "l1",
    free: "any text",
    owner: null,
    mine: "1",
  }, what);
  const keys = await bed.rows(
    `SELECT CONSTRAINT_NAME AS name, COLUMN_NAME AS col, REFERENCED_TABLE_NAME AS parent
     FROM information_schema.KEY_COLUMN_USAGE WHERE CONSTRAINT_SCHEMA = DATABASE()
     AND REFERENCED_TABLE_NAME IS NOT NULL ORDER BY 1`,
  );
  assert.deepEqual(keys.map((key) => Object.values(key)), [
    ["lakesync_fk_1_7_5", "free", "groups"],
    ["lakesync_fk_1_8_3", "owner", "owners"],
  ], what);
  const [list] = await bed.rows(
    "SELECT COLUMN_TYPE AS type FROM information_schema.COLUMNS " +
      "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'memos' AND COLUMN_NAME = 'list'",
  );
  assert.equal(list?.type, "longtext", what);
}

databaseTest("mariadb", "columns are renamed, exchanged, widened and added", async ({ url }) => {
  await using bed = new Bed(url, BEFORE);
  await begun(bed);
  await bed.adapter.ensureSchema(AFTER);
  await check(bed, "at once");
  await bed.adapter.ensureSchema(AFTER);
  assert.deepEqual(await bed.problems(), {});
});

databaseTest(
  "mariadb",
  "a change of tables goes on wherever it was cut off",
  async ({ server }) => {
    let statements = Infinity;
    let cut = 1;
    let cuts = 0;
    for (; cut <= statements; cut += cut < 20 ? 1 : 3) {
      const url = await server.createDatabase();
      await using bed = new Bed(url, BEFORE);
      await begun(bed);
      let count = 0;
      const backend = new MysqlBackend(completeOptions({ url }), undefined, () => {
        if (++count === cut) throw new Error("cut off");
      });
      const first = new SqlAdapter("cut", backend);
      await first.ensureSchema(AFTER).then(() => statements = count, () => cuts++);
      await first.close();
      await bed.adapter.ensureSchema(AFTER);
      await check(bed, `cut off before statement ${cut}`);
    }
    assert.ok(cuts > 30, `${cuts} cuts`);
  },
);

databaseTest("mariadb", "a first start goes on wherever it was cut off", async ({ server }) => {
  let statements = Infinity;
  for (let cut = 1; cut <= statements; cut += 2) {
    const url = await server.createDatabase();
    let count = 0;
    const backend = new MysqlBackend(completeOptions({ url }), undefined, () => {
      if (++count === cut) throw new Error("cut off");
    });
    const first = new SqlAdapter("cut", backend);
    await first.ensureSchema(numbered(BEFORE)).then(() => statements = count, () => {});
    await first.close();
    await using bed = new Bed(url, BEFORE);
    await begun(bed);
    assert.equal((await bed.rows("SELECT id FROM notes")).length, 2, `${cut}`);
    assert.deepEqual(await bed.problems(), {}, `${cut}`);
  }
});

const ORPHANS: SchemaSpec = {
  version: 1,
  tables: {
    notes: { primaryKey: ["id"], columns: { id: "string", a: "integer", c: "decimal(8,2)" } },
    lists: { primaryKey: ["id"], columns: { id: "string" } },
  },
};

databaseTest("mariadb", "nothing is dropped, and nothing is lost by a change of type", async ({
  url,
}) => {
  await using bed = new Bed(url, ORPHANS);
  await bed.log.begin();
  const cells = { a: 2n ** 53n + 1n };
  await bed.log.insert(bed.log.commit({ op: "INSERT", table: "notes", rowId: "r1", cells }));
  const put = (a: string, version: number) =>
    bed.adapter.ensureSchema(numbered(
      {
        version,
        tables: { notes: { primaryKey: ["id"], columns: { id: "string", a: a as "number" } } },
      },
      new Map([["notes", { id: 1, columns: [1, 2] }]]),
    ));
  await assert.rejects(put("number", 2), stops(/Column a of table notes holds integers/));
  await assert.rejects(put("boolean", 2), stops(/Column a of table notes cannot become boolean/));
  await put("integer", 2);
  assert.equal((await bed.rows("SELECT a, c FROM notes")).length, 1);
  assert.equal((await bed.rows("SELECT * FROM lists")).length, 0);
  // Another table under the name of one that the schema no longer has.
  const again = numbered(
    { version: 3, tables: { lists: { primaryKey: ["id"], columns: { id: "uuid" } } } },
    new Map([["lists", { id: 9, columns: [1] }]]),
  );
  await assert.rejects(bed.adapter.ensureSchema(again), stops(/Table lists holds the rows/));
  await bed.rows("DROP TABLE lists");
  await bed.adapter.ensureSchema(again);
});

databaseTest("mariadb", "tables of others are not touched unless they are adopted", async ({
  url,
}) => {
  await using bed = new Bed(url, ORPHANS);
  await bed.rows(
    "CREATE TABLE notes (id varchar(40) COLLATE utf8mb4_nopad_bin PRIMARY KEY, a int, " +
      "own varchar(9) DEFAULT 'x') CHARACTER SET utf8mb4",
  );
  await bed.rows("INSERT INTO notes VALUES ('mine', 1, 'y'), ('both', 2, 'z')");
  await assert.rejects(bed.log.begin(), stops(/Table notes is there already.* adopt/));
  assert.deepEqual(await bed.rows("SHOW TABLES LIKE 'lists'"), []);
  await using taken = new Bed(url, ORPHANS, { adopt: ["notes"] });
  await taken.log.begin();
  await taken.log.insert([
    ...taken.log.commit({ op: "INSERT", table: "notes", rowId: "both", cells: { a: 3, c: "1" } }),
    ...taken.log.commit({ op: "INSERT", table: "notes", rowId: "far", cells: { a: 2 ** 31 } }),
    ...taken.log.commit({ op: "INSERT", table: "notes", rowId: `${"l".repeat(39)}  ` }),
    ...taken.log.commit({ op: "INSERT", table: "notes", rowId: "new", cells: { a: 4 } }),
  ]);
  const rows = await taken.rows("SELECT id, a, own, CAST(c AS CHAR) AS c FROM notes ORDER BY id");
  assert.deepEqual(rows.map((row) => Object.values(row)), [
    ["both", 3, "z", "1.00"],
    ["mine", 1, "y", null],
    ["new", 4, "x", null],
  ]);
  assert.deepEqual(Object.values(await taken.problems()), ["dead", "dead"]);
});

databaseTest("mariadb", "a table is adopted only when it can hold every row", async ({ url }) => {
  await using bed = new Bed(url, ORPHANS, { adopt: ["notes", "lists"] });
  const make = async (columns: string, end = "") => {
    await bed.rows("DROP TABLE IF EXISTS notes");
    await bed.rows(`CREATE TABLE notes (${columns}) CHARACTER SET utf8mb4 ${end}`);
  };
  const id = "id varchar(40) COLLATE utf8mb4_nopad_bin";
  await make("id varchar(40) COLLATE utf8mb4_general_ci PRIMARY KEY");
  await assert.rejects(bed.log.begin(), stops(/Column id of table notes is compared by utf8mb4_g/));
  await make("id varchar(40) COLLATE utf8mb4_bin PRIMARY KEY");
  await assert.rejects(bed.log.begin(), stops(/Column id of table notes is compared by utf8mb4_b/));
  await make(`${id} PRIMARY KEY, a float`);
  await assert.rejects(bed.log.begin(), stops(/Column a of table notes is float/));
  await make(`${id} PRIMARY KEY, c decimal(9,1)`);
  await assert.rejects(bed.log.begin(), stops(/Column c of table notes is decimal\(9,1\)/));
  await make(id);
  await assert.rejects(bed.log.begin(), stops(/primary key of table notes is not/));
  await make(`${id} PRIMARY KEY`, "ENGINE = MyISAM");
  await assert.rejects(bed.log.begin(), stops(/not of InnoDB/));
  await make(`${id} PRIMARY KEY`);
  await bed.log.begin();
});

databaseTest("mariadb", "processes that start at once make everything once", async ({ url }) => {
  const file = new URL("testing_ensure.ts", import.meta.url).pathname;
  const started = Array.from({ length: 3 }, () =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", file, url],
      stderr: "piped",
    }).output());
  for (const { success, stderr } of await Promise.all(started)) {
    assert.ok(success, new TextDecoder().decode(stderr));
  }
  await using bed = new Bed(url, BEFORE);
  await begun(bed);
  assert.equal((await bed.rows("SELECT id FROM notes")).length, 2);
});

databaseTest("mariadb", "a table that somebody dropped is made and filled again", async ({
  url,
}) => {
  await using bed = new Bed(url, ORPHANS);
  await bed.log.begin();
  await bed.log.insert(bed.log.commit(
    { op: "INSERT", table: "notes", rowId: "r1", cells: { a: 1 } },
    { op: "INSERT", table: "notes", rowId: "r2", cells: { a: 2 } },
  ));
  await bed.rows("DROP TABLE notes");
  const changes = bed.log.commit({ op: "DELETE", table: "notes", rowId: "r2" });
  await assert.rejects(bed.log.insert(changes), (error) => {
    return error instanceof DestinationError && error.retry === "later" && error.code === "1146";
  });
  await bed.adapter.ensureSchema(bed.log.schema);
  await bed.log.insert(changes);
  const rows = await bed.rows("SELECT id, a FROM notes");
  assert.deepEqual(rows.map(({ id, a }) => [id, Number(a)]), [["r1", 1]]);
});

databaseTest("mariadb", "a column that references a table from now on parks orphans", async ({
  url,
}) => {
  await using bed = new Bed(url, ORPHANS);
  await bed.log.begin();
  await bed.log.insert(bed.log.commit(
    { op: "INSERT", table: "lists", rowId: "l1" },
    { op: "INSERT", table: "notes", rowId: "r1", cells: { a: 1 } },
  ));
  const spec = (version: number, references?: "lists"): SchemaSpec => ({
    version,
    tables: {
      ...ORPHANS.tables,
      notes: {
        primaryKey: ["id"],
        columns: { id: references ? { type: "string", references } : "string", a: "integer" },
      },
    },
  });
  const ids = new Map([
    ["notes", { id: 1, columns: [1, 2] }],
    ["lists", { id: 2, columns: [1] }],
  ]);
  await bed.adapter.ensureSchema(numbered(spec(2, "lists"), ids));
  assert.deepEqual(await bed.problems(), { "notes/r1": "parked" });
  await bed.adapter.ensureSchema(numbered(spec(3), ids));
  await bed.log.insert(bed.log.commit({ table: "notes", rowId: "r1", cells: { a: 2 } }));
  assert.deepEqual(await bed.problems(), {});
});

databaseTest("mariadb", "a database holds one gateway", async ({ url }) => {
  await using one = new Bed(url, ORPHANS, { gatewayId: "one" });
  await one.log.begin();
  await using other = new Bed(url, ORPHANS, { gatewayId: "other" });
  await assert.rejects(other.log.begin(), stops(/holds the rows of gateway one and not of other/));
  await using again = new Bed(url, ORPHANS, { gatewayId: "one" });
  await again.adapter.ensureSchema(again.log.schema);
});

databaseTest("mariadb", "changes are in partitions by month, and old ones go", async ({ url }) => {
  await using bed = new Bed(url, ORPHANS);
  await bed.log.begin();
  const parts = () =>
    bed.rows(
      `SELECT PARTITION_NAME AS name, PARTITION_DESCRIPTION AS end
       FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = DATABASE()
       AND TABLE_NAME = 'lakesync_deltas' ORDER BY PARTITION_ORDINAL_POSITION`,
    ).then((rows) => rows.map(({ name }) => name));
  const first = await parts();
  assert.equal(first.length, 2);
  const at = (committedMs: number, rowId: string) =>
    bed.log.commit({ op: "INSERT", table: "notes", rowId, cells: { a: 1 } })
      .map((change) => ({ ...change, committedMs }));
  const far = Date.now() + 100 * 86_400_000;
  await bed.log.insert([
    ...at(Date.UTC(2020, 0, 1), "old"),
    ...at(Date.now(), "now"),
    ...at(far, "far"),
  ]);
  const after = await parts();
  assert.ok(after.length >= 5 && after.length <= 6, after.join());
  assert.deepEqual(after.slice(0, 2), first);
  assert.equal(await bed.adapter.forgottenSeq(), 0);
  const later = new SqlAdapter(
    "later",
    new MysqlBackend(completeOptions({ url, retentionDays: 30 }), () => far),
  );
  const [change] = at(far, "last");
  assert.ok(change !== undefined);
  const from = await later.position();
  const to = bed.log.at({ seq: change.seq });
  await later.insertDeltas({ from, to, rows: [], changes: [change], isWhole: true });
  assert.equal((await parts()).includes(first[0]), false);
  assert.equal(await later.forgottenSeq(), 2);
  const page = await later.queryDeltasSince({ seq: 0 }, 10);
  assert.deepEqual([page.isTrimmed, page.changes.map(({ seq }) => seq)], [true, [3, 4]]);
  assert.equal((await bed.rows("SELECT id FROM notes")).length, 4);
  await later.close();
});
