/**
 * Moments in the history of a gateway: which commit was the last one.
 *
 * @module
 */

import { COMMITTED_AT, SEQ } from "../flush/layout.ts";
import { parseTimestamp } from "../columns/time.ts";
import type { DataFile } from "../iceberg/manifest.ts";
import type { Long } from "../iceberg/metadata.ts";
import { decodeValue } from "../iceberg/single_value.ts";
import { QueryError } from "./duck.ts";

/**
 * A moment: a time (a date, or a text such as `2026-01-31T09:30:00Z`), after a commit, or a snapshot
 * of one of the lake's tables.
 */
export type AsOf = Date | string | { readonly seq: number } | { readonly snapshot: Long };

/** What is known of a file of changes. */
export interface SeqBounds {
  /** The file. */
  readonly file: DataFile;
  /** The last commit that may be in it; undefined when that is not known. */
  readonly toSeq: number | undefined;
  /** When its first change was committed, in microseconds since 1970. */
  readonly fromMicros: bigint | undefined;
  /** When its last change was committed. */
  readonly toMicros: bigint | undefined;
}

/**
 * What a manifest tells of the commits in a file.
 *
 * @param file the file
 */
export function seqBounds(file: DataFile): SeqBounds {
  const { lowerBounds, upperBounds } = file;
  const read = (type: string, bytes: Uint8Array | undefined) => {
    const value = bytes === undefined ? undefined : decodeValue(type, bytes);
    return typeof value === "bigint" || typeof value === "number" ? BigInt(value) : undefined;
  };
  const toSeq = read("long", upperBounds?.get(SEQ));
  return {
    file,
    toSeq: toSeq === undefined ? undefined : Number(toSeq),
    fromMicros: read("timestamptz", lowerBounds?.get(COMMITTED_AT)),
    toMicros: read("timestamptz", upperBounds?.get(COMMITTED_AT)),
  };
}

/**
 * Reads a time.
 *
 * @param time a date, or a text: RFC 3339 with any offset, or a date, which is its beginning in UTC
 * @returns microseconds since 1970
 * @throws {QueryError} when it is none
 */
export function microsOf(time: Date | string): bigint {
  const exact = typeof time === "string" ? parseTimestamp(time) : undefined;
  if (exact !== undefined) return exact;
  const isTime = typeof time !== "string" ||
    /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(time);
  const ms = isTime ? new Date(time).getTime() : NaN;
  if (Number.isNaN(ms)) {
    throw new QueryError("A time is like 2026-01-31T09:30:00Z, with its offset, or 2026-01-31");
  }
  return BigInt(ms) * 1000n;
}
