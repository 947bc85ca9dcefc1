/**
 * Writes that take longer than they may: they are given up with a warning and made again, and there
 * are never two at once.
 */

import type { Destination, FlushBatch } from "@lakesync/adapters";
import { Flusher, type FlushSettings } from "@lakesync/adapters/flush";
import { gatewaySource } from "@lakesync/server/flush";
import assert from "node:assert/strict";
import { at, delta, openFixture, push, tx } from "../../../server/gateway/testing_fixture.ts";
import { ModelDatabase } from "./model_database.ts";
import { loggedIds, nextTurn } from "./testing_flush.ts";
import { TestTime } from "./testing_time.ts";

const CALM = { random: () => 0.999, pause: () => Promise.resolve(), faults: {} };
const ANSWER_MS = 1_000;

/** A destination whose writes of changes wait for tests, and whose writes are counted. */
class SlowDestination {
  readonly database = new ModelDatabase("db", CALM);
  /** Writes that wait. */
  readonly held: { readonly batch: FlushBatch; release(): void; fail(): void }[] = [];
  /** How many changes each write of changes had. */
  readonly sizes: number[] = [];
  /** Writes at this moment, and the most there were. */
  now = 0;
  most = 0;
  abandoned = 0;
  isSlow = true;

  get destination(): Destination {
    const { database } = this;
    return {
      name: "db",
      position: () => database.position(),
      ensureSchema: (schema) => database.ensureSchema(schema),
      unsettled: (limit) => database.unsettled(limit),
      rewind: (move) => database.rewind(move),
      refill: (move) => database.refill(move),
      close: () => database.close(),
      insertDeltas: (batch) => this.#insert(batch),
    };
  }

  async #insert(batch: FlushBatch): Promise<void> {
    if (batch.changes.length === 0) return await this.database.insertDeltas(batch);
    this.sizes.push(batch.changes.length);
    this.most = Math.max(this.most, ++this.now);
    try {
      if (this.isSlow) {
        await new Promise<void>((resolve, reject) => {
          this.held.push({
            batch,
            release: resolve,
            fail: () => reject(new Error("The connection was ended")),
          });
        });
      }
      await this.database.insertDeltas(batch);
    } finally {
      this.now--;
    }
  }
}

async function flushing(
  run: (world: {
    slow: SlowDestination;
    flusher: Flusher;
    time: TestTime;
    warnings: string[];
    logged: () => Promise<readonly string[]>;
  }) => Promise<void>,
  more: Partial<Destination> = {},
  settings: Partial<FlushSettings> = {},
): Promise<void> {
  await using fixture = await openFixture(undefined, { nextTurn });
  const { gateway } = fixture;
  for (let n = 1; n <= 8; n++) await push(gateway, "a", [tx(n, delta("INSERT", `t${n}`, at(n)))]);
  const slow = new SlowDestination();
  const time = new TestTime();
  const warnings: string[] = [];
  const env = {
    now: () => time.nowMs,
    setTimer: time.setTimer,
    random: () => 0.5,
    onError: (_what: string, error: unknown) => {
      warnings.push(error instanceof Error ? error.message : String(error));
    },
  };
  const flusher = new Flusher({
    source: gatewaySource(gateway),
    destination: { ...slow.destination, ...more },
    env,
    settings: { answerMs: ANSWER_MS, everyMs: 1, maxRetryMs: 100, ...settings },
  });
  await run({ slow, flusher, time, warnings, logged: () => loggedIds(gateway) });
  await flusher.close();
}

Deno.test("G10: a write that takes too long is given up, and made again only when it has ended", () =>
  flushing(async ({ slow, flusher, time, warnings, logged }) => {
    await time.until(() => slow.held.length === 1);
    await time.pass(ANSWER_MS);
    assert.deepEqual(warnings, ["db did not answer within 1000 ms, it is asked again"]);
    await time.pass(5 * ANSWER_MS);
    assert.deepEqual([slow.held.length, flusher.status.state], [1, "retrying"]);
    // It is committed after all.
    slow.isSlow = false;
    slow.held[0]?.release();
    await time.until(() => flusher.status.lagCommits === 0);
    assert.equal(slow.most, 1);
    assert.deepEqual(slow.database.deltaIds(), await logged());
  }));

Deno.test("G10: a destination that can abandon a write is asked to, and written to again", async () => {
  const abandon: { now?: () => void } = {};
  await flushing(async ({ slow, flusher, time, logged }) => {
    abandon.now = () => {
      slow.abandoned++;
      slow.isSlow = false;
      slow.held[0]?.fail();
    };
    await time.until(() => flusher.status.lagCommits === 0);
    assert.deepEqual([slow.abandoned, slow.most], [1, 1]);
    assert.deepEqual(slow.database.deltaIds(), await logged());
  }, { abandon: () => Promise.resolve(abandon.now?.()) });
});

Deno.test("G6: after a write that took too long less is written at once, then more again", async () => {
  const abandon: { now?: () => void } = {};
  await flushing(
    async ({ slow, flusher, time, logged }) => {
      abandon.now = () => {
        slow.abandoned++;
        slow.isSlow = slow.abandoned < 2;
        slow.held.at(-1)?.fail();
      };
      await time.until(() => flusher.status.lagCommits === 0);
      assert.deepEqual(slow.sizes, [8, 4, 2, 4, 2]);
      assert.deepEqual(slow.database.deltaIds(), await logged());
    },
    { abandon: () => Promise.resolve(abandon.now?.()) },
    { maxChanges: 8 },
  );
});

Deno.test("G6: a write that never ends is taken to be lost in the end", () =>
  flushing(async ({ slow, flusher, time, logged }) => {
    await time.until(() => slow.held.length === 1);
    slow.isSlow = false;
    await time.pass(10 * ANSWER_MS);
    assert.equal(flusher.status.lagCommits, 8);
    await time.until(() => flusher.status.lagCommits === 0);
    assert.deepEqual(slow.database.deltaIds(), await logged());
    // What arrives late changes nothing.
    slow.held[0]?.release();
    await time.pass(10);
    assert.deepEqual(slow.database.deltaIds(), await logged());
  }));

Deno.test("close does not wait for a write that was given up", () =>
  flushing(async ({ slow, time }) => {
    await time.until(() => slow.held.length === 1);
    await time.pass(2 * ANSWER_MS);
    assert.equal(slow.held.length, 1);
  }));
