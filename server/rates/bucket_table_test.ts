import assert from "node:assert/strict";
import { BucketTable } from "./bucket_table.ts";
import { LocalBuckets } from "./local_buckets.ts";
import { TokenBucket } from "./token_bucket.ts";

Deno.test("G11: a table of buckets forgets the full ones and never grows past its bound", () => {
  const table = new BucketTable(100);
  for (let n = 0; n < 1_000; n++) table.set(`a${n}`, 10_000n, BigInt(n));
  assert.equal(table.size, 100);
  assert.equal(table.get("a899"), 0n);
  assert.equal(table.get("a900"), 10_000n);
  for (let n = 0; n < 100; n++) table.set("b", 30_000n, 20_000n);
  assert.equal(table.size, 1);
});

Deno.test("a table of buckets forgets what was used the longest ago", () => {
  const table = new BucketTable(2);
  table.set("a", 100n, 0n);
  table.set("b", 100n, 0n);
  table.set("a", 110n, 0n);
  table.set("c", 100n, 0n);
  assert.deepEqual(["a", "b", "c"].map((key) => table.get(key)), [110n, 0n, 100n]);
});

Deno.test("buckets of a process are one for each key", () => {
  let ms = 0;
  const bucket = new TokenBucket({ perSecond: 1, burst: 2 });
  const buckets = new LocalBuckets({ policy: "user", bucket, now: () => ms });
  const ask = (key: string) => buckets.take(key).admitted;
  assert.deepEqual([ask("a"), ask("a"), ask("a"), ask("b")], [true, true, false, true]);
  ms = 1_000;
  assert.deepEqual([ask("a"), ask("a")], [true, false]);
});
