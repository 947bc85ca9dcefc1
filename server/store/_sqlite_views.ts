/**
 * The views of one SQLite file.
 *
 * Until something is committed, every view reads by the store's own connection, which costs
 * nothing. Before a commit the views that are open get a read transaction on a connection of their
 * own, all of them the same one, since all of them show what was committed last. So a commit waits
 * for no view, a view shows no commit that came later, and only views that are open across commits
 * cost anything.
 *
 * A read transaction keeps the write-ahead log from beginning anew, so their number and age are
 * bounded: a view waits when too many are held, and one that is held too long is taken back.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { snapshotLost, storeClosed, viewEnded } from "./_errors.ts";
import type { Connection } from "./_sqlite.ts";
import { SqliteReads } from "./_sqlite_reads.ts";
import { ViewMemo } from "./_view_memo.ts";
import type { Head, ReadView } from "./store.ts";

/** Snapshots held at once, each by a connection. */
const MAX_HELD = 4;

/** A view that is held so long is taken back, in milliseconds. */
const MAX_HELD_MS = 5_000;

/** A connection that holds snapshots, one after the other. */
interface Holder {
  readonly db: Connection;
  readonly reads: SqliteReads;
}

/** What some views show. */
interface Snapshot {
  readonly head: Head;
  /** What its views have read. */
  readonly memo: ViewMemo;
  /** How many views show it. */
  views: number;
  /** Who holds it; undefined while the store's own connection shows it. */
  holder: Holder | undefined;
  /** Since when it is held, in milliseconds. */
  heldSinceMs: number;
  /** Whether it was taken back. */
  lost: boolean;
}

/** What the views need of their store. */
export interface SqliteViewsContext {
  /** Names the file in the log. */
  readonly file: string;
  /** Reads by the store's own connection. */
  readonly reads: SqliteReads;
  /** How long a view may be held, if not as long as always; for tests. */
  readonly maxHeldMs: number | undefined;
  /** Opens another connection. */
  connect(): Connection;
}

const logger = getLogger(["lakesync", "store"]);

/** Gives out views, and lets commits pass by them. */
export class SqliteViews {
  readonly #context: SqliteViewsContext;
  readonly #maxHeldMs: number;
  readonly #held = new Set<Snapshot>();
  readonly #idle: Holder[] = [];
  readonly #waiting: PromiseWithResolvers<Snapshot>[] = [];
  /** What a view that is opened now shows. */
  #current: Snapshot | undefined;
  #publishing = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #open = true;

  /** @param context what they need of their store */
  constructor(context: SqliteViewsContext) {
    this.#context = context;
    this.#maxHeldMs = context.maxHeldMs ?? MAX_HELD_MS;
  }

  /** Opens a view; waits for another one to end when too many are held. */
  async view(): Promise<ReadView> {
    const snapshot = this.#join() ?? await this.#wait();
    let open = true;
    const read = <T>(work: (reads: SqliteReads) => T): Promise<T> =>
      Promise.try(() => {
        if (!this.#open) throw storeClosed();
        if (!open) throw viewEnded();
        if (snapshot.lost) throw snapshotLost();
        return work(snapshot.holder?.reads ?? this.#context.reads);
      });
    return {
      head: snapshot.head,
      clients: (ids) => read((reads) => reads.clients(ids)),
      buckets: (names) =>
        read((reads) => snapshot.memo.buckets(names, (names) => reads.buckets(names))),
      rows: (keys) => read((reads) => reads.rows(keys)),
      meta: (name) => read((reads) => reads.meta(name)),
      scan: (scan) => read((reads) => snapshot.memo.scan(scan, (scan) => reads.scanSide(scan))),
      end: () => {
        if (open) this.#leave(snapshot);
        open = false;
        return Promise.resolve(true);
      },
    };
  }

  /** Is called before each commit: gives the views that are open a transaction of their own. */
  beforeCommit(): void {
    const snapshot = this.#current;
    this.#current = undefined;
    if (snapshot !== undefined && snapshot.views > 0 && !snapshot.holder) this.#hold(snapshot);
  }

  /**
   * Runs a commit of another connection, which may be seen at any time while it runs.
   *
   * @param commit the commit
   */
  async during(commit: () => Promise<void>): Promise<void> {
    this.beforeCommit();
    this.#publishing = true;
    try {
      await commit();
    } finally {
      this.#publishing = false;
      this.#current = undefined;
      this.#serve();
    }
  }

  /** Closes all connections; views cannot be read any more. */
  close(): void {
    this.#open = false;
    clearTimeout(this.#timer);
    for (const { reject } of this.#waiting.splice(0)) reject(storeClosed());
    for (const snapshot of this.#held) this.#release(snapshot);
    for (const { db } of this.#idle.splice(0)) db.close();
  }

  #join(): Snapshot | undefined {
    if (!this.#open) throw storeClosed();
    const snapshot = this.#current ?? this.#begin();
    if (snapshot !== undefined) snapshot.views++;
    this.#current = snapshot;
    return snapshot;
  }

  /** A new snapshot, which a holder must be left for. */
  #begin(): Snapshot | undefined {
    if (this.#held.size >= MAX_HELD) return undefined;
    const snapshot = { memo: new ViewMemo(), views: 0, heldSinceMs: 0, lost: false };
    if (!this.#publishing) {
      return { ...snapshot, head: this.#context.reads.head(), holder: undefined };
    }
    const { head, holder } = this.#take();
    const held = { ...snapshot, head, holder };
    this.#keep(held);
    return held;
  }

  #wait(): Promise<Snapshot> {
    const waiting = Promise.withResolvers<Snapshot>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  #serve(): void {
    while (this.#open && this.#waiting.length > 0 && this.#held.size < MAX_HELD) {
      const waiting = this.#waiting.shift();
      waiting?.resolve(Promise.try(() => this.#join() ?? this.#wait()));
    }
  }

  /** Whatever goes wrong here must not stop the commit. */
  #hold(snapshot: Snapshot): void {
    try {
      snapshot.holder = this.#take().holder;
      this.#keep(snapshot);
    } catch (error) {
      snapshot.lost = true;
      logger.warn("A view of {file} cannot be held: {error}", { file: this.#context.file, error });
    }
  }

  /** A connection with a transaction, whose first read is what takes the snapshot. */
  #take(): { readonly head: Head; readonly holder: Holder } {
    const idle = this.#idle.pop();
    const db = idle?.db ?? this.#context.connect();
    try {
      const holder = idle ?? { db, reads: new SqliteReads(db) };
      db.exec("BEGIN DEFERRED");
      return { head: holder.reads.head(), holder };
    } catch (error) {
      db.close();
      throw error;
    }
  }

  #keep(snapshot: Snapshot): void {
    snapshot.heldSinceMs = performance.now();
    this.#held.add(snapshot);
    if (this.#timer === undefined) this.#watch(this.#maxHeldMs);
  }

  #leave(snapshot: Snapshot): void {
    if (--snapshot.views === 0 && this.#held.has(snapshot)) this.#release(snapshot);
  }

  #release(snapshot: Snapshot): void {
    this.#held.delete(snapshot);
    if (this.#current === snapshot) this.#current = undefined;
    if (snapshot.holder) {
      snapshot.holder.db.rollback();
      this.#idle.push(snapshot.holder);
    }
    if (this.#held.size === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    this.#serve();
  }

  #watch(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#takeBack();
      const [oldest] = this.#held;
      if (oldest) this.#watch(oldest.heldSinceMs + this.#maxHeldMs - performance.now());
    }, ms);
  }

  #takeBack(): void {
    for (const snapshot of this.#held) {
      if (performance.now() - snapshot.heldSinceMs < this.#maxHeldMs) return;
      snapshot.lost = true;
      logger.warn(
        "A view of {file} was held for {ms} ms and is taken back, end views when they were read",
        { file: this.#context.file, ms: this.#maxHeldMs },
      );
      this.#release(snapshot);
    }
  }
}
