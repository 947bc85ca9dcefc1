/**
 * Finds rows outside the gateway's own store for the snapshots of one gateway, if they will do.
 *
 * @module
 */

import type { CatalogVersion } from "./catalog.ts";
import { ChunkRows } from "./checkpoint_chunk.ts";
import { columnsOfDigits } from "./checkpoint_forms.ts";
import { planRows, type RowPlan, type RowSource } from "./checkpoint_rows.ts";
import type { CheckpointFacts, ChunkedBucket, HouseContext } from "./checkpoint_house.ts";
import { RulesChanged } from "./scope.ts";

/** A first pull does not wait longer for a source, in milliseconds. */
const FIND_MS = 5_000;

/** After a source has failed, or had other rows than the gateway, it is left alone so long. */
const RETRY_MS = 10 * 60_000;

/** So many buckets are remembered whose rows a source does not have as they are. */
const MAX_REFUSED = 1_000;

/** When more rows have moved a source is not read, however large the bucket: a view is held for them. */
const MAX_MOVED = 20_000;

/** Finds rows. */
export class RowFinder {
  readonly #context: HouseContext;
  /** Until when buckets are made of the gateway's own rows, by their stored ids. */
  readonly #refused = new Map<string, number>();
  #retryMs = 0;

  /** @param context the gateway */
  constructor(context: HouseContext) {
    this.#context = context;
  }

  /**
   * Finds the rows of a bucket.
   *
   * @param bucket the bucket
   * @param names the schema version
   * @param facts of the gateway
   * @returns undefined when the gateway's own are to be read
   */
  async find(
    bucket: ChunkedBucket,
    names: CatalogVersion,
    facts: CheckpointFacts,
  ): Promise<RowPlan | undefined> {
    const { env, settings, gatewayId } = this.#context;
    const source = settings.rowsOf?.(gatewayId);
    if (source === undefined || env.now() < this.#retryMs) return undefined;
    if (env.now() < (this.#refused.get(bucket.record.id) ?? 0)) return undefined;
    try {
      return await this.#plan(source, bucket, names, facts);
    } catch (error) {
      if (error instanceof RulesChanged) return undefined;
      this.#retryMs = env.now() + RETRY_MS;
      env.onError?.("Rows for a checkpoint were not found outside the gateway", error);
      return undefined;
    }
  }

  /** Says that a bucket could not be made of what was found. */
  refuse(bucketId: string, error: unknown): void {
    const { env } = this.#context;
    if (this.#refused.size >= MAX_REFUSED) this.#refused.clear();
    this.#refused.set(bucketId, env.now() + RETRY_MS);
    env.onError?.("Rows for a checkpoint were not taken, the gateway's own are", error);
  }

  async #plan(
    source: RowSource,
    { record, placed }: ChunkedBucket,
    names: CatalogVersion,
    { catalog, past }: CheckpointFacts,
  ): Promise<RowPlan | undefined> {
    const { store, settings, env: { nextTurn } } = this.#context;
    const columns = new ChunkRows(catalog, names, placed).columns();
    const rows = await this.#within(source.open([...columns.keys()]));
    if (rows === undefined) return undefined;
    // Else the snapshot would be replaced soon, by one that is no better.
    const maxMoved = Math.min(MAX_MOVED, Math.floor(settings.staleShare * record.rows / 2));
    return await planRows(rows, record.bucket, placed, {
      ...{ store, past, maxMoved, nextTurn },
      columnsOfDigits: columnsOfDigits(catalog, columns),
    });
  }

  async #within<T>(work: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const cancel = this.#context.env.setTimer(
      FIND_MS,
      () => late.reject(new Error("Rows were not found in time")),
    );
    try {
      return await Promise.race([work, late.promise]);
    } finally {
      cancel();
    }
  }
}
