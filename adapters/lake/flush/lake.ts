/**
 * What a flush to a lake works with, and how what goes wrong there is told.
 *
 * @module
 */

import { DestinationError, type RetryKind } from "../../adapter.ts";
import { ObjectStoreError } from "../../object-store/object_store.ts";
import {
  type Catalog,
  CatalogError,
  type CatalogFailure,
  type LoadedTable,
} from "../catalog/catalog.ts";
import { type LakeFiles, MissingObjectError } from "../iceberg/lake_files.ts";
import { MetadataError, snapshotById } from "../iceberg/metadata.ts";
import type { SnapshotPlan } from "../iceberg/snapshot.ts";
import type { TableUpdate } from "../iceberg/updates.ts";
import type { ParquetReader, ParquetWriter } from "../parquet/parquet.ts";
import { PROPERTY } from "./properties.ts";

/** What a flush to a lake works with. */
export interface Lake extends LakeFiles {
  /** Knows the tables. */
  readonly catalog: Catalog;
  /** What the tables are under. */
  readonly namespace: string;
  /** Writes files of changes. */
  readonly writer: ParquetWriter;
  /** Reads them. */
  readonly reader: ParquetReader;
  /** The clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** Lets others have their turn. */
  readonly nextTurn: () => Promise<void>;
}

const RETRY: Readonly<Record<CatalogFailure, RetryKind>> = {
  conflict: "now",
  unknown: "later",
  refused: "stop",
  unreachable: "later",
};

/**
 * Tells what went wrong as a destination does.
 *
 * @param error what was thrown
 */
export function lakeError(error: unknown): DestinationError {
  if (error instanceof DestinationError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof CatalogError) {
    return new DestinationError(RETRY[error.failure], message, { cause: error });
  }
  const isRefused = error instanceof ObjectStoreError && error.failure === "refused";
  const retry = error instanceof MetadataError || isRefused ? "stop" : "later";
  return new DestinationError(retry, message, { cause: error });
}

/** So often a commit is made anew on what maintenance has committed meanwhile. */
const MAX_REBASES = 8;

/** What a commit does to a table. */
export interface Commit {
  /** Its snapshot; none where only properties change. */
  readonly plan?: SnapshotPlan;
  /** Properties that it sets. */
  readonly properties: Readonly<Record<string, string>>;
}

/**
 * Commits to a table, if its position is still the one that is known. Maintenance, which leaves the
 * position alone, may have committed meanwhile; then the commit is made anew on top of that.
 *
 * @param lake the lake
 * @param known the table as it is known
 * @param make makes what is to be done to the table as it is
 * @returns the table after it
 * @throws {CatalogError} `conflict` when the position was moved by somebody else
 */
export async function commitTo(
  lake: Lake,
  known: LoadedTable,
  make: (base: LoadedTable) => Promise<Commit>,
): Promise<LoadedTable> {
  let base = known;
  for (let tries = 0;; tries++) {
    let written: SnapshotPlan | undefined;
    try {
      const { plan, properties } = await make(base);
      written = plan;
      for (const { key, bytes } of plan?.objects ?? []) await lake.store.putObject(key, bytes);
      const updates: TableUpdate[] = [
        ...plan?.updates ?? [],
        { action: "set-properties", updates: properties },
      ];
      return await lake.catalog.commit(base, updates);
    } catch (error) {
      const isConflict = error instanceof CatalogError && error.failure === "conflict";
      // Maintenance may have removed what an older snapshot names.
      const isOld = error instanceof MissingObjectError;
      if (!(isConflict || isOld) || tries === MAX_REBASES) throw error;
      const now = await lake.catalog.load(base.table);
      // A catalog may take a request that is sent twice for two, the second of which is too late.
      const id = written?.snapshot["snapshot-id"];
      if (now !== undefined && id !== undefined && snapshotById(now.metadata, id) !== undefined) {
        return now;
      }
      // Nothing names what was written for it, and nothing ever will.
      const objects = isConflict ? written?.objects ?? [] : [];
      await lake.store.deleteObjects(objects.map(({ key }) => key));
      if (now === undefined || !isSame(now, known)) throw error;
      if (isOld && now.metadataLocation === base.metadataLocation) throw error;
      base = now;
    }
  }
}

/** Whether a table has the same position and the same unsettled rows as it is known to have. */
function isSame(a: LoadedTable, b: LoadedTable): boolean {
  return a.metadata["table-uuid"] === b.metadata["table-uuid"] &&
    [PROPERTY.position, PROPERTY.unsettled, PROPERTY.table, PROPERTY.schema].every((name) =>
      a.metadata.properties?.[name] === b.metadata.properties?.[name]
    );
}

/**
 * Runs calls, so many at once at most. All have ended before the first failure is told.
 *
 * @param calls what to run
 * @param most so many at once
 * @returns their results, in order
 */
export async function atMost<T>(
  calls: readonly (() => Promise<T>)[],
  most: number,
): Promise<readonly T[]> {
  const results = new Array<PromiseSettledResult<T>>(calls.length);
  let next = 0;
  const work = async () => {
    while (next < calls.length) {
      const i = next++;
      const [result] = await Promise.allSettled([calls[i]?.() ?? Promise.reject(new Error())]);
      if (result !== undefined) results[i] = result as PromiseSettledResult<T>;
    }
  };
  await Promise.all(Array.from({ length: Math.min(most, calls.length) }, work));
  return results.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}
