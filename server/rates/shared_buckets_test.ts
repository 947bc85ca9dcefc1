import { MemoryRecords } from "../store/_memory_server_records.ts";
import type { RecordBatch, RecordStore } from "../store/records.ts";
import assert from "node:assert/strict";
import fc from "fast-check";
import { SharedBuckets } from "./shared_buckets.ts";
import { TokenBucket } from "./token_bucket.ts";
import type { RateVerdict } from "./verdict.ts";

const START_MS = 1_793_491_200_000;

/** Records whose answers come when a scheduler says so. */
class ScheduledRecords implements RecordStore {
  readonly shared = true;
  commits = 0;

  constructor(readonly inner: RecordStore, readonly scheduler: fc.Scheduler) {}

  get(key: string): ReturnType<RecordStore["get"]> {
    return this.scheduler.schedule(Promise.resolve(), "get").then(() => this.inner.get(key));
  }

  list(range: Parameters<RecordStore["list"]>[0]): ReturnType<RecordStore["list"]> {
    return this.inner.list(range);
  }

  async commit(batch: RecordBatch): Promise<boolean> {
    await this.scheduler.schedule(Promise.resolve(), "commit");
    const done = await this.inner.commit(batch);
    if (done) this.commits++;
    await this.scheduler.schedule(Promise.resolve(), "committed");
    return done;
  }
}

const worlds = fc.record({
  perSecond: fc.integer({ min: 1, max: 500 }),
  burst: fc.integer({ min: 1, max: 20 }),
  processes: fc.integer({ min: 1, max: 4 }),
  steps: fc.array(
    fc.record({
      process: fc.nat(3),
      requests: fc.integer({ min: 1, max: 12 }),
      afterMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60 })),
    }),
    { minLength: 1, maxLength: 25 },
  ),
});

Deno.test("G11: processes that share a store admit what one bucket admits, and no more", async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), worlds, async (scheduler, world) => {
      const { perSecond, burst, processes, steps } = world;
      let ms = START_MS;
      const records = new ScheduledRecords(new MemoryRecords(() => ms), scheduler);
      const limiters = Array.from({ length: processes }, () =>
        new SharedBuckets({
          policy: "user",
          bucket: new TokenBucket({ perSecond, burst }),
          now: () => ms,
          records,
          random: () => 0.5,
          pause: () => scheduler.schedule(Promise.resolve(), "pause"),
          onError: (error) => assert.fail(String(error)),
        }));
      let asked = 0;
      let admitted = 0;
      const refused: RateVerdict[] = [];
      const takes: Promise<void>[] = [];
      const sequence = steps.map(({ process, requests, afterMs }) => () => {
        ms += afterMs;
        for (let n = 0; n < requests; n++) {
          asked++;
          const verdict = Promise.resolve(limiters[process % processes]?.take("alice"));
          takes.push(verdict.then((answer) => {
            assert.ok(answer !== undefined);
            if (answer.admitted) admitted++;
            else refused.push(answer);
            const most = burst + perSecond * (ms - START_MS) / 1000;
            assert.ok(admitted <= Math.floor(most + 1e-6), `${admitted} of ${most}`);
          }));
        }
        return Promise.resolve();
      });
      const { task } = scheduler.scheduleSequence(sequence);
      await scheduler.waitFor(task.then(() => Promise.all(takes)));
      // Everything that was there at the start and was asked for is given.
      assert.ok(admitted >= Math.min(asked, burst), `${admitted} of ${asked}, ${burst}`);
      if (ms === START_MS) assert.equal(admitted, Math.min(asked, burst));
      assert.ok(records.commits <= admitted);
      for (const { remaining, waitMs } of refused) assert.ok(remaining === 0 && waitMs > 0);
    }),
    { numRuns: 300 },
  );
});

Deno.test("G11: processes that share a store give all that comes in while there is demand", async () => {
  let ms = START_MS;
  const records = Object.assign(new MemoryRecords(() => ms), { shared: true });
  const [perSecond, burst] = [40, 10];
  const limiters = Array.from({ length: 3 }, () =>
    new SharedBuckets({
      policy: "user",
      bucket: new TokenBucket({ perSecond, burst }),
      now: () => ms,
      records,
      random: Math.random,
      pause: () => Promise.resolve(),
      onError: (error) => assert.fail(String(error)),
    }));
  let admitted = 0;
  for (let step = 0; step <= 400; step++) {
    ms = START_MS + step * 5;
    const asks = limiters.flatMap((limiter) => [limiter.take("alice"), limiter.take("alice")]);
    for (const verdict of await Promise.all(asks)) if (verdict.admitted) admitted++;
    assert.equal(admitted, Math.min((step + 1) * 6, burst + Math.floor(perSecond * step * 0.005)));
  }
  assert.equal(admitted, 10 + 80);
});

Deno.test("shared buckets ask the store once for requests that wait together", async () => {
  let ms = START_MS;
  const inner = new MemoryRecords(() => ms);
  let [gets, commits] = [0, 0];
  const records: RecordStore = {
    shared: true,
    list: (range) => inner.list(range),
    get: (key) => (gets++, inner.get(key)),
    commit: (batch) => (commits++, inner.commit(batch)),
  };
  const limiter = new SharedBuckets({
    policy: "user",
    bucket: new TokenBucket({ perSecond: 10, burst: 50 }),
    now: () => ms,
    records,
    random: () => 0,
    pause: () => Promise.resolve(),
    onError: () => {},
  });
  const verdicts = await Promise.all(Array.from({ length: 100 }, () => limiter.take("alice")));
  assert.equal(verdicts.filter(({ admitted }) => admitted).length, 50);
  assert.deepEqual([gets, commits], [1, 1]);
  // It is known to be empty, so the store is not asked at all.
  assert.equal((await limiter.take("alice")).admitted, false);
  assert.deepEqual([gets, commits], [1, 1]);
  ms += 100;
  assert.equal((await limiter.take("alice")).admitted, true);
});

Deno.test("shared buckets count by themselves while the store fails", async () => {
  const errors: unknown[] = [];
  const records: RecordStore = {
    shared: true,
    list: () => Promise.resolve([]),
    get: () => Promise.reject(new Error("The store is away")),
    commit: () => Promise.resolve(false),
  };
  const limiter = new SharedBuckets({
    policy: "user",
    bucket: new TokenBucket({ perSecond: 1, burst: 2 }),
    now: () => START_MS,
    records,
    random: () => 0,
    pause: () => Promise.resolve(),
    onError: (error) => errors.push(error),
  });
  const verdicts = [];
  for (let n = 0; n < 3; n++) verdicts.push((await limiter.take("alice")).admitted);
  assert.deepEqual(verdicts, [true, true, false]);
  assert.equal(errors.length, 3);
});

Deno.test("shared buckets give up when other processes are always faster", async () => {
  let tries = 0;
  const limiter = new SharedBuckets({
    policy: "user",
    bucket: new TokenBucket({ perSecond: 1, burst: 2 }),
    now: () => START_MS,
    records: {
      shared: true,
      list: () => Promise.resolve([]),
      get: () => Promise.resolve(undefined),
      commit: () => (tries++, Promise.resolve(false)),
    },
    random: () => 0,
    pause: () => Promise.resolve(),
    onError: () => {},
  });
  await assert.rejects(Promise.resolve(limiter.take("alice")), { code: "BACKPRESSURE" });
  assert.equal(tries, 50);
});
