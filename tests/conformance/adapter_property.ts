/**
 * Random lives: an adapter holds at every moment what the one in memory holds.
 *
 * @module
 */

import assert from "node:assert/strict";
import { memoryAdapter } from "@lakesync/adapters";
import fc from "fast-check";
import { held } from "./expect.ts";
import type { Subject } from "./suite.ts";
import { Player, type Step, step } from "./testing_play.ts";

/**
 * Plays random lives with an adapter and with the oracle.
 *
 * @param open opens an adapter over a new, empty database
 * @param runs how many lives
 */
export async function playAgainstMemory(
  open: () => Promise<Subject>,
  runs: number,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 12 }),
      fc.integer({ min: 1, max: 5 }),
      async (steps, limit) => {
        const subject = await open();
        try {
          await play(subject, steps, limit);
        } finally {
          await subject.close();
        }
      },
    ),
    { numRuns: runs, endOnFailure: runs < 50 },
  );
}

async function play(
  { adapter, reopen }: Subject,
  steps: readonly Step[],
  limit: number,
): Promise<void> {
  const oracle = memoryAdapter("oracle");
  const [player, master] = [new Player(adapter), new Player(oracle)];
  await player.begin();
  await master.begin();
  for (const each of steps) {
    await player.play(each);
    await master.play(each);
    assert.deepStrictEqual(await held(adapter, limit), await held(oracle), each.kind);
  }
  if (reopen !== undefined) {
    assert.deepStrictEqual(await held(await reopen(), limit), await held(oracle), "reopened");
  }
}
