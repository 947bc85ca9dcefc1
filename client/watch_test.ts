/** Commits of other connections. */

import assert from "node:assert/strict";
import type { SchemaSpec } from "@lakesync/core";
import { loadDriver } from "./database/open.ts";
import type { SqliteDriver } from "./database/driver.ts";
import { openLocal } from "./local.ts";
import { withFolder } from "./testing_local.ts";

const schema: SchemaSpec = {
  version: 1,
  tables: { t: { primaryKey: ["id"], columns: { id: "string" } } },
};

Deno.test("G6: what another connection wrote is to be sent, whoever seals it", async () => {
  await withFolder(async (folder) => {
    const database = `${folder}/a.db`;
    const local = await openLocal({ database, schema, watchMs: 0 });
    const other = await (await loadDriver()).open(database);
    let commits = 0;
    local.onLocalCommit(() => commits++);
    await other.script("INSERT INTO t VALUES ('a')");
    assert.equal(await local.seal(), 1);
    assert.equal(commits, 1);
    await other.close();
    await local.close();
  });
});

Deno.test("G6: a commit of another connection is noticed at the next look when one failed", async () => {
  await withFolder(async (folder) => {
    const database = `${folder}/a.db`;
    const real = await loadDriver();
    let fails = false;
    const driver: SqliteDriver = {
      async open(path) {
        const db = await real.open(path);
        const script = db.script.bind(db);
        db.script = async (sql) => {
          if (fails && sql === "BEGIN IMMEDIATE") throw new Error("The disk is full");
          await script(sql);
        };
        return db;
      },
    };
    const local = await openLocal({ database, schema, watchMs: 0, driver });
    const other = await real.open(database);
    let commits = 0;
    local.onLocalCommit(() => commits++);
    await other.script("INSERT INTO t VALUES ('a')");
    fails = true;
    await assert.rejects(local.check(), /disk is full/);
    fails = false;
    assert.equal(await local.check(), true);
    assert.equal(commits, 1);
    await other.close();
    await local.close();
  });
});
