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
  /** The heads at which earlier pages of it were read, in runs. */
  readonly heads: readonly number[];
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
    scan.page === 0 && same(held.residual, scan.residual);
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

/** A page about to be read. */
interface Now {
  /** Its number, from 0. */
  readonly page: number;
  /** The head. */
  readonly head: number;
  /** The head when the page before was read. */
  readonly lastHead: number;
}

/** When pages could not bring a bucket's rows, once its grant has changed. */
function unsentOf(
  { granted, sentFrom, unsent = [] }: ScanState,
  grants: boolean,
  { head, lastHead }: Now,
): readonly number[] | undefined {
  if (sentFrom < 0 || grants === granted) return unsent.length === 0 ? undefined : unsent;
  return grants ? [...unsent, head] : [...unsent, lastHead];
}

/** Takes in what is granted now: scans whose grant has changed begin anew, others are added. */
function regrant(
  scan: ScanState,
  grant: GrantedBucket | undefined,
  now: Now,
  plan: Pick<CheckpointPlan, "start" | "held" | "learns">,
): ScanState {
  const granted = grant !== undefined;
  const { page, head, lastHead } = now;
  const residual = grant?.residual ?? scan.residual;
  if (granted === scan.granted && same(residual, scan.residual)) return scan;
  const sentFrom = granted && scan.sentFrom < 0 ? head : scan.sentFrom;
  const unsent = unsentOf(scan, granted, now);
  const { unsent: _, ...rest } = scan;
  const past = scan.sentFrom < 0 || same(residual, scan.residual)
    ? {}
    : { past: [...scan.past ?? [], [lastHead, scan.residual] as const] };
  return begun({
    ...rest,
    ...past,
    granted,
    residual,
    page,
    since: head,
    sentFrom,
    ...(unsent === undefined ? {} : { unsent }),
  }, plan);
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
  const page = paging?.pages ?? 0;
  const now = { page, head, lastHead: paging?.heads.at(-1) ?? head };
  const known = restart
    ? (paging?.scans ?? []).map((scan) => begun({ ...scan, page, since: head }, plan))
    : paging?.scans ?? [];
  const scans = known.map((scan) => regrant(scan, granted.get(scan.bucket), now, plan));
  const places = new Set(known.map(({ bucket }) => bucket));
  const others = new Set([...held.keys(), ...granted.keys()]);
  for (const bucket of [...others].sort((a, b) => a - b)) {
    if (places.has(bucket)) continue;
    const grant = granted.get(bucket);
    scans.push(begun({
      bucket,
      granted: grant !== undefined,
      repair: repair(bucket),
      page,
      since: head,
      sentFrom: grant === undefined ? -1 : head,
      residual: grant?.residual ?? held.get(bucket)?.residual ?? [],
    }, plan));
  }
  const current = paging?.current ?? 0;
  const restarted = restart || scans[current] !== known[current];
  return {
    ...plan,
    heads: paging?.heads ?? [],
    scans,
    current,
    position: restarted ? undefined : paging?.position,
  };
}

/** Whether every row of a bucket is told with all cells in this checkpoint, whatever was held. */
export function isWhole(scan: ScanState): boolean {
  return scan.granted && (scan.repair || scan.page > 0);
}

/**
 * Whether an earlier page of this checkpoint could bring a row that was in a bucket for a time.
 *
 * @param scan the bucket's scan
 * @param heads the heads at which earlier pages were read, in runs
 * @param entered the commit at which the row entered
 * @param left the commit at which it left; undefined when it is there
 */
export function maySend(
  { sentFrom, unsent = [] }: ScanState,
  heads: readonly number[],
  entered: number,
  left: number | undefined,
): boolean {
  const read = heads.some((first, i) =>
    i % 2 === 0 && entered <= (heads[i + 1] ?? first) && (left === undefined || left > first)
  );
  if (sentFrom < 0 || !read) return false;
  let from = sentFrom;
  for (let i = 0; i <= unsent.length; i += 2) {
    const through = unsent[i] ?? Infinity;
    if (entered <= through && (left === undefined || left > from)) return true;
    from = unsent[i + 1] ?? Infinity;
  }
  return false;
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
  let onPage = 0;
  let first = Infinity;
  for (const membership of memberships) {
    const place = places.get(membership.bucket);
    const scan = place === undefined ? undefined : plan.scans[place];
    if (place === undefined || scan === undefined) continue;
    const { member, gone } = origin(scan, plan);
    if (membership.seq <= (isMember(membership) ? member : gone)) continue;
    const interest = Math.max(membership.seq, scan.since);
    // Of grants that changed at one head the later page counts, and after a change of the row itself.
    const page = scan.since >= membership.seq ? scan.page : 0;
    if (interest < latest || (interest === latest && page < onPage)) continue;
    if (interest === latest && page === onPage && place > first) continue;
    bucket = scan.bucket;
    latest = interest;
    onPage = page;
    first = place;
  }
  return bucket;
}
