/**
 * A large commit in Deno KV: slices are staged where nobody looks, and read from there again.
 *
 * @module
 */

import { headMoved } from "./_errors.ts";
import { publish, stage, type VersionedHead } from "./_kv_commit.ts";
import { KvDraft } from "./_kv_content.ts";
import { type GatewayKey, rowAt, stagedAt } from "./_kv_keys.ts";
import { type Counts, countsFrom, KvPlan, type ReadKeys } from "./_kv_plan.ts";
import { toRows } from "./_kv_reads.ts";
import type { HeadRecord } from "./_kv_records.ts";
import type { KvSession } from "./_kv_session.ts";
import type { CommitBatch, RowKey, StoredRow, Writes } from "./store.ts";

/** A large commit that is open. */
export class KvLarge {
  /** The write, with its large values. */
  readonly draft: KvDraft;
  readonly #session: KvSession;
  readonly #counts: Counts;
  readonly #firstRid: number;

  /**
   * @param session the gateway
   * @param head the head it begins with
   */
  constructor(session: KvSession, head: HeadRecord) {
    this.draft = new KvDraft(session);
    this.#session = session;
    this.#counts = countsFrom(head);
    this.#firstRid = head.lastRid;
  }

  /** Reads rows as the slices have left them. */
  async readRows(
    keys: readonly RowKey[],
  ): Promise<readonly (StoredRow | undefined)[]> {
    const found = await this.#read(keys.map(rowAt));
    return toRows(this.#session, keys, found);
  }

  /** Stages a slice. */
  async write(writes: Writes): Promise<void> {
    const plan = new KvPlan(
      this.#session,
      this.#read,
      this.draft,
      this.#counts,
    );
    await plan.add(writes);
    await stage(this.#session, this.draft, plan.writes);
  }

  /**
   * Publishes all slices and the last writes.
   *
   * @param head the head as it is now
   * @param batch the head it expects, and the last writes
   * @throws {LakeSyncError} `BACKPRESSURE` when the head has moved
   */
  async publish(head: VersionedHead, batch: CommitBatch): Promise<void> {
    const { seq, lastRid } = head.record;
    if (seq !== batch.expectedSeq || lastRid !== this.#firstRid) {
      throw headMoved();
    }
    await this.write(batch);
    const { draft } = this;
    const publication = { batch, draft, counts: this.#counts };
    await publish(this.#session, head, publication, undefined);
  }

  /** Reads keys as they are staged, and as they are where they are not. */
  readonly #read: ReadKeys = async (keys) => {
    const staged = await this.#session.getMany(
      keys.map((key): GatewayKey => stagedAt(this.draft.id, key)),
    );
    const isStaged = (index: number) => staged[index]?.versionstamp !== null;
    const others = keys.filter((_, index) => !isStaged(index));
    const found = (await this.#session.getMany(others)).values();
    return staged.map((value, index) => isStaged(index) ? value : found.next().value ?? value);
  };
}
