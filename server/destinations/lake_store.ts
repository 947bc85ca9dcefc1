/**
 * Where a lake's objects are, as a configuration says it.
 *
 * @module
 */

import type { ByteRange, ObjectHead, ObjectStore } from "@lakesync/adapters/object-store";
import { resolve } from "node:path";
import type { LakeBucketSpec, LakeSpec } from "./spec.ts";

/** A store that may be closed. */
type Opened = ObjectStore & { readonly close?: () => Promise<void> };

/** Where a lake's objects are. */
export interface LakePlace {
  /** What their locations begin with, such as `s3://bucket/prefix`. */
  readonly root: string;
  /** What an engine must know to read them, in the words of Iceberg's catalogs; no secrets. */
  readonly reading: Readonly<Record<string, string>>;
  /** The objects; opened with the first call. */
  readonly objects: LazyObjects;
}

/** Objects whose store is opened with the first call, and again after it could not be. */
export class LazyObjects implements ObjectStore {
  readonly #open: () => Promise<Opened>;
  #opened: Promise<Opened> | undefined;
  #isClosed = false;

  /** @param open opens the store */
  constructor(open: () => Promise<Opened>) {
    this.#open = open;
  }

  #store(): Promise<Opened> {
    if (this.#isClosed) return Promise.reject(new Error("The lake is closed"));
    return this.#opened ??= this.#open().catch((error) => {
      this.#opened = undefined;
      throw error;
    });
  }

  async putObject(key: string, bytes: Uint8Array): Promise<void> {
    await (await this.#store()).putObject(key, bytes);
  }

  async createObject(key: string, bytes: Uint8Array): Promise<boolean> {
    return await (await this.#store()).createObject(key, bytes);
  }

  async getObject(key: string, range?: ByteRange): Promise<Uint8Array | undefined> {
    return await (await this.#store()).getObject(key, range);
  }

  async headObject(key: string): Promise<ObjectHead | undefined> {
    return await (await this.#store()).headObject(key);
  }

  async *listObjects(folder: string): AsyncIterable<ObjectHead> {
    yield* (await this.#store()).listObjects(folder);
  }

  async deleteObject(key: string): Promise<void> {
    await (await this.#store()).deleteObject(key);
  }

  async deleteObjects(keys: readonly string[]): Promise<void> {
    await (await this.#store()).deleteObjects(keys);
  }

  /** Closes the store, if it was opened. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const opened = await this.#opened?.catch(() => undefined);
    await opened?.close?.();
  }
}

function readingOf({ region, endpoint, pathStyle }: LakeBucketSpec): Record<string, string> {
  const place = region ?? (endpoint === undefined ? undefined : "us-east-1");
  return {
    ...(place === undefined ? {} : { "s3.region": place, "client.region": place }),
    ...(endpoint === undefined ? {} : {
      "s3.endpoint": endpoint,
      "s3.path-style-access": String(pathStyle ?? true),
    }),
  };
}

/**
 * Finds the place of a lake.
 *
 * @param spec what the configuration says
 * @param named puts the gateway's id in the place of `{gateway}`
 */
export function lakePlace(spec: LakeSpec, named: (text: string) => string): LakePlace {
  const { store = { type: "fs" } } = spec;
  if (store.type === "fs") {
    const folder = resolve(named(store.folder ?? "./lakesync-data/lake"));
    return {
      root: `file://${folder}`,
      reading: {},
      objects: new LazyObjects(async () => {
        const { openFileObjects } = await import("@lakesync/adapters/object-store/fs");
        return await openFileObjects(folder);
      }),
    };
  }
  const { type: _, ...options } = store;
  const bucket = named(options.bucket);
  const prefix = options.prefix === undefined ? undefined : named(options.prefix);
  return {
    root: prefix === undefined ? `s3://${bucket}` : `s3://${bucket}/${prefix}`,
    reading: readingOf(store),
    objects: new LazyObjects(async () => {
      const { openS3Objects } = await import("@lakesync/adapters/object-store/s3");
      return await openS3Objects({
        ...options,
        bucket,
        ...(prefix === undefined ? {} : { prefix }),
      });
    }),
  };
}
