/**
 * The requests to one bucket, each made until it has succeeded or no attempt will help. Keys are
 * those in the bucket.
 *
 * @module
 */

import type { GetObjectCommandOutput, S3Client } from "@aws-sdk/client-s3";
import { type ObjectHead, ObjectStoreError } from "./object_store.ts";
import { type Attempt, S3Calls } from "./s3_calls.ts";
import { openClient, type Sdk } from "./s3_client.ts";
import { S3Failure } from "./s3_failure.ts";
import type { S3Settings } from "./s3_options.ts";

/** What is known of an object without reading it. */
export interface S3Head {
  readonly bytes: number;
  readonly modifiedMs: number;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Bytes of an object, and how many it has. */
export interface S3Bytes {
  readonly bytes: Uint8Array;
  /** Whether they are the whole object, though a part was asked for. */
  readonly whole: boolean;
}

/** When an object was kept. One whose age the storage does not tell is never old. */
function keptAt(at: Date | undefined): number {
  return at?.getTime() ?? Date.now();
}

function isParts(body: unknown): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}

/** Reads an answer to its end. One that ends early is no answer. */
async function readBody(answer: GetObjectCommandOutput, touch: () => void): Promise<Uint8Array> {
  const { Body: body, ContentLength: length } = answer;
  if (!isParts(body)) throw new Error("The answer has no body");
  // Some proxies take the length away, and then the encoding tells of the end.
  if (length === undefined) return await joined(body, touch);
  const bytes = new Uint8Array(length);
  let at = 0;
  for await (const part of body) {
    touch();
    if (at + part.length > length) throw new Error("The answer is longer than it said");
    bytes.set(part, at);
    at += part.length;
  }
  if (at < length) throw new Error("The answer ended early");
  return bytes;
}

async function joined(body: AsyncIterable<Uint8Array>, touch: () => void): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body) {
    touch();
    parts.push(part);
    length += part.length;
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** One bucket. */
export class S3Bucket {
  /** Makes the requests. */
  readonly calls: S3Calls;
  readonly #sdk: Sdk;
  readonly #client: S3Client;
  readonly #bucket: string;

  /**
   * Makes a client; nothing is sent yet.
   *
   * @param sdk the client's module
   * @param settings how to reach the bucket
   */
  constructor(sdk: Sdk, settings: S3Settings) {
    this.#sdk = sdk;
    this.#client = openClient(sdk, settings);
    this.#bucket = settings.bucket;
    this.calls = new S3Calls(settings);
  }

  /**
   * Finds out the region.
   *
   * @throws {ObjectStoreError} `refused` when there is none
   */
  async findRegion(): Promise<void> {
    try {
      await this.#client.config.region();
    } catch {
      throw new ObjectStoreError("refused", "The region of the bucket is not known, set it");
    }
  }

  /** Puts an object in one request, once. */
  async put(
    key: string,
    bytes: Uint8Array,
    { signal }: Attempt,
    how: { readonly metadata?: Record<string, string>; readonly ifNone?: boolean } = {},
  ): Promise<void> {
    await this.#client.send(
      new this.#sdk.PutObjectCommand({
        Bucket: this.#bucket,
        Key: key,
        Body: bytes,
        ContentLength: bytes.length,
        ...how.metadata && { Metadata: how.metadata },
        ...how.ifNone && { IfNoneMatch: "*" },
      }),
      { abortSignal: signal },
    );
  }

  /** Reads an object, or the part of it that a header of HTTP names. */
  async get(key: string, range?: string): Promise<S3Bytes | undefined> {
    return await this.#orMissing(
      this.calls.retry("GetObject", async ({ signal, touch }) => {
        const answer = await this.#client.send(
          new this.#sdk.GetObjectCommand({
            Bucket: this.#bucket,
            Key: key,
            ...range !== undefined && { Range: range },
          }),
          { abortSignal: signal },
        );
        const bytes = await readBody(answer, touch);
        return { bytes, whole: answer.ContentRange === undefined };
      }),
    );
  }

  /** Asks for an object. */
  async head(key: string): Promise<S3Head | undefined> {
    return await this.#orMissing(
      this.calls.retry("HeadObject", async ({ signal }) => {
        const answer = await this.#client.send(
          new this.#sdk.HeadObjectCommand({ Bucket: this.#bucket, Key: key }),
          { abortSignal: signal },
        );
        return {
          bytes: answer.ContentLength ?? 0,
          modifiedMs: keptAt(answer.LastModified),
          metadata: answer.Metadata ?? {},
        };
      }),
    );
  }

  /** Lists objects whose keys begin with a text. */
  async *list(prefix: string): AsyncGenerator<ObjectHead> {
    for (let token: string | undefined, first = true; first || token !== undefined;) {
      const answer = await this.calls.retry("ListObjectsV2", ({ signal }) =>
        this.#client.send(
          new this.#sdk.ListObjectsV2Command({
            Bucket: this.#bucket,
            Prefix: prefix,
            ...token !== undefined && { ContinuationToken: token },
          }),
          { abortSignal: signal },
        ));
      for (const { Key: key, Size: bytes, LastModified: at } of answer.Contents ?? []) {
        if (key !== undefined) yield { key, bytes: bytes ?? 0, modifiedMs: keptAt(at) };
      }
      token = answer.IsTruncated ? answer.NextContinuationToken : undefined;
      first = false;
    }
  }

  /** Deletes an object. */
  async delete(key: string): Promise<void> {
    await this.#orMissing(
      this.calls.retry("DeleteObject", ({ signal }) =>
        this.#client.send(
          new this.#sdk.DeleteObjectCommand({ Bucket: this.#bucket, Key: key }),
          { abortSignal: signal },
        )),
    );
  }

  /**
   * Deletes up to 1,000 objects in one request.
   *
   * @returns those that were not deleted, with the storage's reasons
   */
  async deleteMany(keys: readonly string[]): Promise<readonly [key: string, code: string][]> {
    const answer = await this.calls.retry("DeleteObjects", ({ signal }) =>
      this.#client.send(
        new this.#sdk.DeleteObjectsCommand({
          Bucket: this.#bucket,
          Delete: { Quiet: true, Objects: keys.map((key) => ({ Key: key })) },
        }),
        { abortSignal: signal },
      ));
    return (answer.Errors ?? []).flatMap(({ Key: key, Code: code }): [string, string][] =>
      code === "NoSuchKey" ? [] : [[key ?? "", code ?? ""]]
    );
  }

  /** Begins an upload in parts, and gives its name. */
  async beginUpload(key: string, metadata: Record<string, string>): Promise<string> {
    return await this.calls.retry("CreateMultipartUpload", async ({ signal }) => {
      const { UploadId: id } = await this.#client.send(
        new this.#sdk.CreateMultipartUploadCommand({
          Bucket: this.#bucket,
          Key: key,
          Metadata: metadata,
        }),
        { abortSignal: signal },
      );
      if (id === undefined) throw new Error("The answer names no upload");
      return id;
    });
  }

  /** Puts a part, from 1, and gives its tag. */
  async putPart(key: string, upload: string, part: number, bytes: Uint8Array): Promise<string> {
    return await this.calls.retry("UploadPart", async ({ signal }) => {
      const { ETag: tag } = await this.#client.send(
        new this.#sdk.UploadPartCommand({
          Bucket: this.#bucket,
          Key: key,
          UploadId: upload,
          PartNumber: part,
          Body: bytes,
          ContentLength: bytes.length,
        }),
        { abortSignal: signal },
      );
      if (tag === undefined) throw new Error("The answer names no tag");
      return tag;
    });
  }

  /** Makes an object of the parts, by their tags. */
  async completeUpload(key: string, upload: string, tags: readonly string[]): Promise<void> {
    await this.calls.retry("CompleteMultipartUpload", ({ signal }) =>
      this.#client.send(
        new this.#sdk.CompleteMultipartUploadCommand({
          Bucket: this.#bucket,
          Key: key,
          UploadId: upload,
          MultipartUpload: { Parts: tags.map((tag, n) => ({ ETag: tag, PartNumber: n + 1 })) },
        }),
        { abortSignal: signal },
      ));
  }

  /** Gives up an upload and its parts. */
  async abortUpload(key: string, upload: string): Promise<void> {
    await this.calls.retry("AbortMultipartUpload", ({ signal }) =>
      this.#client.send(
        new this.#sdk.AbortMultipartUploadCommand({
          Bucket: this.#bucket,
          Key: key,
          UploadId: upload,
        }),
        { abortSignal: signal },
      ));
  }

  /** Ends all requests and closes all connections. */
  async close(): Promise<void> {
    await this.calls.close();
    this.#client.destroy();
  }

  async #orMissing<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof S3Failure && error.verdict === "missing") return undefined;
      throw error;
    }
  }
}
