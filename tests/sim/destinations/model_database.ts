/**
 * A model of a database as a destination: transactions that are committed whole or not at all, over
 * a connection that may be lost at any moment, and a server that may be restarted at any moment.
 *
 * @module
 */

import type {
  Destination,
  DestinationKey,
  DestinationSchema,
  FlushBatch,
  FlushPosition,
  Move,
} from "@lakesync/adapters";
import type { TableRows } from "../history.ts";
import {
  checkPosition,
  type Content,
  NO_CONTENT,
  rowsOf,
  unsettledOf,
  withBatch,
  withRefill,
  withRewind,
} from "./content.ts";
import { calling, ConnectionLost, type DestinationWorld } from "./faults.ts";

/** A database in memory. */
export class ModelDatabase implements Destination {
  readonly name: string;
  readonly #world: DestinationWorld;
  #committed: Content = NO_CONTENT;
  /** Which process it is; transactions of another are gone. */
  #process = 0;

  /**
   * @param name its name
   * @param world chance, time and faults
   */
  constructor(name: string, world: DestinationWorld) {
    this.name = name;
    this.#world = world;
  }

  position(): Promise<FlushPosition | undefined> {
    return calling(this.#world, "read", () => this.#committed.position);
  }

  unsettled(limit: number): Promise<readonly DestinationKey[]> {
    return calling(this.#world, "read", () => unsettledOf(this.#committed, limit));
  }

  ensureSchema(schema: DestinationSchema): Promise<void> {
    return calling(this.#world, "schema", () => {
      if (schema.version < this.#committed.schema.version) return;
      this.#committed = { ...this.#committed, schema };
    });
  }

  insertDeltas(batch: FlushBatch): Promise<void> {
    return this.#transact("commit", batch, (before) => withBatch(before, batch));
  }

  rewind(move: Move): Promise<void> {
    return this.#transact("rewind", move, (before) => withRewind(before, move));
  }

  refill(move: Move): Promise<void> {
    return this.#transact("refill", move, (before) => withRefill(before, move));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Ends the process and starts it again: what was not committed is gone. */
  restart(): void {
    this.#process++;
  }

  /** Every change it holds, by its identity, in the order it was written. */
  deltaIds(): readonly string[] {
    return [...this.#committed.changes.keys()];
  }

  /** The rows of its tables, by name and rowId. */
  rows(): TableRows {
    return rowsOf(this.#committed);
  }

  #transact(
    what: string,
    move: Move,
    change: (before: Content) => Content,
  ): Promise<void> {
    const process = this.#process;
    return calling(this.#world, what, async () => {
      const after = change(this.#committed);
      const before = this.#committed;
      await this.#world.pause();
      if (process !== this.#process) throw new ConnectionLost("The database was restarted");
      if (before !== this.#committed) throw new Error("Another transaction came first");
      checkPosition(before, move);
      this.#committed = after;
    });
  }
}
