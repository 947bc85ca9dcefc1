import assert from "node:assert/strict";
import { DestinationError } from "@lakesync/adapters";
import type { ColumnType, SchemaSpec } from "@lakesync/core";
import { numbered } from "../conformance/testing_log.ts";
import { runSnippet } from "../gate/snippets.ts";
import { Bed } from "../postgres/testing_postgres.ts";
import { findPostgres } from "../servers/postgres.ts";
import { startMariadb } from "../servers/mariadb.ts";
import { openSession, query } from "../servers/testing_sql.ts";
import { databaseTest, isMissing } from "../servers/tests.ts";
import { Site } from "./gateway.ts";
import { addressOf, Guide } from "./guide.ts";
import { isProgramMissing, runLine } from "./program.ts";
import { startupOf } from "./startup.ts";
import { rowsOf } from "./tables.ts";
import { MILK, NUMBERS, TODOS } from "./todos.ts";

const PATH = "docs/postgres.md";
const guide = await Guide.read(PATH);
/** Roles are of a whole server, so each test has one. */
const OWN = { own: { durable: false } } as const;

/** The database of a guide, with the name that it has in the guide. */
async function shop(url: string): Promise<string> {
  await query(url, "CREATE DATABASE shop");
  return addressOf(url, { database: "shop" });
}

function as(user: string, url: string): string {
  return addressOf(url, { user, password: "secret" });
}

/** A schema of its own with a role that has the least privilege, and tables with rows. */
async function leastPrivilege(url: string): Promise<{ admin: string; bed: Bed }> {
  const admin = await shop(url);
  await guide.run(admin, "least-privilege");
  const bed = new Bed(as("lakesync", admin), TODOS, { schema: "lakesync" });
  await bed.log.begin();
  await bed.log.insert(bed.log.commit(...MILK));
  return { admin, bed };
}

async function refused(url: string, statement: string): Promise<void> {
  await assert.rejects(query(url, statement), /permission denied|must be/);
}

function stops(text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof DestinationError);
    assert.deepEqual([error.retry, error.message.match(text)?.length], ["stop", 1], error.message);
    return true;
  };
}

databaseTest("postgres", "a database of its own is set up in two statements", async ({ url }) => {
  await guide.run(url, "set-up");
  const own = as("lakesync", addressOf(url, { database: "shop" }));
  await using bed = new Bed(own, TODOS);
  await bed.log.begin();
  await bed.log.insert(bed.log.commit(...MILK));
  assert.deepEqual(await bed.rows("SELECT title FROM public.todos"), [{ title: "Milk" }]);
  const [role] = await query(url, "SELECT rolsuper FROM pg_roles WHERE rolname = 'lakesync'");
  assert.equal(role?.rolsuper, false);
}, OWN);

databaseTest("postgres", "the least privilege is enough, and reaches no other schema", async ({
  url,
}) => {
  const { admin, bed } = await leastPrivilege(url);
  await using _ = bed;
  await query(admin, "CREATE SCHEMA others");
  await query(admin, "CREATE TABLE others.secrets (a text)");
  await query(admin, "CREATE TABLE public.secrets (a text)");
  const own = as("lakesync", admin);
  await refused(own, "SELECT * FROM others.secrets");
  await refused(own, "SELECT * FROM public.secrets");
  await refused(own, "CREATE SCHEMA more");
  await refused(own, "CREATE TABLE public.mine (a text)");
  await refused(own, "CREATE ROLE another");
  await refused(own, "CREATE DATABASE another");
  await bed.log.insert(bed.log.commit({ op: "DELETE", table: "lists", rowId: "l1" }));
  assert.deepEqual(await bed.problems(), { "todos/milk": "parked" });
  const late = bed.log.commit(MILK[0]).map((change) => ({ ...change, committedMs: Date.now() }));
  await bed.log.insert(late);
  await bed.log.rewind(1, "life-2");
  // Another version of the schema, for which tables are changed.
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
  assert.deepEqual(await bed.rows("SELECT id FROM lakesync.groups"), [{ id: "l1" }]);
  // Without the schema the role has nothing.
  await query(admin, "ALTER SCHEMA lakesync OWNER TO postgres");
  await using other = new Bed(own, TODOS, { schema: "lakesync" });
  await assert.rejects(other.log.begin(), stops(/The user lacks a privilege, grant it: .*denied/));
}, OWN);

databaseTest("postgres", "in public the role needs what the guide grants", async ({ url }) => {
  const admin = await shop(url);
  await query(admin, "CREATE ROLE lakesync LOGIN PASSWORD 'secret'");
  await query(admin, "REVOKE ALL ON SCHEMA public FROM PUBLIC");
  const own = as("lakesync", admin);
  await using before = new Bed(own, TODOS);
  await assert.rejects(before.log.begin(), stops(/The user lacks a privilege/));
  await guide.run(admin, "public");
  await using bed = new Bed(own, TODOS);
  await bed.log.begin();
  await bed.log.insert(bed.log.commit(...MILK));
}, OWN);

databaseTest(
  "postgres",
  "a role without DDL goes on, and stops at a new schema",
  async ({ url }) => {
    const { admin, bed } = await leastPrivilege(url);
    await using _ = bed;
    await guide.run(as("lakesync", admin), "months");
    await guide.run(admin, "narrow");
    const narrow = as("lakesync_flush", admin);
    await using flush = new Bed(narrow, TODOS, { schema: "lakesync" });
    const now = flush.log;
    Object.assign(now, { seq: 1 });
    await now.begin();
    for (const months of [0, 5, 12]) {
      const committedMs = Date.now() + months * 30.4 * 86_400_000;
      const written = [
        { table: "todos", rowId: "milk", cells: { title: `Milk ${months}` } },
        { op: "INSERT", table: "todos", rowId: `t${months}`, cells: { n: months } },
        { op: "DELETE", table: "lists", rowId: "l1" },
        MILK[0],
      ] as const;
      await now.insert(
        now.commit(...written).map((change, i) => ({
          ...change,
          deltaId: `${months}${i}`.padEnd(64, "f"),
          committedMs,
        })),
      );
    }
    assert.deepEqual(await flush.rows("SELECT title FROM lakesync.todos WHERE id = 'milk'"), [
      { title: "Milk 12" },
    ]);
    await refused(narrow, "CREATE TABLE lakesync.mine (a text)");
    await refused(narrow, "ALTER TABLE lakesync.todos ADD COLUMN mine text");
    await refused(narrow, "TRUNCATE lakesync.todos");
    const more = numbered({
      version: 2,
      tables: { ...TODOS.tables, more: { primaryKey: ["id"], columns: { id: "string" } } },
    });
    await assert.rejects(flush.adapter.ensureSchema(more), stops(/The user lacks a privilege/));
    await bed.adapter.ensureSchema(more);
    await flush.adapter.ensureSchema(more);
    flush.log.schema = more;
    await now.insert(
      now.commit({ op: "INSERT", table: "more", rowId: "m1" })
        .map((change) => ({ ...change, deltaId: "e".repeat(64), committedMs: Date.now() })),
    );
    assert.deepEqual(await flush.rows("SELECT id FROM lakesync.more"), [{ id: "m1" }]);
  },
  OWN,
);

databaseTest(
  "postgres",
  "readers read, and an app writes props and nothing else",
  async ({ url }) => {
    const { admin, bed } = await leastPrivilege(url);
    await using _ = bed;
    await guide.run(admin, "readers");
    const reader = as("shop_reader", admin);
    assert.equal((await query(reader, "SELECT * FROM lakesync.todos")).length, 1);
    await refused(reader, "UPDATE lakesync.todos SET title = ''");
    await guide.run(admin, "props");
    const app = as("shop_app", admin);
    assert.deepEqual(await guide.run(app, "use-props"), [{ title: "Milk" }]);
    await refused(app, "UPDATE lakesync.todos SET title = ''");
    await guide.run(as("lakesync", admin), "indexes");
    await guide.run(admin, "views");
    assert.deepEqual(await query(admin, "SELECT * FROM reports.open_todos"), [
      { id: "milk", title: "Milk" },
    ]);
    const changes = await guide.run(admin, "changes", {
      "interval '1 day'": "interval '99 years'",
    });
    assert.deepEqual(changes.map(({ table_name, row_id }) => [table_name, row_id]), [
      ["lists", "l1"],
      ["todos", "milk"],
    ]);
    assert.ok((await guide.run(admin, "sizes")).some(({ relname }) => relname === "todos"));
    await bed.log.insert(bed.log.commit({ op: "DELETE", table: "lists", rowId: "l1" }));
    assert.deepEqual(
      (await guide.run(admin, "problems")).map((
        { name, row_id, problem },
      ) => [name, row_id, problem]),
      [["todos", "milk", "parked"]],
    );
    // A table that is made later is readable too.
    await bed.adapter.ensureSchema(numbered({
      version: 2,
      tables: { ...TODOS.tables, more: { primaryKey: ["id"], columns: { id: "string" } } },
    }));
    assert.deepEqual(await query(reader, "SELECT * FROM lakesync.more"), []);
  },
  OWN,
);

databaseTest("postgres", "views follow names, and hold types until they are dropped", async ({
  url,
}) => {
  const { admin, bed } = await leastPrivilege(url);
  await using _ = bed;
  await guide.run(admin, "views");
  await query(admin, "CREATE VIEW reports.numbers AS SELECT n FROM lakesync.todos");
  await query(as("lakesync", admin), "CREATE INDEX own ON lakesync.todos (n)");
  const schema = (version: number, n: "integer" | "number") =>
    numbered({
      version,
      tables: {
        ...TODOS.tables,
        todos: {
          primaryKey: ["id"],
          columns: { id: "string", name: "string", done: "boolean", n, list: "string" },
        },
      },
    }, NUMBERS);
  await bed.adapter.ensureSchema(schema(2, "integer"));
  assert.deepEqual(await query(admin, "SELECT * FROM reports.open_todos"), [
    { id: "milk", title: "Milk" },
  ]);
  await assert.rejects(
    bed.adapter.ensureSchema(schema(3, "number")),
    stops(/^Something else depends on .* cannot alter type of a column used by a view/),
  );
  await query(admin, "DROP VIEW reports.numbers");
  await bed.adapter.ensureSchema(schema(3, "number"));
  assert.equal(
    (await query(admin, "SELECT to_regclass('lakesync.own') AS i"))[0]?.i !== null,
    true,
  );
}, OWN);

databaseTest("postgres", "what a consumer adds does as the guide says", async ({ url }) => {
  const { admin, bed } = await leastPrivilege(url);
  await using _ = bed;
  const own = as("lakesync", admin);
  const insert = (rowId: string, title: string) =>
    bed.log.insert(bed.log.commit({ op: "INSERT", table: "todos", rowId, cells: { title } }));
  await query(own, "ALTER TABLE lakesync.todos ADD COLUMN score integer DEFAULT 7");
  await insert("a", "a");
  await query(own, "CREATE INDEX long ON lakesync.todos (title)");
  const letters = Array.from(
    crypto.getRandomValues(new Uint8Array(6_000)),
    (byte) => String.fromCharCode(0x4e00 + byte),
  ).join("");
  await insert("long", letters);
  await query(own, "ALTER TABLE lakesync.todos ADD COLUMN must integer NOT NULL DEFAULT 1");
  await query(own, "ALTER TABLE lakesync.todos ALTER must DROP DEFAULT");
  await insert("b", "b");
  assert.deepEqual(await bed.problems(), { "todos/long": "dead", "todos/b": "dead" });
  assert.deepEqual(await bed.rows("SELECT score FROM lakesync.todos WHERE id = 'a'"), [
    { score: 7 },
  ]);
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

databaseTest("postgres", "a table is adopted by its owner, with the types of the guide", async ({
  url,
}) => {
  const admin = await shop(url);
  await guide.run(admin, "least-privilege");
  const others = await rowsOf(PATH, "may also be");
  const columns = others.map(([type = ""], i) => ({ name: `c${i}`, type: typeIn(type) }));
  assert.equal(columns.length, 4);
  const natives = others.map(([, also = ""]) => /`([^`]+)`/.exec(also)?.[1] ?? "");
  await query(
    admin,
    `CREATE TABLE lakesync.customers (id text PRIMARY KEY, ${
      columns.map(({ name }, i) => `${name} ${natives[i]}`).join(", ")
    })`,
  );
  const spec: SchemaSpec = {
    version: 1,
    tables: {
      customers: {
        primaryKey: ["id"],
        columns: {
          id: "string",
          more: "integer",
          ...Object.fromEntries(columns.map(({ name, type }) => [name, type])),
        },
      },
    },
  };
  const options = { schema: "lakesync", adopt: ["customers"] };
  await using before = new Bed(as("lakesync", admin), spec, options);
  await assert.rejects(before.log.begin(), stops(/The user lacks a privilege.*must be owner/));
  await guide.run(admin, "adopt");
  await using bed = new Bed(as("lakesync", admin), spec, options);
  await bed.log.begin();
  await bed.log.insert(
    bed.log.commit({ op: "INSERT", table: "customers", rowId: "c", cells: { more: 1 } }),
  );
}, OWN);

/** A column type as a guide names it. */
function typeIn(text: string): ColumnType {
  return text.replaceAll("`", "").replace("decimal(p,s)", "decimal(12,2)") as ColumnType;
}

databaseTest("postgres", "columns have the types of the guide", async ({ url }) => {
  const rows = await rowsOf(PATH, "Postgres type");
  assert.equal(rows.length, 10);
  const columns = Object.fromEntries(rows.map(([type = ""], i) => [`c${i}`, typeIn(type)]));
  await using bed = new Bed(url, {
    version: 1,
    tables: { kinds: { primaryKey: ["id"], columns: { id: "string", ...columns } } },
  });
  await bed.log.begin();
  const found = await bed.rows(
    `SELECT format_type(atttypid, atttypmod) AS type FROM pg_attribute
     WHERE attrelid = 'kinds'::regclass AND attname ~ '^c[0-9]+$' ORDER BY attnum`,
  );
  assert.deepEqual(
    found.map(({ type }) => type),
    rows.map(([, native = ""]) =>
      native.replaceAll("`", "").replace("numeric(p,s)", "numeric(12,2)")
    ),
  );
}, OWN);

databaseTest(
  "postgres",
  "a pooler may ignore what the guide gives to the role",
  async ({ url }) => {
    const admin = await shop(url);
    await guide.run(admin, "least-privilege");
    await guide.run(admin, "pooler");
    const [line = ""] = guide.text.match(/^ignore_startup_parameters = .*$/m) ?? [];
    const ignored = line.replace(/^.*= /, "").split(", ");
    const tracked = ["user", "database", "client_encoding", "application_name", "TimeZone"];
    const startup = await startupOf("postgres://lakesync:secret@127.0.0.1:5432/shop");
    const others = [...startup.keys()].filter((name) => ![...tracked, "DateStyle"].includes(name));
    assert.deepEqual(others.sort(), [...ignored].sort());
    for (const name of ignored) {
      const [row] = await query(
        as("lakesync", admin),
        `SELECT setting = (SELECT set_config('${name}', '${startup.get(name)}', false)) OR
         setting = (SELECT setting FROM pg_settings WHERE name = '${name}') AS is_same
       FROM (SELECT setting FROM pg_settings WHERE name = '${name}') AS given`,
      );
      assert.equal(row?.is_same, true, name);
    }
  },
  OWN,
);

const found = await findPostgres();
const PROGRAMS = "from" in found ? found.from : "";

/** Runs a command of the guide against a database. */
async function program(name: string, url: string, folder: string): Promise<void> {
  await runLine(guide.text, `${name} `, (line) =>
    line.replace(name, `${PROGRAMS}/${name}`)
      .replace("postgres://postgres@127.0.0.1:5432/shop", url), folder);
}

databaseTest(
  "postgres",
  "G10: a restored database gets what it lacks, and an emptied one all",
  async ({
    url,
  }) => {
    if (await isProgramMissing("pg_dump", PROGRAMS)) return;
    const admin = await shop(url);
    await guide.run(admin, "least-privilege");
    const folder = await Deno.makeTempDir({ prefix: "lakesync-guide-" });
    const titles = async () => {
      const rows = await query(admin, "SELECT title FROM lakesync.todos ORDER BY id");
      return rows.map(({ title }) => title);
    };
    const changes = async () => {
      const [row] = await query(admin, "SELECT count(*)::int AS n FROM lakesync.lakesync_deltas");
      return row?.n;
    };
    try {
      const type = "postgres" as const;
      await Site.with({ type, url: as("lakesync", admin), schema: "lakesync" }, async (site) => {
        await site.write("a", "b");
        await site.flush();
        await program("pg_dump", admin, folder);
        await site.write("c");
        await site.flush();
        assert.deepEqual(await titles(), ["a", "b", "c"]);
        await guide.run(admin, "restore-begin");
        await site.write("d");
        await program("pg_restore", admin, folder);
        assert.deepEqual(await titles(), ["a", "b"]);
        assert.deepEqual((await guide.run(admin, "position")).map(({ seq }) => seq), ["2"]);
        await guide.run(admin, "restore-end");
        await site.flush();
        assert.deepEqual([await titles(), await changes()], [["a", "b", "c", "d"], 4]);
        await guide.run(admin, "anew");
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

databaseTest("postgres", "the program of the guide moves everything to MySQL", async ({ url }) => {
  if (isMissing("mariadb")) return;
  const { admin, bed } = await leastPrivilege(url);
  await using _ = bed;
  await using mariadb = await startMariadb({ durable: false });
  const to = await mariadb.createDatabase();
  const code = guide.program("migrate", {
    'postgres://lakesync:secret@127.0.0.1:5432/shop"': `${
      as("lakesync", admin)
    }", schema: "lakesync"`,
    "mysql://lakesync:secret@127.0.0.1:3306/shop": to,
  });
  const { passed, output } = await runSnippet({ language: "ts", line: 1, code }, "migrate");
  assert.equal(passed, 1, output);
  assert.match(output, /todos/);
  assert.deepEqual(await query(to, "SELECT title FROM todos"), [{ title: "Milk" }]);
}, OWN);

Deno.test({
  name: "every block of SQL in the guide to Postgres is run",
  ignore: isMissing("postgres"),
  fn: () => assert.deepEqual(guide.unasked, []),
});

databaseTest("postgres", "errors say what the guide lists", async ({ url }) => {
  const admin = await shop(url);
  await guide.run(admin, "least-privilege");
  const listed = (await rowsOf(PATH, "it says")).map(([text = ""]) => text.replaceAll("`", ""));
  const cases: readonly (readonly [to: string, says: string])[] = [
    [
      addressOf(as("lakesync", admin), { password: "wrong" }),
      "The database does not let the user in",
    ],
    [addressOf(as("lakesync", admin), { database: "none" }), "There is no such database"],
    [addressOf(as("lakesync", admin), {}), "The user lacks a privilege, grant it"],
  ];
  await query(admin, "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
  for (const [to, says] of cases) {
    await using bed = new Bed(to, TODOS);
    await assert.rejects(bed.log.begin(), stops(new RegExp(`^${says}`)));
    assert.ok(listed.some((text) => text.startsWith(says)), says);
  }
  await using session = await openSession(url);
  await session.query("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
  await using bed = new Bed(addressOf(url, { database: "latin" }), TODOS);
  await assert.rejects(bed.log.begin(), stops(/^The database has encoding LATIN1, take one/));
}, OWN);
