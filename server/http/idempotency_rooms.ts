/**
 * How much the kept answers of admin requests take, of a user and of all, in the records of the
 * server.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { AnswerRoom } from "../gateway/answer_rooms.ts";
import type { RecordStore } from "../store/records.ts";

/** What kept answers may take, in bytes. */
export interface AnswerBytes {
  /** Those of one user. */
  readonly user: number;
  /** Those of all users. */
  readonly all: number;
}

/** What somebody's kept answers take, and where that is kept. */
export interface KeptRoom {
  /** The key of its record. */
  readonly key: string;
  /** The version of its record; null: there is none. */
  readonly version: string | null;
  /** What they take. */
  readonly room: AnswerRoom;
}

const PREFIX = "answer-rooms/";

async function readRoom(records: RecordStore, name: string, nowMs: number): Promise<KeptRoom> {
  const key = PREFIX + name;
  const record = await records.get(key);
  const room = new AnswerRoom(record?.value, nowMs);
  return { key, version: record?.version ?? null, room };
}

/**
 * Reads how much is kept.
 *
 * @param records where
 * @param user whose answers, a text that fits into a key
 * @param nowMs the time, in milliseconds since 1970
 * @returns that of the user, and that of all
 */
export async function readRooms(
  records: RecordStore,
  user: string,
  nowMs: number,
): Promise<readonly [own: KeptRoom, all: KeptRoom]> {
  return [await readRoom(records, `of/${user}`, nowMs), await readRoom(records, "all", nowMs)];
}

/**
 * Refuses a request whose answer has no room.
 *
 * @throws {LakeSyncError} `RATE_LIMITED` when the user has kept too much, `BACKPRESSURE` when all
 * have together
 */
export async function checkRooms(
  records: RecordStore,
  user: string,
  nowMs: number,
  maxBytes: AnswerBytes,
): Promise<void> {
  const [own, all] = await readRooms(records, user, nowMs);
  const ownMs = own.room.fullUntil(maxBytes.user);
  const untilMs = ownMs ?? all.room.fullUntil(maxBytes.all);
  if (untilMs === undefined) return;
  throw new LakeSyncError(
    ownMs === undefined ? "BACKPRESSURE" : "RATE_LIMITED",
    "There is no room to keep another answer for an Idempotency-Key, send it later or without",
    { retryAfterSeconds: Math.max(1, Math.ceil((untilMs - nowMs) / 1000)) },
  );
}
