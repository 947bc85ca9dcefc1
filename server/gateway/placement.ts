/**
 * Which buckets a row is in, and what a change of that does to its memberships. Today there is one
 * bucket, which holds every visible row of the gateway.
 *
 * @module
 */

import { isVisible, type RowState } from "@lakesync/core";
import type { BucketEntry } from "../store/store.ts";
import { isMember, type Membership } from "./record.ts";

/** The bucket of every row. */
export const ALL_BUCKET = { bucket: 1, id: "all" } as const;

const ALL: readonly number[] = [ALL_BUCKET.bucket];
const NONE: readonly number[] = [];

/** The numbers of the buckets that a row belongs to. */
export function bucketsOf(state: RowState): readonly number[] {
  return isVisible(state) ? ALL : NONE;
}

/**
 * Moves a row in the bucket index after a change.
 *
 * @param memberships where it is and was
 * @param buckets where it belongs now
 * @param seq the commit of the change
 * @param horizonSeq spans that ended at or before it are forgotten
 * @returns where it is and was then
 */
export function place(
  memberships: readonly Membership[],
  buckets: readonly number[],
  seq: number,
  horizonSeq: number,
): readonly Membership[] {
  const moved: Membership[] = [];
  for (const membership of memberships) {
    const { bucket, spans } = membership;
    if (buckets.includes(bucket)) {
      moved.push({
        bucket,
        seq,
        spans: isMember(membership) ? spans : [...kept(spans, horizonSeq), seq],
      });
    } else if (!isMember(membership)) {
      moved.push(membership);
    } else {
      const closed = spans.at(-1) === seq ? spans.slice(0, -1) : [...spans, seq];
      if (closed.length > 0) moved.push({ bucket, seq, spans: closed });
    }
  }
  for (const bucket of buckets) {
    if (!memberships.some((membership) => membership.bucket === bucket)) {
      moved.push({ bucket, seq, spans: [seq] });
    }
  }
  return moved;
}

function kept(spans: readonly number[], horizonSeq: number): readonly number[] {
  let from = 0;
  while ((spans[from + 1] ?? Infinity) <= horizonSeq) from += 2;
  return from === 0 ? spans : spans.slice(from);
}

/** The entry of the bucket index that a membership stands for. */
export function entryOf(membership: Membership): BucketEntry {
  return {
    bucket: membership.bucket,
    gone: !isMember(membership),
    seq: membership.seq,
  };
}
