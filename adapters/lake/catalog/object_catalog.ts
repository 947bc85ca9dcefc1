/**
 * A catalog that is the object store alone: the newest metadata object of a table is the table. Who
 * creates the next one, where there is none, has committed.
 *
 * @module
 */

import { atOnce } from "../../at_once.ts";
import { ObjectStoreError } from "../../object-store/object_store.ts";
import { formatJson } from "../iceberg/json.ts";
import type { LakeFiles } from "../iceberg/lake_files.ts";
import {
  MetadataError,
  parseMetadata,
  snapshotOfRef,
  type TableMetadata,
} from "../iceberg/metadata.ts";
import { applyUpdates, type TableUpdate } from "../iceberg/updates.ts";
import { nameOfFolder, tableFolder } from "../location.ts";
import { type Catalog, CatalogError, type LoadedTable, type TableName } from "./catalog.ts";
import { Hints } from "./hints.ts";
import { KEPT_VERSIONS, metadataKey, newestVersion, tablesFolder, versionOf } from "./versions.ts";

/** What the catalog needs. */
export interface ObjectCatalogSettings extends LakeFiles {
  /** The time, in milliseconds since 1970. */
  readonly now?: () => number;
}

/** Old metadata is deleted after an hour, so whoever commits to older may write into a gap. */
const TRUSTED_MS = 5 * 60_000;
const ATTEMPTS = 2;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** Of an object that a store refused to create, or could not, it is known that it was not created. */
function isUndone(error: unknown): error is ObjectStoreError {
  return error instanceof ObjectStoreError && ["refused", "unreachable"].includes(error.failure);
}

function storeFailed(error: ObjectStoreError): CatalogError {
  const failure = error.failure === "refused" ? "refused" : "unreachable";
  return new CatalogError(failure, error.message, { cause: error });
}

function unreachable(error: unknown): never {
  if (error instanceof CatalogError || error instanceof MetadataError) throw error;
  if (error instanceof ObjectStoreError) throw storeFailed(error);
  const message = because("The object store fails", error);
  throw new CatalogError("unreachable", message, { cause: error });
}

/** Ends a message with what went wrong, which whoever is to mend it has to know. */
function because(message: string, cause: unknown): string {
  return `${message}: ${cause instanceof Error ? cause.message : String(cause)}`;
}

class ObjectCatalog implements Catalog {
  readonly #lake: LakeFiles;
  readonly #now: () => number;
  readonly #hints: Hints;
  /** When tables were found to be as they are. */
  readonly #seenMs = new WeakMap<LoadedTable, number>();

  constructor({ store, location, now = Date.now }: ObjectCatalogSettings) {
    this.#lake = { store, location };
    this.#now = now;
    this.#hints = new Hints(store);
  }

  async list(namespace: string): Promise<readonly TableName[]> {
    const folder = tablesFolder(namespace);
    const tables: TableName[] = [];
    try {
      for await (const { key } of this.#lake.store.listObjects(folder)) {
        tables.push({ namespace, name: nameOfFolder(key.slice(folder.length + 1)) });
      }
      const versions = await atOnce(tables.map((table) => () => this.#newest(table)));
      return tables.filter((_, i) => versions[i] !== undefined);
    } catch (error) {
      unreachable(error);
    }
  }

  #newest(table: TableName): Promise<number | undefined> {
    return newestVersion(this.#lake.store, table);
  }

  #loaded(
    table: TableName,
    version: number,
    metadata: TableMetadata,
    seenMs: number,
  ): LoadedTable {
    const loaded: LoadedTable = {
      table,
      metadata,
      metadataLocation: this.#lake.location.of(metadataKey(table, version)),
      snapshot: snapshotOfRef(metadata),
    };
    this.#seenMs.set(loaded, seenMs);
    return loaded;
  }

  async load(table: TableName): Promise<LoadedTable | undefined> {
    try {
      // What was the newest may be gone when it is read, but not again and again.
      for (let tries = 0;; tries++) {
        const seenMs = this.#now();
        const version = await this.#newest(table);
        if (version === undefined) return undefined;
        const bytes = await this.#lake.store.getObject(metadataKey(table, version));
        if (bytes !== undefined) {
          return this.#loaded(table, version, parseMetadata(decoder.decode(bytes)), seenMs);
        }
        if (tries === 2) throw new Error("The newest metadata is listed, but is not there");
      }
    } catch (error) {
      unreachable(error);
    }
  }

  async create(table: TableName, metadata: TableMetadata): Promise<LoadedTable> {
    const seenMs = this.#now();
    const expected = this.#lake.location.of(tableFolder(table));
    if (metadata.location !== expected) {
      throw new CatalogError("refused", `The table must be at ${expected}`);
    }
    try {
      if (await this.#newest(table) !== undefined) {
        throw new CatalogError("conflict", "There is such a table already");
      }
      const [, folder = ""] = tableFolder(table).split("/");
      const mark = `${tablesFolder(table.namespace)}/${folder}`;
      await this.#lake.store.putObject(mark, encoder.encode(table.name));
    } catch (error) {
      unreachable(error);
    }
    return await this.#put(table, 1, metadata, seenMs);
  }

  async commit(base: LoadedTable, updates: readonly TableUpdate[]): Promise<LoadedTable> {
    const { metadata, metadataLocation, table } = base;
    const version = versionOf(metadataLocation);
    if (version === undefined) {
      throw new CatalogError("refused", `${metadataLocation} is no metadata of this catalog`);
    }
    const log = [
      ...metadata["metadata-log"] ?? [],
      { "metadata-file": metadataLocation, "timestamp-ms": metadata["last-updated-ms"] },
    ];
    const next = { ...this.#apply(base, updates), "metadata-log": log.slice(-KEPT_VERSIONS) };
    await this.#checkThere(base, updates);
    return await this.#put(table, version + 1, next, this.#seenMs.get(base) ?? 0);
  }

  /**
   * Holds what is committed to against what is there, where the objects may have been put back to an
   * older copy. Who makes a snapshot has read the one before, and would have found out.
   */
  async #checkThere(base: LoadedTable, updates: readonly TableUpdate[]): Promise<void> {
    if (updates.some(({ action }) => action === "add-snapshot")) return;
    const key = metadataKey(base.table, versionOf(base.metadataLocation) ?? 0);
    const found = await this.#lake.store.headObject(key).catch(unreachable);
    if (found === undefined) {
      throw new CatalogError("conflict", "The table is no longer what it was when it was read");
    }
  }

  #apply({ metadata }: LoadedTable, updates: readonly TableUpdate[]): TableMetadata {
    try {
      return applyUpdates(metadata, updates, this.#now());
    } catch (cause) {
      throw new CatalogError("refused", "The table cannot be changed so", { cause });
    }
  }

  /** Makes a version the newest; `seenMs` is when the one before was. */
  async #put(
    table: TableName,
    version: number,
    metadata: TableMetadata,
    seenMs: number,
  ): Promise<LoadedTable> {
    const bytes = encoder.encode(formatJson(metadata));
    const created = await this.#create(metadataKey(table, version), bytes);
    if (!created) {
      throw new CatalogError("conflict", "The table has changed since it was read");
    }
    const now = this.#now();
    if (now < seenMs || now > seenMs + TRUSTED_MS) await this.#verify(table, version);
    this.#hints.tell(table, version);
    return this.#loaded(table, version, metadata, now);
  }

  /**
   * Creates an object, and finds out whether it was.
   *
   * @throws {CatalogError} `unknown` when it may be there, or come to be there
   */
  async #create(key: string, bytes: Uint8Array): Promise<boolean> {
    const { store } = this.#lake;
    let doubt = false;
    for (let attempt = 1;; attempt++) {
      try {
        // Ours may be there from an attempt that was not answered.
        if (await store.createObject(key, bytes)) return true;
        const found = await store.getObject(key);
        if (found !== undefined) return sameBytes(found, bytes);
        throw new Error("The metadata is there and is not there");
      } catch (error) {
        doubt ||= !isUndone(error);
        if (attempt < ATTEMPTS) continue;
        if (!doubt && isUndone(error)) throw storeFailed(error);
        const message = because("It is not known whether the commit has come into force", error);
        throw new CatalogError("unknown", message, { cause: error });
      }
    }
  }

  /**
   * Holds what was written against newer metadata: it may fill a gap where old ones were deleted.
   *
   * @throws {CatalogError} `conflict` when it does
   */
  async #verify(table: TableName, version: number): Promise<void> {
    let isGap: boolean;
    try {
      const newest = await this.#newest(table) ?? 0;
      if (newest - version <= KEPT_VERSIONS) return;
      const after = await this.#lake.store.headObject(metadataKey(table, version + 1));
      isGap = after === undefined;
    } catch (error) {
      const message = because("It is not known whether the commit was made too late", error);
      throw new CatalogError("unknown", message, { cause: error });
    }
    throw isGap
      ? new CatalogError("conflict", "The table has changed since it was read, long ago")
      : new CatalogError("unknown", "The table has changed a lot since the commit");
  }

  rename(from: TableName): Promise<TableName> {
    return Promise.resolve(from);
  }

  async close(): Promise<void> {
    await this.#hints.close();
  }
}

/**
 * Makes a catalog of an object store. A table is the folder of its namespace and name, with
 * `metadata/v{N}.metadata.json`, N from 1.
 *
 * @param settings where the objects are
 */
export function objectCatalog(settings: ObjectCatalogSettings): Catalog {
  return new ObjectCatalog(settings);
}
