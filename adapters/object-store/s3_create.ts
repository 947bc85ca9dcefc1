/**
 * Creates an object if there is none of its key. The answer to the only request that does may be
 * lost, and a proxy may send the request again, so an answer that does not say what became of it is
 * followed by a look at the object. The object has the name of its creation in its metadata, by which
 * the one who created it knows it from one with the same bytes.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { ObjectStoreError } from "./object_store.ts";
import type { S3Bucket } from "./s3_bucket.ts";
import { S3Failure } from "./s3_failure.ts";

/** The metadata with the name of a creation or an upload. */
export const NAME_METADATA = "lakesync-write";

const WHAT = "PutObject";

/** Whose an object is. */
type Whose = "ours" | "another's" | "nobody's";

/**
 * Creates an object.
 *
 * @param bucket where
 * @param key its key in the bucket
 * @param bytes what is in it
 * @param attempts how often it is tried at most
 * @returns whether it was created; false when there is another one
 * @throws {ObjectStoreError} `unknown` when it may be there or come to be there
 */
export async function createInBucket(
  bucket: S3Bucket,
  key: string,
  bytes: Uint8Array,
  attempts: number,
): Promise<boolean> {
  const name = randomUUID();
  const metadata = { [NAME_METADATA]: name };
  let doubt = false;
  for (let tries = 1;; tries++) {
    try {
      await bucket.calls.once(
        WHAT,
        (attempt) => bucket.put(key, bytes, attempt, { metadata, ifNone: true }),
      );
      return true;
    } catch (error) {
      if (!(error instanceof S3Failure)) throw error;
      const { verdict } = error;
      doubt ||= verdict === "doubt" || verdict === "abandoned";
      if (verdict === "doubt" || verdict === "exists") {
        const whose = await look(bucket, key, bytes, name);
        if (whose !== "nobody's") return whose === "ours";
        // One that was there was deleted in the same moment.
      } else if (!error.again) {
        throw doubt ? unknown(error) : error;
      }
      if (tries >= attempts) throw doubt ? unknown(error) : error;
      await bucket.calls.backOff(WHAT, tries).catch((closed) => {
        throw doubt ? unknown(closed) : closed;
      });
    }
  }
}

async function look(
  bucket: S3Bucket,
  key: string,
  bytes: Uint8Array,
  name: string,
): Promise<Whose> {
  try {
    const head = await bucket.head(key);
    if (head === undefined) return "nobody's";
    const found = head.metadata[NAME_METADATA];
    if (found !== undefined) return found === name ? "ours" : "another's";
    // Some storages keep no metadata.
    if (head.bytes !== bytes.length) return "another's";
    const read = await bucket.get(key);
    if (read === undefined) return "nobody's";
    return equal(read.bytes, bytes) ? "ours" : "another's";
  } catch (error) {
    throw unknown(error);
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

function unknown(error: unknown): ObjectStoreError {
  const code = error instanceof ObjectStoreError ? error.code : undefined;
  return new ObjectStoreError(
    "unknown",
    `It is not known whether the object was created (${code ?? "no answer"}), it may come to be ` +
      "there: look for it before anything is done about it",
    { cause: error, ...code !== undefined && { code } },
  );
}
