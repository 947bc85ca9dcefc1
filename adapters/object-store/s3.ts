/**
 * Objects in a bucket of an object storage that speaks S3: AWS, and others that take the place of it.
 * Of the conditional requests that S3 has, only one is relied on: to put an object, in one piece, if
 * there is none.
 *
 * @module
 */

import {
  type ByteRange,
  checkObjectKey,
  isObjectKey,
  locateRange,
  type ObjectHead,
  type ObjectStore,
  ObjectStoreError,
} from "./object_store.ts";
import { S3Bucket } from "./s3_bucket.ts";
import { createInBucket } from "./s3_create.ts";
import { probeCreate } from "./s3_probe.ts";
import { S3Failure } from "./s3_failure.ts";
import { completeS3Options, type S3Options, type S3Settings } from "./s3_options.ts";
import { uploadToBucket } from "./s3_upload.ts";

export type { S3Options } from "./s3_options.ts";

/** Objects in a bucket. */
export interface S3Objects extends ObjectStore, AsyncDisposable {
  /** Ends all requests and closes all connections; every method fails from now on. */
  close(): Promise<void>;
}

const DELETED_AT_ONCE = 1_000;
/** Reasons for which an object was not deleted that may be gone in the next attempt. */
const DELETE_AGAIN = ["InternalError", "SlowDown", "ServiceUnavailable"];

class BucketObjects implements S3Objects {
  readonly #bucket: S3Bucket;
  readonly #settings: S3Settings;
  readonly #prefix: string;
  #probed: Promise<void> | undefined;

  constructor(bucket: S3Bucket, settings: S3Settings) {
    this.#bucket = bucket;
    this.#settings = settings;
    this.#prefix = settings.prefix === "" ? "" : `${settings.prefix}/`;
  }

  #key(key: string): string {
    return this.#prefix + checkObjectKey(key);
  }

  async putObject(key: string, bytes: Uint8Array): Promise<void> {
    const at = this.#key(key);
    const { multipartBytes, partBytes } = this.#settings;
    if (bytes.length > multipartBytes) {
      await uploadToBucket(this.#bucket, at, bytes, partBytes);
    } else {
      await this.#bucket.calls.retry(
        "PutObject",
        (attempt) => this.#bucket.put(at, bytes, attempt),
      );
    }
  }

  async createObject(key: string, bytes: Uint8Array): Promise<boolean> {
    const at = this.#key(key);
    await this.#probe();
    return await createInBucket(this.#bucket, at, bytes, this.#settings.attempts);
  }

  /** Once, since the answer stays the same. */
  async #probe(): Promise<void> {
    const { attempts } = this.#settings;
    const probed = this.#probed ??= probeCreate(this.#bucket, this.#prefix, attempts);
    try {
      await probed;
    } catch (error) {
      if (this.#probed === probed) this.#probed = undefined;
      // Of the object that was to be created it is known that it was not.
      if (!(error instanceof ObjectStoreError && error.failure === "unknown")) throw error;
      throw new ObjectStoreError("unreachable", "The object storage fails, try later", {
        cause: error,
      });
    }
  }

  async getObject(key: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    const at = this.#key(key);
    locateRange(range, 0);
    if (range === undefined) return (await this.#bucket.get(at))?.bytes;
    const { start, length } = range;
    if (length === 0) return await this.#empty(at);
    const last = length === undefined ? "" : start + length - 1;
    const header = start < 0 ? `bytes=${start}` : `bytes=${start}-${last}`;
    try {
      const read = await this.#bucket.get(at, header);
      if (read === undefined) return undefined;
      const { bytes, whole } = read;
      return bytes.subarray(...whole ? locateRange(range, bytes.length) : [0, length]);
    } catch (error) {
      if (error instanceof S3Failure && error.verdict === "range") return await this.#empty(at);
      throw error;
    }
  }

  async #empty(at: string): Promise<Uint8Array | undefined> {
    return await this.#bucket.head(at) && new Uint8Array();
  }

  async headObject(key: string): Promise<ObjectHead | undefined> {
    const head = await this.#bucket.head(this.#key(key));
    return head && { key, bytes: head.bytes, modifiedMs: head.modifiedMs };
  }

  async *listObjects(folder: string): AsyncGenerator<ObjectHead> {
    const prefix = folder === "" ? this.#prefix : `${this.#key(folder)}/`;
    for await (const head of this.#bucket.list(prefix)) {
      const key = head.key.slice(this.#prefix.length);
      // Others may keep objects here too.
      if (isObjectKey(key)) yield { ...head, key };
    }
  }

  async deleteObject(key: string): Promise<void> {
    await this.#bucket.delete(this.#key(key));
  }

  async deleteObjects(keys: readonly string[]): Promise<void> {
    const all = [...new Set(keys.map((key) => this.#key(key)))];
    for (let from = 0; from < all.length; from += DELETED_AT_ONCE) {
      await this.#deleteSome(all.slice(from, from + DELETED_AT_ONCE));
    }
  }

  async #deleteSome(keys: readonly string[]): Promise<void> {
    for (let left = keys, tries = 1;; tries++) {
      const failed = await this.#bucket.deleteMany(left);
      const [first] = failed;
      if (first === undefined) return;
      const [key, code] = failed.find(([, code]) => !DELETE_AGAIN.includes(code)) ?? first;
      const passing = DELETE_AGAIN.includes(code);
      if (!passing || tries >= this.#settings.attempts) {
        throw new ObjectStoreError(
          passing ? "unreachable" : "refused",
          `${failed.length} of ${keys.length} objects were not deleted, among them ` +
            `${key.slice(this.#prefix.length)} (${code})`,
          { code },
        );
      }
      left = failed.map(([key]) => key);
      await this.#bucket.calls.backOff("DeleteObjects", tries);
    }
  }

  async close(): Promise<void> {
    await this.#bucket.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Opens a bucket. Nothing is sent to it before the first call. The client is loaded here and not when
 * this module is imported; with credentials and a region or an endpoint given it reads no files and
 * needs no variables of the environment, though it asks for some.
 *
 * @param options how to reach and use it
 * @throws {ObjectStoreError} `refused` when an option is out of bounds or the region is not known
 *
 * @example
 * ```ts
 * import { openS3Objects } from "@lakesync/adapters/object-store/s3";
 *
 * const objects = await openS3Objects({
 *   bucket: "lake",
 *   endpoint: "http://127.0.0.1:9000",
 *   accessKeyId: "name",
 *   secretAccessKey: "secret",
 * });
 * await objects.close();
 * ```
 */
export async function openS3Objects(options: S3Options): Promise<S3Objects> {
  const settings = completeS3Options(options);
  const bucket = new S3Bucket(await import("@aws-sdk/client-s3"), settings);
  await bucket.findRegion();
  return new BucketObjects(bucket, settings);
}
