/**
 * Sealed transactions as they are read for sending, and the plan by which a large one is cut into
 * parts.
 *
 * @module
 */

import type { SqliteConnection } from "./database/driver.ts";
import { type Layout, valueNames } from "./layout.ts";
import type { BatchLimits } from "./replica.ts";
import { slicer } from "./timer.ts";

/** How many changes are looked at in one go. */
const STEP = 5_000;
/** What a change costs on its way beside its texts and blobs, roughly. */
const ROW_BYTES = 24;
const CELL_BYTES = 5;

/** A planned part: its last outbox number, how many changes it holds, about how many bytes. */
export type Part = readonly [last: number, deltas: number, bytes: number];

/** A sealed transaction. */
export interface Sealed {
  /** Its number. */
  readonly mutationId: number;
  /** Its first outbox number. */
  readonly first: number;
  /** Its last outbox number. */
  readonly last: number;
  /** About how many bytes it takes. */
  readonly bytes: number;
  /** The dead letter that has its changes, when it was refused; 0: it was not. */
  readonly dead: number;
  /** Its link of the chain, once it was computed. */
  readonly chain: string | undefined;
  /** How it is cut, once it was. */
  readonly parts: readonly Part[] | undefined;
}

/** What a query for sealed transactions begins with. */
export const SELECT_SEALED =
  "SELECT mutation_id, first_n, last_n, bytes, refused, chain, parts FROM _lakesync_tx";

/** Reads a row of {@linkcode SELECT_SEALED}. */
export function toSealed(row: readonly unknown[]): Sealed {
  const [mutationId, first, last, bytes, refused, chain, parts] = row;
  return {
    mutationId: Number(mutationId),
    first: Number(first),
    last: Number(last),
    bytes: Number(bytes),
    dead: Number(refused),
    chain: typeof chain === "string" ? chain : undefined,
    parts: typeof parts === "string" ? JSON.parse(parts) : undefined,
  };
}

/** How many changes are sent of a transaction. */
export function countDeltas({ first, last, dead }: Sealed): number {
  return dead === 0 ? last - first + 1 : 0;
}

/** Whether a transaction comes in parts. */
export function isLarge(transaction: Sealed, limits: BatchLimits): boolean {
  if (transaction.dead !== 0) return false;
  return transaction.parts !== undefined ||
    countDeltas(transaction) > limits.deltas || transaction.bytes > limits.bytes;
}

function fits(parts: readonly Part[], limits: BatchLimits): boolean {
  return parts.every(([, deltas, bytes]) =>
    deltas === 1 || (deltas <= limits.deltas && bytes <= limits.bytes)
  );
}

/** Cuts large transactions into parts. */
export class PartPlanner {
  readonly #sizes: string;

  /** @param layout where columns are kept */
  constructor(layout: Layout) {
    const lengths = ["row_id", ...valueNames(layout)].map((name) =>
      `coalesce(octet_length(${name}), 0)`
    );
    this.#sizes = `${ROW_BYTES + CELL_BYTES * layout.width} + ${lengths.join(" + ")}`;
  }

  /**
   * The parts of a transaction. They are remembered, so that a repetition sends the same. Parts
   * that no longer fit the limits are cut anew into more, since the gateway tells plans apart by
   * how many parts they have; not after the first was sent, though. Runs inside a transaction.
   *
   * @param db the writer
   * @param transaction the transaction
   * @param sent how many parts were sent
   * @param limits how much a part may hold
   * @returns all parts in order
   */
  async partsOf(
    db: SqliteConnection,
    transaction: Sealed,
    sent: number,
    limits: BatchLimits,
  ): Promise<readonly Part[]> {
    const { mutationId, parts: planned } = transaction;
    if (planned !== undefined && (sent > 0 || fits(planned, limits))) return planned;
    let parts = await this.#cut(db, transaction, limits);
    for (let { deltas } = limits; parts.length <= (planned?.length ?? 0) && deltas > 1;) {
      deltas = Math.ceil(deltas / 2);
      parts = await this.#cut(db, transaction, { ...limits, deltas });
    }
    await db.run("UPDATE _lakesync_tx SET parts = ? WHERE mutation_id = ?", [
      JSON.stringify(parts),
      mutationId,
    ]);
    return parts;
  }

  async #cut(db: SqliteConnection, { first, last }: Sealed, limits: BatchLimits): Promise<Part[]> {
    const parts: Part[] = [];
    const pause = slicer();
    let deltas = 0;
    let bytes = 0;
    for (let from = first; from <= last; from += STEP) {
      const rows = await db.values(
        `SELECT n, ${this.#sizes} FROM _lakesync_outbox WHERE n BETWEEN ? AND ? ORDER BY n`,
        [from, Math.min(from + STEP - 1, last)],
      );
      for (const [n, size] of rows) {
        const full = deltas >= limits.deltas || bytes + Number(size) > limits.bytes;
        if (deltas > 0 && full) {
          parts.push([Number(n) - 1, deltas, bytes]);
          deltas = 0;
          bytes = 0;
        }
        deltas++;
        bytes += Number(size);
      }
      await pause();
    }
    parts.push([last, deltas, bytes]);
    return parts;
  }
}
