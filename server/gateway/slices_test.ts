import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import { SLICE_MS, Slices } from "./slices.ts";

const nextTurn = () => new Promise<void>((resolve) => void setImmediate(resolve));

/** Holds the thread, by a clock that only it moves. */
class Thread {
  now = 1_000;
  turns = 0;
  readonly slices = new Slices({
    now: () => this.now,
    nextTurn: async () => {
      await nextTurn();
      this.turns++;
    },
  });

  /** A read that holds the thread for so long; gives the turn in which it was done. */
  read(ms: number): Promise<number> {
    return this.slices.run(async () => {
      this.now += ms;
      await Promise.resolve();
      return this.turns;
    });
  }
}

Deno.test("G11: reads of a thousand clients let others have their turn after a slice", async () => {
  const thread = new Thread();
  const turns = await Promise.all(Array.from({ length: 1_000 }, () => thread.read(1)));
  assert.deepEqual(turns, turns.toSorted((a, b) => a - b), "they are read in order");
  const perTurn = Map.groupBy(turns, (turn) => turn);
  for (const reads of perTurn.values()) assert.ok(reads.length <= SLICE_MS + 16, `${reads.length}`);
  assert.ok(perTurn.size < 1_000 / SLICE_MS, `${perTurn.size} turns`);
});

Deno.test("Slices reads at once what comes one by one", async () => {
  const thread = new Thread();
  for (let i = 0; i < 100; i++) {
    assert.equal(await thread.read(1), 0);
    thread.now += 2 * SLICE_MS;
  }
});

Deno.test("Slices goes on after reads that fail, take long, or when the clock is set back", async () => {
  const thread = new Thread();
  const failing = Array.from({ length: 20 }, () =>
    thread.slices.run(() => {
      thread.now += 3 * SLICE_MS;
      return Promise.reject(new Error("No"));
    }));
  const all = await Promise.allSettled([...failing, thread.read(1)]);
  assert.equal(all.filter(({ status }) => status === "rejected").length, 20);
  const before = thread.turns;
  assert.ok(before >= 1, `${before} turns`);
  await thread.read(SLICE_MS);
  thread.now -= 3_600_000;
  const later = await Promise.all([thread.read(1), thread.read(1), thread.read(1)]);
  assert.ok(later.every((turn) => turn <= before + 2));
});

Deno.test("Slices is not held up by one read that waits for the store", async () => {
  const thread = new Thread();
  const stuck = Promise.withResolvers<number>();
  await thread.read(SLICE_MS);
  const first = thread.slices.run(() => stuck.promise);
  const others = await Promise.all(Array.from({ length: 50 }, () => thread.read(1)));
  assert.equal(others.length, 50);
  stuck.resolve(1);
  await first;
});
