import {
  canonicalJson,
  defineSchema,
  type JsonValue,
  parseSchema,
  setWrite,
  type Value,
  writtenMisfit,
} from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { MAX_SET_CHANGES } from "./capture_kinds.ts";
import { Footprints } from "./footprint.ts";
import { type LocalDatabase, openLocal } from "./local.ts";
import { loadDriver } from "./database/open.ts";
import { WIDE, withFolder } from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: {
    posts: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        title: "string",
        votes: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
        best: { type: "number", merge: "max" },
        first: { type: "timestamp", merge: "min" },
        free: "json",
      },
    },
  },
});

type Local = LocalDatabase<typeof SCHEMA>;

/** What was written: operation, rowId, and the columns that are not null. */
type Brief = readonly [string, string, Readonly<Record<string, unknown>>];

async function withLocal(
  work: (db: Local, captured: () => Promise<Brief[][]>) => Promise<void>,
): Promise<void> {
  const db = await openLocal({ database: ":memory:", schema: SCHEMA });
  let last = 0;
  const captured = async () => {
    const batch = await db.nextBatch({ mutationId: last, part: 0 }, WIDE);
    last = batch?.next.mutationId ?? last;
    return (batch?.transactions ?? []).map(({ deltas }) =>
      deltas.map(({ shape, rowId, values }): Brief => {
        const cells = shape.columns.map((name, i) => [name, values[i] ?? null] as const);
        const written = cells.filter(([, value]) => shape.op === "UPDATE" || value !== null);
        return [shape.op, rowId, Object.fromEntries(written)];
      })
    );
  };
  try {
    await work(db, captured);
  } finally {
    await db.close();
  }
}

Deno.test("capture takes what a counter starts with and by how much it changes", async () => {
  await withLocal(async (db, captured) => {
    await db.exec("INSERT INTO posts (id, votes) VALUES ('a', 3), ('b', NULL), ('c', 0)");
    await db.exec("UPDATE posts SET votes = votes + 2, title = 'x' WHERE id = 'a'");
    await db.exec("UPDATE posts SET votes = 1");
    await db.exec("UPDATE posts SET votes = NULL WHERE id = 'c'");
    await db.exec("UPDATE posts SET votes = 0 WHERE id = 'c'");
    await db.exec("UPDATE posts SET votes = 0 WHERE id = 'c'");
    await db.exec("DELETE FROM posts WHERE id = 'a'");
    assert.deepEqual(await captured(), [
      [
        ["INSERT", "a", { votes: { add: 3 } }],
        ["INSERT", "b", {}],
        ["INSERT", "c", { votes: { add: 0 } }],
      ],
      [["UPDATE", "a", { title: "x", votes: { add: 2 } }]],
      [
        ["UPDATE", "a", { votes: { add: -4 } }],
        ["UPDATE", "b", { votes: { add: 1 } }],
        ["UPDATE", "c", { votes: { add: 1 } }],
      ],
      [["UPDATE", "c", { votes: { add: -1 } }]],
      [["UPDATE", "c", { votes: { add: 0 } }]],
      [["DELETE", "a", {}]],
    ]);
  });
});

Deno.test("capture takes increments of UPSERT, REPLACE, a move and several statements", async () => {
  await withLocal(async (db, captured) => {
    const upsert =
      "INSERT INTO posts (id, votes) VALUES ('a', 1) ON CONFLICT DO UPDATE SET votes = votes + 1";
    await db.transaction(async (tx) => {
      await tx.exec(upsert);
      await tx.exec(upsert);
      await tx.exec("UPDATE posts SET votes = votes * 5");
    });
    await db.exec("INSERT OR REPLACE INTO posts (id, votes) SELECT id, votes + 1 FROM posts");
    await db.exec("UPDATE posts SET id = 'b', votes = votes + 1");
    assert.deepEqual(await captured(), [
      [
        ["INSERT", "a", { votes: { add: 1 } }],
        ["UPDATE", "a", { votes: { add: 1 } }],
        ["UPDATE", "a", { votes: { add: 8 } }],
      ],
      [["DELETE", "a", {}], ["INSERT", "a", { votes: { add: 11 } }]],
      [["DELETE", "a", {}], ["INSERT", "b", { votes: { add: 12 } }]],
    ]);
  });
});

Deno.test("capture takes increments that the app's triggers make, each once", async () => {
  await withLocal(async (db, captured) => {
    await db.exec(
      `CREATE TRIGGER app AFTER UPDATE OF title ON posts BEGIN
         UPDATE posts SET votes = coalesce(votes, 0) + 1 WHERE id = NEW.id; END`,
    );
    await db.exec("INSERT INTO posts (id) VALUES ('a')");
    await captured();
    await db.exec("UPDATE posts SET title = 'x', votes = 10");
    const [deltas = []] = await captured();
    assert.deepEqual(deltas, [
      ["UPDATE", "a", { title: "x", votes: { add: 10 } }],
      ["UPDATE", "a", { votes: { add: 1 } }],
    ]);
    assert.equal((await db.tables.posts.get("a"))?.votes, 11);
  });
});

Deno.test("capture takes increments of 64 bits and refuses larger ones", async () => {
  await withLocal(async (db, captured) => {
    const [low, high] = [-(2n ** 63n), 2n ** 63n - 1n];
    await db.exec("INSERT INTO posts (id, votes) VALUES ('a', ?), ('b', ?)", [low, high]);
    await db.exec("UPDATE posts SET votes = -1 WHERE id = 'a'");
    await assert.rejects(
      db.exec("UPDATE posts SET votes = ? WHERE id = 'a'", [high]),
      /LakeSync: posts\.votes takes a change of at most 64 bits at once/,
    );
    await assert.rejects(
      db.exec("UPDATE posts SET votes = votes + 1 WHERE id = 'b'"),
      /LakeSync: posts\.votes takes a whole number/,
    );
    assert.deepEqual(await captured(), [
      [
        ["INSERT", "a", { votes: { add: low.toString() } }],
        ["INSERT", "b", { votes: { add: high.toString() } }],
      ],
      [["UPDATE", "a", { votes: { add: high.toString() } }]],
    ]);
  });
});

Deno.test("capture takes elements of sets that differ, told apart by type and value", async () => {
  await withLocal(async (db, captured) => {
    const set = (text: string | null) => db.exec("UPDATE posts SET tags = ?", [text]);
    await db.exec(
      `INSERT INTO posts (id, tags) VALUES ('a', '["x", 1, "1", true, 1]'), ('b', '[]')`,
    );
    await set('["1", false, 1]');
    await set('[1.0,"1",1,"1", false]');
    await set(null);
    await set("[]");
    await set("[0.1, 0.30000000000000004, 1e21, 9007199254740993]");
    await set("[9007199254740992.0, 1e21, 0.1, 0.30000000000000005]");
    assert.deepEqual(
      (await captured()).map((deltas) => deltas.map(([, id, { tags }]) => [id, tags])),
      [
        [["a", { add: [1, "1", "x", true] }], ["b", { add: [] }]],
        [["a", { add: [false], remove: ["x", true] }], ["b", { add: [false, 1, "1"] }]],
        [["a", { remove: [false, 1, "1"] }], ["b", { remove: [false, 1, "1"] }]],
        [["a", { add: [] }], ["b", { add: [] }]],
        [0, 1].map((i) => ["ab"[i], { add: [0.1, 0.30000000000000004, 9007199254740992, 1e21] }]),
      ],
    );
  });
});

const element = fc.oneof(
  fc.boolean(),
  fc.string({ unit: "binary" }).filter((text) => !text.includes("\0")),
  fc.integer({ min: -3, max: 3 }),
  fc.constantFrom("1", "true", "null", "é😀", '"'),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.maxSafeInteger(),
);

Deno.test("capture of a set's UPDATE is the least that makes the new elements of the old", async () => {
  await withLocal(async (db, captured) => {
    await db.exec("INSERT INTO posts (id, tags) VALUES ('a', '[]')");
    await captured();
    const ids = (list: readonly JsonValue[]) => new Set(list.map((item) => canonicalJson(item)));
    let before = ids([]);
    const lists = fc.array(element, { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(lists, async (list) => {
        await db.exec("UPDATE posts SET tags = ?", [JSON.stringify(list)]);
        const [[delta] = []] = await captured();
        const after = ids(list);
        const tags = delta?.[2]["tags"] as Value | undefined;
        const write = tags === undefined ? { add: [], remove: [] } : setWrite(tags);
        assert.deepEqual(ids(write?.add ?? []), after.difference(before));
        assert.deepEqual(ids(write?.remove ?? []), before.difference(after));
        assert.equal(delta === undefined, after.symmetricDifference(before).size === 0);
        before = after;
      }),
      { numRuns: 300, endOnFailure: true },
    );
  });
});

Deno.test("capture refuses what is no set, in the app's own statement", async () => {
  await withLocal(async (db, captured) => {
    await db.exec(`INSERT INTO posts (id, tags) VALUES ('a', '["x"]')`);
    await captured();
    const bad = [
      "'{'",
      "'{}'",
      "'\"x\"'",
      "1",
      "x'00'",
      "'[null]'",
      "'[[]]'",
      "'[\"x\",{}]'",
      "'[1e999]'",
      "'[\"a\\u0000\"]'",
      "'[' || char(0) || ']'",
    ];
    for (const value of bad) {
      const message = /LakeSync: posts\.tags takes a JSON array of texts/;
      await assert.rejects(db.exec(`UPDATE posts SET tags = ${value}`), message, value);
      const insert = `INSERT INTO posts (id, tags) VALUES ('b', ${value})`;
      await assert.rejects(db.exec(insert), message, value);
    }
    const many = (count: number) => Array.from({ length: count }, (_, i) => i);
    const update = (count: number) =>
      db.exec("UPDATE posts SET tags = ?", [JSON.stringify(many(count))]);
    await assert.rejects(
      update(MAX_SET_CHANGES),
      /LakeSync: posts\.tags takes at most 10000 added and removed elements at once/,
    );
    assert.deepEqual(await captured(), []);
    await update(MAX_SET_CHANGES - 1);
    assert.equal((await captured()).length, 1);
    const column = parseSchema(SCHEMA).tables.get("posts")?.byName.get("tags");
    assert.ok(column !== undefined);
    assert.equal(writtenMisfit(column, "UPDATE", { add: many(MAX_SET_CHANGES) }), undefined);
    assert.match(
      String(writtenMisfit(column, "UPDATE", { add: many(MAX_SET_CHANGES + 1) })),
      /at most/,
    );
  });
});

Deno.test("capture refuses what is no set where no elements were", async () => {
  await withLocal(async (db, captured) => {
    await db.exec(`INSERT INTO posts (id, tags) VALUES ('a', '[]')`);
    await captured();
    for (const value of ["2", "'{}'", "'\"x\"'", "'null'"]) {
      const message = /LakeSync: posts\.tags takes a JSON array of texts/;
      await assert.rejects(db.exec(`UPDATE posts SET tags = ${value}`), message, value);
    }
    assert.deepEqual(await captured(), []);
  });
});

Deno.test("capture takes plain values of max, min and json columns as they are", async () => {
  await withLocal(async (db, captured) => {
    const free = '{"add": [1], "remove": []}';
    await db.exec("INSERT INTO posts (id, best, first, free) VALUES ('a', 2.5, NULL, ?)", [free]);
    await db.exec("UPDATE posts SET best = 1, first = '2026-01-01T00:00:00Z', free = '[1,1]'");
    assert.deepEqual(await captured(), [
      [["INSERT", "a", { best: 2.5, free: { add: [1], remove: [] } }]],
      [["UPDATE", "a", { best: 1, first: "2026-01-01T00:00:00Z", free: [1, 1] }]],
    ]);
  });
});

Deno.test("capture counts the change of a set, not its value, among a transaction's bytes", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/a.db`;
    const db = await openLocal({ database: path, schema: SCHEMA });
    await db.exec("INSERT INTO posts (id, tags) VALUES ('a', ?)", [
      JSON.stringify(["x".repeat(100_000)]),
    ]);
    await db.exec("UPDATE posts SET tags = json_insert(tags, '$[#]', 'y')");
    await db.close();
    const file = new DatabaseSync(path);
    const bytes = file.prepare("SELECT bytes FROM _lakesync_tx ORDER BY mutation_id").all();
    file.close();
    const [insert = 0, update = 0] = bytes.map((row) => Number(row["bytes"]));
    assert.ok(insert > 100_000 && insert < 101_000, `${insert} bytes`);
    assert.ok(update > 0 && update < 1_000, `${update} bytes`);
  });
});

Deno.test("capture takes rows with counters and sets that were there before", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/a.db`;
    const app = new DatabaseSync(path);
    app.exec(`CREATE TABLE posts (id TEXT PRIMARY KEY, votes INTEGER, tags TEXT);
      INSERT INTO posts VALUES ('a', 5, '["x"]'), ('b', NULL, NULL)`);
    app.close();
    const db = await openLocal({ database: path, schema: SCHEMA, captureExisting: true });
    const batch = await db.nextBatch({ mutationId: 0, part: 0 }, WIDE);
    const deltas = batch?.transactions.flatMap(({ deltas }) => deltas) ?? [];
    assert.deepEqual(deltas.map(({ rowId, values }) => [rowId, values[1], values[2]]), [
      ["a", { add: 5 }, { add: ["x"] }],
      ["b", null, null],
    ]);
    await db.close();
  });
});

Deno.test("an UPDATE takes a cell that was not valid before the table was synced as empty", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/a.db`;
    const app = new DatabaseSync(path);
    app.exec(`CREATE TABLE posts (id TEXT PRIMARY KEY, votes INTEGER, tags TEXT);
      INSERT INTO posts VALUES ('a', 'many', 'x,y')`);
    app.close();
    const db = await openLocal({ database: path, schema: SCHEMA });
    await db.exec("UPDATE posts SET title = 't'");
    await db.exec(`UPDATE posts SET votes = 2, tags = '["x"]'`);
    const batch = await db.nextBatch({ mutationId: 0, part: 0 }, WIDE);
    const [title, both] = batch?.transactions.flatMap(({ deltas }) => deltas) ?? [];
    assert.deepEqual(title?.shape.columns, ["title"]);
    assert.deepEqual(both?.values, [{ add: 2 }, { add: ["x"] }]);
    await db.close();
  });
});

Deno.test("footprints of statements that write sets, or read JSON, name their tables", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/a.db`;
    await (await openLocal({ database: path, schema: SCHEMA })).close();
    const connection = await (await loadDriver()).open(path);
    const footprints = new Footprints(connection);
    const update = await footprints.of("UPDATE posts SET tags = '[]'");
    assert.deepEqual([update.unknown, update.writes.has("posts")], [false, true]);
    const read = await footprints.of("SELECT value FROM posts, json_each(tags)");
    assert.deepEqual(read, { reads: new Set(["posts"]), writes: new Set(), unknown: false });
    await connection.script("CREATE VIRTUAL TABLE words USING fts5(word)");
    assert.equal((await footprints.of("SELECT * FROM words")).unknown, true);
    const both = await footprints.of("SELECT * FROM words, json_each('[]')");
    assert.equal(both.unknown, true);
    await connection.close();
  });
});
