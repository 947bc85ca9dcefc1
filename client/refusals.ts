/**
 * Refused transactions: undone at once, kept as dead letters until the app dismisses them or
 * issues their writes again.
 *
 * @module
 */

import {
  type PushResult,
  type Rejection,
  REJECTION_CODES,
  type RejectionCode,
} from "@lakesync/core";
import { NOW_MS } from "./capture.ts";
import type { SqliteConnection } from "./database/driver.ts";
import { type Layout, maskNames, type SyncedTable, valueNames } from "./layout.ts";
import { OutboxReader } from "./outbox.ts";
import { CHUNK, groupRows, Overlay } from "./overlay.ts";
import type { DeadLetter } from "./replica.ts";
import { raiseClock, readState } from "./state.ts";
import { slicer } from "./timer.ts";

/** How many changes of a dead letter are shown. */
export const SHOWN_CHANGES = 1_000;
/** How many outbox rows are moved in one go. */
const STEP = 5_000;

/** What storing an answer came to. */
export interface Answered {
  /** The dead letters that are new. */
  readonly letters: readonly number[];
  /** The tables in which rows were undone. */
  readonly touched: ReadonlySet<SyncedTable>;
  /** Whether the base is known by it to contain more of this database's transactions. */
  readonly covers: boolean;
}

/** Stores refusals and undoes them. Runs inside a transaction with capture off. */
class Refusals {
  readonly touched = new Set<SyncedTable>();
  readonly letters: number[] = [];
  readonly #db: SqliteConnection;
  readonly #layout: Layout;
  readonly #pause = slicer();

  constructor(db: SqliteConnection, layout: Layout) {
    this.#db = db;
    this.#layout = layout;
  }

  async refuse(rejection: Rejection): Promise<void> {
    const { mutationId, code, message, delta } = rejection;
    const [row] = await this.#db.values(
      "SELECT first_n, last_n FROM _lakesync_tx WHERE mutation_id = ? AND NOT refused",
      [mutationId],
    );
    if (row === undefined) return;
    const [first = 0, last = 0] = row.map(Number);
    const { lastInsertRowid } = await this.#db.run(
      `INSERT INTO _lakesync_dead (mutation_id, code, message, delta, refused_ms)
       SELECT ?, ?, ?, ?, ${NOW_MS} FROM _lakesync_clock`,
      [mutationId, code, message, delta],
    );
    const dead = Number(lastInsertRowid);
    this.letters.push(dead);
    await this.#db.run(
      "UPDATE _lakesync_tx SET refused = ? WHERE mutation_id = ?",
      [dead, mutationId],
    );
    await this.#move(dead, first, last);
    await this.#undo(dead, last);
  }

  async #move(dead: number, first: number, last: number): Promise<void> {
    const columns = [
      "n, hlc, written, tbl, op, row_id",
      ...maskNames(this.#layout),
      ...valueNames(this.#layout),
    ].join(", ");
    for (let from = first; from <= last; from += STEP) {
      const range = [from, Math.min(from + STEP - 1, last)];
      await this.#db.run(
        `INSERT INTO _lakesync_dead_change (dead, ${columns})
         SELECT ?, ${columns} FROM _lakesync_outbox WHERE n BETWEEN ? AND ?`,
        [dead, ...range],
      );
      await this.#db.run(
        "DELETE FROM _lakesync_outbox WHERE n BETWEEN ? AND ?",
        range,
      );
      await this.#pause();
    }
  }

  /** What a checkpoint has already taken out of the overlay needs no undoing. */
  async #undo(dead: number, last: number): Promise<void> {
    const { coveredN } = await readState(this.#db);
    if (last <= coveredN) return;
    const overlay = new Overlay(this.#db, this.#layout);
    let from = 0;
    while (true) {
      const rows = await this.#db.values(
        `SELECT n, tbl, row_id FROM _lakesync_dead_change WHERE dead = ? AND n > ? ORDER BY n LIMIT ${CHUNK}`,
        [dead, from],
      );
      if (rows.length === 0) return;
      from = Number(rows.at(-1)?.[0]);
      for (const [table, rowIds] of groupRows(this.#layout, rows)) {
        this.touched.add(table);
        await overlay.show(table, rowIds, coveredN);
      }
      await this.#pause();
    }
  }
}

/**
 * Stores what a push was answered. Runs inside a transaction with capture off.
 *
 * @param db the writer
 * @param layout where columns are kept
 * @param result the answer
 * @param through the transaction through which it can be about this database's
 * @returns what is new
 */
export async function storeAnswer(
  db: SqliteConnection,
  layout: Layout,
  result: PushResult,
  through: number = result.lastMutationId,
): Promise<Answered> {
  const refusals = new Refusals(db, layout);
  let seen = 0;
  for (const rejection of result.rejected) {
    await refusals.refuse(rejection);
    seen = Math.max(seen, rejection.mutationId);
  }
  await raiseClock(db, result.serverHlc);
  // What the last checkpoint counted beyond this database's own, it counts in the same history.
  const [row] = await db.values(
    `UPDATE _lakesync_state SET received_hlc = max(received_hlc, ?),
      settled_mutation_id = min(?, highest_mutation_id), refusals_seen = max(refusals_seen, ?)
     RETURNING told_mutation_id > highest_mutation_id AND told_mutation_id <= ?
      AND settled_mutation_id > last_mutation_id AND NOT replacing`,
    [
      result.serverHlc,
      Math.min(result.lastMutationId, through),
      seen,
      result.lastMutationId,
    ],
  );
  const { letters, touched } = refusals;
  return { letters, touched, covers: row?.[0] === 1 };
}

/** The code of a stored refusal. */
export function toCode(code: unknown): RejectionCode {
  return REJECTION_CODES.find((known) => known === code) ?? "VALIDATION_ERROR";
}

/**
 * Reads dead letters.
 *
 * @param db any connection
 * @param layout where columns are kept
 * @param ids which; all when left out
 * @returns the letters, the oldest first, each with its first {@linkcode SHOWN_CHANGES} changes
 */
export async function readDeadLetters(
  db: SqliteConnection,
  layout: Layout,
  ids?: readonly number[],
): Promise<DeadLetter[]> {
  const reader = new OutboxReader(layout);
  const rows = await db.values(
    `SELECT id, mutation_id, code, message, delta, refused_ms FROM _lakesync_dead
     WHERE NOT dismissed AND (?1 IS NULL OR id IN (SELECT value FROM json_each(?1))) ORDER BY id`,
    [ids === undefined ? null : JSON.stringify(ids)],
  );
  const letters: DeadLetter[] = [];
  for (const [id, mutationId, code, message, delta, refusedMs] of rows) {
    const changes = await readDeadChanges(
      db,
      reader,
      Number(id),
      0,
      SHOWN_CHANGES,
    );
    letters.push({
      id: Number(id),
      mutationId: Number(mutationId),
      code: toCode(code),
      message: String(message),
      delta: Number(delta),
      changes: changes.map(({ change }) => change),
      refusedMs: Number(refusedMs),
    });
  }
  return letters;
}

/** A change of a dead letter. */
export type DeadChange = DeadLetter["changes"][number];

/** Reads some changes of a dead letter, after a number. */
export async function readDeadChanges(
  db: SqliteConnection,
  reader: OutboxReader,
  dead: number,
  after: number,
  limit: number,
): Promise<{ n: number; change: DeadChange }[]> {
  const rows = await db.values(
    `SELECT n, ${reader.columns} FROM _lakesync_dead_change
     WHERE dead = ? AND n > ? ORDER BY n LIMIT ?`,
    [dead, after, limit],
  );
  return rows.map(([n, ...row]) => {
    const { shape, rowId, values } = reader.read(row, undefined);
    const columns = Object.fromEntries(
      shape.columns.map((name, i) => [name, values[i] ?? null]),
    );
    return {
      n: Number(n),
      change: { op: shape.op, table: shape.table, rowId, columns },
    };
  });
}

/** As SQL: dismisses a dead letter. */
export const DISMISS = "UPDATE _lakesync_dead SET dismissed = 1 WHERE id = ? AND NOT dismissed";

/**
 * Dismisses a dead letter. It is kept beside its transaction, though the app sees it no more: by what
 * it holds copies of this database, which may not know of the refusal, are told apart. Runs inside a
 * transaction.
 *
 * @param db the writer
 * @param id the letter
 * @returns whether there was one
 */
export async function dismissDeadLetter(
  db: SqliteConnection,
  id: number,
): Promise<boolean> {
  const { changes } = await db.run(DISMISS, [id]);
  await sweepDeadLetters(db);
  return changes > 0;
}

/**
 * Forgets the dismissed dead letters of transactions that are purged. Runs inside a transaction.
 *
 * @param db the writer
 */
export async function sweepDeadLetters(db: SqliteConnection): Promise<void> {
  await db.run(
    `DELETE FROM _lakesync_dead WHERE dismissed AND NOT EXISTS
      (SELECT 1 FROM _lakesync_tx, _lakesync_state
       WHERE refused = _lakesync_dead.id AND last_n > purged_n)`,
  );
  await db.run(
    "DELETE FROM _lakesync_dead_change WHERE dead NOT IN (SELECT id FROM _lakesync_dead)",
  );
}
