import { defineSchema, LakeSyncError } from "@lakesync/core";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import { type AnyLocalDatabase, type LocalDatabase, openLocal, type SqlParam } from "./local.ts";
import { withFolder } from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: { t: { primaryKey: ["id"], columns: { id: "string", n: "integer" } } },
});

type Local = LocalDatabase<typeof SCHEMA>;

async function withLocal(work: (db: Local, path: string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/a.db`;
    const db = await openLocal({ database: path, schema: SCHEMA, watchMs: 0 });
    try {
      await work(db, path);
    } finally {
      await db.close();
    }
  });
}

Deno.test("query sees what is committed; in the app's own open transaction what it wrote", async () => {
  await withLocal(async (db) => {
    const count = async () => (await db.query("SELECT count(*) AS n FROM t"))[0]?.["n"];
    await db.exec("BEGIN");
    await db.exec("INSERT INTO t (id) VALUES ('a')");
    assert.equal(await count(), 1);
    await db.exec("ROLLBACK");
    assert.equal(await count(), 0);
    await db.transaction(async (tx) => {
      await tx.exec("INSERT INTO t (id) VALUES ('b')");
      assert.equal((await tx.query("SELECT count(*) AS n FROM t"))[0]?.["n"], 1);
      assert.equal(await count(), 0);
    });
    assert.equal(await count(), 1);
  });
});

Deno.test("query finds temporary tables, and writes when it turns out to", async () => {
  await withLocal(async (db) => {
    await db.exec("CREATE TEMP TABLE mine AS SELECT 5 AS n");
    assert.deepEqual(await db.query("SELECT n FROM mine"), [{ n: 5 }]);
    const rows = await db.query(
      "WITH x (n) AS (VALUES (1)) INSERT INTO t SELECT 'a', n FROM x RETURNING n",
    );
    assert.deepEqual(rows, [{ n: 1 }]);
    assert.equal((await db.state()).highestMutationId, 1);
    await assert.rejects(db.query("SELECT * FROM nowhere"), /no such table/);
  });
});

Deno.test("exec counts changes and gives the last rowid", async () => {
  await withLocal(async (db) => {
    assert.equal((await db.exec("INSERT INTO t (id) VALUES ('a'), ('b')")).changes, 2);
    assert.equal((await db.exec("UPDATE t SET n = 1")).changes, 2);
    await db.exec("CREATE TABLE local (id INTEGER PRIMARY KEY)");
    assert.equal((await db.exec("INSERT INTO local VALUES (77)")).lastInsertRowid, 77);
  });
});

Deno.test("exec of several statements takes no parameters", async () => {
  await withLocal(async (db) => {
    await db.exec("INSERT INTO t (id) VALUES ('a'); INSERT INTO t (id) VALUES (';') -- ; end");
    await assert.rejects(db.exec("DELETE FROM t WHERE id = ?; DELETE FROM t", ["a"]), /one by one/);
    assert.equal((await db.query("SELECT * FROM t")).length, 2);
    assert.equal((await db.state()).highestMutationId, 1);
  });
});

Deno.test("transactions run one after the other", async () => {
  await withLocal(async (db) => {
    await db.exec("INSERT INTO t VALUES ('a', 0)");
    const add = () =>
      db.transaction(async (tx) => {
        const [row] = await tx.query("SELECT n FROM t");
        await Promise.resolve();
        await tx.exec("UPDATE t SET n = ?", [Number(row?.["n"]) + 1]);
      });
    await Promise.all([add(), add(), db.exec("UPDATE t SET n = n + 10"), add()]);
    assert.deepEqual(await db.query("SELECT n FROM t"), [{ n: 13 }]);
    assert.equal((await db.state()).highestMutationId, 5);
  });
});

Deno.test("a transaction gives what its function gave, and its handle ends with it", async () => {
  await withLocal(async (db) => {
    const tx = await db.transaction((tx) => Promise.resolve(tx));
    await assert.rejects(tx.exec("DELETE FROM t"), /The transaction has ended/);
    await assert.rejects(tx.query("SELECT 1"), /The transaction has ended/);
  });
});

Deno.test("a transaction's handle takes savepoints and refuses COMMIT", async () => {
  await withLocal(async (db) => {
    await db.transaction(async (tx) => {
      await tx.exec("INSERT INTO t (id) VALUES ('a')");
      await tx.exec("SAVEPOINT s");
      await tx.exec("INSERT INTO t (id) VALUES ('b')");
      await tx.exec("ROLLBACK TO s");
      await assert.rejects(tx.exec("COMMIT"), /Return from the function to commit/);
      await assert.rejects(tx.exec(" -- x\n rollback"), /Return from the function to commit/);
    });
    assert.deepEqual(await db.query("SELECT id FROM t"), [{ id: "a" }]);
  });
});

Deno.test("G6: a write by the database inside a transaction is refused instead of waiting for itself", async () => {
  await withLocal(async (db) => {
    await db.transaction(async (tx) => {
      await tx.tables.t.insert({ id: "a" });
      await assert.rejects(db.exec("DELETE FROM t"), /use the handle/);
      await assert.rejects(db.tables.t.insert({ id: "b" }), /use the handle/);
      await assert.rejects(db.transaction(() => Promise.resolve()), /use the handle/);
      assert.deepEqual(await db.query("SELECT * FROM t"), []);
    });
    assert.equal((await db.query("SELECT * FROM t")).length, 1);
  });
});

Deno.test("sync steps wait for the app's open transaction, and the app for them", async () => {
  await withLocal(async (db) => {
    await db.exec("BEGIN");
    await db.exec("INSERT INTO t (id) VALUES ('a')");
    const sealing = db.seal();
    await db.exec("INSERT INTO t (id) VALUES ('b')");
    await db.exec("COMMIT");
    assert.equal(await sealing, 1);
  });
});

Deno.test("the app's write waits for another connection's, and ends when the database is closed", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/a.db`;
    const due: (() => void)[] = [];
    const db = await openLocal({
      database: path,
      schema: SCHEMA,
      watchMs: 0,
      timer: (_, callback) => {
        due.push(callback);
        return () => {};
      },
    });
    const other = new DatabaseSync(path);
    other.exec("BEGIN IMMEDIATE");
    const writing = db.exec("INSERT INTO t (id) VALUES ('a')");
    await new Promise((resolve) => setTimeout(resolve, 0));
    due.pop()?.();
    await new Promise((resolve) => setTimeout(resolve, 0));
    assert.equal(due.length, 1, "it waits again");
    other.exec("COMMIT");
    due.pop()?.();
    assert.equal((await writing).changes, 1);
    other.exec("BEGIN IMMEDIATE");
    const never = db.exec("DELETE FROM t");
    await new Promise((resolve) => setTimeout(resolve, 0));
    const closing = db.close();
    await assert.rejects(never, (error) => {
      assert.ok(error instanceof LakeSyncError);
      return error.code === "DRAINING";
    });
    await closing;
    other.close();
  });
});

/** A Kysely driver over the client, as an app would write it. */
class LocalDriver implements Driver {
  readonly #db: AnyLocalDatabase;

  constructor(db: AnyLocalDatabase) {
    this.#db = db;
  }

  async init() {}
  async destroy() {}
  async releaseConnection() {}

  acquireConnection(): Promise<DatabaseConnection> {
    const db = this.#db;
    return Promise.resolve({
      async executeQuery<R>({ sql, parameters, query }: CompiledQuery): Promise<QueryResult<R>> {
        const params = parameters as SqlParam[];
        if (query.kind === "SelectQueryNode" || "returning" in query && query.returning) {
          return { rows: await db.query(sql, params) as R[] };
        }
        const { changes } = await db.exec(sql, params);
        return { rows: [], numAffectedRows: BigInt(changes) };
      },
      // deno-lint-ignore require-yield -- Kysely asks for it, the test does not stream
      async *streamQuery() {
        throw new Error("Not needed");
      },
    });
  }

  async beginTransaction() {
    await this.#db.exec("BEGIN");
  }

  async commitTransaction() {
    await this.#db.exec("COMMIT");
  }

  async rollbackTransaction() {
    await this.#db.exec("ROLLBACK");
  }
}

Deno.test("Kysely writes through the client are captured, a transaction as one", async () => {
  await withLocal(async (db) => {
    const kysely = new Kysely<{ t: { id: string; n: number | null } }>({
      dialect: {
        createAdapter: () => new SqliteAdapter(),
        createDriver: () => new LocalDriver(db),
        createIntrospector: (kysely) => new SqliteIntrospector(kysely),
        createQueryCompiler: () => new SqliteQueryCompiler(),
      },
    });
    const row = await kysely.insertInto("t").values({ id: "a", n: 1 }).returningAll()
      .executeTakeFirst();
    assert.deepEqual(row, { id: "a", n: 1 });
    await kysely.transaction().execute(async (trx) => {
      await trx.insertInto("t").values([{ id: "b", n: 1 }, { id: "c", n: 2 }]).execute();
      await trx.updateTable("t").set((eb) => ({ n: eb("n", "+", 1) })).where("n", "=", 1).execute();
    });
    await assert.rejects(
      kysely.transaction().execute(async (trx) => {
        await trx.deleteFrom("t").execute();
        throw new Error("No");
      }),
    );
    assert.deepEqual(await kysely.selectFrom("t").select("id").where("n", "=", 2).execute(), [
      { id: "a" },
      { id: "b" },
      { id: "c" },
    ]);
    assert.equal((await db.state()).highestMutationId, 2);
    await kysely.destroy();
  });
});
