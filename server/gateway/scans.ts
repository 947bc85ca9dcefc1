/**
 * Which buckets a checkpoint scans, from where, and in which scan a row is told. A client holds some
 * buckets at its base and is granted some now; what it must be told is the difference, whatever
 * brought it about. See docs/adr/0008-rules-and-buckets.md.
 *
 * @module
 */

import { canonicalJson, type JsonValue } from "@lakesync/core";
import type { Cursor, HeldBucket, Paging, ScanState } from "./cursor.ts";
import { isMember, type Membership } from "./record.ts";
import type { GrantedBucket } from "./scope.ts";

/** What a checkpoint is read for. */
export interface CheckpointPlan {
  /** The head when its first page was read. */
  readonly start: number;
  /** The buckets the client holds, by number. */
  readonly held: ReadonlyMap<number, HeldBucket>;
  /** The scans, in the order of their places. */
  readonly scans: readonly ScanState[];
  /** The scan to go on with, by its place. */
  readonly current: number;
  /** Where that scan stands, when it has begun. */
  readonly position: Paging["position"];
  /** Whether the client's schema has columns that it did not have at its base. */
  readonly learns: boolean;
}

function same(a: readonly JsonValue[], b: readonly JsonValue[]): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

/** What a scan's places begin at. */
function origin(
  scan: Omit<ScanState, "memberAfter" | "goneAfter">,
  plan: Pick<CheckpointPlan, "start" | "held" | "learns">,
): { readonly member: number; readonly gone: number } {
  const held = plan.held.get(scan.bucket);
  const kept = held !== undefined && scan.granted && !scan.repair && !plan.learns &&
    scan.since === plan.start && same(held.residual, scan.residual);
  return {
    member: kept ? held.base : scan.snapshotSeq ?? 0,
    gone: held?.base ?? Math.max(0, scan.sentFrom),
  };
}

/** A scan from its beginning; what came in chunks is told again. */
function begun(
  { snapshotSeq: _, ...scan }: Omit<ScanState, "memberAfter" | "goneAfter">,
  plan: Pick<CheckpointPlan, "start" | "held" | "learns">,
): ScanState {
  const { member, gone } = origin(scan, plan);
  return { ...scan, memberAfter: member, goneAfter: gone };
}

/** Takes in what is granted now: scans whose grant has changed begin anew, others are added. */
function regrant(
  scan: ScanState,
  grant: GrantedBucket | undefined,
  head: number,
  plan: Pick<CheckpointPlan, "start" | "held" | "learns">,
): ScanState {
  const granted = grant !== undefined;
  const residual = grant?.residual ?? scan.residual;
  if (granted === scan.granted && same(residual, scan.residual)) return scan;
  const sentFrom = granted && scan.sentFrom < 0 ? head : scan.sentFrom;
  return begun({ ...scan, granted, residual, since: head, sentFrom }, plan);
}

/** What a page is planned by, beside the cursor and the grants. */
export interface PageFacts {
  /** The snapshot's seq. */
  readonly head: number;
  /** Whether the client's schema has columns that it did not have at its base. */
  readonly learns: boolean;
  /** Whether the checkpoint under way begins anew, because the client's schema is another. */
  readonly restart: boolean;
  /** Whether the client asks for a bucket to be sent whole. */
  readonly repair: (bucket: number) => boolean;
}

/**
 * Plans the next page of a checkpoint.
 *
 * @param cursor where the client is
 * @param facts of the page
 * @param granted the buckets granted now
 */
export function planPage(
  cursor: Cursor,
  { head, learns, restart, repair }: PageFacts,
  granted: ReadonlyMap<number, GrantedBucket>,
): CheckpointPlan {
  const { paging } = cursor;
  const held = new Map(cursor.held.map((bucket) => [bucket.bucket, bucket]));
  const plan = { start: paging?.start ?? head, held, learns };
  const known = restart
    ? (paging?.scans ?? []).map((scan) => begun({ ...scan, since: head }, plan))
    : paging?.scans ?? [];
  const scans = known.map((scan) => regrant(scan, granted.get(scan.bucket), head, plan));
  const places = new Set(known.map(({ bucket }) => bucket));
  const others = new Set([...held.keys(), ...granted.keys()]);
  for (const bucket of [...others].sort((a, b) => a - b)) {
    if (places.has(bucket)) continue;
    const grant = granted.get(bucket);
    scans.push(begun({
      bucket,
      granted: grant !== undefined,
      repair: repair(bucket),
      since: head,
      sentFrom: grant === undefined ? -1 : head,
      residual: grant?.residual ?? held.get(bucket)?.residual ?? [],
    }, plan));
  }
  const current = paging?.current ?? 0;
  const restarted = restart || scans[current] !== known[current];
  return {
    ...plan,
    scans,
    current,
    position: restarted ? undefined : paging?.position,
  };
}

/** Whether a bucket is sent whole in this checkpoint, to a client that had something before. */
export function isWhole(scan: ScanState, plan: CheckpointPlan): boolean {
  return scan.granted && !plan.learns && origin(scan, plan).member === 0;
}

/**
 * Tells in which scan a row is told: the one in which it became of interest last, by a change of the
 * row or of the grant; of several the first. A row that is in several of a client's buckets is so told
 * once, and again only when something about it has changed.
 *
 * @returns the bucket's number, 0 when no scan is to tell it
 */
export function tellingBucket(
  memberships: readonly Membership[],
  plan: CheckpointPlan,
  places: ReadonlyMap<number, number>,
): number {
  let bucket = 0;
  let latest = -1;
  let first = Infinity;
  for (const membership of memberships) {
    const place = places.get(membership.bucket);
    const scan = place === undefined ? undefined : plan.scans[place];
    if (place === undefined || scan === undefined) continue;
    const { member, gone } = origin(scan, plan);
    if (membership.seq <= (isMember(membership) ? member : gone)) continue;
    const interest = Math.max(membership.seq, scan.since);
    if (interest < latest || (interest === latest && place > first)) continue;
    bucket = scan.bucket;
    latest = interest;
    first = place;
  }
  return bucket;
}
