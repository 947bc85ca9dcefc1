/**
 * The sync loop's side of the local database: each call is one step under the session's lock.
 *
 * @module
 */

import { forkedClientId, type Hlc, type PullResult, type PushResult } from "@lakesync/core";
import { callApp } from "./callback.ts";
import { BatchReader } from "./batch.ts";
import {
  applyCheckpoint,
  coverAnswered,
  forgetCheckpoint,
  forgetStaged,
  storePage,
} from "./checkpoint.ts";
import { DamagedChunkError, readPlace, storePart, type StreamPart } from "./chunks.ts";
import type { SqliteConnection } from "./database/driver.ts";
import type { HashFactory } from "./hash.ts";
import type { SyncedTable } from "./layout.ts";
import { measure, type Measured } from "./measure.ts";
import { Mutex } from "./mutex.ts";
import { readDeadLetters, storeAnswer } from "./refusals.ts";
import { forkAfter, goBackTo, lastPurged, restampFrom } from "./renumber.ts";
import type {
  Applied,
  Batch,
  BatchLimits,
  BatchPosition,
  DeadLetter,
  PageOrigin,
  Replica,
  ReplicaState,
} from "./replica.ts";
import { deleteSql, upsertSql } from "./rows.ts";
import { seal } from "./seal.ts";
import type { Session } from "./session.ts";
import { readState, readStateAndRepairs, receiveStamp, type State } from "./state.ts";
import { slicer } from "./timer.ts";
import { storeMeasured, type Verified } from "./verify.ts";

/** What the sync side needs beside the session. */
export interface LocalReplicaOptions {
  /** The connections. */
  readonly session: Session;
  /** The schema's version. */
  readonly schemaVersion: number;
  /** Begins hashes. */
  readonly hash: HashFactory;
  /** How long accepted transactions are kept, in milliseconds. */
  readonly keepMs: number;
  /** Makes a new clientId, for a fork that sends nothing again. */
  readonly newClientId: () => string;
  /** Opens one more connection that reads; undefined for a database in memory. */
  readonly openReader?: () => Promise<SqliteConnection>;
}

/** The local database as the sync loop sees it. */
export class LocalReplica implements Replica {
  readonly #options: LocalReplicaOptions;
  readonly #session: Session;
  readonly #batches: BatchReader;
  readonly #commitListeners = new Set<() => void>();
  /** Compares; opened when it is needed first, since opening costs more than a comparison of few rows. */
  #measurer: SqliteConnection | undefined;
  readonly #verifying = new Mutex();
  readonly #refusalListeners = new Set<(letter: DeadLetter) => void>();

  /** @param options the session and what goes with it */
  constructor(options: LocalReplicaOptions) {
    this.#options = options;
    this.#session = options.session;
    this.#batches = new BatchReader(options.session.layout, options.hash);
    this.#session.listeners.add(({ sealed }) => {
      if (!sealed) return;
      for (const listener of [...this.#commitListeners]) listener();
    });
  }

  async state(): Promise<ReplicaState> {
    const { state, repair, stream } = await this.#session.peek(async (db) => {
      const { state, repair } = await readStateAndRepairs(db);
      const whole = state.stagedCursor === undefined && !state.replacing;
      return {
        state,
        repair: whole ? repair : [],
        stream: whole && state.cursor !== undefined ? undefined : await readPlace(db),
      };
    });
    return {
      clientId: state.clientId,
      cursor: cursorOf(state),
      stream,
      lastMutationId: Math.max(0, state.lastMutationId),
      settledMutationId: state.settledMutationId,
      highestMutationId: state.highestMutationId,
      refusalsSeen: state.refusalsSeen,
      origin: state.origins.at(-1),
      doubts: state.doubts,
      schemaVersion: this.#options.schemaVersion,
      repair,
    };
  }

  async seal(): Promise<number> {
    if (await this.#session.sealOthers()) {
      // Which tables it were is told when the commit is noticed.
      this.#session.announce({ sealed: true, tables: new Set() });
    }
    return (await this.#session.peek(readState)).highestMutationId;
  }

  async nextBatch(
    after: BatchPosition,
    limits: BatchLimits,
  ): Promise<Batch | undefined> {
    return await this.#session.note(async (db) => {
      const { clientId } = await readState(db);
      return await this.#batches.read(db, clientId, after, limits);
    });
  }

  async pushed(result: PushResult, through?: number): Promise<void> {
    const refused = result.rejected.length > 0;
    const { layout } = this.#session;
    const store = async (db: SqliteConnection) => {
      const answered = await storeAnswer(db, layout, result, through);
      const letters = answered.letters.length === 0
        ? []
        : await readDeadLetters(db, layout, answered.letters);
      return { answered, letters };
    };
    const { answered, letters } = refused
      ? await this.#session.step(store, true)
      : await this.#session.note(store);
    await this.#announce(answered.touched);
    if (answered.covers) {
      await this.#announce(
        await this.#session.step((db) => coverAnswered(db, layout), false),
      );
    }
    for (const letter of letters) {
      for (const listener of [...this.#refusalListeners]) callApp(() => listener(letter));
    }
  }

  async storePart(part: StreamPart, clientId: string): Promise<boolean> {
    return await this.#session.note(async (db) => {
      const state = await readState(db);
      if (!follows(state, { clientId, cursor: undefined })) return false;
      return await storePart(db, part);
    });
  }

  async receive(
    page: PullResult,
    origin?: PageOrigin,
    onApplied?: (rows: number) => void,
  ): Promise<Applied> {
    const rows = page.changes.length;
    const { layout } = this.#session;
    const { keepMs } = this.#options;
    const done = await this.#session.step(async (db) => {
      const state = await readState(db);
      if (origin !== undefined && !follows(state, origin)) return "dropped";
      if (page.complete) {
        const { settledMutationId } = origin ?? {};
        const chainOf = (mutationId: number) =>
          this.#batches.chainThrough(db, state.clientId, mutationId);
        const options = { state, keepMs, settledMutationId, chainOf, onApplied };
        return await applyCheckpoint(db, layout, page, options);
      }
      await storePage(db, page, cursorOf(state) === undefined);
      return "stored";
    }, false).catch(async (error) => {
      if (!(error instanceof DamagedChunkError)) throw error;
      await this.#session.note(forgetStaged);
      return "dropped" as const;
    });
    if (done === "dropped") return { complete: false, rows: 0, seq: undefined, dropped: true };
    if (done === "stored") return { complete: false, rows, seq: undefined };
    const { touched, repair, verify } = done;
    await this.#announce(touched);
    return {
      complete: true,
      rows,
      seq: page.checkpoint?.seq,
      ...(repair ? { repair } : {}),
      ...(verify === undefined ? {} : { verify }),
    };
  }

  async verify(): Promise<Verified | undefined> {
    return await this.#verifying.hold(async () => {
      this.#session.checkOpen();
      const measured = await this.#measure();
      if (measured === undefined) return undefined;
      return await this.#session.note((db) => storeMeasured(db, measured));
    });
  }

  async #measure(): Promise<Measured | undefined> {
    const session = this.#session;
    const slice = slicer();
    const pause = async () => {
      session.checkOpen();
      await slice();
    };
    const { openReader } = this.#options;
    if (openReader === undefined) {
      return await session.lock.hold(() => measure(session.writer, session.layout, pause));
    }
    const db = this.#measurer ??= await openReader();
    try {
      await db.script("BEGIN");
      const measured = await measure(db, session.layout, pause);
      await db.script("ROLLBACK");
      return measured;
    } catch (error) {
      await this.#closeMeasurer();
      throw error;
    }
  }

  async #closeMeasurer(): Promise<void> {
    const db = this.#measurer;
    this.#measurer = undefined;
    await db?.close();
  }

  /** Resolves when no comparison is under way nor comes; the session is to be closing. */
  protected async verified(): Promise<void> {
    await this.#verifying.hold(() => this.#closeMeasurer());
  }

  async #announce(touched: ReadonlySet<SyncedTable>): Promise<void> {
    if (touched.size === 0) return;
    const statements = [...touched].flatMap((table) => [
      upsertSql(table, table.columns),
      deleteSql(table),
    ]);
    const tables = await this.#session.writtenBy(statements);
    this.#session.announce({ sealed: false, tables });
  }

  async resync(): Promise<void> {
    await this.#session.step(forgetCheckpoint, true);
  }

  async restamp(fromMutationId: number): Promise<void> {
    await this.#session.step(async (db) => {
      this.#batches.forget();
      await restampFrom(db, fromMutationId);
    }, true);
  }

  async fork(lastCommonMutationId: number): Promise<void> {
    const { layout } = this.#session;
    await this.#session.step(async (db) => {
      this.#batches.forget();
      await seal(db);
      await this.#fork(db, lastCommonMutationId);
    }, true);
    await this.#announce(new Set(layout.byName.values()));
  }

  async #fork(db: SqliteConnection, lastCommonMutationId: number): Promise<void> {
    const { layout } = this.#session;
    const { clientId, highestMutationId, origins } = await readState(db);
    const purged = await lastPurged(db);
    const mutationId = Math.max(lastCommonMutationId, purged);
    if (mutationId >= highestMutationId) {
      return await forkAfter(db, layout, mutationId, this.#options.newClientId(), []);
    }
    const chain = await this.#batches.chainThrough(db, clientId, mutationId);
    const next = await this.#batches.chainThrough(db, clientId, mutationId + 1);
    const name = forkedClientId(clientId, next, (text) => {
      const hash = this.#options.hash();
      hash.update(text);
      return hash.hex();
    });
    // Where the gateway lacks what was purged here, nobody can be asked for it.
    const isLost = purged > lastCommonMutationId;
    const before = isLost ? [] : [...origins, { clientId, mutationId, chain, next }];
    await forkAfter(db, layout, mutationId, name, before);
  }

  async goBack(clientId: string): Promise<void> {
    const { layout } = this.#session;
    await this.#session.step(async (db) => {
      this.#batches.forget();
      await seal(db);
      if (!await goBackTo(db, layout, clientId)) await this.#fork(db, 0);
    }, true);
    await this.#announce(new Set(layout.byName.values()));
  }

  async chains(from: number, through: number): Promise<ReadonlyMap<number, string>> {
    const rows = await this.#session.peek((db) =>
      db.values(
        `SELECT mutation_id, chain FROM _lakesync_tx
         WHERE mutation_id BETWEEN max(1, ?) AND ? AND chain IS NOT NULL`,
        [from, through],
      )
    );
    return new Map(rows.map(([mutationId, chain]) => [Number(mutationId), String(chain)]));
  }

  async forgotten(lastMutationId: number): Promise<void> {
    await this.#session.note(async (db) => {
      await db.run(
        "UPDATE _lakesync_state SET settled_mutation_id = min(settled_mutation_id, ?)",
        [lastMutationId],
      );
    });
  }

  async trust(doubts: number): Promise<void> {
    await this.#session.note(async (db) => {
      await db.run("UPDATE _lakesync_state SET doubts = 0 WHERE doubts = ?", [doubts]);
    });
  }

  async setClockOffset(offsetMs: number): Promise<void> {
    await this.#session.note(async (db) => {
      await db.run("UPDATE _lakesync_clock SET offset_ms = ?", [
        Math.round(offsetMs),
      ]);
    });
  }

  async receiveHlc(hlc: Hlc): Promise<void> {
    await this.#session.note((db) => receiveStamp(db, hlc));
  }

  onLocalCommit(listener: () => void): () => void {
    this.#commitListeners.add(listener);
    return () => void this.#commitListeners.delete(listener);
  }

  /**
   * Listens to refusals.
   *
   * @param listener called after the refused transaction was undone
   * @returns ends the listening
   */
  onRejected(listener: (letter: DeadLetter) => void): () => void {
    this.#refusalListeners.add(listener);
    return () => void this.#refusalListeners.delete(listener);
  }
}

/** Whether a page goes on from where the database stands. */
function follows(state: State, origin: PageOrigin): boolean {
  return state.clientId === origin.clientId && cursorOf(state) === origin.cursor;
}

function cursorOf({ stagedCursor, cursor }: State): string | undefined {
  return stagedCursor ?? cursor;
}
