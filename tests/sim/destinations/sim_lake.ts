/**
 * The lake as it is, over objects in memory whose calls fail as a network and a server do. A flush is
 * many calls, so each fails the less often.
 *
 * @module
 */

import {
  type DatabaseAdapter,
  type Destination,
  type DestinationKey,
  type DestinationSchema,
  type FlushBatch,
  type FlushPosition,
  type LatestState,
  memoryObjects,
  type Move,
  type ObjectStore,
} from "@lakesync/adapters";
import { keyOf } from "@lakesync/core";
import { foldedLake, lakeOver, lakeRows } from "../../conformance/testing_lake.ts";
import type { TableRows } from "../history.ts";
import { calling, type DestinationFaults, type DestinationWorld } from "./faults.ts";

/** Calls of a flush, about. */
const CALLS = 25;

function rarer(faults: DestinationFaults): DestinationFaults {
  const each = Object.entries(faults).map(([fault, odds]) => [fault, Number(odds) / CALLS]);
  return Object.fromEntries(each);
}

function faulty(objects: ObjectStore, world: DestinationWorld): ObjectStore {
  const calls: DestinationWorld = {
    random: world.random,
    pause: (ms) => world.pause(ms ?? 1 + Math.floor(world.random() * 3)),
    get faults() {
      return rarer(world.faults);
    },
    onFault: (fault) => world.onFault?.(fault),
  };
  const call = <T>(what: string, act: () => Promise<T>) => calling(calls, what, act);
  return {
    putObject: (key, bytes) => call("put", () => objects.putObject(key, bytes)),
    createObject: (key, bytes) => call("create", () => objects.createObject(key, bytes)),
    getObject: (key, range) => call("get", () => objects.getObject(key, range)),
    headObject: (key) => call("head", () => objects.headObject(key)),
    async *listObjects(folder) {
      yield* await call("list", () => Array.fromAsync(objects.listObjects(folder)));
    },
    deleteObject: (key) => call("delete", () => objects.deleteObject(key)),
    deleteObjects: (keys) => call("delete", () => objects.deleteObjects(keys)),
  };
}

/** A lake. */
export class SimLake implements Destination {
  readonly name: string;
  readonly #objects: ObjectStore = memoryObjects();
  readonly #world: DestinationWorld;
  #adapter: DatabaseAdapter;

  /**
   * @param name its name
   * @param world chance, time and faults
   */
  constructor(name: string, world: DestinationWorld) {
    this.name = name;
    this.#world = world;
    this.#adapter = this.#open();
  }

  /** Opens it anew, as another process does; what the one before has asked for may still arrive. */
  restart(): void {
    this.#adapter = this.#open();
  }

  #open(): DatabaseAdapter {
    return lakeOver(faulty(this.#objects, this.#world));
  }

  position(): Promise<FlushPosition | undefined> {
    return this.#adapter.position();
  }

  ensureSchema(schema: DestinationSchema): Promise<void> {
    return this.#adapter.ensureSchema(schema);
  }

  insertDeltas(batch: FlushBatch): Promise<void> {
    return this.#adapter.insertDeltas(batch);
  }

  rewind(move: Move): Promise<void> {
    return this.#adapter.rewind(move);
  }

  refill(move: Move): Promise<void> {
    return this.#adapter.refill(move);
  }

  unsettled(limit: number): Promise<readonly DestinationKey[]> {
    return this.#adapter.unsettled(limit);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /**
   * Every change it holds, by its identity: once for each place at which the log has it.
   *
   * @param log the identities in the order in which they are given where all of them are there
   */
  async deltaIds(log: readonly string[]): Promise<readonly string[]> {
    const changes = (await lakeRows(this.#objects)).flatMap((row) =>
      row.kind === "change" ? [row.change] : []
    );
    const places = changes.map(({ seq, slice, mutationId, clientId, deltaId }) =>
      JSON.stringify([seq, slice, mutationId, clientId, deltaId])
    );
    const known = new Set(changes.map(({ deltaId }) => deltaId));
    const twice = places.filter((place, i) => places.indexOf(place) !== i);
    return [...log.filter((id) => known.has(id)), ...known.difference(new Set(log)), ...twice];
  }

  /** The rows that its changes make, by name and rowId. */
  async rows(): Promise<TableRows> {
    const { rows } = await foldedLake(this.#objects, undefined);
    const tables: Record<string, Record<string, Record<string, unknown>>> = {};
    for (const { id, table, columnIds } of (await this.#adapter.schema())?.tables ?? []) {
      const shown: Record<string, Record<string, unknown>> = tables[table.name] = {};
      for (const row of rows.sorted) {
        if (row.key.table !== id || !row.isVisible) continue;
        const key = keyOf(table, row.key.rowId);
        const own: Record<string, unknown> = shown[row.key.rowId] = {};
        for (const [i, column] of table.columns.entries()) {
          const at = table.primaryKey.indexOf(column);
          own[column.name] = at >= 0 ? key[at] : valueOf(row, columnIds[i] ?? 0);
        }
      }
    }
    return tables;
  }
}

function valueOf({ cells }: LatestState, column: number): unknown {
  return cells.find(([number]) => number === column)?.[1] ?? null;
}
