import assert from "node:assert/strict";
import {
  assertCode,
  at,
  client,
  logEntry,
  newRow,
  newRows,
  next,
  openStore,
  refOf,
  scan,
  scanAll,
} from "./_conformance_tools.ts";
import { KvSession, type KvWrite } from "./_kv_session.ts";
import { KvStore } from "./_kv_store.ts";
import { folderSubject, tempFolder } from "./_testing_folders.ts";
import { testStore } from "./conformance.ts";
import { openKvStores } from "./kv.ts";
import type { Store } from "./store.ts";

testStore("kv", () => folderSubject((path) => openKvStores(path)), 15);

/** A database with the gateway `default` and nothing in it, and stores over it. */
async function database(path: string): Promise<
  Disposable & {
    readonly kv: Deno.Kv;
    /** A store of its own, as another process would have it. */
    open(session?: KvSession, shared?: boolean): Promise<KvStore>;
    /** Keys of kinds that must not stay. */
    leftovers(): Promise<readonly string[]>;
  }
> {
  const stores = await openKvStores(path);
  await openStore(stores);
  await stores.close();
  const kv = await Deno.openKv(`${path}/lakesync.kv`);
  return {
    kv,
    async open(session = new KvSession(kv, "default"), shared = true) {
      const store = new KvStore(session, shared, () => {});
      await store.recover();
      return store;
    },
    async leftovers() {
      const kinds: string[] = [];
      const entries = kv.list({ prefix: ["lakesync", "g", "default"] });
      for await (const { key } of entries) kinds.push(String(key[3]));
      return kinds.filter((kind) => ["staged", "trash"].includes(kind));
    },
    [Symbol.dispose]: () => kv.close(),
  };
}

/** Fails at a write, before it is done or after. */
class FailingSession extends KvSession {
  #left: number;
  readonly #afterwards: boolean;

  constructor(kv: Deno.Kv, failsAt: number, afterwards: boolean) {
    super(kv, "default");
    this.#left = failsAt;
    this.#afterwards = afterwards;
  }

  /** Whether the failing write was reached. */
  get failed(): boolean {
    return this.#left < 0;
  }

  override async write(
    ...args: Parameters<KvSession["write"]>
  ): Promise<string | undefined> {
    return await this.#guard(() => super.write(...args));
  }

  override stage(writes: readonly KvWrite[]): Promise<unknown> {
    return this.#guard(() => super.stage(writes));
  }

  async #guard<T>(write: () => Promise<T>): Promise<T> {
    this.#left--;
    if (this.#left >= 0) return await write();
    if (this.#left === -1 && this.#afterwards) await write();
    throw new Error("The disk is gone");
  }
}

const BIG = "x".repeat(130_000);

/** A commit of two atomics' worth with large values, after one that it replaces. */
async function history(store: Store): Promise<void> {
  await store.commit(next(0, {
    rows: [newRow("t1", 1, `1${BIG}`)],
    clients: [client("phone-1", 1)],
    log: [{ ...logEntry(1), payload: new Uint8Array(70_000) }],
  }));
  await store.commit(next(1, {
    rows: [
      {
        ...newRow("t1", 2, `2${BIG}`),
        ref: await refOf(store, "t1"),
        drop: [at(1)],
      },
      ...newRows("a", 440, 2),
    ],
    clients: [client("phone-1", 2)],
    log: [logEntry(2)],
  }));
}

/** Fails unless the store is as it was after one of the commits. */
async function assertWhole(store: Store): Promise<number> {
  const { seq } = await store.head();
  const rows = await scanAll(store);
  assert.equal(rows.length, [0, 1, 441][seq]);
  const [row] = await store.readRows([{ table: 1, rowId: "t1" }]);
  assert.equal(row?.data, seq === 0 ? undefined : `${seq}${BIG}`);
  const [known] = await store.readClients(["phone-1"]);
  assert.equal(known?.lastMutationId, seq === 0 ? undefined : seq);
  const log = await store.readLog(0, 9);
  assert.deepEqual(
    log.map(({ payload }) => payload.length),
    [70_000, 10].slice(0, seq),
  );
  assert.deepEqual(await store.stats(), {
    logEntries: seq,
    logBytes: [0, 70_000, 70_010][seq],
    clients: Math.min(seq, 1),
  });
  return seq;
}

for (const afterwards of [false, true]) {
  const when = afterwards ? "after it was done" : "before it was done";
  Deno.test(`kv store is whole whichever write fails ${when}`, async () => {
    const outcomes = new Set<number>();
    for (let failsAt = 0;; failsAt++) {
      await using folder = await tempFolder();
      using db = await database(folder.path);
      const session = new FailingSession(db.kv, failsAt, afterwards);
      const failing = await db.open(session);
      const [outcome] = await Promise.allSettled([
        history(failing).then(() => assertWhole(failing)),
      ]);
      await failing.close();
      const store = await db.open(undefined, false);
      outcomes.add(await assertWhole(store));
      await store.close();
      await (await db.open(undefined, false)).close();
      assert.deepEqual(await db.leftovers(), []);
      if (!session.failed) {
        assert.equal(outcome.status, "fulfilled");
        break;
      }
    }
    assert.deepEqual([...outcomes].sort(), [0, 1, 2]);
  });
}

Deno.test("kv store goes on after a write that was done although it failed", async () => {
  for (let failsAt = 0; failsAt < 12; failsAt++) {
    await using folder = await tempFolder();
    using db = await database(folder.path);
    const session = new FailingOnce(db.kv, failsAt);
    const store = await db.open(session);
    await history(store).catch(() => {});
    await store.head().catch(() => {});
    const seq = await assertWhole(store);
    await store.commit({ expectedSeq: seq, head: { seq, hlc: "9" } });
    assert.equal(await assertWhole(store), seq);
    await store.close();
  }
});

/** Does every write, and says of one that it failed. */
class FailingOnce extends KvSession {
  #left: number;

  constructor(kv: Deno.Kv, failsAt: number) {
    super(kv, "default");
    this.#left = failsAt;
  }

  override async write(
    ...args: Parameters<KvSession["write"]>
  ): Promise<string | undefined> {
    const result = await super.write(...args);
    if (this.#left-- === 0) throw new Error("The answer was lost");
    return result;
  }
}

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
  assert.deepEqual(await db.leftovers(), []);
});

Deno.test("kv store removes a large value when it is replaced", async () => {
  await using folder = await tempFolder();
  using db = await database(folder.path);
  const store = await db.open();
  await history(store);
  for (let seq = 2; seq < 5; seq++) {
    await store.commit(next(seq, {
      rows: [{
        ...newRow("t1", seq + 1, BIG),
        ref: await refOf(store, "t1"),
        drop: [at(seq)],
      }],
    }));
  }
  await store.trimLog(9, 9);
  await store.close();
  await (await db.open(undefined, false)).close();
  let chunks = 0;
  const prefix = ["lakesync", "g", "default", "blob"];
  for await (const _ of db.kv.list({ prefix })) chunks++;
  assert.equal(chunks, 3);
});
