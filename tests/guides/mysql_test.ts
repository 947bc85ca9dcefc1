import assert from "node:assert/strict";
import { DestinationError } from "@lakesync/adapters";
import type { ColumnType } from "@lakesync/core";
import { numbered } from "../conformance/testing_log.ts";
import { runSnippet } from "../gate/snippets.ts";
import { Bed } from "../mysql/testing_mysql.ts";
import { startPostgres } from "../servers/postgres.ts";
import { query } from "../servers/testing_sql.ts";
import { databaseTest, isMissing } from "../servers/tests.ts";
import { Site } from "./gateway.ts";
import { addressOf, Guide } from "./guide.ts";
import { isProgramMissing, runLine } from "./program.ts";
import { rowsOf } from "./tables.ts";
import { MILK, NUMBERS, TODOS } from "./todos.ts";

const PATH = "docs/mysql.md";
const guide = await Guide.read(PATH);
/** Users are of a whole server, so each test has one. */
const OWN = { own: { durable: false } } as const;
const MONTH_MS = 31 * 86_400_000;

function as(user: string, url: string): string {
  return addressOf(url, { user, password: "secret", database: "shop" });
}

function stops(text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof DestinationError);
    assert.deepEqual([error.retry, error.message.match(text)?.length], ["stop", 1], error.message);
    return true;
  };
}

async function refused(url: string, statement: string): Promise<void> {
  await assert.rejects(query(url, statement), /denied/);
}

/** Plays all that needs a privilege: tables, rows, months, another schema, a history that is lost. */
async function playAll(url: string): Promise<void> {
  await using bed = new Bed(url, TODOS, { retentionDays: 60 });
  await bed.log.begin();
  await bed.log.insert(bed.log.commit(...MILK));
  await bed.log.insert(bed.log.commit({ op: "DELETE", table: "lists", rowId: "l1" }));
  assert.deepEqual(await bed.problems(), { "todos/milk": "parked" });
  const late = bed.log.commit(MILK[0])
    .map((change) => ({ ...change, committedMs: Date.now() + 3 * MONTH_MS }));
  await bed.log.insert(late);
  const { todos } = TODOS.tables;
  await bed.adapter.ensureSchema(numbered(
    {
      version: 2,
      tables: {
        groups: { primaryKey: ["id"], columns: { id: "string", title: "string", at: "date" } },
        todos: { primaryKey: ["id"], columns: { ...todos?.columns, n: "number", list: "string" } },
      },
    },
    new Map([...NUMBERS, ["groups", { id: 1, columns: [1, 2, 3] }]]),
  ));
  await bed.log.rewind(1, "life-2");
}

databaseTest("mariadb", "the grant of the guide is the least, and reaches nothing else", async ({
  url,
}) => {
  await guide.run(url, "set-up");
  await query(url, "CREATE DATABASE others");
  await query(url, "CREATE TABLE others.secrets (a int)");
  const own = as("lakesync", url);
  await refused(own, "SELECT * FROM others.secrets");
  await refused(own, "CREATE TABLE others.mine (a int)");
  await refused(own, "CREATE DATABASE another");
  await refused(own, "CREATE USER another");
  await playAll(own);
  // MariaDB asks for no REFERENCES; MySQL does.
  for (const privilege of ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP"]) {
    await query(url, "DROP DATABASE shop");
    await query(url, "CREATE DATABASE shop CHARACTER SET utf8mb4");
    await query(url, `REVOKE ${privilege} ON shop.* FROM 'lakesync'@'%'`);
    await assert.rejects(playAll(own), stops(/^The user lacks a privilege, grant it: /), privilege);
    await query(url, `GRANT ${privilege} ON shop.* TO 'lakesync'@'%'`);
  }
}, OWN);

/** The guide's database with tables and rows. */
async function setUp(url: string): Promise<Bed> {
  await guide.run(url, "set-up");
  const bed = new Bed(as("lakesync", url), TODOS);
  await bed.log.begin();
  await bed.log.insert(bed.log.commit(...MILK));
  return bed;
}

databaseTest(
  "mariadb",
  "a user without DDL goes on, and stops at a new schema",
  async ({ url }) => {
    await using bed = await setUp(url);
    await guide.run(as("lakesync", url), "months");
    await guide.run(url, "narrow");
    const narrow = as("lakesync_flush", url);
    await using flush = new Bed(narrow, TODOS);
    Object.assign(flush.log, { seq: 1 });
    await flush.log.begin();
    const write = (at: string, id: string) =>
      flush.log.insert(
        flush.log.commit(
          { table: "todos", rowId: "milk", cells: { title: `Milk ${id}` } },
          { op: "DELETE", table: "lists", rowId: "l1" },
          MILK[0],
        ).map((change, i) => ({
          ...change,
          deltaId: `${id}${i}`.padEnd(64, "f"),
          committedMs: Date.parse(at),
        })),
      );
    await write(new Date().toISOString(), "a");
    await write("2038-02-20T00:00:00Z", "b");
    assert.deepEqual(await flush.rows("SELECT title FROM todos"), [{ title: "Milk b" }]);
    await assert.rejects(write("2039-01-01T00:00:00Z", "c"), stops(/The user lacks a privilege/));
    await refused(narrow, "CREATE TABLE mine (a int)");
    await refused(narrow, "ALTER TABLE todos ADD COLUMN mine int");
    await refused(narrow, "DROP TABLE todos");
    const more = numbered({
      version: 2,
      tables: { ...TODOS.tables, more: { primaryKey: ["id"], columns: { id: "string" } } },
    });
    await assert.rejects(flush.adapter.ensureSchema(more), stops(/The user lacks a privilege/));
    await bed.adapter.ensureSchema(more);
    await flush.adapter.ensureSchema(more);
  },
  OWN,
);

databaseTest(
  "mariadb",
  "readers read, and an app writes props and nothing else",
  async ({ url }) => {
    await using bed = await setUp(url);
    await guide.run(url, "readers");
    const reader = as("shop_reader", url);
    assert.equal((await query(reader, "SELECT * FROM todos")).length, 1);
    await refused(reader, "UPDATE todos SET title = ''");
    await guide.run(url, "props");
    const app = as("shop_app", url);
    assert.deepEqual(await guide.run(app, "use-props"), [{ title: "Milk" }]);
    await refused(app, "UPDATE todos SET title = ''");
    await guide.run(url, "indexes");
    await guide.run(url, "views");
    const open = () => query(url, "SELECT id, title FROM reports.open_todos");
    assert.deepEqual(await open(), [{ id: "milk", title: "Milk" }]);
    const changes = await guide.run(url, "changes", { "INTERVAL 1 DAY": "INTERVAL 99 YEAR" });
    assert.deepEqual(changes.map(({ table_name, row_id }) => [table_name, row_id]), [
      ["lists", "l1"],
      ["todos", "milk"],
    ]);
    assert.ok((await guide.run(url, "sizes")).some(({ TABLE_NAME }) => TABLE_NAME === "todos"));
    await bed.log.insert(bed.log.commit({ op: "DELETE", table: "lists", rowId: "l1" }));
    assert.deepEqual(
      (await guide.run(url, "problems")).map(({ name, row_id, kind }) => [name, row_id, kind]),
      [["todos", "milk", "parked"]],
    );
    await bed.log.insert(bed.log.commit(MILK[0]));
    // A view stays right when its columns are widened, and fails when they are renamed.
    const schema = (version: number, title: string) =>
      numbered({
        version,
        tables: {
          ...TODOS.tables,
          todos: {
            primaryKey: ["id"],
            columns: {
              id: "string",
              [title]: "string",
              done: "boolean",
              n: "number",
              list: "string",
            },
          },
        },
      }, NUMBERS);
    await bed.adapter.ensureSchema(schema(2, "title"));
    assert.deepEqual(await open(), [{ id: "milk", title: "Milk" }]);
    await bed.adapter.ensureSchema(schema(3, "name"));
    await assert.rejects(open(), /references invalid/);
    bed.log.schema = schema(3, "name");
    await bed.log.insert(
      bed.log.commit({ table: "todos", rowId: "milk", cells: { name: "Oats" } }),
    );
    assert.deepEqual(await bed.rows("SELECT name, JSON_VALUE(props, '$.rank') AS r FROM todos"), [
      { name: "Oats", r: "3" },
    ]);
  },
  OWN,
);

databaseTest("mariadb", "what a consumer adds does as the guide says", async ({ url }) => {
  await using bed = await setUp(url);
  const insert = (rowId: string) =>
    bed.log.insert(
      bed.log.commit({ op: "INSERT", table: "todos", rowId, cells: { title: rowId } }),
    );
  await bed.rows("ALTER TABLE todos ADD COLUMN score int DEFAULT 7");
  await insert("a");
  await bed.rows("ALTER TABLE todos ADD COLUMN must int NOT NULL");
  await insert("b");
  assert.deepEqual(await bed.problems(), { "todos/b": "dead" });
  assert.deepEqual(await bed.rows("SELECT score FROM todos WHERE id = 'a'"), [{ score: 7 }]);
  const { todos } = TODOS.tables;
  await assert.rejects(
    bed.adapter.ensureSchema(numbered({
      version: 2,
      tables: {
        ...TODOS.tables,
        todos: { primaryKey: ["id"], columns: { ...todos?.columns, score: "integer" } },
      },
    })),
    stops(/Column score of table todos is there already/),
  );
}, OWN);

/** A column type as a guide names it. */
function typeIn(text: string): ColumnType {
  return text.replaceAll("`", "").replace("decimal(p,s)", "decimal(12,2)") as ColumnType;
}

databaseTest("mariadb", "columns have the types of the guide", async ({ url }) => {
  const rows = await rowsOf(PATH, "column type");
  assert.equal(rows.length, 10);
  const columns = Object.fromEntries(rows.map(([type = ""], i) => [`c${i}`, typeIn(type)]));
  await using bed = new Bed(url, {
    version: 1,
    tables: { kinds: { primaryKey: ["id"], columns: { id: "string", ...columns } } },
  });
  await bed.log.begin();
  const found = await bed.rows(
    `SELECT COLUMN_TYPE AS type FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()
     AND TABLE_NAME = 'kinds' AND COLUMN_NAME REGEXP '^c[0-9]+$' ORDER BY ORDINAL_POSITION`,
  );
  const isMaria = (await bed.rows("SELECT VERSION() AS v"))[0]?.v?.toString().includes("MariaDB");
  assert.deepEqual(
    found.map(({ type }) => String(type).replace("bigint(20)", "bigint")),
    rows.map(([, native = ""]) => typeIn(native)).map((type) =>
      type === "json" && isMaria ? "longtext" : type
    ),
  );
}, OWN);

databaseTest(
  "mariadb",
  "G10: a restored database gets what it lacks, and an emptied one all",
  async ({
    url,
  }) => {
    if (await isProgramMissing("mariadb-dump")) return;
    await guide.run(url, "set-up");
    const folder = await Deno.makeTempDir({ prefix: "lakesync-guide-" });
    const titles = async () => {
      const rows = await query(url, "SELECT title FROM shop.todos ORDER BY id");
      return rows.map(({ title }) => title);
    };
    const changes = async () => {
      const [row] = await query(url, "SELECT COUNT(*) AS n FROM shop.lakesync_deltas");
      return Number(row?.n);
    };
    const { username, password, port } = new URL(url);
    const options = `-h 127.0.0.1 -P ${port} -u ${username} -p${password}`;
    const run = (name: string) =>
      runLine(guide.text, `${name} `, (line) => line.replace(name, `${name} ${options}`), folder);
    try {
      await Site.with({ type: "mysql", url: as("lakesync", url) }, async (site) => {
        await site.write("a", "b");
        await site.flush();
        await run("mariadb-dump");
        await site.write("c");
        await site.flush();
        assert.deepEqual(await titles(), ["a", "b", "c"]);
        const block = guide.statements("restore-begin");
        for (const [i, statement] of block.entries()) {
          for (const row of await query(url, statement)) {
            if (i === 1) await query(url, String(row.statement));
          }
        }
        await site.write("d");
        await run("mariadb");
        assert.deepEqual(await titles(), ["a", "b"]);
        assert.deepEqual((await guide.run(url, "position")).map(({ seq }) => seq), ["2"]);
        await guide.run(url, "restore-end");
        await site.flush();
        assert.deepEqual([await titles(), await changes()], [["a", "b", "c", "d"], 4]);
        await guide.run(url, "anew");
        await site.write("e");
        await site.flush();
        assert.deepEqual([await titles(), await changes()], [["a", "b", "c", "d", "e"], 5]);
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
  OWN,
);

databaseTest(
  "mariadb",
  "the program of the guide moves everything to Postgres",
  async ({ url }) => {
    if (isMissing("postgres")) return;
    await using _ = await setUp(url);
    await using postgres = await startPostgres({ durable: false });
    const to = await postgres.createDatabase();
    const code = guide.program("migrate", {
      "mysql://lakesync:secret@127.0.0.1:3306/shop": as("lakesync", url),
      "postgres://lakesync:secret@127.0.0.1:5432/shop": to,
    });
    const { passed, output } = await runSnippet({ language: "ts", line: 1, code }, "migrate");
    assert.equal(passed, 1, output);
    assert.deepEqual(await query(to, "SELECT title FROM todos"), [{ title: "Milk" }]);
  },
  OWN,
);

databaseTest("mariadb", "errors say what the guide lists", async ({ url }) => {
  await guide.run(url, "set-up");
  await query(url, "CREATE USER 'nobody'@'%' IDENTIFIED BY 'secret'");
  await query(url, "CREATE USER 'locked'@'%' IDENTIFIED BY 'secret' ACCOUNT LOCK");
  const listed = (await rowsOf(PATH, "it says")).map(([text = ""]) => text.replaceAll("`", ""));
  const cases: readonly (readonly [to: string, says: string])[] = [
    [addressOf(as("lakesync", url), { password: "no" }), "The database does not let the user in"],
    [as("locked", url), "The user's password has expired or the account is locked"],
    [as("nobody", url), "There is no such database, or the user may not use it"],
  ];
  for (const [to, says] of cases) {
    await using bed = new Bed(to, TODOS);
    await assert.rejects(bed.log.begin(), stops(new RegExp(`^${says}`)));
    assert.ok(listed.some((text) => text.startsWith(says)), says);
  }
}, OWN);

Deno.test({
  name: "every block of SQL in the guide to MySQL is run",
  ignore: isMissing("mariadb"),
  fn: () => assert.deepEqual(guide.unasked, []),
});
