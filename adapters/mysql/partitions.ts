/**
 * The partitions of the change table: made before changes need them, dropped when they are too old.
 *
 * @module
 */

import type { SqlTransaction } from "../database/backend.ts";
import type { Session } from "./client.ts";
import { text } from "./literals.ts";
import { endOfPartition, lackingMonths, type Month, partitionText } from "./months.ts";
import { DELTAS, quoteName } from "./names.ts";

const DAY_MS = 86_400_000;
/** How often it is looked for months that are too old. */
const RETENTION_EVERY_MS = 3_600_000;

type Alone = <T>(run: (session: Session) => Promise<T>) => Promise<T>;
type Transact = <T>(run: (transaction: SqlTransaction) => Promise<T>) => Promise<T>;

/** The partitions of the change table. */
export class Partitions {
  readonly #alone: Alone;
  readonly #transact: Transact;
  /** The end of the last one; nobody but LakeSync takes one away, and never the last. */
  #endMs = -Infinity;
  #retainedMs = -Infinity;

  /**
   * @param alone runs statements while no other process changes tables
   * @param transact runs a transaction
   */
  constructor(alone: Alone, transact: Transact) {
    this.#alone = alone;
    this.#transact = transact;
  }

  /** Forgets which there are. */
  forget(): void {
    this.#endMs = -Infinity;
  }

  /**
   * Makes the partitions that changes need.
   *
   * @param committedMs when they were committed, in milliseconds since 1970
   */
  async prepare(committedMs: readonly number[]): Promise<void> {
    let newestMs = -Infinity;
    for (const ms of committedMs) newestMs = Math.max(newestMs, ms);
    if (newestMs < this.#endMs || newestMs === -Infinity) return;
    this.#endMs = await this.#alone(async (session) => {
      let end = (await partitions(session)).at(-1)?.endMs ?? 0;
      const lacking = lackingMonths(end, newestMs);
      if (lacking.length > 0) {
        const list = lacking.map(partitionText).join(", ");
        await session.run(`ALTER TABLE ${DELTAS} ADD PARTITION (${list})`);
      }
      for (const { endMs } of lacking) end = endMs;
      return end;
    });
  }

  /**
   * Drops what is too old; the last partition stays.
   *
   * @param days how long changes are kept
   * @param nowMs now, in milliseconds since 1970
   */
  async retain(days: number, nowMs: number): Promise<void> {
    if (nowMs < this.#retainedMs + RETENTION_EVERY_MS) return;
    await this.#alone(async (session) => {
      for (const { name, endMs } of (await partitions(session)).slice(0, -1)) {
        if (endMs > nowMs - days * DAY_MS) break;
        const [row] = await session.run(
          `SELECT MAX(seq) FROM ${DELTAS} PARTITION (${quoteName(name)})`,
        );
        const seq = Number(row?.[0] ?? 0);
        // Who reads is told before anything is gone.
        await this.#transact(async (transaction) => {
          const stored = await transaction.lockPosition();
          const forgottenSeq = Math.max(stored.forgottenSeq, seq);
          await transaction.putPosition({ ...stored, forgottenSeq });
        });
        await session.run(`ALTER TABLE ${DELTAS} DROP PARTITION ${quoteName(name)}`);
      }
    });
    this.#retainedMs = nowMs;
  }
}

/** The partitions, the oldest first. */
async function partitions(session: Session): Promise<readonly Month[]> {
  const rows = await session.run(
    `SELECT PARTITION_NAME, PARTITION_DESCRIPTION FROM information_schema.PARTITIONS ` +
      `WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ${text(DELTAS)} ` +
      `ORDER BY PARTITION_ORDINAL_POSITION`,
  );
  return rows.map(([name, end]) => ({
    name: String(name),
    endMs: endOfPartition(String(end)),
  }));
}
