/** What becomes of destinations when a gateway is restored, and of where they stand. */

import assert from "node:assert/strict";
import { openSnapshot } from "../../server/store/sqlite_copy.ts";
import { query } from "../servers/testing_sql.ts";
import { databaseTest } from "../servers/tests.ts";
import { BackupSite, done, lakesync } from "./backup_site.ts";
import { synced, until } from "./wait.ts";
import { converged, type NotesClient, rowsOf } from "./world.ts";

/** Reads what a destination has. */
interface Reader {
  /** The rows of `notes`, by their key. */
  rows(site: BackupSite): Promise<unknown[][]>;
  /** How many changes it counts. */
  changes(site: BackupSite): Promise<number>;
}

function databaseReader(url: string): Reader {
  return {
    async rows() {
      const rows = await query(url, "SELECT id, title, status FROM notes ORDER BY id");
      return rows.map(({ id, title, status }) => [id, title, status]);
    },
    async changes() {
      const [row] = await query(url, "SELECT count(*)::int AS n FROM lakesync_deltas");
      return Number(row?.["n"]);
    },
  };
}

async function ask(
  site: BackupSite,
  sql: string,
  ...more: readonly string[]
): Promise<Record<string, unknown>[]> {
  const lake = ["--lake", `file://${site.folder}/lake`, "--data", site.data, "--tail", "none"];
  return JSON.parse(await done("query", sql, ...lake, "--format", "json", ...more));
}

const LAKE: Reader = {
  async rows(site) {
    const rows = await ask(site, "SELECT id, title, status FROM notes ORDER BY id");
    return rows.map(({ id, title, status }) => [id, title, status]);
  },
  async changes(site) {
    const [row] = await ask(site, "SELECT count(*) AS n FROM notes__changes WHERE _op <> 'SET'");
    return Number(row?.["n"]);
  },
};

async function write(client: NotesClient, ...ids: readonly string[]): Promise<void> {
  for (const id of ids) await client.exec("INSERT INTO notes VALUES (?, ?, NULL)", [id, id]);
}

async function has(client: NotesClient, count: number): Promise<void> {
  await until(`${count} rows`, async () => (await rowsOf(client, "notes")).length === count);
}

/** A backup in the middle, changes after it that are given back, and some that are lost. */
async function reconciles(site: BackupSite, reader: Reader): Promise<void> {
  const [a, lost] = [await site.client("a"), await site.client("lost")];
  await write(a, "a1", "a2", "a3");
  await synced(a);
  await has(lost, 3);
  await site.flushed();
  await done("backup", "--data", site.data, "--out", `${site.folder}/backup`);
  await a.exec("UPDATE notes SET title = 'edited' WHERE id = 'a1'");
  await a.exec("DELETE FROM notes WHERE id = 'a2'");
  await write(a, "a4");
  await lost.exec("UPDATE notes SET status = 'lost' WHERE id = 'a3'");
  await write(lost, "lost");
  await Promise.all([synced(a), synced(lost)]);
  await has(a, 4);
  await site.flushed();
  assert.equal((await reader.rows(site)).length, 4);
  await lost.close();
  a.pause();
  await site.restore();
  await site.flushed();
  assert.deepEqual(await reader.rows(site), [["a1", "a1", null], ["a2", "a2", null], [
    "a3",
    "a3",
    null,
  ]], "the destination is where the backup is");
  a.resume();
  await synced(a);
  await until("given back", async () => {
    const { log } = await site.admin<{ log: { entries: number } }>("GET", "stats/default");
    return log.entries === 6;
  });
  await site.flushed();
  const fresh = await site.client("fresh");
  await has(fresh, 3);
  const rows = await converged("notes", [fresh, a]);
  assert.deepEqual(await reader.rows(site), rows);
  assert.deepEqual(rows, [["a1", "edited", null], ["a3", "a3", null], ["a4", "a4", null]]);
  assert.equal(await reader.changes(site), 6);
}

databaseTest("postgres", "G10 G13: a destination follows a restored gateway", async ({ url }) => {
  await using site = await BackupSite.open(() => ({ type: "postgres", url }));
  await reconciles(site, databaseReader(url));
});

Deno.test("G10 G13: a lake follows a restored gateway", async () => {
  await using site = await BackupSite.open((folder) => ({
    type: "lake",
    store: { type: "fs", folder: `${folder}/lake` },
  }));
  await reconciles(site, LAKE);
});

databaseTest("postgres", "G10 G13: a destination follows a restore to a time", async ({ url }) => {
  await using site = await BackupSite.open(() => ({ type: "postgres", url }));
  const reader = databaseReader(url);
  const a = await site.client("a");
  await write(a, "a1");
  await synced(a);
  await done("backup", "--data", site.data, "--out", `${site.folder}/backup`);
  await write(a, "a2", "a3");
  await a.exec("DELETE FROM notes WHERE id = 'a1'");
  await synced(a);
  await site.flushed();
  await a.close();
  await site.restore("--to", "3", "--log", `${site.folder}/old`);
  await site.flushed();
  const rows = [["a1", "a1", null], ["a2", "a2", null], ["a3", "a3", null]];
  assert.deepEqual(await reader.rows(site), rows);
  assert.equal(await reader.changes(site), 3);
});

databaseTest(
  "postgres",
  "G10 G13: a destination follows a gateway restored to before its first commit",
  async ({ url }) => {
    await using site = await BackupSite.open(() => ({ type: "postgres", url }));
    const reader = databaseReader(url);
    await done("backup", "--data", site.data, "--out", `${site.folder}/backup`);
    const [a, lost] = [await site.client("a"), await site.client("lost")];
    await write(lost, "lost");
    await synced(lost);
    await write(a, "a1");
    await synced(a);
    await site.flushed();
    await lost.close();
    await site.restore();
    await until("given back", async () => {
      return (await site.admin<{ seq: string }>("GET", "stats/default")).seq === "2";
    });
    await site.flushed();
    assert.deepEqual(await reader.rows(site), [["a1", "a1", null]]);
    assert.equal(await reader.changes(site), 1);
  },
);

interface Cursors {
  readonly cursors: readonly { readonly name: string; readonly value: string }[];
}

async function cursorSeq(site: BackupSite): Promise<number> {
  const { cursors } = await site.admin<Cursors>("GET", "cursors/default");
  const cursor = cursors.find(({ name }) => name === "destination:there");
  return cursor === undefined ? -1 : Number(JSON.parse(cursor.value).seq);
}

databaseTest("postgres", "where a destination stands is kept through a kill", async ({ url }) => {
  await using site = await BackupSite.open(() => ({ type: "postgres", url }));
  const a = await site.client("a");
  await write(a, "a1", "a2", "a3");
  await synced(a);
  await site.flushed();
  await until("the cursor", async () => await cursorSeq(site) === 3);
  await site.server.kill();
  {
    using snapshot = openSnapshot(`${site.data}/gateways/default.db`);
    assert.deepEqual(JSON.parse(snapshot.meta("cursors") ?? ""), ["destination:there"]);
    assert.match(snapshot.meta("cursors destination:there") ?? "", /seq\\":\\"3\\"/);
  }
  await site.server.start();
  const listed = await done("cursors", "list", ...site.address);
  assert.match(listed, /^destination:there {2}\d{4}-\S+Z {2}\{"seq":"3","life":"[^"]+"\}\n$/);
});

databaseTest("postgres", "G10: a cursor's reset fills a destination anew", async ({ url }) => {
  await using site = await BackupSite.open(() => ({ type: "postgres", url }));
  const reader = databaseReader(url);
  const a = await site.client("a");
  await write(a, "a1", "a2", "a3");
  await synced(a);
  await site.flushed();
  await query(url, "DELETE FROM notes WHERE id = 'a2'");
  await query(url, "UPDATE notes SET title = 'by hand' WHERE id = 'a3'");
  assert.equal((await reader.rows(site)).length, 2);
  const name = ["--name", "destination:there"];
  const told = await done("cursors", "reset", ...name, ...site.address);
  assert.match(told, /^destination:there: is filled from all rows anew/);
  await write(a, "a4");
  await synced(a);
  await site.flushed();
  assert.deepEqual(await reader.rows(site), ["a1", "a2", "a3", "a4"].map((id) => [id, id, null]));
  assert.equal(await reader.changes(site), 4);
  await until("the cursor", async () => await cursorSeq(site) === 4);
  const unknown = await lakesync("cursors", "reset", "--name", "nobody", ...site.address);
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /There is no cursor of that name/);
});

Deno.test("G10: a cursor's reset has a lake asked again, and it loses no moment", async () => {
  await using site = await BackupSite.open((folder) => ({
    type: "lake",
    store: { type: "fs", folder: `${folder}/lake` },
  }));
  const a = await site.client("a");
  await write(a, "a1", "a2");
  await a.exec("DELETE FROM notes WHERE id = 'a1'");
  await synced(a);
  await site.flushed();
  const told = await done("cursors", "reset", "--name", "destination:there", ...site.address);
  assert.match(told, /^destination:there: was forgotten/);
  await until("it is known again", async () => await cursorSeq(site) === 3);
  await write(a, "a3");
  await synced(a);
  await site.flushed();
  assert.deepEqual(await LAKE.rows(site), [["a2", "a2", null], ["a3", "a3", null]]);
  assert.equal(await LAKE.changes(site), 4);
  const before = await ask(site, "SELECT id FROM notes ORDER BY id", "--as-of", "2");
  assert.deepEqual(before.map(({ id }) => id), ["a1", "a2"]);
});
