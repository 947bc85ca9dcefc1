import assert from "node:assert/strict";
import fc from "fast-check";
import { openStore } from "../../server/store/_conformance_tools.ts";
import { Random } from "../oracle/random.ts";
import { SimDisk } from "./disk.ts";
import { decodeFrames } from "./disk_frames.ts";
import { diskStores } from "./disk_store.ts";
import { uuids } from "./testing_disk.ts";
import { contentOf, randomAct } from "./testing_disk_acts.ts";
import { playLife, type Troubles } from "./testing_disk_life.ts";

const RUNS = 150;

function equal(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** Plays many lives, and fails unless enough happened in them. */
async function playLives(troubles: Troubles): Promise<void> {
  const total = { acknowledged: 0, failed: 0, survived: 0 };
  await fc.assert(
    fc.asyncProperty(fc.nat(), async (seed) => {
      const { acknowledged, failed, survived } = await playLife(seed, troubles);
      total.acknowledged += acknowledged;
      total.failed += failed;
      total.survived += survived;
    }),
    { numRuns: RUNS },
  );
  assert(total.acknowledged > RUNS * 10, `${total.acknowledged} changes were acknowledged`);
  assert(total.failed > RUNS, `${total.failed} changes failed`);
  assert(total.survived > RUNS / 15, `${total.survived} changes survived that were under way`);
}

Deno.test("G1: disk store has exactly the acknowledged changes and whole ones after power losses", async () => {
  await playLives({ death: "power loss" });
});

Deno.test("G1: disk store loses nothing that was acknowledged when processes are killed", async () => {
  await playLives({ death: "kill" });
});

Deno.test("G1: disk store keeps what was once read, though its process was killed before the fsync", async () => {
  await playLives({ death: "either" });
});

Deno.test("G1: shared disk store has exactly the acknowledged changes and whole ones after any death", async () => {
  await playLives({ death: "either", shared: true });
});

Deno.test("G5: disk store has whole commits only, wherever its file was cut or damaged", async () => {
  const random = new Random(5);
  const disk = new SimDisk();
  const open = () => openStore(diskStores({ disk: disk.mount(), randomId: uuids(random) }));
  const store = await open();
  const contents = [await contentOf(store)];
  for (let act = 0; act < 6; act++) {
    await randomAct(random)(store);
    contents.push(await contentOf(store));
  }
  const [[path, whole] = ["", new Uint8Array()]] = disk.snapshot();
  const [base] = decodeFrames(whole);
  assert(base);
  let reached = 0;
  for (let cut = base.end; cut <= whole.length; cut++) {
    const left = random.chance(0.5) ? whole.slice(0, cut) : whole.slice().fill(0, cut);
    disk.restore(new Map([[path, left]]));
    const found = await contentOf(await open());
    while (reached < contents.length - 1 && !equal(found, contents[reached])) reached++;
    assert.deepEqual(found, contents[reached]);
  }
  assert.deepEqual(await contentOf(await open()), contents.at(-1));
});

Deno.test("disk store loses acknowledged changes on a disk that lies about fsync", async () => {
  await assert.rejects(playLives({ death: "power loss", lying: true }));
  await playLives({ death: "kill", lying: true });
});
