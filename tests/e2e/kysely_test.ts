/** A query builder of its own connection on a client's file. */

import assert from "node:assert/strict";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { Kysely, SqliteDialect } from "kysely";
import { synced, until } from "./wait.ts";
import { converged, rowsOf, World } from "./world.ts";

interface Database {
  readonly notes: {
    readonly id: string;
    readonly title: string | null;
    readonly status: string | null;
  };
}

/** Opens a file for Kysely, which expects the calls of better-sqlite3. */
function openKysely(path: string): Kysely<Database> {
  const file = new DatabaseSync(path);
  file.exec("PRAGMA busy_timeout = 5000; PRAGMA recursive_triggers = ON");
  const database = {
    close: () => file.close(),
    prepare: (sql: string) => {
      const statement = file.prepare(sql);
      const bound = (params: readonly unknown[]) => params as SQLInputValue[];
      return {
        reader: statement.columns().length > 0,
        all: (params: readonly unknown[]) => statement.all(...bound(params)),
        run: (params: readonly unknown[]) => statement.run(...bound(params)),
        iterate: (params: readonly unknown[]) => statement.iterate(...bound(params)),
      };
    },
  };
  return new Kysely<Database>({ dialect: new SqliteDialect({ database }) });
}

Deno.test("G3: what Kysely writes to a client's file is synced, and it reads what others wrote", async () => {
  await using world = await World.open();
  const client = await world.notes("phone");
  const other = await world.notes("laptop");
  const db = openKysely(world.file("phone"));
  try {
    await db.insertInto("notes").values([
      { id: "n1", title: "one", status: null },
      { id: "n2", title: "two", status: null },
    ]).execute();
    await db.updateTable("notes").set({ status: "done" }).where("id", "=", "n2").execute();
    await db.transaction().execute(async (tx) => {
      await tx.deleteFrom("notes").where("id", "=", "n1").execute();
      await tx.insertInto("notes").values({ id: "n3", title: "three", status: null })
        .onConflict((conflict) => conflict.column("id").doUpdateSet({ title: "three" })).execute();
    });
    await until("the rows elsewhere", async () => {
      return JSON.stringify(await rowsOf(other, "notes")) ===
        JSON.stringify([["n2", "two", "done"], ["n3", "three", null]]);
    });
    await other.exec("UPDATE notes SET title = 'from elsewhere' WHERE id = 'n2'");
    await synced(other);
    await until("what another wrote", async () => {
      const row = await db.selectFrom("notes").selectAll().where("id", "=", "n2")
        .executeTakeFirst();
      return row?.title === "from elsewhere" && row.status === "done";
    });
    await synced(client);
    assert.equal((await converged("notes", [client, other])).length, 2);
  } finally {
    await db.destroy();
  }
});
