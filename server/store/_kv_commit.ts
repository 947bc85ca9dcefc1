/**
 * How changes get into Deno KV whole, although one atomic holds little.
 *
 * A small commit is one atomic that checks the head and moves it. A large one is staged first:
 * every value is written under `staged <writeId>` where nobody looks. One atomic then checks and
 * moves the head and names the write in `pending`: from then on it is committed. Whoever comes
 * next, be it the next reader or the next opening, first carries the staged values to their keys;
 * every atomic of that carrying checks that the head has not moved, so two processes may do it at
 * once and a late one does no harm.
 *
 * @module
 */

import { headMoved } from "./_errors.ts";
import type { KvDraft } from "./_kv_content.ts";
import { type GatewayKey, HEAD, stagedAt } from "./_kv_keys.ts";
import type { Counts } from "./_kv_plan.ts";
import { asHead, asNumber, type HeadRecord } from "./_kv_records.ts";
import type { KvSession, KvWrite } from "./_kv_session.ts";
import type { CommitBatch } from "./store.ts";

/** A head and its version. */
export interface VersionedHead {
  /** The head. */
  readonly record: HeadRecord;
  /** Its version. */
  readonly versionstamp: string | null;
}

/** Staged values carried, or keys removed, in one round. */
const ROUND = 500;

/** A staged value is carried by two changes, so a group fills half an atomic. */
const CARRY_SHARE = 0.45;

/** Room that a group leaves for the head and the mark. */
const COMMIT_SHARE = 0.95;

/** Reads the head. */
export async function readHead(session: KvSession): Promise<VersionedHead> {
  const { value, versionstamp } = await session.get(HEAD);
  return { record: asHead(value), versionstamp };
}

/** What is committed: the batch, the write's large values, and how the counts change. */
export interface Publication {
  /** The head it expects and the one it makes. */
  readonly batch: CommitBatch;
  /** The write. */
  readonly draft: KvDraft;
  /** How the counts change. */
  readonly counts: Counts;
}

/**
 * Commits planned changes in one atomic, or stages and publishes them.
 *
 * @returns the marks of blobs that are free now, if they are there already
 * @throws {LakeSyncError} `BACKPRESSURE` when the head has moved; nothing is published then
 */
export async function commitPlanned(
  session: KvSession,
  head: VersionedHead,
  publication: Publication,
  writes: readonly KvWrite[],
): Promise<readonly GatewayKey[]> {
  if (session.fit(writes, COMMIT_SHARE).length > 1) {
    await stage(session, publication.draft, writes);
    await publish(session, head, publication, undefined);
    return [];
  }
  await publish(session, head, publication, writes);
  return marksIn(writes.map(({ key }) => key));
}

/** Writes changes where nobody looks. */
export async function stage(
  session: KvSession,
  draft: KvDraft,
  writes: readonly KvWrite[],
): Promise<void> {
  await draft.mark();
  const staged = writes.map(({ key, value }) => ({
    key: stagedAt(draft.id, key),
    value,
  }));
  for (const group of session.fit(staged)) await session.stage(group);
}

/** Moves the head together with the writes; without them what was staged becomes pending. */
export async function publish(
  session: KvSession,
  { record, versionstamp }: VersionedHead,
  { batch, draft, counts }: Publication,
  writes: readonly KvWrite[] | undefined,
): Promise<void> {
  const head: HeadRecord = {
    epoch: record.epoch,
    seq: batch.head.seq,
    hlc: batch.head.hlc,
    lastRid: counts.lastRid,
    logEntries: record.logEntries + counts.logEntries,
    logBytes: record.logBytes + counts.logBytes,
    clients: record.clients + counts.clients,
    pending: writes ? "" : draft.id,
  };
  const checks = [{ key: HEAD, versionstamp }];
  const all: KvWrite[] = [{ key: HEAD, value: head }, ...writes ?? []];
  if (draft.markVersion !== undefined) {
    checks.push({ key: draft.markKey, versionstamp: draft.markVersion });
    all.push({ key: draft.markKey, value: null });
  }
  if (await session.write(all, checks) === undefined) throw headMoved();
}

/**
 * Carries the staged values of a published write to their keys.
 *
 * @param session the gateway
 * @param head the head that names the write in `pending`
 * @returns the marks of blobs that are free now
 */
export async function carry(
  session: KvSession,
  { record, versionstamp }: VersionedHead,
): Promise<readonly GatewayKey[]> {
  const freed: GatewayKey[] = [];
  const checks = [{ key: HEAD, versionstamp }];
  const prefix: GatewayKey = ["staged", record.pending];
  while (true) {
    const staged = await session.list({ prefix, limit: ROUND });
    for (const group of session.fit(staged, CARRY_SHARE)) {
      const writes = group.flatMap(({ key, value }) => [
        { key: targetOf(key), value },
        { key, value: null },
      ]);
      if (await session.write(writes, checks) === undefined) return freed;
      freed.push(...marksIn(group.map(({ key }) => targetOf(key))));
    }
    if (staged.length < ROUND) break;
  }
  const done = { ...record, pending: "" };
  await session.write([{ key: HEAD, value: done }], checks);
  return freed;
}

/**
 * Removes what marks say nobody needs. A mark that is gone belonged to a write that was published
 * after all; one that is there is changed first, so that its write can no longer be published.
 *
 * @param session the gateway
 * @param marks which
 */
export async function sweep(
  session: KvSession,
  marks: readonly GatewayKey[],
): Promise<void> {
  for (const mark of marks) {
    const [, ...rest] = mark;
    const { versionstamp } = await session.get(mark);
    if (versionstamp === null) continue;
    const check = { key: mark, versionstamp };
    const taken = await session.write([{ key: mark, value: 0 }], [check]);
    if (taken === undefined) continue;
    await removeAll(session, ["blob", ...rest]);
    await removeAll(session, ["staged", ...rest]);
    await session.write([{ key: mark, value: null }]);
  }
}

/** All marks that were left before a time. */
export async function marksBefore(
  session: KvSession,
  timeMs: number,
): Promise<readonly GatewayKey[]> {
  const found = await session.list({ prefix: ["trash"], limit: 1_000_000 });
  return found.filter(({ value }) => asNumber(value) < timeMs)
    .map(({ key }) => key);
}

async function removeAll(
  session: KvSession,
  prefix: GatewayKey,
): Promise<void> {
  while (true) {
    const found = await session.list({ prefix, limit: ROUND });
    const removals = found.map(({ key }) => ({ key, value: null }));
    for (const group of session.fit(removals)) await session.write(group);
    if (found.length < ROUND) return;
  }
}

function marksIn(keys: readonly GatewayKey[]): readonly GatewayKey[] {
  return keys.filter(([kind]) => kind === "trash");
}

function targetOf([, , first, ...rest]: GatewayKey): GatewayKey {
  return [String(first), ...rest];
}
