/**
 * A lake as a destination: Iceberg tables of changes on object storage, from which tables of rows are
 * merged. It is written and not read back: rows are asked for with an engine.
 *
 * @module
 */

import {
  type Capabilities,
  type DatabaseAdapter,
  DestinationError,
  type DestinationKey,
  type DestinationSchema,
  type FlushBatch,
  type FlushPosition,
  type Forget,
  type Move,
  type RowProblem,
} from "../adapter.ts";
import type { FlushSettings } from "../flush/settings.ts";
import { Turns } from "../lifecycle/turns.ts";
import { moved } from "../moved.ts";
import { samePosition } from "../place.ts";
import { forgetDays, forgottenSeqOf } from "./flush/forget.ts";
import { type Lake, lakeError } from "./flush/lake.ts";
import { positionOf } from "./flush/properties.ts";
import { readySchema } from "./flush/ready.ts";
import { refillLake, rewindLake } from "./flush/rewind.ts";
import { lakePosition } from "./flush/standing.ts";
import { type LakeTables, loadTables, ownPosition } from "./flush/tables.ts";
import { readUnsettled } from "./flush/unsettled.ts";
import { writeBatch } from "./flush/write_batch.ts";
import { type OpenLake, openLake } from "./open.ts";
import type { LakeOptions } from "./options.ts";

const CAPABILITIES: Capabilities = {
  readable: false,
  materialised: true,
  foreignKeys: false,
  transactionalDdl: false,
  nulInText: true,
  mergesRows: false,
  knowsChanges: false,
};

/** Each flush makes files, so they are few and large. */
const FLUSH: Partial<FlushSettings> = {
  maxChanges: 20_000,
  maxBytes: 16 * 1024 * 1024,
  everyMs: 10_000,
};

/**
 * Makes a lake of a gateway's tables. Nothing is opened before the first call.
 *
 * @param options what it is made of
 *
 * @example
 * ```ts
 * import { memoryObjects } from "@lakesync/adapters";
 * import { lakeAdapter, lakeLocation } from "@lakesync/adapters/lake";
 *
 * const adapter = lakeAdapter({
 *   store: memoryObjects(),
 *   location: lakeLocation("memory://lake"),
 *   namespace: "main",
 *   thread: false,
 * });
 * console.assert(await adapter.position() === undefined);
 * await adapter.close();
 * ```
 */
export function lakeAdapter(options: LakeOptions): DatabaseAdapter {
  return new LakeAdapter(options);
}

class LakeAdapter implements DatabaseAdapter {
  readonly name: string;
  readonly #options: LakeOptions;
  readonly #turns = new Turns();
  #open: Promise<OpenLake> | undefined;
  /** Undefined when nothing is known, and everything is to be read anew. */
  #tables: LakeTables | undefined;
  #isClosed = false;

  constructor(options: LakeOptions) {
    this.name = options.name ?? "lake";
    this.#options = options;
  }

  get capabilities(): Capabilities {
    return CAPABILITIES;
  }

  get flushSettings(): Partial<FlushSettings> {
    return FLUSH;
  }

  position(): Promise<FlushPosition | undefined> {
    return this.#work((_, tables) => Promise.resolve(standing(tables)));
  }

  ensureSchema(schema: DestinationSchema): Promise<void> {
    return this.#work((lake, tables) => readySchema(lake, tables, schema));
  }

  insertDeltas(batch: FlushBatch): Promise<void> {
    return this.#work(async (lake, tables) => {
      checkPosition(tables, batch);
      await writeBatch(lake, tables, batch);
    });
  }

  rewind(move: Move): Promise<void> {
    return this.#work(async (lake, tables) => {
      checkPosition(tables, move);
      await rewindLake(lake, tables, move);
    });
  }

  refill(move: Move): Promise<void> {
    return this.#work(async (lake, tables) => {
      checkPosition(tables, move);
      await refillLake(lake, tables, move);
    });
  }

  unsettled(limit: number): Promise<readonly DestinationKey[]> {
    return this.#work(async (lake, { changes }) => {
      const keys: DestinationKey[] = [];
      for (const { id, loaded } of changes.values()) {
        if (keys.length >= limit) break;
        const ids = await readUnsettled(lake, loaded.metadata);
        for (const rowId of ids.slice(0, limit - keys.length)) keys.push({ table: id, rowId });
      }
      return keys;
    });
  }

  schema(): Promise<DestinationSchema | undefined> {
    return this.#work((_, { schema }) => Promise.resolve(schema));
  }

  queryDeltasSince(): Promise<never> {
    return Promise.reject(this.#unreadable());
  }

  getLatestState(): Promise<never> {
    return Promise.reject(this.#unreadable());
  }

  scanState(): Promise<never> {
    return Promise.reject(this.#unreadable());
  }

  forget(what: Forget): Promise<boolean> {
    return this.#work((lake, tables) => forgetDays(lake, tables, what));
  }

  forgottenSeq(): Promise<number> {
    return this.#work((_, tables) => Promise.resolve(forgottenSeqOf(tables)));
  }

  problems(): Promise<readonly RowProblem[]> {
    return Promise.resolve([]);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#turns.take(async () => {
      const open = await this.#open?.catch(() => undefined);
      await open?.close();
    });
  }

  /**
   * Works on the tables as they are known, one call after the other. After a failure nothing is known
   * of them any more.
   */
  #work<T>(work: (lake: Lake, tables: LakeTables) => Promise<T>): Promise<T> {
    return this.#turns.take(async () => {
      if (this.#isClosed) throw new DestinationError("stop", `${this.name} is closed`);
      try {
        this.#open ??= openLake(this.#options);
        const { lake } = await this.#open.catch((error) => {
          this.#open = undefined;
          throw error;
        });
        this.#tables ??= await loadTables(lake);
        return await work(lake, this.#tables);
      } catch (error) {
        this.#tables = undefined;
        throw lakeError(error);
      }
    });
  }

  #unreadable(): DestinationError {
    return new DestinationError("stop", `${this.name} is a lake: read it with an engine`);
  }
}

function standing(tables: LakeTables): FlushPosition | undefined {
  const parts = [...tables.changes.values()].map(({ loaded }) => positionOf(loaded.metadata));
  return lakePosition(ownPosition(tables), parts);
}

function checkPosition(tables: LakeTables, { from }: Pick<Move, "from">): void {
  const own = ownPosition(tables);
  if (!samePosition(own, from)) throw moved(own, from);
}
