/**
 * Writes the history of a run down as it happens. What is answered is read off the wire.
 *
 * @module
 */

import { decodePush, decodePushResult } from "@lakesync/core";
import type { HistoryEvent, TxName } from "./history.ts";
import type { Kernel } from "./kernel.ts";

/** What is written down, but for the time. */
export type Recorded = HistoryEvent extends infer E
  ? E extends { readonly atMs: number } ? Omit<E, "atMs"> : never
  : never;

/** The history so far. */
export class Recorder {
  readonly events: HistoryEvent[] = [];
  /** Transactions that were begun, in order. */
  readonly begun: TxName[] = [];
  /** Transactions of which an answer said that they are accepted. */
  readonly acknowledged: Set<TxName> = new Set();
  /** Transactions of which an answer said that they are refused. */
  readonly refused: Set<TxName> = new Set();
  /** Kinds of faults that fired, and how often. */
  readonly faults: Map<string, number> = new Map();
  readonly #kernel: Kernel;
  #writes = 0;
  #restores = 0;
  /** What the last answer said of a transaction, and how often a gateway had gone back by then. */
  readonly #outcomes = new Map<TxName, { readonly code: string | undefined; restores: number }>();
  readonly #writesOf = new Map<TxName, number>();

  /** @param kernel time */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Writes one thing down. */
  add(event: Recorded): void {
    this.events.push({ atMs: this.#kernel.nowMs, ...event } as HistoryEvent);
    if (event.kind === "begin") {
      this.begun.push(event.tx);
      this.#writesOf.set(event.tx, event.writes.length);
    } else if (event.kind === "restored") {
      this.#restores++;
    } else if (event.kind === "fault") {
      this.faults.set(event.fault, (this.faults.get(event.fault) ?? 0) + 1);
    }
  }

  /** Writes in transactions that were acknowledged. */
  get acknowledgedWrites(): number {
    return this.#writes;
  }

  /** A push was answered, and the answer leaves the gateway now. */
  answered(body: Uint8Array, answer: Uint8Array): void {
    const { clientId, transactions } = decodePush(body);
    const { lastMutationId, rejected } = decodePushResult(answer);
    const refusals = new Map(rejected.map((one) => [one.mutationId, one.code]));
    for (const { mutationId, deltas = [] } of transactions) {
      if (mutationId > lastMutationId) continue;
      const mark = deltas.find(({ shape }) => shape.table === "marks");
      if (mark === undefined) continue;
      this.#outcome(mark.rowId, clientId, refusals.get(mutationId));
    }
  }

  #outcome(tx: TxName, clientId: string, code: string | undefined): void {
    const before = this.#outcomes.get(tx);
    const now = { code, restores: this.#restores };
    // A refusal that the client has seen is not repeated when it is sent once more.
    const repeated = before !== undefined &&
      (before.code === code || (code === undefined && before.restores === now.restores));
    if (repeated) return;
    this.#outcomes.set(tx, now);
    if (code !== undefined) {
      this.refused.add(tx);
      this.acknowledged.delete(tx);
      return this.add({ kind: "refused", tx, clientId, code });
    }
    this.acknowledged.add(tx);
    this.refused.delete(tx);
    if (before === undefined) this.#writes += this.#writesOf.get(tx) ?? 0;
    this.add({ kind: "acknowledged", tx, clientId });
  }
}
