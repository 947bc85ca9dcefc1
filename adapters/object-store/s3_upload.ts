/**
 * Puts a large object in parts. The object is there when all parts are, as with one request.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { atOnce } from "../at_once.ts";
import type { S3Bucket } from "./s3_bucket.ts";
import { NAME_METADATA } from "./s3_create.ts";

const MAX_PARTS = 10_000;
const PARTS_AT_ONCE = 4;

/**
 * Puts an object in parts.
 *
 * @param bucket where
 * @param key its key in the bucket
 * @param bytes what is in it
 * @param partBytes how large parts are, as long as they are not too many
 * @throws {ObjectStoreError} when it fails; what was uploaded is given up then
 */
export async function uploadToBucket(
  bucket: S3Bucket,
  key: string,
  bytes: Uint8Array,
  partBytes: number,
): Promise<void> {
  const name = randomUUID();
  const size = Math.max(partBytes, Math.ceil(bytes.length / MAX_PARTS));
  const upload = await bucket.beginUpload(key, { [NAME_METADATA]: name });
  try {
    const tags = await putParts(bucket, key, upload, bytes, size);
    try {
      await bucket.completeUpload(key, upload, tags);
    } catch (error) {
      // An earlier attempt may have come through, and its answer was lost.
      if ((await bucket.head(key))?.metadata[NAME_METADATA] !== name) throw error;
    }
  } catch (error) {
    await bucket.abortUpload(key, upload).catch(() => {});
    throw error;
  }
}

/** Puts some parts at a time, and none any more when one has failed. */
async function putParts(
  bucket: S3Bucket,
  key: string,
  upload: string,
  bytes: Uint8Array,
  size: number,
): Promise<readonly string[]> {
  const count = Math.ceil(bytes.length / size);
  const tags: string[] = new Array(count);
  let next = 0;
  const work = async () => {
    try {
      while (next < count) {
        const part = next++;
        const piece = bytes.subarray(part * size, (part + 1) * size);
        tags[part] = await bucket.putPart(key, upload, part + 1, piece);
      }
    } catch (error) {
      next = count;
      throw error;
    }
  };
  await atOnce(Array.from({ length: PARTS_AT_ONCE }, () => work));
  return tags;
}
