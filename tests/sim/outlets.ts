/**
 * Where a gateway of a run flushes to: a database and a lake as models, which outlive the server's
 * processes and fail by themselves, and the real flushers that a process has for them.
 *
 * @module
 */

import type { Destination } from "@lakesync/adapters";
import { Flusher } from "@lakesync/adapters/flush";
import { type FollowedGateway, gatewaySource } from "@lakesync/server/flush";
import { ModelDatabase } from "./destinations/model_database.ts";
import { ModelLake } from "./destinations/model_lake.ts";
import type { DestinationFaults } from "./destinations/faults.ts";
import type { Cells, DestinationEnd, TableRows } from "./history.ts";
import type { Kernel } from "./kernel.ts";
import { never, type Process } from "./process.ts";

/** What goes wrong while destinations fail. */
const FAILING: DestinationFaults = {
  lost: 0.15,
  answerLost: 0.15,
  refused: 0.1,
  late: 0.15,
  stalled: 0.15,
};

/** Batches are small, so that the little that a run changes needs many. */
const SETTINGS = {
  maxChanges: 20,
  everyMs: 1_000,
  retryMs: 200,
  maxRetryMs: 5_000,
  answerMs: 20_000,
};

/** A destination as a process calls it: what it waits for never comes when it ends first. */
function calledBy(process: Process, destination: Destination): Destination {
  const call = async <T>(work: () => Promise<T>): Promise<T> => {
    if (!process.step()) return await never();
    try {
      const result = await work();
      return process.step() ? result : await never();
    } catch (error) {
      if (process.alive) throw error;
      return await never();
    }
  };
  return {
    name: destination.name,
    position: () => call(() => destination.position()),
    ensureSchema: (schema) => call(() => destination.ensureSchema(schema)),
    insertDeltas: (batch) => call(() => destination.insertDeltas(batch)),
    rewind: (move) => call(() => destination.rewind(move)),
    unsettled: (limit) => call(() => destination.unsettled(limit)),
    refill: (move) => call(() => destination.refill(move)),
    close: () => destination.close(),
  };
}

/** The destinations of one gateway. */
export class Outlets {
  readonly #kernel: Kernel;
  readonly #database: ModelDatabase;
  readonly #lake: ModelLake;
  #flushers: readonly Flusher[] = [];
  #failing = false;

  /** @param kernel time and chance */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    const { random } = kernel;
    // deno-lint-ignore no-this-alias -- the faults are read at each call
    const self = this;
    const world = {
      random: () => random.below(2 ** 32) / 2 ** 32,
      pause: (ms?: number) => kernel.sleep(ms ?? random.between(1, 30)),
      get faults() {
        return self.#failing ? FAILING : {};
      },
    };
    this.#database = new ModelDatabase("database", world);
    this.#lake = new ModelLake("lake", world);
  }

  /** Begins to flush in a process. */
  open(process: Process, gateway: FollowedGateway, now: () => number): void {
    const { random } = this.#kernel;
    const flushers = [this.#database, this.#lake].map((destination) =>
      new Flusher({
        source: gatewaySource(gateway),
        destination: calledBy(process, destination),
        env: { now, setTimer: process.timer, random: () => random.below(2 ** 32) / 2 ** 32 },
        settings: SETTINGS,
      })
    );
    this.#flushers = flushers;
    process.atEnd(() => {
      if (this.#flushers === flushers) this.#flushers = [];
    });
  }

  /** Ends the flushing of a process that ends in order. */
  async close(): Promise<void> {
    await Promise.all(this.#flushers.map((flusher) => flusher.close()));
  }

  /** Lets calls fail, or no longer. */
  fail(failing: boolean): void {
    this.#failing = failing;
    if (failing) this.#database.restart();
  }

  /** What the flushers say of themselves. */
  status(): string {
    return JSON.stringify(this.#flushers.map(({ status }) => status));
  }

  /** Whether everything has arrived. */
  get isIdle(): boolean {
    return this.#flushers.length > 0 &&
      this.#flushers.every(({ status: { lagCommits, state } }) =>
        lagCommits === 0 && state === "idle"
      );
  }

  /** The destinations at the end. */
  ends(): readonly DestinationEnd[] {
    return [this.#database, this.#lake].map((destination) => ({
      name: destination.name,
      deltaIds: destination.deltaIds(),
      tables: withoutKeys(destination.rows()),
    }));
  }
}

function withoutKeys(tables: TableRows): TableRows {
  return Object.fromEntries(
    Object.entries(tables).map(([table, rows]) => [
      table,
      Object.fromEntries(Object.entries(rows).map(([rowId, cells]) => [rowId, shown(cells)])),
    ]),
  );
}

function shown(cells: Cells): Cells {
  return Object.fromEntries(
    Object.entries(cells).filter(([name, value]) => name !== "id" && value !== null)
      .map(([name, value]) => [name, plain(value)]),
  );
}

function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  return Array.isArray(value) ? [...value].sort() : value;
}
