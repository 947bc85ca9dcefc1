import assert from "node:assert/strict";
import { assertCode, client, newRow, newRows, next, openStore } from "./_conformance_tools.ts";
import type { SqliteOptions } from "./_sqlite_layout.ts";
import { openSqliteStores } from "./sqlite.ts";
import type { ReadView, Store } from "./store.ts";
import { tempFolder } from "./testing_folders.ts";

/** A store of its own folder. */
async function open(
  options: SqliteOptions = {},
): Promise<AsyncDisposable & { readonly store: Store; readonly file: string }> {
  const folder = await tempFolder();
  const stores = await openSqliteStores(folder.path, options);
  return {
    store: await openStore(stores),
    file: `${folder.path}/gateways/default.db`,
    async [Symbol.asyncDispose]() {
      await stores.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Moves the head, so that the views that are open must be held. */
async function commit(store: Store): Promise<void> {
  const { seq } = await store.head();
  await store.commit(next(seq, { clients: [client("phone-1", seq + 1)] }));
}

async function mutationIn(view: ReadView): Promise<number | undefined> {
  return (await view.clients(["phone-1"]))[0]?.lastMutationId;
}

/** Opens views at four seqs and commits after each, so that no more can be held. */
async function holdAll(store: Store): Promise<readonly ReadView[]> {
  const views: ReadView[] = [];
  for (let held = 0; held < 4; held++) {
    views.push(await store.view());
    await commit(store);
  }
  return views;
}

Deno.test("sqlite views wait in order when four snapshots are held, and commits do not", async () => {
  await using opened = await open();
  const { store } = opened;
  await commit(store);
  const views = await holdAll(store);
  const order: string[] = [];
  const waiting = ["first", "second"].map(async (name) => {
    const view = await store.view();
    order.push(name);
    assert.equal(await mutationIn(view), view.head.seq);
    assert.equal(await view.end(), true);
    return view.head.seq;
  });
  await commit(store);
  await commit(store);
  assert.deepEqual(order, []);
  for (const [index, view] of views.entries()) {
    assert.equal(view.head.seq, index + 1);
    assert.equal(await mutationIn(view), index + 1);
  }
  await views[2]?.end();
  assert.deepEqual(await Promise.all(waiting), [7, 7]);
  assert.deepEqual(order, ["first", "second"]);
  for (const view of views) await view.end();
  await (await store.view()).end();
});

Deno.test("sqlite views cost no statement to open until something is committed", async () => {
  await using opened = await open();
  const { store } = opened;
  await commit(store);
  await (await store.view()).end();
  const before = store.counters;
  for (let read = 0; read < 10; read++) {
    const view = await store.view();
    assert.equal(await mutationIn(view), 1);
    await view.end();
  }
  assert.equal(store.counters.statements - before.statements, 10);
  assert.equal(store.counters.rowsRead - before.rowsRead, 10);
});

Deno.test("sqlite views of one snapshot read the rows of a bucket once, others anew", async () => {
  await using opened = await open();
  const { store } = opened;
  await store.commit(next(0, { rows: newRows("r", 3, 1) }));
  const scan = { bucket: 1, gone: false, after: { seq: 0, tie: "" }, limit: 2 };
  const cost = async (limit: number) => {
    const before = store.counters.statements;
    const view = await store.view();
    const page = await view.scan({ ...scan, limit });
    await view.buckets([1, "b1"]);
    await view.end();
    return { statements: store.counters.statements - before, rows: page.rows.length };
  };
  const first = await cost(2);
  assert.equal(first.rows, 2);
  assert.ok(first.statements > 2);
  assert.deepEqual(await cost(2), { statements: 0, rows: 2 });
  const more = await cost(3);
  assert.ok(more.statements > 0 && more.statements < first.statements && more.rows === 3);
  await commit(store);
  assert.deepEqual(await cost(2), first);
});

Deno.test("sqlite views that nobody ends are taken back, so that others are served", async () => {
  await using opened = await open({ maxViewMs: 20 });
  const { store } = opened;
  const views = await holdAll(store);
  const view = await store.view();
  assert.equal(await mutationIn(view), 4);
  await view.end();
  const [oldest] = views;
  assert(oldest);
  await assertCode(mutationIn(oldest), "BACKPRESSURE");
  assert.equal(await oldest.end(), true);
  for (const left of views) await left.end();
  await commit(store);
});

Deno.test("sqlite views that were taken back no longer hold the write-ahead log", async () => {
  await using opened = await open({ maxViewMs: 20 });
  const { store, file } = opened;
  const rowsOf = (seq: number) => ({
    rows: [newRow(`t${seq}`, seq, "x".repeat(1024 * 1024))],
  });
  await store.commit(next(0, rowsOf(1)));
  const view = await store.view();
  await store.commit(next(1, rowsOf(2)));
  while (await mutationIn(view).then(() => true, () => false)) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  let largest = 0;
  for (let seq = 3; seq <= 90; seq++) {
    await store.commit(next(seq - 1, rowsOf(seq)));
    largest = Math.max(largest, (await Deno.stat(`${file}-wal`)).size);
  }
  assert(largest < 64 * 1024 * 1024, `the log has ${largest} bytes`);
  await view.end();
});

Deno.test("sqlite views that wait are told when the store is closed", async () => {
  await using opened = await open();
  const { store } = opened;
  const views = await holdAll(store);
  const waiting = assertCode(store.view(), "INTERNAL_ERROR");
  await store.close();
  await waiting;
  for (const view of views) {
    await assertCode(mutationIn(view), "INTERNAL_ERROR");
    await view.end();
  }
});

Deno.test("sqlite views opened while a large commit is published show one head", async () => {
  await using opened = await open();
  const { store } = opened;
  await commit(store);
  const large = await store.beginLarge();
  for (let slice = 0; slice < 5; slice++) {
    await large.write({ rows: newRows(`s${slice}-`, 500, 2) });
  }
  const publishing = large.commit(next(1, { clients: [client("phone-1", 2)] }));
  const during = await store.view();
  await publishing;
  const after = await store.view();
  assert.equal(await mutationIn(during), during.head.seq);
  assert.equal(await mutationIn(after), 2);
  assert.equal(after.head.seq, 2);
  await during.end();
  await after.end();
});
