import assert from "node:assert/strict";
import { type RecordsSubject, testRecords } from "./_conformance_server_records.ts";
import { KvRecords } from "./_kv_server_records.ts";
import { MemoryRecords } from "./_memory_server_records.ts";
import { Connection } from "./_sqlite.ts";
import { SqliteRecords } from "./_sqlite_server_records.ts";
import { openKvStores } from "./kv.ts";
import { openSqliteStores } from "./sqlite.ts";
import { tempFolder } from "./testing_folders.ts";

testRecords("memory", () => {
  const subject: RecordsSubject & AsyncDisposable = {
    nowMs: 0,
    open: () => Promise.resolve(new MemoryRecords(() => subject.nowMs)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return Promise.resolve(subject);
}, 100);

testRecords("sqlite", async () => {
  const folder = await tempFolder();
  let records: SqliteRecords | undefined;
  const subject = {
    nowMs: 0,
    open: () => {
      records ??= new SqliteRecords(`${folder.path}/server.db`, { now: () => subject.nowMs });
      return Promise.resolve(records);
    },
    reopen: async () => {
      await records?.close();
      records = undefined;
      return await subject.open();
    },
    [Symbol.asyncDispose]: async () => {
      await records?.close();
      await folder[Symbol.asyncDispose]();
    },
  };
  return subject;
}, 50);

testRecords("kv", async () => {
  const folder = await tempFolder();
  let kv = await Deno.openKv(`${folder.path}/lakesync.kv`);
  let records: KvRecords | undefined;
  const subject = {
    nowMs: 0,
    open: () => {
      records ??= new KvRecords(kv, { shared: false, now: () => subject.nowMs });
      return Promise.resolve(records);
    },
    reopen: async () => {
      records?.close();
      records = undefined;
      kv.close();
      kv = await Deno.openKv(`${folder.path}/lakesync.kv`);
      return await subject.open();
    },
    [Symbol.asyncDispose]: async () => {
      kv.close();
      await folder[Symbol.asyncDispose]();
    },
  };
  return subject;
}, 20);

for (const open of [openSqliteStores, openKvStores]) {
  Deno.test(`${open.name} keeps records beside the gateways`, async () => {
    await using folder = await tempFolder();
    const stores = await open(folder.path);
    await stores.records.commit({ set: [{ key: "a", value: "1" }] });
    await (await stores.open("default", true))?.close();
    await stores.close();
    await assert.rejects(stores.records.get("a"), { code: "INTERNAL_ERROR" });
    const again = await open(folder.path);
    assert.equal((await again.records.get("a"))?.value, "1");
    assert.equal(again.records.shared, false);
    assert.deepEqual(await again.list(), ["default"]);
    await again.close();
  });
}

Deno.test("kv records of a shared database say so", async () => {
  await using folder = await tempFolder();
  const stores = await openKvStores(folder.path, { shared: true });
  assert.equal(stores.records.shared, true);
  await stores.close();
});

Deno.test("kv records of several handles count each increment once", async () => {
  await using folder = await tempFolder();
  const handles = await Promise.all(
    Array.from({ length: 4 }, () => Deno.openKv(`${folder.path}/lakesync.kv`)),
  );
  const increment = async (kv: Deno.Kv) => {
    const records = new KvRecords(kv, { shared: true });
    for (let done = 0; done < 10;) {
      const found = await records.get("n");
      const value = String(Number(found?.value ?? 0) + 1);
      const checks = [{ key: "n", version: found?.version ?? null }];
      if (await records.commit({ checks, set: [{ key: "n", value }] })) done++;
    }
  };
  await Promise.all(handles.map(increment));
  const [first] = handles;
  assert(first);
  assert.equal((await new KvRecords(first, { shared: true }).get("n"))?.value, "40");
  for (const kv of handles) kv.close();
});

Deno.test("sqlite records remove what has expired as they are written", async () => {
  await using folder = await tempFolder();
  let nowMs = 1_000;
  const file = `${folder.path}/server.db`;
  const records = new SqliteRecords(file, { now: () => nowMs });
  for (let round = 0; round < 5; round++) {
    const set = Array.from({ length: 100 }, (_, index) => ({
      key: `${round}/${index}`,
      value: "",
      expiresMs: 2_000,
    }));
    await records.commit({ set });
  }
  nowMs = 2_000;
  const left: number[] = [];
  const db = new Connection(file, { statements: 0, rowsRead: 0 });
  for (let round = 0; round < 4; round++) {
    await records.commit({ set: [{ key: "kept", value: "" }] });
    left.push(Number(db.prepare("SELECT count(*) FROM records").get()?.[0]));
  }
  db.close();
  assert.deepEqual(left, [301, 101, 1, 1]);
  await records.close();
});

Deno.test("sqlite records keep their write-ahead log bounded", async () => {
  await using folder = await tempFolder();
  const records = new SqliteRecords(`${folder.path}/server.db`, { synchronous: "OFF" });
  for (let round = 0; round < 200; round++) {
    await records.commit({ set: [{ key: "a", value: String(round).repeat(9_000) }] });
  }
  const { size } = await Deno.stat(`${folder.path}/server.db-wal`);
  assert(size < 2 * 1024 * 1024, `the log has ${size} bytes`);
  await records.close();
});

Deno.test("sqlite records refuse a file of another layout or program, gateways do not", async () => {
  await using folder = await tempFolder();
  const file = `${folder.path}/server.db`;
  await Deno.writeTextFile(file, "not a database, ".repeat(100));
  const stores = await openSqliteStores(folder.path);
  await assert.rejects(stores.records.get("a"), /cannot be opened as the records of a server/);
  assert.equal((await (await stores.open("default", true))?.head())?.seq, 0);
  await Deno.remove(file);
  assert.equal(await stores.records.get("a"), undefined);
  await stores.close();
  const db = new Connection(file, { statements: 0, rowsRead: 0 });
  db.exec("PRAGMA user_version = 99");
  db.close();
  const records = new SqliteRecords(file);
  await assert.rejects(records.commit({}), /has the layout 99/);
  await records.close();
});
