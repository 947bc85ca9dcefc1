import assert from "node:assert/strict";
import {
  assertCode,
  at,
  client,
  logEntry,
  newRow,
  newRows,
  next,
  refOf,
  scan,
  scanAll,
} from "./_conformance_tools.ts";
import { readSnapshot } from "./snapshot.ts";
import { tempFolder } from "./testing_folders.ts";
import { assertWhole, BIG, database, history, PausingSession } from "./testing_kv.ts";

Deno.test("kv store shows a commit of another process whole", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  const one = await db.open();
  const other = await db.open();
  for (let seq = 1; seq <= 5; seq++) {
    const batch = next(seq - 1, {
      rows: newRows(`r${seq}-`, 500, seq),
      clients: [client("phone-1", seq)],
    });
    const pages = [scan(other, { limit: 5_000 }), scan(one, { limit: 5_000 })];
    await Promise.all([one.commit(batch), ...pages]);
    pages.push(scan(other, { limit: 5_000 }));
    for (const { head, rows, client } of await Promise.all(pages)) {
      assert.equal(rows.length, head.seq * 500);
      assert.equal(client?.lastMutationId, head.seq || undefined);
    }
    assert.equal((await other.head()).seq, seq);
  }
  await one.close();
  await other.close();
});

Deno.test("kv store carries a large commit that another process published", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  const one = await db.open();
  const other = await db.open();
  await history(one);
  assert.equal(await assertWhole(other), 2);
  await other.commit(next(2, { rows: [newRow("b", 3)] }));
  await assertCode(one.commit(next(2)), "BACKPRESSURE");
  assert.equal((await scanAll(one)).length, 442);
  await one.close();
  await other.close();
  assert.equal(await db.count("staged"), 0);
  assert.equal(await db.count("trash"), 0);
});

Deno.test("kv store repeats a read when another process has written meanwhile", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  const session = new PausingSession(db.kv, "default");
  const reader = await db.open(session);
  const writer = await db.open();
  await writer.commit(next(0, { rows: [newRow("t1", 1)] }));
  const ref = await refOf(writer, "t1");
  session.afterList("in", () =>
    writer.commit(next(1, {
      rows: [{ ...newRow("t1", 2), ref, drop: [at(1)] }, newRow("t2", 2)],
      clients: [client("phone-1", 2)],
    })));
  const page = await scan(reader);
  assert.equal(page.head.seq, 2);
  assert.equal(page.client?.lastMutationId, 2);
  assert.deepEqual(page.rows.map(({ data }) => data), ['{"at":2}', '{"at":2}']);
  await reader.close();
  await writer.close();
});

Deno.test("kv store does no harm when it carries a write too late", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  const session = new PausingSession(db.kv, "default");
  const late = await db.open(session);
  const other = await db.open();
  await history(other);
  session.afterList("staged", async () => {
    const ref = await refOf(other, "a0");
    await other.commit(next(2, {
      rows: [{ ...newRow("a0", 3, "newer"), ref, drop: [at(2)] }],
    }));
  });
  const [row] = await late.readRows([{ table: 1, rowId: "a0" }]);
  assert.equal(row?.data, "newer");
  assert.equal((await scanAll(late)).length, 441);
  assert.equal((await late.head()).seq, 3);
  await late.close();
  await other.close();
});

Deno.test("kv store lets one of two processes win a commit", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  const stores = [await db.open(), await db.open()];
  for (let seq = 0; seq < 10; seq++) {
    const outcomes = await Promise.allSettled(
      stores.map((store) => store.commit(next(seq, { log: [logEntry(seq + 1)] }))),
    );
    const won = outcomes.filter(({ status }) => status === "fulfilled");
    assert.equal(won.length, 1);
  }
  for (const store of stores) {
    assert.equal((await store.stats()).logEntries, 10);
    await store.close();
  }
});

Deno.test("kv store cannot publish a write that another process has given up", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  const store = await db.open();
  const large = await store.beginLarge();
  await large.write({ rows: [...newRows("a", 10, 1), newRow("t1", 1, BIG)] });
  await (await db.open(undefined, false)).close();
  await assertCode(large.commit(next(0)), "BACKPRESSURE");
  assert.equal(await assertWhole(store), 0);
  await store.close();
});

Deno.test("kv store says of a view that another process has written meanwhile", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  const reader = await db.open();
  const writer = await db.open();
  await writer.commit(next(0, { rows: [newRow("t1", 1, BIG)] }));
  const calm = await reader.view();
  assert.equal((await calm.rows([{ table: 1, rowId: "t1" }]))[0]?.data, BIG);
  assert.equal(await calm.end(), true);

  const torn = await reader.view();
  const ref = await refOf(writer, "t1");
  await writer.commit(next(1, { rows: [{ ...newRow("t1", 2, "small"), ref, drop: [at(1)] }] }));
  assert.equal(torn.head.seq, 1);
  await torn.rows([{ table: 1, rowId: "t1" }]).catch(() => {});
  assert.equal(await torn.end(), false);
  assert.equal(await torn.end(), false);
  await reader.close();
  await writer.close();
});

Deno.test("kv store tells a view that lost its snapshot from one over damaged data", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  const session = new PausingSession(db.kv, "default");
  const reader = await db.open(session);
  const writer = await db.open();
  await writer.commit(next(0, { rows: [newRow("t1", 1)] }));
  const ref = await refOf(writer, "t1");
  const entries = { bucket: 1, gone: false, after: { seq: 0, tie: "" }, limit: 5 };
  session.afterList("in", () =>
    writer.commit(next(1, {
      rows: [{ ...newRow("t1", 1), data: undefined, ref, drop: [at(1)], add: [] }],
    })));
  const torn = await reader.view();
  await assertCode(torn.scan(entries), "BACKPRESSURE");
  assert.equal(await torn.end(), false);

  await writer.commit(next(2, { rows: [newRow("t2", 3)] }));
  await db.kv.delete(["lakesync", "g", "default", "row", 1, "t2"]);
  const damaged = await reader.view();
  await assertCode(damaged.scan(entries), "INTERNAL_ERROR");
  assert.equal(await damaged.end(), true);
  await reader.close();
  await writer.close();
});

Deno.test("kv store gives readSnapshot one snapshot while another process writes", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  const reader = await db.open();
  const writer = await db.open();
  const write = async (seq: number) => {
    const [old] = await writer.readRows([{ table: 1, rowId: "t1" }]);
    await writer.commit(next(seq - 1, {
      rows: [{
        ...newRow("t1", seq, `${seq}${BIG}`),
        ref: old?.ref,
        drop: old ? [at(seq - 1)] : [],
      }],
      clients: [client("phone-1", seq)],
    }));
    await new Promise((resolve) => setTimeout(resolve, seq));
  };
  let writing = true;
  const read = async () => {
    const seen = new Set<number>();
    while (writing) {
      const { seq, data, known } = await readSnapshot(reader, async (view) => {
        const [known] = await view.clients(["phone-1"]);
        const [row] = await view.rows([{ table: 1, rowId: "t1" }]);
        return { seq: view.head.seq, data: row?.data, known: known?.lastMutationId };
      });
      seen.add(seq);
      assert.equal(known, seq || undefined);
      assert.equal(data, seq === 0 ? undefined : `${seq}${BIG}`);
    }
    return seen.size;
  };
  const reading = read();
  try {
    for (let seq = 1; seq <= 12; seq++) await write(seq);
  } finally {
    writing = false;
  }
  assert(await reading > 1);
  await reader.close();
  await writer.close();
});
