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

/** How many spans a row keeps in one bucket; older ones run together. */
const MAX_SPANS = 8;

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

/**
 * The closed spans that are still needed. The oldest two become one when there are too many, the
 * time between them included: a client of that time is told of the row as if it had had it, whole.
 */
function kept(spans: readonly number[], horizonSeq: number): readonly number[] {
  let from = 0;
  while ((spans[from + 1] ?? Infinity) <= horizonSeq) from += 2;
  const recent = from === 0 ? spans : spans.slice(from);
  if (recent.length < 2 * MAX_SPANS) return recent;
  return [...recent.slice(0, 1), ...recent.slice(3)];
}

/** The entry of the bucket index that a membership stands for. */
export function entryOf(membership: Membership): BucketEntry {
  return {
    bucket: membership.bucket,
    gone: !isMember(membership),
    seq: membership.seq,
  };
}
