/**
 * What a caller may read at a snapshot: the buckets granted to it.
 *
 * @module
 */

import { type JsonValue, LakeSyncError, Scope } from "@lakesync/core";
import type { BucketRecord, ReadView } from "../store/store.ts";
import type { Caller } from "./gateway.ts";
import { askLoaded, type Lookups } from "./lookups.ts";
import { bucketId, type PlacedFamily, type RuleBook } from "./rule_book.ts";

/** A bucket that is granted and has had a row. */
export interface GrantedBucket {
  /** The bucket's record. */
  readonly record: BucketRecord;
  /** Its family. */
  readonly placed: PlacedFamily;
  /** Values of the operands that the family's residual conditions compare with. */
  readonly residual: readonly JsonValue[];
}

/** What a caller may read. */
export interface ReadScope {
  /** The buckets by number. */
  readonly buckets: ReadonlyMap<number, GrantedBucket>;
  /** The stored ids of all buckets whose change may change what the caller reads. */
  readonly watched: ReadonlySet<string>;
}

/**
 * Finds the buckets granted to a caller.
 *
 * @param view the snapshot
 * @param caller who reads
 * @param lookups loads what parameters look up
 */
export async function readScope(
  view: ReadView,
  caller: Caller,
  lookups: Lookups,
): Promise<ReadScope> {
  const { book } = lookups;
  const grants = await askLoaded(view, lookups, () => {
    const scope = new Scope(book.active, caller.claims, lookups.reader);
    return { answer: scope.grants(), missing: scope.missing };
  });
  const ids = grants.map(({ family, key }) => bucketId(book.numberOf(family), key));
  const records = await view.buckets(ids);
  const buckets = new Map<number, GrantedBucket>();
  for (const [i, { family, residual }] of grants.entries()) {
    const record = records[i];
    const placed = book.family(book.numberOf(family));
    if (record === undefined || placed === undefined) continue;
    buckets.set(record.bucket, { record, placed, residual });
  }
  return { buckets, watched: new Set([...ids, ...lookups.ids]) };
}

/** Other rules were put in force between the beginning of a read and its snapshot; read anew. */
export class RulesChanged extends Error {
  override readonly name = "RulesChanged";
}

/**
 * Refuses a caller where no rules were put, unless everything is open.
 *
 * @throws {LakeSyncError} `FORBIDDEN`
 */
export function checkOpen(book: RuleBook | undefined, caller: Caller, openAccess: boolean): void {
  if (book === undefined || !book.isOpen || caller.admin || openAccess) return;
  throw new LakeSyncError(
    "FORBIDDEN",
    "This gateway has no sync rules yet, so nobody but an admin may read or write; put rules at " +
      "/v1/admin/sync-rules",
  );
}
