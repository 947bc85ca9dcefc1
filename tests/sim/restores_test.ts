import assert from "node:assert/strict";
import { loadBase } from "../../server/gateway/base.ts";
import { SimDisk } from "./disk.ts";
import { diskStores } from "./disk_store.ts";
import { backUp, restoreGateway } from "./restores.ts";

/** Opens a gateway's store and lets something be done with it. */
async function withStore<T>(
  disk: SimDisk,
  gateway: string,
  work: (store: NonNullable<Awaited<ReturnType<ReturnType<typeof diskStores>["open"]>>>) => T,
): Promise<Awaited<T>> {
  const mount = disk.mount();
  const stores = diskStores({ disk: mount, randomId: () => `first epoch of ${gateway}` });
  const store = await stores.open(gateway, true);
  assert.ok(store);
  const result = await work(store);
  await stores.close();
  mount.kill();
  return result;
}

function commit(disk: SimDisk, gateway: string, seq: number): Promise<void> {
  return withStore(disk, gateway, (store) =>
    store.commit({
      expectedSeq: seq - 1,
      head: { seq, hlc: String(seq) },
      meta: [["last", String(seq)]],
    }));
}

function facts(disk: SimDisk, gateway: string) {
  return withStore(disk, gateway, async (store) => {
    const { head, lives, horizonSeq } = await loadBase(store);
    return { head, lives, horizonSeq, last: await store.readMeta("last") };
  });
}

Deno.test("a gateway comes back as it was backed up, in another epoch, and no other one does", async () => {
  const disk = new SimDisk();
  assert.equal(backUp(disk, "one"), undefined);
  for (const gateway of ["one", "two"]) await commit(disk, gateway, 1);
  const backup = backUp(disk, "one");
  assert.ok(backup);
  for (const gateway of ["one", "two"]) await commit(disk, gateway, 2);
  for (const epoch of ["second", "third"]) {
    await restoreGateway(disk, backup, epoch);
    assert.deepEqual(await facts(disk, "one"), {
      head: { epoch, seq: 2, hlc: "1" },
      lives: [{ id: "first epoch of one", fromSeq: 0 }, { id: epoch, fromSeq: 1 }],
      horizonSeq: 2,
      last: "1",
    });
    await commit(disk, "one", 3);
  }
  assert.equal((await facts(disk, "two")).last, "2");
});
