import { defineSchema, type Delta, parseSchema, rowIdOf } from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { rowIdSql } from "./capture.ts";
import { placeSchema } from "./layout.ts";
import { type AnyLocalDatabase, openLocal } from "./local.ts";
import { WIDE, withFolder } from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: {
    lists: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
    todos: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        title: "string",
        n: "integer",
        list: { type: "string", references: "lists" },
      },
    },
    pairs: { primaryKey: ["a", "b"], columns: { a: "string", b: "integer", v: "string" } },
    counted: { primaryKey: ["id"], columns: { id: "integer", v: "string" } },
    kinds: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        s: "string",
        i: "integer",
        n: "number",
        b: "boolean",
        t: "timestamp",
        d: "date",
        u: "uuid",
        m: "decimal(10,2)",
        x: "bytes",
        j: "json",
      },
    },
  },
});

const APP = `
CREATE TABLE lists (id TEXT PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE todos (id TEXT PRIMARY KEY, title TEXT, n INTEGER,
  list TEXT REFERENCES lists (id) ON DELETE CASCADE ON UPDATE SET NULL);
`;

/** A change in short: operation, table, rowId, and the columns that are not null. */
type Brief = readonly [string, string, string, Readonly<Record<string, unknown>>];

function brief({ shape, rowId, values }: Delta): Brief {
  const columns: Record<string, unknown> = {};
  shape.columns.forEach((name, i) => {
    if (shape.op === "UPDATE" || values[i] !== null) columns[name] = values[i];
  });
  return [shape.op, shape.table, rowId, columns];
}

function byText(a: Brief, b: Brief): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}

interface Fixture {
  readonly db: AnyLocalDatabase;
  readonly path: string;
  /** The transactions that were captured since the last time. */
  captured(): Promise<Brief[][]>;
}

async function withLocal(work: (fixture: Fixture) => Promise<void>, sql = APP): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/local.db`;
    const app = new DatabaseSync(path);
    app.exec(sql);
    app.close();
    const db = await openLocal({ database: path, schema: SCHEMA, watchMs: 0 });
    let last = 0;
    const captured = async () => {
      await db.check();
      const batch = await db.nextBatch({ mutationId: last, part: 0 }, WIDE);
      last = batch?.next.mutationId ?? last;
      return (batch?.transactions ?? []).map(({ deltas }) => deltas.map(brief));
    };
    try {
      await work({ db, path, captured });
    } finally {
      await db.close();
    }
  });
}

Deno.test("capture takes plain statements, of several rows too", async () => {
  await withLocal(async ({ db, captured }) => {
    await db.exec("INSERT INTO todos (id, title) VALUES ('a', 'x'), ('b', 'y')");
    await db.exec("UPDATE todos SET n = n + 1, title = title || '!' WHERE id = 'a'");
    await db.exec("DELETE FROM todos");
    assert.deepEqual(await captured(), [
      [["INSERT", "todos", "a", { title: "x" }], ["INSERT", "todos", "b", { title: "y" }]],
      [["UPDATE", "todos", "a", { title: "x!" }]],
      [["DELETE", "todos", "a", {}], ["DELETE", "todos", "b", {}]],
    ]);
  });
});

Deno.test("capture of an INSERT carries every column, nulls too", async () => {
  await withLocal(async ({ db }) => {
    await db.exec("INSERT INTO todos (id) VALUES ('a')");
    const batch = await db.nextBatch({ mutationId: 0, part: 0 }, WIDE);
    const delta = batch?.transactions[0]?.deltas[0];
    assert.deepEqual(delta?.shape.columns, ["title", "n", "list"]);
    assert.deepEqual(delta?.values, [null, null, null]);
  });
});

Deno.test("capture leaves out updates that change nothing", async () => {
  await withLocal(async ({ db, captured }) => {
    await db.exec("INSERT INTO todos (id, title, n) VALUES ('a', 'x', 1)");
    await captured();
    await db.exec("UPDATE todos SET title = 'x', n = 1, list = NULL, id = 'a'");
    assert.deepEqual(await captured(), []);
  });
});

Deno.test("capture sees NULL become a value and NULL again", async () => {
  await withLocal(async ({ db, captured }) => {
    await db.exec("INSERT INTO todos (id) VALUES ('a')");
    await db.exec("UPDATE todos SET title = ''");
    await db.exec("UPDATE todos SET title = NULL");
    assert.deepEqual((await captured()).slice(1), [
      [["UPDATE", "todos", "a", { title: "" }]],
      [["UPDATE", "todos", "a", { title: null }]],
    ]);
  });
});

Deno.test("capture takes INSERT OR REPLACE, of the same key and over another unique index", async () => {
  await withLocal(async ({ db, captured }) => {
    await db.exec("INSERT INTO lists VALUES ('a', 'one'), ('b', 'two')");
    await captured();
    await db.exec("INSERT OR REPLACE INTO lists VALUES ('a', 'two')");
    assert.deepEqual(await db.query("SELECT * FROM lists"), [{ id: "a", name: "two" }]);
    const [deltas = []] = await captured();
    assert.deepEqual(deltas.toSorted(byText), [
      ["DELETE", "lists", "a", {}],
      ["DELETE", "lists", "b", {}],
      ["INSERT", "lists", "a", { name: "two" }],
    ]);
    assert.equal(deltas.at(-1)?.[0], "INSERT");
  });
});

Deno.test("capture takes UPSERT and OR IGNORE", async () => {
  await withLocal(async ({ db, captured }) => {
    const upsert =
      "INSERT INTO todos (id, n) VALUES ('a', 1) ON CONFLICT DO UPDATE SET n = n + excluded.n";
    await db.exec(upsert);
    await db.exec(upsert);
    await db.exec("INSERT OR IGNORE INTO todos (id, n) VALUES ('a', 9), ('b', 9)");
    assert.deepEqual(await captured(), [
      [["INSERT", "todos", "a", { n: 1 }]],
      [["UPDATE", "todos", "a", { n: 2 }]],
      [["INSERT", "todos", "b", { n: 9 }]],
    ]);
  });
});

Deno.test("capture takes what OR FAIL keeps of a statement that failed, as SQLite does", async () => {
  await withLocal(async ({ db, captured }) => {
    const two = "INSERT OR FAIL INTO lists VALUES ('a', 'x'), ('a', 'y'), ('b', 'z')";
    await assert.rejects(db.exec(two), /UNIQUE/);
    await assert.rejects(db.exec("INSERT INTO lists VALUES ('b', 'b'), ('a', 'y')"), /UNIQUE/);
    await assert.rejects(db.exec("INSERT OR ROLLBACK INTO lists VALUES ('a', 'y')"), /UNIQUE/);
    assert.deepEqual(await captured(), [[["INSERT", "lists", "a", { name: "x" }]]]);
    assert.deepEqual(await db.query("SELECT id FROM lists"), [{ id: "a" }]);
  });
});

Deno.test("capture takes UPDATE … FROM and RETURNING", async () => {
  await withLocal(async ({ db, captured }) => {
    await db.exec("INSERT INTO lists VALUES ('l', 'one')");
    await db.exec("INSERT INTO todos (id, list) VALUES ('a', 'l'), ('b', NULL)");
    await captured();
    const rows = await db.query(
      "UPDATE todos SET title = name FROM lists WHERE list = lists.id RETURNING todos.id",
    );
    assert.deepEqual(rows, [{ id: "a" }]);
    assert.deepEqual(await captured(), [[["UPDATE", "todos", "a", { title: "one" }]]]);
  });
});

Deno.test("capture takes an UPDATE of the key as DELETE and INSERT", async () => {
  await withLocal(async ({ db, captured }) => {
    await db.exec("INSERT INTO pairs VALUES ('x', 1, 'v')");
    await db.exec("UPDATE pairs SET b = b + 1, v = 'w'");
    assert.deepEqual((await captured())[1], [
      ["DELETE", "pairs", '["x",1]', {}],
      ["INSERT", "pairs", '["x",2]', { v: "w" }],
    ]);
  });
});

Deno.test("capture takes cascades of foreign keys", async () => {
  await withLocal(async ({ db, captured }) => {
    await db.exec("INSERT INTO lists VALUES ('l', 'one')");
    await db.exec("INSERT INTO todos (id, list) VALUES ('a', 'l')");
    await captured();
    await db.exec("UPDATE lists SET id = 'm'");
    assert.deepEqual((await captured())[0]?.toSorted(byText), [
      ["DELETE", "lists", "l", {}],
      ["INSERT", "lists", "m", { name: "one" }],
      ["UPDATE", "todos", "a", { list: null }],
    ]);
    await db.exec("UPDATE todos SET list = 'm'");
    await captured();
    await db.exec("DELETE FROM lists");
    assert.deepEqual((await captured())[0]?.toSorted(byText), [
      ["DELETE", "lists", "m", {}],
      ["DELETE", "todos", "a", {}],
    ]);
  });
});

Deno.test("capture takes integer keys, those that SQLite gives too, and int64 edges", async () => {
  await withLocal(async ({ db, captured }) => {
    await db.exec("INSERT INTO counted (v) VALUES ('first')");
    await db.exec("INSERT INTO counted VALUES (?, 'low'), (?, 'high')", [
      -(2n ** 63n),
      2n ** 63n - 1n,
    ]);
    await db.exec("INSERT INTO pairs VALUES ('x', ?, 'v')", [2n ** 53n]);
    assert.deepEqual((await captured()).flat().map(([, , rowId]) => rowId), [
      "1",
      "-9223372036854775808",
      "9223372036854775807",
      '["x","9007199254740992"]',
    ]);
  });
});

Deno.test("capture takes what the app's own triggers write, made before or after", async () => {
  const trigger = (name: string, column: string) =>
    `CREATE TRIGGER ${name} AFTER INSERT ON todos BEGIN
       UPDATE todos SET ${column} = '${name}' WHERE id = NEW.id;
       INSERT INTO lists VALUES (NEW.id || '${name}', NEW.id || '${name}'); END`;
  await withLocal(async ({ db, captured }) => {
    await db.exec(trigger("late", "title"));
    await db.exec("INSERT INTO todos (id) VALUES ('a')");
    const [deltas = []] = await captured();
    assert.deepEqual(deltas[0], ["INSERT", "todos", "a", {}]);
    assert.deepEqual(deltas.slice(1).toSorted(byText), [
      ["INSERT", "lists", "aearly", { name: "aearly" }],
      ["INSERT", "lists", "alate", { name: "alate" }],
      ["UPDATE", "todos", "a", { list: "early" }],
      ["UPDATE", "todos", "a", { title: "late" }],
    ]);
  }, APP.replace(/REFERENCES[^)]*\)[^)]*\)/, ")").replace("NULL)", "") + trigger("early", "list"));
});

Deno.test("capture keeps every type as it is", async () => {
  const row = {
    s: "é😀\u2028\u007f",
    i: 2n ** 63n - 1n,
    n: 1e308,
    b: 1,
    t: "2026-01-31T09:30:59.999999Z",
    d: "2024-02-29",
    u: "00000000-0000-4000-8000-00000000000f",
    m: "-12345678.90",
    x: new Uint8Array([0, 1, 255]),
    j: '{"a": [1, null, "b"]}',
  };
  await withLocal(async ({ db }) => {
    const names = Object.keys(row);
    await db.exec(
      `INSERT INTO kinds (id, ${names.join()}) VALUES ('k', ${names.map(() => "?").join()})`,
      Object.values(row),
    );
    await db.exec("UPDATE kinds SET i = ?, n = ?, b = 0, j = ?, x = ?", [
      -(2n ** 63n),
      -0.0,
      '"text"',
      new Uint8Array(),
    ]);
    const batch = await db.nextBatch({ mutationId: 0, part: 0 }, WIDE);
    const [insert, update] = batch?.transactions.flatMap(({ deltas }) => deltas) ?? [];
    assert.deepEqual(insert?.shape.columns, names);
    assert.deepEqual(insert?.values, [
      ...Object.values(row).slice(0, 3),
      true,
      ...Object.values(row).slice(4, 9),
      { a: [1, null, "b"] },
    ]);
    assert.deepEqual(update?.shape.columns, ["i", "n", "b", "x", "j"]);
    const [i, n, ...rest] = update?.values ?? [];
    assert.equal(i, -(2n ** 63n));
    assert.equal(n === 0, true);
    assert.deepEqual(rest, [false, new Uint8Array(), "text"]);
  });
});

Deno.test("capture refuses what cannot be synced, in the app's own statement", async () => {
  const bad: [string, string][] = [
    ["s", "'a' || char(0)"],
    ["s", "x'00'"],
    ["s", "printf('%.*c', 4194305, 'x')"],
    ["i", "'x'"],
    ["i", "1.5"],
    ["n", "'x'"],
    ["n", "9e999"],
    ["b", "2"],
    ["b", "'true'"],
    ["t", "CURRENT_TIMESTAMP"],
    ["t", "'2026-02-30T00:00:00Z'"],
    ["t", "'2026-01-31T09:30:00.Z'"],
    ["t", "'2026-01-31T09:30:00.1234567Z'"],
    ["t", "'2026-01-31T09:30:00.12x4Z'"],
    ["t", "'2026-01-31T09:30:00+01:00'"],
    ["d", "'2026-02-29'"],
    ["d", "'today'"],
    ["u", "'00000000-0000-4000-8000-00000000000F'"],
    ["m", "'1,5'"],
    ["m", "''"],
    ["x", "'text'"],
    ["j", "'{'"],
    ["j", "x'00'"],
  ];
  const good: [string, string][] = [
    ["t", "'2026-01-31T23:59:59Z'"],
    ["t", "'2026-01-31T23:59:59.9Z'"],
    ["t", "strftime('%Y-%m-%dT%H:%M:%fZ')"],
    ["d", "date()"],
    ["m", "'-0.5'"],
    ["j", "'null'"],
    ["j", "json_array(1)"],
    ["n", "1"],
    ["b", "TRUE"],
  ];
  await withLocal(async ({ db, captured }) => {
    await db.exec("INSERT INTO kinds (id) VALUES ('k')");
    await captured();
    for (const [column, value] of bad) {
      const message = new RegExp(`LakeSync: kinds\\.${column} takes `);
      const insert = `INSERT OR REPLACE INTO kinds (id, ${column}) VALUES ('new', ${value})`;
      await assert.rejects(db.exec(insert), message, `${column} ${value}`);
      await assert.rejects(db.exec(`UPDATE OR IGNORE kinds SET ${column} = ${value}`), message);
    }
    assert.deepEqual(await captured(), []);
    for (const [column, value] of good) {
      await db.exec(`UPDATE kinds SET ${column} = ${value}`);
    }
    assert.equal((await captured()).length, good.length);
  });
});

Deno.test("capture refuses a REAL where an integer of the same value was", async () => {
  await withLocal(async ({ db, captured }) => {
    await db.exec("INSERT INTO todos (id, n) VALUES ('a', -9223372036854775808)");
    await db.exec("INSERT INTO counted VALUES (1, 'v')");
    await captured();
    await assert.rejects(db.exec("UPDATE todos SET n = n - 2"), /LakeSync: todos.n takes/);
    await assert.rejects(db.exec("UPDATE counted SET id = 1.0"), /LakeSync: counted.id takes/);
    assert.deepEqual(await captured(), []);
  }, `${APP} CREATE TABLE counted (id ANY PRIMARY KEY, v TEXT) STRICT`);
});

Deno.test("capture refuses keys that cannot be synced", async () => {
  await withLocal(async ({ db, captured }) => {
    await assert.rejects(
      db.exec("INSERT INTO lists VALUES (NULL, 'x')"),
      /LakeSync: lists.id takes/,
    );
    await assert.rejects(db.exec("INSERT INTO lists VALUES ('', 'x')"), /LakeSync: lists.id takes/);
    await assert.rejects(
      db.exec("INSERT INTO lists VALUES (?, 'x')", ["x".repeat(1025)]),
      /at most 1024 bytes/,
    );
    await assert.rejects(db.exec("INSERT INTO pairs VALUES ('a', 'b', 'x')"), /LakeSync: pairs.b/);
    await db.exec("INSERT INTO pairs VALUES ('', 1, 'x')");
    await db.exec("INSERT INTO lists VALUES (?, 'x')", ["x".repeat(1024)]);
    assert.equal((await captured()).length, 2);
  });
});

Deno.test("capture leaves nothing of what was rolled back", async () => {
  await withLocal(async ({ db, captured }) => {
    await db.exec("BEGIN");
    await db.exec("INSERT INTO lists VALUES ('a', 'x')");
    await db.exec("ROLLBACK");
    await db.exec("BEGIN");
    await db.exec("INSERT INTO lists VALUES ('b', 'x')");
    await db.exec("SAVEPOINT s");
    await db.exec("INSERT INTO lists VALUES ('c', 'y')");
    await db.exec("ROLLBACK TO s");
    await db.exec("COMMIT");
    await assert.rejects(db.exec("INSERT INTO lists VALUES ('d', 'd'), ('b', 'z')"), /UNIQUE/);
    await assert.rejects(
      db.transaction(async (tx) => {
        await tx.exec("INSERT INTO lists VALUES ('e', 'e')");
        throw new Error("No");
      }),
      /No/,
    );
    assert.deepEqual(await captured(), [[["INSERT", "lists", "b", { name: "x" }]]]);
    assert.deepEqual(await db.query("SELECT id FROM lists"), [{ id: "b" }]);
  });
});

Deno.test("capture of a COMMIT that fails seals nothing until it succeeds, then one transaction", async () => {
  await withLocal(async ({ db, captured }) => {
    await db.exec("CREATE TABLE refs (l TEXT REFERENCES lists (id) DEFERRABLE INITIALLY DEFERRED)");
    await db.exec("BEGIN");
    await db.exec("INSERT INTO lists VALUES ('a', 'x')");
    await db.exec("INSERT INTO refs VALUES ('missing')");
    await assert.rejects(db.exec("COMMIT"), /FOREIGN KEY/);
    await db.exec("INSERT INTO lists VALUES ('missing', 'y')");
    await db.exec("COMMIT");
    assert.equal((await captured()).length, 1);
    assert.equal((await db.state()).highestMutationId, 1);
  });
});

Deno.test("capture groups statements between BEGIN and COMMIT, by hand or in a script", async () => {
  await withLocal(async ({ db, captured }) => {
    await db.exec("BEGIN IMMEDIATE");
    await db.exec("INSERT INTO lists VALUES ('a', 'x')");
    await db.exec("DELETE FROM lists");
    await db.exec("END");
    await db.exec(
      "BEGIN; INSERT INTO lists VALUES ('b', 'x'); UPDATE lists SET name = 'y'; COMMIT",
    );
    await db.exec("SAVEPOINT outer; INSERT INTO lists VALUES ('c', ';')");
    await db.exec("RELEASE outer");
    assert.deepEqual((await captured()).map((deltas) => deltas.length), [2, 2, 1]);
  });
});

Deno.test("capture sees commits of other connections, whole", async () => {
  await withLocal(async ({ db, path, captured }) => {
    const other = new DatabaseSync(path);
    other.exec("BEGIN; INSERT INTO lists VALUES ('a', 'x'); INSERT INTO todos (id) VALUES ('t')");
    assert.equal(await db.check(), false);
    other.exec("COMMIT");
    assert.deepEqual((await captured()).map((deltas) => deltas.length), [2]);
    other.close();
  });
});

Deno.test("capture compares text as bytes, whatever the column's collation", async () => {
  await withLocal(async ({ db, captured }) => {
    await db.exec("INSERT INTO lists VALUES ('a', 'x')");
    await captured();
    await db.exec("UPDATE lists SET name = 'X'");
    assert.deepEqual(await captured(), [[["UPDATE", "lists", "a", { name: "X" }]]]);
  }, APP.replace("name TEXT", "name TEXT COLLATE NOCASE"));
});

Deno.test("capture goes on after the app rebuilt a table", async () => {
  await withLocal(async ({ db, captured }) => {
    await db.exec("INSERT INTO lists VALUES ('a', 'x')");
    await captured();
    await db.exec(
      `CREATE TABLE lists2 (id TEXT PRIMARY KEY, name TEXT, more TEXT);
       INSERT INTO lists2 (id, name) SELECT id, name FROM lists;
       DROP TABLE lists; ALTER TABLE lists2 RENAME TO lists`,
    );
    await db.exec("INSERT INTO lists VALUES ('b', 'y', 'z')");
    assert.deepEqual(await captured(), [[["INSERT", "lists", "b", { name: "y" }]]]);
  });
});

Deno.test("capture sees what is written after a table was rebuilt in the same transaction", async () => {
  await withLocal(async ({ db, captured }) => {
    const rebuild = ["CREATE TABLE l2 (id TEXT PRIMARY KEY, name TEXT)", "DROP TABLE lists"];
    const rest = ["ALTER TABLE l2 RENAME TO lists", "INSERT INTO lists VALUES ('n', 'new')"];
    await db.exec("BEGIN");
    for (const sql of [...rebuild, ...rest]) await db.exec(sql);
    await db.exec("COMMIT");
    assert.deepEqual(await captured(), [[["INSERT", "lists", "n", { name: "new" }]]]);
    await db.transaction(async (tx) => {
      await tx.exec("ALTER TABLE lists RENAME TO old");
      await tx.exec("CREATE TABLE lists (id TEXT PRIMARY KEY, name TEXT)");
      await tx.exec("INSERT INTO lists SELECT id || 2, name FROM old; DROP TABLE old");
    });
    assert.deepEqual(await captured(), [[["INSERT", "lists", "n2", { name: "new" }]]]);
  });
});

Deno.test("capture works for a table of a thousand columns", async () => {
  const columns: Record<string, "string"> = { id: "string" };
  for (let i = 0; i < 999; i++) columns[`c${i}`] = "string";
  const schema = { version: 1, tables: { wide: { primaryKey: ["id"], columns } } };
  const db = await openLocal({ database: ":memory:", schema });
  try {
    await db.exec("INSERT INTO wide (id, c0, c998) VALUES ('a', 'x', 'y')");
    await db.exec("UPDATE wide SET c31 = 'z', c998 = NULL");
    const batch = await db.nextBatch({ mutationId: 0, part: 0 }, WIDE);
    const [insert, update] = batch?.transactions.flatMap(({ deltas }) => deltas) ?? [];
    assert.equal(insert?.values.length, 999);
    assert.equal(insert?.values.at(-1), "y");
    assert.deepEqual(update?.shape.columns, ["c31", "c998"]);
    assert.deepEqual(update?.values, ["z", null]);
  } finally {
    await db.close();
  }
});

Deno.test("rowIdSql writes what core's rowIdOf writes", async () => {
  const schema = parseSchema(SCHEMA);
  const { layout } = placeSchema([], schema);
  const table = layout.byName.get("pairs");
  assert.ok(table !== undefined);
  const sql = new DatabaseSync(":memory:");
  try {
    const statement = sql.prepare(`SELECT ${rowIdSql(table, ["?1", "?2"])} AS id`);
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: "binary" }).filter((text) => text.isWellFormed() && !text.includes("\0")),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        (text, n) => {
          const small = Number(n);
          const key = [text, Number.isSafeInteger(small) ? small : n];
          assert.equal(statement.get(text, n)?.["id"], rowIdOf(table.table, key));
          return Promise.resolve();
        },
      ),
      { numRuns: 300, examples: [['\b\t\n\f\r\u0001\u001f\u007f"\\/\u2028', 2n ** 53n - 1n]] },
    );
  } finally {
    sql.close();
  }
});
