import assert from "node:assert/strict";
import fc from "fast-check";
import { playLife, type Troubles } from "./testing_disk_life.ts";

const RUNS = 150;

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

Deno.test("disk store loses acknowledged changes on a disk that lies about fsync", async () => {
  await assert.rejects(playLives({ death: "power loss", lying: true }));
  await playLives({ death: "kill", lying: true });
});
