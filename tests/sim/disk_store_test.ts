import { Random } from "../oracle/random.ts";
import { testStore } from "../../server/store/conformance.ts";
import type { StoreFactory } from "../../server/store/store.ts";
import { SimDisk } from "./disk.ts";
import { diskStores } from "./disk_store.ts";
import { uuids } from "./testing_disk.ts";

/** A restart of the process: it loses power, so that only the disk's word counts. */
for (const shared of [false, true]) {
  testStore(shared ? "shared disk" : "disk", () => {
    const random = new Random(4);
    const disks = new Map<StoreFactory, SimDisk>();
    const start = (disk: SimDisk) => {
      const stores = diskStores({
        disk: disk.mount(),
        randomId: uuids(random),
        compactBytes: 20_000,
        ...shared ? { shared: new Map() } : {},
      });
      disks.set(stores, disk);
      return Promise.resolve(stores);
    };
    return Promise.resolve({
      versions: true,
      open: () => start(new SimDisk()),
      reopen(stores: StoreFactory) {
        const disk = disks.get(stores);
        if (!disk) throw new Error("The stores are of another subject");
        disk.crash(random);
        return start(disk);
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  }, 60);
}
