/**
 * The state row: where this database stands with its gateway.
 *
 * @module
 */

import type { SqliteConnection } from "./database/driver.ts";

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

/** Reads the state. */
export async function readState(db: SqliteConnection): Promise<State> {
  const [row = {}] = await db.all(
    "SELECT * FROM _lakesync_state, _lakesync_clock",
  );
  const number = (name: string) => Number(row[name] ?? 0);
  const text = (name: string) => {
    const value = row[name];
    return typeof value === "string" ? value : undefined;
  };
  return {
    clientId: String(row["client_id"]),
    cursor: text("cursor"),
    stagedCursor: text("staged_cursor"),
    replacing: row["replacing"] === 1,
    lastMutationId: number("last_mutation_id"),
    settledMutationId: number("settled_mutation_id"),
    highestMutationId: number("highest_mutation_id"),
    refusalsSeen: number("refusals_seen"),
    receivedHlc: BigInt(String(row["received_hlc"] ?? 0)),
    purgedN: number("purged_n"),
    n: number("n"),
    sealedN: number("sealed_n"),
    coveredN: number("covered_n"),
  };
}

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
  const [row] = await db.values(
    "SELECT last_n FROM _lakesync_tx WHERE mutation_id <= ? ORDER BY mutation_id DESC LIMIT 1",
    [mutationId],
  );
  return Number(row?.[0] ?? 0);
}

/** Makes the next local stamp greater than one that was received. */
export async function receiveStamp(
  db: SqliteConnection,
  hlc: bigint,
): Promise<void> {
  await db.run(
    "UPDATE _lakesync_clock SET hlc = max(hlc, ?)",
    [hlc],
  );
  await db.run(
    "UPDATE _lakesync_state SET received_hlc = max(received_hlc, ?)",
    [hlc],
  );
}
