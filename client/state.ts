/**
 * The state row: where this database stands with its gateway.
 *
 * @module
 */

import type { Origin } from "@lakesync/core";
import { REPAIRS } from "./buckets.ts";
import type { SqliteConnection, SqlValue } from "./database/driver.ts";

/** The state row, and what the clock row counts. */
export interface State {
  /** This database's name at the gateway. */
  readonly clientId: string;
  /** The last complete checkpoint. */
  readonly cursor: string | undefined;
  /** The last stored page of the next one. */
  readonly stagedCursor: string | undefined;
  /** Whether the next checkpoint replaces the base. */
  readonly replacing: boolean;
  /** The mutationId through which the base contains this client's transactions; a fork may leave
   * it negative until its first checkpoint. */
  readonly lastMutationId: number;
  /** What the last checkpoint said of that; more where another device's transactions count. */
  readonly toldMutationId: number;
  /** The chain of that transaction; "" when it was not told. */
  readonly toldChain: string;
  /** How often checkpoints gave reason to ask whether the gateway still has what it accepted. */
  readonly doubts: number;
  /** The names before the forks that led to this one, the first name first. */
  readonly origins: readonly Origin[];
  /** The mutationId through which outcomes are known. */
  readonly settledMutationId: number;
  /** The highest sealed mutationId. */
  readonly highestMutationId: number;
  /** The highest mutationId whose refusal is stored. */
  readonly refusalsSeen: number;
  /** The greatest stamp received. */
  readonly receivedHlc: bigint;
  /** The outbox number through which changes were purged. */
  readonly purgedN: number;
  /** The last outbox number. */
  readonly n: number;
  /** The last outbox number that is sealed. */
  readonly sealedN: number;
  /** The outbox number through which the base contains this client's writes. */
  readonly coveredN: number;
}

const COLUMNS =
  `client_id, cursor, staged_cursor, replacing, last_mutation_id, told_mutation_id, told_chain,
  doubts, origins, settled_mutation_id, highest_mutation_id, refusals_seen, received_hlc, purged_n,
  n, sealed_n, covered_n`;

/** Reads the state. */
export async function readState(db: SqliteConnection): Promise<State> {
  const [row = []] = await db.values(
    `SELECT ${COLUMNS} FROM _lakesync_state, _lakesync_clock`,
  );
  return toState(row);
}

/**
 * Reads the state and what is to be fetched again.
 *
 * @param db any connection
 * @returns the state, and the ids of the buckets to be asked for again, at most as many as one
 * request may name
 */
export async function readStateAndRepairs(
  db: SqliteConnection,
): Promise<{ readonly state: State; readonly repair: readonly string[] }> {
  const [row = []] = await db.values(
    `SELECT ${COLUMNS}, ${REPAIRS} FROM _lakesync_state, _lakesync_clock`,
  );
  return { state: toState(row), repair: JSON.parse(String(row.at(-1) ?? "[]")) };
}

const NO_ORIGINS: readonly Origin[] = [];

function toState(row: readonly SqlValue[]): State {
  const [
    clientId,
    cursor,
    stagedCursor,
    replacing,
    lastMutationId,
    toldMutationId,
    toldChain,
    doubts,
    origins,
    settledMutationId,
    highestMutationId,
    refusalsSeen,
    receivedHlc,
    purgedN,
    n,
    sealedN,
    coveredN,
  ] = row;
  return {
    clientId: String(clientId),
    cursor: textOf(cursor),
    stagedCursor: textOf(stagedCursor),
    replacing: replacing === 1,
    lastMutationId: Number(lastMutationId ?? 0),
    toldMutationId: Number(toldMutationId ?? 0),
    toldChain: String(toldChain ?? ""),
    doubts: Number(doubts ?? 0),
    origins: origins === "[]" ? NO_ORIGINS : JSON.parse(String(origins ?? "[]")),
    settledMutationId: Number(settledMutationId ?? 0),
    highestMutationId: Number(highestMutationId ?? 0),
    refusalsSeen: Number(refusalsSeen ?? 0),
    receivedHlc: BigInt(String(receivedHlc ?? 0)),
    purgedN: Number(purgedN ?? 0),
    n: Number(n ?? 0),
    sealedN: Number(sealedN ?? 0),
    coveredN: Number(coveredN ?? 0),
  };
}

function textOf(value: SqlValue | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** As SQL: where the transactions through the one named by the first parameter end. */
export const LAST_NUMBER =
  "SELECT last_n FROM _lakesync_tx WHERE mutation_id <= ? ORDER BY mutation_id DESC LIMIT 1";

/**
 * Finds where a transaction ends in the outbox.
 *
 * @param db any connection
 * @param mutationId a transaction, or a number beyond the highest
 * @returns the last outbox number of the transactions through this one
 */
export async function lastNumber(
  db: SqliteConnection,
  mutationId: number,
): Promise<number> {
  const [row] = await db.values(LAST_NUMBER, [mutationId]);
  return Number(row?.[0] ?? 0);
}

/** Makes the next local stamp greater than another. */
export async function raiseClock(db: SqliteConnection, hlc: bigint): Promise<void> {
  await db.run("UPDATE _lakesync_clock SET hlc = max(hlc, ?)", [hlc]);
}

/** Makes the next local stamp greater than one that was received, and notes that one. */
export async function receiveStamp(
  db: SqliteConnection,
  hlc: bigint,
): Promise<void> {
  await raiseClock(db, hlc);
  await db.run(
    "UPDATE _lakesync_state SET received_hlc = max(received_hlc, ?)",
    [hlc],
  );
}
