/**
 * Writes to Deno KV that do not move the head's seq: staged parts, and what is removed when it is
 * no longer needed. Each gives the marks of the blobs that are free then.
 *
 * @module
 */

import { headMoved } from "./_errors.ts";
import { readHead } from "./_kv_commit.ts";
import { KvDraft, trashOf } from "./_kv_content.ts";
import { type GatewayKey, HEAD, partAgeAt, partAt } from "./_kv_keys.ts";
import {
  asAnswer,
  asLog,
  asNumber,
  asPart,
  asString,
  bytesOf,
  type Content,
} from "./_kv_records.ts";
import type { KvListed, KvSession, KvWrite } from "./_kv_session.ts";
import type { StagedPart } from "./store.ts";

/** How many were removed, and what that has freed. */
export interface Removed {
  /** How many. */
  readonly count: number;
  /** The marks of blobs. */
  readonly freed: readonly GatewayKey[];
}

/** Log entries removed in one atomic. */
const LOG_ROUND = 200;

/** Answers or parts removed in one atomic, which checks each; KV allows 100 checks. */
const SWEEP_ROUND = 90;

/**
 * Keeps a part.
 *
 * @param session the gateway
 * @param part the part
 * @returns the marks of what it replaced
 */
export async function stagePart(
  session: KvSession,
  part: StagedPart,
): Promise<readonly GatewayKey[]> {
  const { parts, deltas, stagedMs, payload } = part;
  const key = partAt(part);
  const { value, versionstamp } = await session.get(key);
  const old = value === null ? undefined : asPart(value);
  const freed = old === undefined ? [] : trashOf(old.payload);
  const draft = new KvDraft(session);
  const record = { parts, deltas, stagedMs, payload: await draft.keep(payload) };
  const checks = [{ key, versionstamp }];
  const writes: KvWrite[] = [
    { key, value: record },
    ...(old === undefined || old.stagedMs === stagedMs
      ? []
      : [{ key: partAgeAt(old.stagedMs, part), value: null }]),
    { key: partAgeAt(stagedMs, part), value: true },
    ...marks(freed),
  ];
  if (draft.markVersion !== undefined) {
    checks.push({ key: draft.markKey, versionstamp: draft.markVersion });
    writes.push({ key: draft.markKey, value: null });
  }
  if (await session.write(writes, checks) === undefined) throw headMoved();
  return freed;
}

/**
 * Removes the oldest log entries through a seq.
 *
 * @param session the gateway
 * @param throughSeq the last seq to remove
 * @param limit how many at most
 * @returns how many, and what that has freed
 */
export async function trimLog(
  session: KvSession,
  throughSeq: number,
  limit: number,
): Promise<Removed> {
  const freed: GatewayKey[] = [];
  let count = 0;
  while (count < limit) {
    const found = await session.list({
      prefix: ["log"],
      end: ["log", throughSeq + 1],
      limit: Math.min(LOG_ROUND, limit - count),
    });
    if (found.length === 0) break;
    const contents = found.map(({ value }) => asLog(value).payload);
    const free = contents.flatMap(trashOf);
    const { record, versionstamp } = await readHead(session);
    const head = {
      ...record,
      logEntries: record.logEntries - found.length,
      logBytes: contents.reduce((rest, c) => rest - bytesOf(c), record.logBytes),
    };
    const done = await session.write([
      ...found.map(({ key }) => ({ key, value: null })),
      ...marks(free),
      { key: HEAD, value: head },
    ], [{ key: HEAD, versionstamp }]);
    if (done === undefined) throw headMoved();
    count += found.length;
    freed.push(...free);
  }
  return { count, freed };
}

/**
 * Removes kept answers that expired before a time.
 *
 * @param session the gateway
 * @param beforeMs the time, in milliseconds since 1970
 * @param limit how many at most
 * @returns how many, and what that has freed
 */
export async function sweepAnswers(
  session: KvSession,
  beforeMs: number,
  limit: number,
): Promise<Removed> {
  const keyOf = (key: KvListed["key"]): GatewayKey => ["answer", asString(key[2])];
  const contentOf = (value: unknown) => asAnswer(value).json;
  return await sweepIndexed(session, { index: "expiry", keyOf, contentOf }, beforeMs, limit);
}

/**
 * Removes staged parts that came before a time.
 *
 * @param session the gateway
 * @param beforeMs the time, in milliseconds since 1970
 * @param limit how many at most
 * @returns how many, and what that has freed
 */
export async function sweepParts(
  session: KvSession,
  beforeMs: number,
  limit: number,
): Promise<Removed> {
  const keyOf = ([, , clientId, mutationId, part]: KvListed["key"]) =>
    partAt({
      clientId: asString(clientId),
      mutationId: asNumber(mutationId),
      part: asNumber(part),
    });
  const contentOf = (value: unknown) => asPart(value).payload;
  return await sweepIndexed(session, { index: "partAge", keyOf, contentOf }, beforeMs, limit);
}

/** What is swept by an index whose keys begin with a time. */
interface Swept {
  /** The index's name. */
  readonly index: string;
  /** The key of what an entry of the index stands for. */
  readonly keyOf: (key: KvListed["key"]) => GatewayKey;
  /** Its content. */
  readonly contentOf: (value: unknown) => Content;
}

async function sweepIndexed(
  session: KvSession,
  { index, keyOf, contentOf }: Swept,
  beforeMs: number,
  limit: number,
): Promise<Removed> {
  const freed: GatewayKey[] = [];
  let count = 0;
  while (count < limit) {
    const old = await session.list({
      prefix: [index],
      end: [index, beforeMs],
      limit: Math.min(SWEEP_ROUND, limit - count),
    });
    if (old.length === 0) break;
    const keys = old.map(({ key }) => keyOf(key));
    const found = await session.getMany(keys);
    const free = found.flatMap(({ value }) => value === null ? [] : trashOf(contentOf(value)));
    const done = await session.write(
      [
        ...[...keys, ...old.map(({ key }) => key)]
          .map((key) => ({ key, value: null })),
        ...marks(free),
      ],
      keys.map((key, at) => ({
        key,
        versionstamp: found[at]?.versionstamp ?? null,
      })),
    );
    if (done === undefined) throw headMoved();
    count += old.length;
    freed.push(...free);
  }
  return { count, freed };
}

function marks(keys: readonly GatewayKey[]): readonly KvWrite[] {
  return keys.map((key) => ({ key, value: Date.now() }));
}
