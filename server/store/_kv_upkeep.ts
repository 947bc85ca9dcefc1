/**
 * Writes to Deno KV that do not move the head's seq: staged parts, and what is removed when it is
 * no longer needed. Each gives the marks of the blobs that are free then.
 *
 * @module
 */

import { headMoved } from "./_errors.ts";
import { readHead } from "./_kv_commit.ts";
import { KvDraft, trashOf } from "./_kv_content.ts";
import { type GatewayKey, HEAD } from "./_kv_keys.ts";
import { asAnswer, asLog, asPart, asString, bytesOf } from "./_kv_records.ts";
import type { KvSession, KvWrite } from "./_kv_session.ts";
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

/** Answers removed in one atomic, which checks each; KV allows 100 checks. */
const ANSWER_ROUND = 90;

/**
 * Keeps a part.
 *
 * @param session the gateway
 * @param part the part
 * @returns the marks of what it replaced
 */
export async function stagePart(
  session: KvSession,
  { clientId, mutationId, part, parts, deltas, payload }: StagedPart,
): Promise<readonly GatewayKey[]> {
  const key: GatewayKey = ["part", clientId, mutationId, part];
  const { value, versionstamp } = await session.get(key);
  const freed = value === null ? [] : trashOf(asPart(value).payload);
  const draft = new KvDraft(session);
  const record = { parts, deltas, payload: await draft.keep(payload) };
  const checks = [{ key, versionstamp }];
  const writes: KvWrite[] = [{ key, value: record }, ...marks(freed)];
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
  const freed: GatewayKey[] = [];
  let count = 0;
  while (count < limit) {
    const expired = await session.list({
      prefix: ["expiry"],
      end: ["expiry", beforeMs],
      limit: Math.min(ANSWER_ROUND, limit - count),
    });
    if (expired.length === 0) break;
    const keys = expired.map(({ key }): GatewayKey => [
      "answer",
      asString(key[2]),
    ]);
    const answers = await session.getMany(keys);
    const free = answers.flatMap(({ value }) =>
      value === null ? [] : trashOf(asAnswer(value).json)
    );
    const done = await session.write(
      [
        ...[...keys, ...expired.map(({ key }) => key)]
          .map((key) => ({ key, value: null })),
        ...marks(free),
      ],
      keys.map((key, index) => ({
        key,
        versionstamp: answers[index]?.versionstamp ?? null,
      })),
    );
    if (done === undefined) throw headMoved();
    count += expired.length;
    freed.push(...free);
  }
  return { count, freed };
}

function marks(keys: readonly GatewayKey[]): readonly KvWrite[] {
  return keys.map((key) => ({ key, value: Date.now() }));
}
