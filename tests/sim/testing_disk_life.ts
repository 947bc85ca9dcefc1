/**
 * The life of one gateway's store on a model disk: random changes while the process dies, waits
 * fail and the disk fills up. After each death the store must hold every change that was
 * acknowledged, at most one more that was not, and nothing in part.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Random } from "../oracle/random.ts";
import { openStore } from "../../server/store/_conformance_tools.ts";
import { memoryStores } from "../../server/store/memory.ts";
import type { Store, StoreFactory } from "../../server/store/store.ts";
import { SimDisk } from "./disk.ts";
import { diskStores, type DiskWait, type SharedLogs } from "./disk_store.ts";
import { uuids } from "./testing_disk.ts";
import { type Act, contentOf, randomAct } from "./testing_disk_acts.ts";

/** What goes wrong in a life. */
export interface Troubles {
  /** The end of each process. */
  readonly death: "kill" | "power loss" | "either";
  /** Whether the disk lies about fsync. */
  readonly lying?: boolean;
  /** Whether the data are those of a database that outlives the processes. */
  readonly shared?: boolean;
}

/** What happened in a life. */
export interface Lived {
  /** Changes whose promise resolved. */
  readonly acknowledged: number;
  /** Changes whose promise was rejected. */
  readonly failed: number;
  /** Changes that were under way when the process died, and were there afterwards. */
  readonly survived: number;
}

const PROCESSES = 6;
const ACTS = 12;

/**
 * Plays a life.
 *
 * @param seed decides all of it
 * @param troubles what goes wrong
 * @returns what happened
 */
export async function playLife(seed: number, troubles: Troubles): Promise<Lived> {
  const random = new Random(seed);
  const disk = new SimDisk();
  disk.lying = troubles.lying ?? false;
  const shared: SharedLogs = new Map();
  const start = (io?: (what: DiskWait) => Promise<void>) =>
    diskStores({
      disk: disk.mount(),
      randomId: uuids(random),
      compactBytes: random.pick([500, 5_000]),
      ...troubles.shared ? { shared } : {},
      ...io ? { io } : {},
    });
  const die = () => {
    const isKill = troubles.death === "either" ? random.chance(0.5) : troubles.death === "kill";
    if (isKill) return disk.kill();
    disk.crash(random);
    shared.clear();
  };
  let known: readonly Act[] = [];
  let maybe: readonly Act[] = [];
  const count = { acknowledged: 0, failed: 0, survived: 0 };
  const look = async () => {
    const found = await whichIsThere(await openStore(start()), [
      known,
      ...maybe.map((act) => [...known, act]),
    ]);
    count.survived += found.length - known.length;
    [known, maybe] = [found, []];
  };
  for (let process = 0; process < PROCESSES; process++) {
    if (random.chance(0.3)) await dieWhileOpening(start, random, die);
    await look();
    disk.kill();

    const died = Promise.withResolvers<"died">();
    const io = () => {
      if (random.chance(0.02)) return Promise.reject(new Error("The disk has failed once"));
      if (!random.chance(0.015)) return Promise.resolve();
      die();
      died.resolve("died");
      return new Promise<never>(() => {});
    };
    const stores = start(io);
    const tried = <T>(work: Promise<T>) =>
      Promise.race([work.catch(() => "failed" as const), died.promise]);
    const store = await tried(stores.open("default", false));
    for (let act = 0; act < ACTS && typeof store === "object"; act++) {
      disk.limitBytes = random.chance(0.1) ? disk.usedBytes + random.below(1_500) : Infinity;
      const change = randomAct(random);
      const outcome = await tried(change(store));
      if (outcome === "failed") count.failed++;
      if (outcome === "failed" || outcome === "died") {
        maybe = [...maybe, change];
        if (outcome === "died") break;
        if (troubles.shared) await look();
      } else {
        [known, maybe] = [[...known, change], []];
        count.acknowledged++;
      }
    }
    disk.limitBytes = Infinity;
    die();
  }
  return count;
}

/** A process that dies before it has read what is there, or before it has made it durable. */
async function dieWhileOpening(
  start: (io: () => Promise<void>) => StoreFactory,
  random: Random,
  die: () => void,
): Promise<void> {
  const died = Promise.withResolvers<void>();
  const io = () => {
    if (random.chance(0.5)) return Promise.resolve();
    die();
    died.resolve();
    return new Promise<never>(() => {});
  };
  await Promise.race([start(io).open("default", true), died.promise]);
  die();
}

/** Fails unless a store holds what one of several histories leaves. */
async function whichIsThere(
  store: Store,
  histories: readonly (readonly Act[])[],
): Promise<readonly Act[]> {
  const content = await contentOf(store);
  for (const acts of histories) {
    const model = await openStore(memoryStores());
    for (const act of acts) await act(model);
    try {
      assert.deepEqual(content, await contentOf(model));
      return acts;
    } catch (error) {
      if (acts === histories.at(-1)) throw error;
    }
  }
  throw new Error("There is no history to compare with");
}
