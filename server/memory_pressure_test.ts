import { LakeSyncError } from "@lakesync/core";
import assert from "node:assert/strict";
import { MemoryPressure } from "./memory_pressure.ts";

/** A process of 1,000 bytes and a heap of 1,000, whose memory tests hold in their hands. */
class Bench {
  now = 0;
  rss = 100;
  heap = 10;
  garbage = 0;
  collections = 0;
  readonly pressure = new MemoryPressure({
    maxBytes: 1_000,
    maxHeapBytes: 1_000,
    now: () => this.now,
    read: () => ({ rssBytes: this.rss + this.garbage, heapBytes: this.heap + this.garbage }),
    collect: () => {
      this.collections++;
      this.garbage = 0;
    },
  });

  at(ms: number, rss: number, heap = 10): boolean {
    Object.assign(this, { now: ms, rss, heap });
    return this.pressure.isHigh;
  }
}

Deno.test("G11: MemoryPressure is entered above the limit and left below nine tenths of it", () => {
  const bench = new Bench();
  const seen = [1_000, 1_001, 950, 901, 900, 950, 1_000, 1_001].map((rss, i) =>
    bench.at(i * 100, rss)
  );
  assert.deepEqual(seen, [false, true, true, true, false, false, false, true]);
});

Deno.test("G11: MemoryPressure is left after a while somewhat below the limit, not above it", () => {
  const bench = new Bench();
  assert.equal(bench.at(0, 1_001), true);
  assert.equal(bench.at(9_999, 950), true);
  assert.equal(bench.at(10_020, 950), false);
  assert.equal(bench.at(20_000, 1_001), true);
  assert.equal(bench.at(60_000, 1_001), true);
});

Deno.test("G11: MemoryPressure knows of V8's own limit", () => {
  const bench = new Bench();
  assert.equal(bench.at(0, 100, 850), false);
  assert.equal(bench.at(100, 100, 851), true);
});

Deno.test("MemoryPressure turns nothing away for garbage, and collects it seldom", () => {
  const bench = new Bench();
  bench.garbage = 2_000;
  assert.equal(bench.at(0, 500), false);
  for (let ms = 100; ms < 2_000; ms += 100) assert.equal(bench.at(ms, 1_500), true);
  assert.equal(bench.collections, 1);
  bench.at(2_000, 1_500);
  assert.equal(bench.collections, 2);
});

Deno.test("G11: MemoryPressure refuses with when to come back", () => {
  const bench = new Bench();
  bench.pressure.check();
  bench.rss = 2_000;
  bench.now = 100;
  assert.throws(() => bench.pressure.check(), (error) => {
    assert.ok(error instanceof LakeSyncError);
    assert.equal(error.code, "BACKPRESSURE");
    assert.equal(error.details.retryAfterSeconds, 2);
    return true;
  });
  assert.equal(bench.pressure.refused, 1);
});
