/** Objects in a folder, and a bucket that nobody serves: its client comes with the package. */

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFileObjects } from "@lakesync/adapters/object-store/fs";
import { openS3Objects } from "@lakesync/adapters/object-store/s3";

const folder = await mkdtemp(join(tmpdir(), "lakesync-objects-"));
const objects = await openFileObjects(folder);
const racers = Array.from({ length: 10 }, (_, n) => n);
const created = await Promise.all(
  racers.map((n) => objects.createObject("a/b", Uint8Array.of(n, 7))),
);
assert.equal(created.filter(Boolean).length, 1);
assert.deepEqual(await objects.getObject("a/b", { start: -1 }), Uint8Array.of(7));
assert.equal(await objects.getObject("a"), undefined);
await objects.deleteObjects(["a/b", "a/c"]);
for await (const { key } of objects.listObjects("")) assert.fail(key);
await rm(folder, { recursive: true });

const bucket = await openS3Objects({
  bucket: "lake",
  endpoint: "http://127.0.0.1:1",
  accessKeyId: "name",
  secretAccessKey: "secret",
  attempts: 2,
});
await assert.rejects(bucket.getObject("a"), { failure: "unreachable", code: "ECONNREFUSED" });
await bucket.close();
await assert.rejects(bucket.getObject("a"), { failure: "closed" });
console.log("ok");
