import assert from "node:assert/strict";
import { Random } from "../oracle/random.ts";
import {
  assertCode,
  logEntry,
  newRow,
  newRows,
  next,
  openStore,
} from "../../server/store/_conformance_tools.ts";
import { DiskFull, SimDisk } from "./disk.ts";
import { diskStores, type DiskWait, type SharedLogs } from "./disk_store.ts";
import { uuids } from "./testing_disk.ts";
import { contentOf, randomAct } from "./testing_disk_acts.ts";

const random = new Random(11);

function start(disk: SimDisk, io?: (what: DiskWait) => Promise<void>, compactBytes = 5_000) {
  const options = { disk: disk.mount(), randomId: uuids(random), compactBytes };
  return diskStores(io ? { ...options, io } : options);
}

Deno.test("disk store refuses a commit whole on a full disk and goes on when there is room", async () => {
  const disk = new SimDisk();
  const store = await openStore(start(disk));
  await store.commit(next(0, { rows: [newRow("t1", 1)] }));
  const before = await contentOf(store);
  for (let room = 0; room < 600; room += 7) {
    disk.limitBytes = disk.usedBytes + room;
    await assert.rejects(
      store.commit(next(1, { rows: newRows("u", 20, 2), log: [logEntry(2)] })),
      DiskFull,
    );
    assert.deepEqual(await contentOf(store), before);
  }
  disk.limitBytes = Infinity;
  await store.commit(next(1, { rows: [newRow("t2", 2)] }));
  const after = await contentOf(store);
  disk.crash(random);
  assert.deepEqual(await contentOf(await openStore(start(disk))), after);
});

Deno.test("disk store says that there is no gateway when the disk was full at its creation", async () => {
  const disk = new SimDisk();
  disk.limitBytes = 20;
  const stores = start(disk);
  await assert.rejects(stores.open("default", true), DiskFull);
  assert.deepEqual(await stores.list(), []);
  assert.equal(await stores.open("default", false), undefined);
  disk.limitBytes = Infinity;
  const store = await openStore(stores);
  await store.commit(next(0));
});

Deno.test("G13: disk store has exactly what a copy of the disk had after a restore", async () => {
  const disk = new SimDisk();
  let copyAtFsync = false;
  let copy = disk.snapshot();
  const store = await openStore(start(disk, (what) => {
    if (copyAtFsync && what === "fsync") copy = disk.snapshot();
    return Promise.resolve();
  }));
  for (let act = 0; act < 30; act++) await randomAct(random)(store);
  const { epoch } = await store.head();
  const content = await contentOf(store);
  copyAtFsync = true;
  await store.commit(next((await store.head()).seq));
  copyAtFsync = false;
  for (let act = 0; act < 30; act++) await randomAct(random)(store);
  disk.restore(copy);
  const restored = await openStore(start(disk));
  assert.deepEqual(await contentOf(restored), content);
  assert.equal((await restored.head()).epoch, epoch);
});

Deno.test("disk store lets a dead process do nothing more", async () => {
  const disk = new SimDisk();
  const waiting: (() => void)[] = [];
  const io = () => new Promise<void>((resolve) => waiting.push(resolve));
  let settled = false;
  const opening = start(disk, io).open("default", true);
  void opening.finally(() => settled = true);
  disk.kill();
  for (let turn = 0; turn < 20; turn++) {
    waiting.splice(0).forEach((go) => go());
    await Promise.resolve();
  }
  assert.equal(settled, false);
  assert.deepEqual(await start(disk).list(), []);
});

Deno.test("G11: disk store keeps its file small whatever was committed", async () => {
  const disk = new SimDisk();
  const store = await openStore(start(disk, undefined, 50_000));
  let largest = 0;
  for (let seq = 1; seq <= 3_000; seq++) {
    await store.commit(next(seq - 1, { log: [logEntry(seq, 0, 100)], meta: [["k", `${seq}`]] }));
    if (seq % 100 === 0) await store.trimLog(seq - 100, 200);
    largest = Math.max(largest, disk.usedBytes);
  }
  assert(largest < 200_000, `${largest} bytes`);
  assert.deepEqual((await store.stats()).logEntries, 100);
  disk.crash(random);
  assert.equal(await (await openStore(start(disk))).readMeta("k"), "3000");
});

Deno.test("shared disk store lets one of two processes commit, and both read", async () => {
  const disk = new SimDisk();
  const shared: SharedLogs = new Map();
  const open = () => openStore(diskStores({ disk: disk.mount(), randomId: uuids(random), shared }));
  const [one, other] = [await open(), await open()];
  assert(one.capabilities.shared);
  assert.equal((await one.head()).epoch, (await other.head()).epoch);
  const view = await other.view();
  const outcomes = await Promise.allSettled(
    [one, other].map((store, index) => store.commit(next(0, { rows: [newRow(`t${index}`, 1)] }))),
  );
  assert.deepEqual(outcomes.map(({ status }) => status), ["fulfilled", "rejected"]);
  assert.equal((await other.readRows([{ table: 1, rowId: "t0" }]))[0]?.data, '{"at":1}');
  assert.deepEqual(await view.rows([{ table: 1, rowId: "t0" }]), [undefined]);
  await assertCode(other.commit(next(0)), "BACKPRESSURE");
  await other.commit(next(1));
  assert.equal((await one.head()).seq, 2);
});

Deno.test("G1: shared disk store has the commit of a process that died before its answer", async () => {
  const disk = new SimDisk();
  const shared: SharedLogs = new Map();
  const mount = disk.mount();
  const died = Promise.withResolvers<void>();
  const dying = diskStores({
    disk: mount,
    randomId: uuids(random),
    shared,
    io(what) {
      if (what !== "fsync") return Promise.resolve();
      mount.kill();
      died.resolve();
      return Promise.resolve();
    },
  });
  const other = await openStore(
    diskStores({ disk: disk.mount(), randomId: uuids(random), shared }),
  );
  const commit = (await openStore(dying)).commit(next(0)).then(() => "answered");
  await Promise.race([commit, died.promise]);
  assert.equal((await other.head()).seq, 1);
  await other.commit(next(1));
  disk.crash(random);
  assert.equal((await (await openStore(start(disk))).head()).seq, 2);
});
