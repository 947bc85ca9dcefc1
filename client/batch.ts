/**
 * What to push next: whole transactions up to the limits, or one part of a transaction that is
 * larger than them.
 *
 * @module
 */

import {
  chainedIdOf,
  type Delta,
  LakeSyncError,
  type RefusedBefore,
  type Transaction,
} from "@lakesync/core";
import type { SqliteConnection } from "./database/driver.ts";
import type { HashFactory, RunningHash } from "./hash.ts";
import { OutboxReader } from "./outbox.ts";
import type { Layout } from "./layout.ts";
import { toCode } from "./refusals.ts";
import type { Batch, BatchLimits, BatchPosition } from "./replica.ts";
import {
  countDeltas,
  isLarge,
  PartPlanner,
  type Sealed,
  SELECT_SEALED,
  toSealed,
} from "./sealed.ts";
import { slicer } from "./timer.ts";

/** How many changes are read in one go where not all are needed at once. */
const STEP = 5_000;
/** A hash over the parts of one transaction that were sent so far. */
interface Running {
  readonly mutationId: number;
  readonly through: number;
  readonly hash: RunningHash;
}

/** Makes batches. */
export class BatchReader {
  readonly #outbox: OutboxReader;
  readonly #hash: HashFactory;
  readonly #planner: PartPlanner;
  #running: Running | undefined;

  /**
   * @param layout where columns are kept
   * @param hash begins hashes
   */
  constructor(layout: Layout, hash: HashFactory) {
    this.#outbox = new OutboxReader(layout);
    this.#hash = hash;
    this.#planner = new PartPlanner(layout);
  }

  /** Forgets what is remembered between two parts. */
  forget(): void {
    this.#running = undefined;
  }

  /**
   * Reads what comes after a position. Runs inside a transaction.
   *
   * @param db the writer
   * @param clientId whose transactions they are
   * @param after the position
   * @param limits how much
   * @returns the batch, or undefined when there is nothing
   * @throws {LakeSyncError} `MUTATION_GAP` when the transaction after the position is not kept
   */
  async read(
    db: SqliteConnection,
    clientId: string,
    after: BatchPosition,
    limits: BatchLimits,
  ): Promise<Batch | undefined> {
    const rows = await db.values(
      `${SELECT_SEALED} WHERE mutation_id > ? ORDER BY mutation_id LIMIT ?`,
      [after.mutationId, limits.transactions],
    );
    const sealed = rows.map(toSealed);
    const [first] = sealed;
    if (first === undefined) return undefined;
    await this.#checkKept(db, first, after);
    if (isLarge(first, limits)) {
      return await this.#part(db, clientId, first, after.part, limits);
    }
    return await this.#whole(db, clientId, sealed, limits);
  }

  /**
   * The link of a kept transaction. Runs inside a transaction.
   *
   * @param db the writer
   * @param clientId whose transactions they are
   * @param mutationId the transaction
   * @returns the chain after it
   */
  async chainThrough(db: SqliteConnection, clientId: string, mutationId: number): Promise<string> {
    return await this.#chainBefore(db, clientId, mutationId + 1);
  }

  async #checkKept(
    db: SqliteConnection,
    first: Sealed,
    after: BatchPosition,
  ): Promise<void> {
    const [row] = await db.values("SELECT purged_n FROM _lakesync_state");
    const purged = countDeltas(first) > 0 && first.first <= Number(row?.[0]);
    if (first.mutationId === after.mutationId + 1 && !purged) return;
    throw new LakeSyncError(
      "MUTATION_GAP",
      `Transaction ${
        after.mutationId + 1
      } is no longer kept here, so the gateway cannot be given it again`,
    );
  }

  async #whole(
    db: SqliteConnection,
    clientId: string,
    sealed: readonly Sealed[],
    limits: BatchLimits,
  ): Promise<Batch> {
    const chosen: Sealed[] = [];
    let deltas = 0;
    let bytes = 0;
    for (const transaction of sealed) {
      deltas += countDeltas(transaction);
      bytes += transaction.dead === 0 ? transaction.bytes : 0;
      if (deltas > limits.deltas || bytes > limits.bytes) break;
      if (isLarge(transaction, limits)) break;
      chosen.push(transaction);
    }
    const first = chosen[0]?.first ?? 0;
    const last = chosen.at(-1)?.last ?? 0;
    const captured = await this.#outbox.range(db, first, last);
    const transactions: Transaction[] = [];
    let at = 0;
    let previous = await this.#chainBefore(db, clientId, chosen[0]?.mutationId ?? 1);
    for (const transaction of chosen) {
      const deltas: Delta[] = [];
      for (; (captured[at]?.n ?? Infinity) <= transaction.last; at++) {
        const delta = captured[at]?.delta;
        if (delta !== undefined) deltas.push(delta);
      }
      const { mutationId, dead } = transaction;
      const chain = await this.#chainOf(db, clientId, transaction, previous, deltas);
      const refused = dead === 0 ? {} : { refused: await this.#refusal(db, dead, previous) };
      transactions.push({ mutationId, deltas, chain, ...refused });
      previous = chain;
    }
    const mutationId = chosen.at(-1)?.mutationId ?? 0;
    return { transactions, next: { mutationId, part: 0 } };
  }

  /**
   * The chain of a transaction whose deltas are at hand. A refused one, which is sent again only to a
   * gateway that forgot it, is empty then and keeps its link, so that it stays the same transaction
   * to a gateway that knows it with its changes.
   */
  async #chainOf(
    db: SqliteConnection,
    clientId: string,
    transaction: Sealed,
    previous: string,
    deltas: readonly Delta[],
  ): Promise<string> {
    if (transaction.chain !== undefined) return transaction.chain;
    const hash = this.#hash();
    hash.update(previous);
    if (transaction.dead === 0) this.#feed(hash, clientId, deltas);
    else await this.#feedRange(db, clientId, hash, transaction);
    const chain = hash.hex();
    await storeChain(db, transaction.mutationId, chain);
    return chain;
  }

  async #refusal(db: SqliteConnection, dead: number, previous: string): Promise<RefusedBefore> {
    const [row = []] = await db.values(
      "SELECT code, message, delta FROM _lakesync_dead WHERE id = ?",
      [dead],
    );
    const [code, message, delta] = row;
    return { previous, code: toCode(code), message: String(message ?? ""), delta: Number(delta) };
  }

  #feed(
    hash: RunningHash,
    clientId: string,
    deltas: readonly Delta[],
  ): void {
    for (const delta of deltas) {
      const id = chainedIdOf(clientId, delta, (text) => {
        const id = this.#hash();
        id.update(text);
        return id.hex();
      });
      if (id !== undefined) hash.update(id);
    }
  }

  /** The chain after the transaction before this one; computes those that are not known yet. */
  async #chainBefore(
    db: SqliteConnection,
    clientId: string,
    mutationId: number,
  ): Promise<string> {
    if (mutationId <= 1) return "";
    const [known] = await db.values(
      `SELECT mutation_id, chain FROM _lakesync_tx
       WHERE mutation_id BETWEEN 1 AND ? AND chain IS NOT NULL ORDER BY mutation_id DESC LIMIT 1`,
      [mutationId - 1],
    );
    let chain = typeof known?.[1] === "string" ? known[1] : "";
    if (known?.[0] === mutationId - 1) return chain;
    const unknown = await db.values(
      `${SELECT_SEALED} WHERE mutation_id > ? AND mutation_id < ? ORDER BY mutation_id`,
      [Number(known?.[0] ?? 0), mutationId],
    );
    for (const row of unknown) {
      const earlier = toSealed(row);
      const hash = this.#hash();
      hash.update(chain);
      await this.#feedRange(db, clientId, hash, earlier);
      chain = hash.hex();
      await storeChain(db, earlier.mutationId, chain);
    }
    return chain;
  }

  async #feedRange(
    db: SqliteConnection,
    clientId: string,
    hash: RunningHash,
    { first, last, dead }: Pick<Sealed, "first" | "last" | "dead">,
  ): Promise<void> {
    const pause = slicer();
    for (let n = first; n <= last; n += STEP) {
      const through = Math.min(n + STEP - 1, last);
      const captured = dead === 0
        ? await this.#outbox.range(db, n, through)
        : await this.#outbox.refused(db, dead, n, through);
      this.#feed(hash, clientId, captured.map(({ delta }) => delta));
      await pause();
    }
  }

  /** The next part of a transaction that is larger than the limits. */
  async #part(
    db: SqliteConnection,
    clientId: string,
    transaction: Sealed,
    sent: number,
    limits: BatchLimits,
  ): Promise<Batch> {
    const { mutationId } = transaction;
    const parts = await this.#planner.partsOf(db, transaction, sent, limits);
    const [through] = parts[sent] ?? [];
    if (through === undefined) {
      throw new LakeSyncError(
        "INTERNAL_ERROR",
        `Transaction ${mutationId} has no part ${sent + 1}`,
      );
    }
    const first = sent === 0 ? transaction.first : (parts[sent - 1]?.[0] ?? 0) + 1;
    const captured = await this.#outbox.range(db, first, through);
    const deltas = captured.map(({ delta }) => delta);
    const isLast = sent + 1 === parts.length;
    const chain = transaction.chain ??
      await this.#chainOfPart(db, clientId, transaction, deltas, first, isLast);
    return {
      transactions: [{
        mutationId,
        deltas,
        ...(parts.length === 1 ? {} : { part: sent + 1, parts: parts.length }),
        ...(isLast && chain !== undefined ? { chain } : {}),
      }],
      next: isLast ? { mutationId, part: 0 } : { mutationId: mutationId - 1, part: sent + 1 },
    };
  }

  async #chainOfPart(
    db: SqliteConnection,
    clientId: string,
    transaction: Sealed,
    deltas: readonly Delta[],
    first: number,
    isLast: boolean,
  ): Promise<string | undefined> {
    const { mutationId } = transaction;
    let hash = this.#running?.mutationId === mutationId &&
        this.#running.through === first - 1
      ? this.#running.hash
      : undefined;
    this.#running = undefined;
    if (hash === undefined && (isLast || first === transaction.first)) {
      hash = this.#hash();
      hash.update(await this.#chainBefore(db, clientId, mutationId));
      await this.#feedRange(db, clientId, hash, { ...transaction, last: first - 1 });
    }
    if (hash === undefined) return undefined;
    this.#feed(hash, clientId, deltas);
    if (!isLast) {
      const through = first + deltas.length - 1;
      this.#running = { mutationId, through, hash };
      return undefined;
    }
    const chain = hash.hex();
    await storeChain(db, mutationId, chain);
    return chain;
  }
}

async function storeChain(
  db: SqliteConnection,
  mutationId: number,
  chain: string,
): Promise<void> {
  await db.run("UPDATE _lakesync_tx SET chain = ? WHERE mutation_id = ?", [
    chain,
    mutationId,
  ]);
}
