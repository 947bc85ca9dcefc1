/**
 * Finds out whether a storage creates an object only where there is none. One that does not know of
 * it would replace the other object and say nothing.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { ObjectStoreError } from "./object_store.ts";
import type { S3Bucket } from "./s3_bucket.ts";
import { createInBucket } from "./s3_create.ts";

/**
 * Creates an object twice, and deletes it.
 *
 * @param bucket where
 * @param prefix what its key begins with
 * @param attempts how often each is tried at most
 * @throws {ObjectStoreError} `refused` when it was created twice
 */
export async function probeCreate(
  bucket: S3Bucket,
  prefix: string,
  attempts: number,
): Promise<void> {
  const key = `${prefix}lakesync-probe-${randomUUID()}`;
  // They differ, since some storages tell objects apart by nothing else.
  const create = (n: number) => createInBucket(bucket, key, Uint8Array.of(n), attempts);
  try {
    if (await create(1) && !await create(2)) return;
  } finally {
    await bucket.delete(key).catch(() => {});
  }
  throw new ObjectStoreError(
    "refused",
    "The object storage replaces objects where it is told not to (If-None-Match), so it can hold " +
      "no lake; use a storage that knows conditional writes",
  );
}
