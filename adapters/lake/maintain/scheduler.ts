/**
 * Merges and keeps a lake in shape in the background: merges often, the rest in between, one thing
 * after the other, so each is bounded and none is in the way of another.
 *
 * @module
 */

import { backoffMs, type FlushEnvironment } from "../../flush/settings.ts";
import { Signal } from "../../flush/wait.ts";
import { ObjectStoreError } from "../../object-store/object_store.ts";
import { CatalogError, type LoadedTable } from "../catalog/catalog.ts";
import { type Lake, lakeError } from "../flush/lake.ts";
import { positionOf } from "../flush/properties.ts";
import { type LakeTables, loadTables } from "../flush/tables.ts";
import { DEFAULT_MERGE, type MergeSettings } from "../table/merge.ts";
import { mergeOne } from "../table/merge_lake.ts";
import {
  DEFAULT_MAINTENANCE,
  isHarmless,
  maintain,
  type MaintenanceReport,
  type MaintenanceSettings,
} from "./maintain.ts";
import { expireSnapshots } from "./expire.ts";
import { Reach } from "./reach.ts";

/** So many snapshots that are not to be kept go without waiting for the next maintenance. */
const MANY_SNAPSHOTS = 20;

/** When a lake is merged and kept in shape. */
export interface LakeSchedule {
  /** Changes are merged into rows so often, in milliseconds. */
  readonly mergeEveryMs: number;
  /** Files, manifests and snapshots are looked after so often, in milliseconds. */
  readonly maintainEveryMs: number;
  /** Objects that nothing names are looked for so often, in milliseconds. */
  readonly orphansEveryMs: number;
  /** After a failure it is tried again within so long, in milliseconds; each failure doubles it. */
  readonly retryMs: number;
  /** It is tried again within so long at the latest, in milliseconds. */
  readonly maxRetryMs: number;
}

/** The schedule that holds unless configured otherwise. */
export const DEFAULT_SCHEDULE: LakeSchedule = {
  mergeEveryMs: 60_000,
  maintainEveryMs: 10 * 60_000,
  orphansEveryMs: 24 * 3_600_000,
  retryMs: 1_000,
  maxRetryMs: 5 * 60_000,
};

/** How the tables of a lake stand, for those who watch it. */
export interface LakeStatus {
  /** By how many commits rows are behind their changes, at most. */
  readonly mergeLagCommits: number;
  /** For how long the rows have been behind, in milliseconds; 0 when they are not. */
  readonly mergeLagMs: number;
  /** How many changes were merged since it was started. */
  readonly mergedChanges: number;
  /** How many bytes were written anew since it was started. */
  readonly compactedBytes: number;
  /** How many objects were deleted since it was started. */
  readonly deletedObjects: number;
  /** Of each table, what it has now. */
  readonly tables: readonly LakeTableStatus[];
  /** Failures in a row. */
  readonly failures: number;
  /** The last failure; undefined after a success. */
  readonly lastError: { readonly message: string; readonly atMs: number } | undefined;
}

/** What a table has. */
export interface LakeTableStatus {
  /** Its name. */
  readonly table: string;
  /** How many files of data and of deletes. */
  readonly files: number;
  /** How many bytes they have. */
  readonly bytes: number;
  /** How many rows, those that are deleted by their places among them. */
  readonly rows: number;
  /** How many snapshots it keeps. */
  readonly snapshots: number;
}

/** Settings of what a schedule starts. */
export interface LakeWork {
  /** When. */
  readonly schedule?: Partial<LakeSchedule>;
  /** How changes are merged. */
  readonly merge?: Partial<MergeSettings>;
  /** How the lake is kept in shape. */
  readonly maintenance?: Partial<MaintenanceSettings>;
}

/** Works on a lake until it is closed. */
export class LakeKeeper {
  readonly #lake: Lake;
  readonly #env: FlushEnvironment;
  readonly #schedule: LakeSchedule;
  readonly #merge: MergeSettings;
  readonly #maintenance: Partial<MaintenanceSettings>;
  readonly #reach = new Reach();
  readonly #wake = new Signal();
  #isClosed = false;
  #isHurried = false;
  #running: Promise<void> | undefined;
  #maintainAtMs: number;
  #orphansAtMs: number;
  #behindSinceMs: number | undefined;
  #status: LakeStatus = {
    mergeLagCommits: 0,
    mergeLagMs: 0,
    mergedChanges: 0,
    compactedBytes: 0,
    deletedObjects: 0,
    tables: [],
    failures: 0,
    lastError: undefined,
  };

  /**
   * Makes it ready; nothing is done before {@linkcode start}.
   *
   * @param lake the lake; it is not closed with this
   * @param env time and chance
   * @param work what is done when, and how
   */
  constructor(lake: Lake, env: FlushEnvironment, work: LakeWork = {}) {
    this.#lake = lake;
    this.#env = env;
    this.#schedule = { ...DEFAULT_SCHEDULE, ...work.schedule };
    this.#merge = { ...DEFAULT_MERGE, ...work.merge };
    this.#maintenance = work.maintenance ?? {};
    this.#maintainAtMs = env.now() + this.#schedule.maintainEveryMs;
    this.#orphansAtMs = this.#maintainAtMs;
  }

  /** How it stands. */
  get status(): LakeStatus {
    const since = this.#behindSinceMs;
    return { ...this.#status, mergeLagMs: since === undefined ? 0 : this.#env.now() - since };
  }

  /** Begins. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Merges soon, such as after many changes. */
  hurry(): void {
    this.#isHurried = true;
    this.#wake.give();
  }

  /** Ends what is under way, at the end of its step. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake.give();
    await this.#running;
  }

  /**
   * Does what is due: merges, and keeps the lake in shape when it is time.
   *
   * @throws what it failed with
   */
  async pass(): Promise<void> {
    const tables = await loadTables(this.#lake);
    this.#look(tables);
    const merged = await this.#mergeAll(tables);
    const expired = await this.#expire(tables);
    if (merged + expired > 0) this.#tell(await loadTables(this.#lake));
    const nowMs = this.#env.now();
    const { maintainEveryMs, orphansEveryMs } = this.#schedule;
    if (!isDue(this.#maintainAtMs, nowMs, maintainEveryMs) || this.#isClosed) return;
    const orphans = isDue(this.#orphansAtMs, nowMs, orphansEveryMs);
    const settings = { ...this.#maintenance, orphans };
    const report = await maintain(this.#lake, settings, this.#reach, () => this.#isClosed);
    this.#count(report);
    if (isChanged(report)) this.#tell(await loadTables(this.#lake));
    this.#maintainAtMs = nowMs + maintainEveryMs;
    if (orphans) this.#orphansAtMs = nowMs + orphansEveryMs;
    if (report.failure !== undefined && !isHarmless(report.failure)) throw report.failure;
  }

  async #run(): Promise<void> {
    const { mergeEveryMs } = this.#schedule;
    while (!this.#isClosed) {
      let wait = mergeEveryMs;
      try {
        await this.pass();
        this.#status = { ...this.#status, failures: 0, lastError: undefined };
      } catch (error) {
        wait = this.#failed(error);
      }
      await this.#passes(wait);
    }
  }

  #failed(error: unknown): number {
    // Another commit was first; nothing is wrong.
    if (isHarmless(error)) return this.#schedule.retryMs;
    const message = error instanceof Error ? error.message : String(error);
    const failures = this.#status.failures + 1;
    this.#status = {
      ...this.#status,
      failures,
      lastError: { message, atMs: this.#env.now() },
    };
    // What a store or a catalog failed with says what to do; of all else the log has the stack.
    const isTheirs = error instanceof CatalogError || error instanceof ObjectStoreError;
    const told = isTheirs ? lakeError(error) : error;
    this.#env.onError?.("Merging changes of the lake into rows failed, it is tried again", told);
    return backoffMs(failures, this.#schedule, this.#env.random());
  }

  async #passes(ms: number): Promise<void> {
    let passed = false;
    const cancel = this.#env.setTimer(ms, () => {
      passed = true;
      this.#wake.give();
    });
    while (!passed && !this.#isClosed && !this.#isHurried) await this.#wake.wait();
    this.#isHurried = false;
    cancel();
  }

  /** Merges; gives how many changes. */
  async #mergeAll(tables: LakeTables): Promise<number> {
    let merged = 0;
    for (const id of tables.rows.keys()) {
      for (let isBehind = true; isBehind && !this.#isClosed;) {
        const report = await mergeOne(this.#lake, tables, id, this.#merge);
        const changes = report?.changes ?? 0;
        merged += changes;
        this.#status = {
          ...this.#status,
          mergedChanges: this.#status.mergedChanges + changes,
        };
        isBehind = report?.isBehind === true && changes > 0;
        await this.#lake.nextTurn();
      }
    }
    if (this.#isClosed) return merged;
    this.#behindSinceMs = undefined;
    this.#status = { ...this.#status, mergeLagCommits: 0 };
    return merged;
  }

  /** Lets snapshots go when there are many: they are written anew with every commit; gives how many. */
  async #expire(tables: LakeTables): Promise<number> {
    const { thinning } = { ...DEFAULT_MAINTENANCE, ...this.#maintenance };
    let gone = 0;
    for (const { table } of allOf(tables)) {
      if (this.#isClosed) break;
      const expiry = { thinning, atLeast: MANY_SNAPSHOTS };
      gone += await expireSnapshots(this.#lake, table, this.#reach, expiry);
    }
    return gone;
  }

  /** Looks at how far rows are behind, and at what the tables have. */
  #look(tables: LakeTables): void {
    const { changes, rows } = tables;
    let lag = 0;
    for (const [id, { loaded }] of changes) {
      const merged = rows.get(id);
      if (merged === undefined) continue;
      const [head, at] = [loaded, merged].map(({ metadata }) => positionOf(metadata)?.seq ?? 0);
      lag = Math.max(lag, (head ?? 0) - (at ?? 0));
    }
    if (lag > 0) this.#behindSinceMs ??= this.#env.now();
    this.#status = { ...this.#status, mergeLagCommits: lag };
    this.#tell(tables);
  }

  /** Tells what the tables have. */
  #tell(tables: LakeTables): void {
    this.#status = {
      ...this.#status,
      tables: allOf(tables).map(({ table: { name }, snapshot, metadata }) => ({
        table: name,
        files: total(snapshot?.summary, "total-data-files") +
          total(snapshot?.summary, "total-delete-files"),
        bytes: total(snapshot?.summary, "total-files-size"),
        rows: total(snapshot?.summary, "total-records"),
        snapshots: metadata.snapshots?.length ?? 0,
      })),
    };
  }

  #count({ tables }: MaintenanceReport): void {
    let { compactedBytes, deletedObjects } = this.#status;
    for (const { compacted, objects, metadata, orphans } of tables) {
      compactedBytes += compacted.bytes;
      deletedObjects += objects + metadata + orphans;
    }
    this.#status = { ...this.#status, compactedBytes, deletedObjects };
  }
}

/** All tables of a lake. */
function allOf({ main, changes, rows }: LakeTables): readonly LoadedTable[] {
  const loaded = [...changes.values()].map(({ loaded }) => loaded);
  return [...loaded, ...rows.values(), ...main === undefined ? [] : [main]];
}

/** Whether maintenance has committed to a table. */
function isChanged({ tables }: MaintenanceReport): boolean {
  return tables.some(({ compacted, manifests, snapshots }) =>
    compacted.files + manifests + snapshots > 0
  );
}

/** Whether it is time; also when it is longer until then than ever, since the clock was set back. */
function isDue(atMs: number, nowMs: number, everyMs: number): boolean {
  return nowMs >= atMs || atMs - nowMs > everyMs;
}

function total(summary: Readonly<Record<string, string>> | undefined, name: string): number {
  return Number(summary?.[name] ?? 0);
}
