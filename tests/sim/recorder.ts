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

/** What an answer said of a transaction, and how often its gateway had gone back by then. */
interface Outcome {
  readonly code: string | undefined;
  readonly restores: number;
}

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
  /** How often each gateway went back to an older copy. */
  readonly #restores = new Map<string, number>();
  /** What the last answer said of a transaction. */
  readonly #outcomes = new Map<TxName, Outcome>();
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
      const { gateway } = event;
      this.#restores.set(gateway, (this.#restores.get(gateway) ?? 0) + 1);
    } else if (event.kind === "fault") {
      this.faults.set(event.fault, (this.faults.get(event.fault) ?? 0) + 1);
    }
  }

  /** Writes in transactions that were acknowledged. */
  get acknowledgedWrites(): number {
    return this.#writes;
  }

  /** A push was answered, and the answer leaves the gateway now. */
  answered(gateway: string, body: Uint8Array, answer: Uint8Array): void {
    const { clientId, transactions } = decodePush(body);
    const restores = this.#restores.get(gateway) ?? 0;
    const { lastMutationId, rejected } = decodePushResult(answer);
    const refusals = new Map(rejected.map((one) => [one.mutationId, one.code]));
    for (const { mutationId, deltas = [] } of transactions) {
      if (mutationId > lastMutationId) continue;
      const mark = deltas.find(({ shape }) => shape.table === "marks");
      if (mark === undefined) continue;
      this.#outcome(mark.rowId, clientId, { code: refusals.get(mutationId), restores });
    }
  }

  #outcome(tx: TxName, clientId: string, now: Outcome): void {
    const { code } = now;
    const before = this.#outcomes.get(tx);
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
