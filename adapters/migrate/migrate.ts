/**
 * Brings everything that one adapter holds to another one, while the first may still be written to.
 * How far it has come is the other one's own position, so it can end anywhere and be begun again.
 *
 * @module
 */

import {
  type DatabaseAdapter,
  DestinationError,
  type FlushBatch,
  type FlushPosition,
} from "../adapter.ts";
import { DelegateAdapter } from "../delegate.ts";
import { SYSTEM } from "../environment.ts";
import { adapterSource } from "../flush/adapter_source.ts";
import { Flusher } from "../flush/flusher.ts";
import { partedAfter, positionAt } from "../flush/resume.ts";
import type { FlushEnvironment, FlushSettings } from "../flush/settings.ts";
import { compareRows, type TableFigures } from "./compare.ts";
import { SomeTables } from "./tables.ts";

/** What has been done so far. */
export interface MigrationProgress {
  /** Whether rows and changes are brought over, or compared. */
  readonly phase: "copying" | "comparing";
  /** The commit that the new adapter has come to. */
  readonly seq: number;
  /** The commit that the old one stands at, as far as known. */
  readonly headSeq: number;
  /** Changes that were written in this run. */
  readonly changes: number;
  /** Rows that were set in this run. */
  readonly rows: number;
}

/** What is migrated, and how. */
export interface MigrationOptions {
  /** The old adapter. It may still be written to. */
  readonly from: DatabaseAdapter;
  /** The new one: empty, or left by a migration that did not come to its end. */
  readonly to: DatabaseAdapter;
  /** The tables, by name; all unless given. */
  readonly tables?: readonly string[];
  /** So many changes or rows are written at once; 10,000 unless given. */
  readonly batchSize?: number;
  /** Told of each batch. */
  readonly onProgress?: (progress: MigrationProgress) => void;
  /** Ends it early; it can be begun again. */
  readonly signal?: AbortSignal;
  /** How failures are waited out. */
  readonly settings?: Partial<FlushSettings>;
  /** Time and chance; the runtime's unless given. */
  readonly env?: FlushEnvironment;
}

/** What was migrated. */
export interface MigrationResult {
  /** Where the new adapter stands: a flusher goes on with it from there. */
  readonly position: FlushPosition | undefined;
  /** Whether both were compared; not where the new adapter cannot be read back. */
  readonly isCompared: boolean;
  /** What both hold, by the table's name; nothing when they were not compared. */
  readonly tables: Readonly<Record<string, TableFigures>>;
  /** The rows that differ, as `table rowId`; none when all is well. */
  readonly different: readonly string[];
  /** Changes that were written in this run. */
  readonly changes: number;
  /** Rows that were set in this run. */
  readonly rows: number;
  /** Changes at or before this commit were no longer in the old adapter. */
  readonly floor: number;
}

/** The two adapters differ in the end. */
export class MigrationError extends DestinationError {
  /** The figures, and what differs. */
  readonly result: MigrationResult;

  /**
   * Makes the error.
   *
   * @param result the figures, and what differs
   */
  constructor(result: MigrationResult) {
    super(
      "stop",
      `${result.different.length} rows differ after the migration, keep the old adapter and look at: ${
        result.different.slice(0, 5).join(", ")
      }`,
    );
    this.result = result;
  }
}

/**
 * Migrates, and compares in the end where the new adapter can be read. Neither adapter is closed.
 *
 * @param options what and how
 * @returns the figures
 * @throws {MigrationError} when the two differ in the end
 * @throws {DestinationError} `stop` when the new adapter holds something else, or the old one cannot
 * be read
 *
 * @example
 * ```ts
 * import { memoryAdapter, migrateAdapter } from "@lakesync/adapters";
 *
 * const [from, to] = [memoryAdapter("old"), memoryAdapter("new")];
 * const { different } = await migrateAdapter({ from, to });
 * console.assert(different.length === 0);
 * ```
 */
export async function migrateAdapter(options: MigrationOptions): Promise<MigrationResult> {
  const { to, tables, batchSize = 10_000, signal, onProgress, env = SYSTEM } = options;
  signal?.throwIfAborted();
  const from = tables === undefined ? options.from : new SomeTables(options.from, tables);
  await begin(options.from, to);
  const counted = new Counted(to);
  const report = (phase: MigrationProgress["phase"]) => {
    const { changes, rows, seq } = counted;
    const { position, lagCommits } = flusher.status;
    const headSeq = Math.max(seq, (position?.seq ?? 0) + lagCommits);
    onProgress?.({ phase, seq, headSeq, changes, rows });
  };
  counted.onWrite = () => report("copying");
  const flusher = new Flusher({
    source: adapterSource(from),
    destination: counted,
    env,
    settings: { ...options.settings, maxChanges: batchSize, everyMs: 0 },
  });
  const end = () => void flusher.close();
  signal?.addEventListener("abort", end);
  try {
    await flusher.flushNow();
    if (!to.capabilities.readable) return await unread(to, counted);
    report("comparing");
    const schema = await from.schema();
    const names = new Map(schema?.tables.map(({ id, table }) => [id, table.name]));
    const settle = async () => {
      signal?.throwIfAborted();
      await flusher.flushNow();
    };
    const { tables: figures, different } = await compareRows(
      from,
      to,
      batchSize,
      settle,
      (table) => names.has(table),
    );
    const position = await to.position();
    const result: MigrationResult = {
      position,
      isCompared: true,
      tables: Object.fromEntries(
        [...names].map(([id, name]) => [name, figures.get(id) ?? NO_ROWS]),
      ),
      different,
      changes: counted.changes,
      rows: counted.rows,
      floor: position?.floor ?? 0,
    };
    if (different.length > 0) throw new MigrationError(result);
    return result;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", end);
    await flusher.close();
  }
}

const NO_ROWS: TableFigures = { rows: 0, hidden: 0, checksum: "0".repeat(32) };

/** The result where the new adapter cannot be read back. */
async function unread(
  to: DatabaseAdapter,
  { changes, rows }: Pick<MigrationResult, "changes" | "rows">,
): Promise<MigrationResult> {
  const position = await to.position();
  return {
    position,
    isCompared: false,
    tables: {},
    different: [],
    changes,
    rows,
    floor: position?.floor ?? 0,
  };
}

/** Refuses what holds something else, and lets an empty one begin where the old one begins. */
async function begin(from: DatabaseAdapter, to: DatabaseAdapter): Promise<void> {
  if (!from.capabilities.readable) {
    throw new DestinationError("stop", `${from.name} cannot be read back, nothing comes out of it`);
  }
  const [old, own] = await Promise.all([from.position(), to.position()]);
  if (own !== undefined) {
    if (own.seq === 0 || (old !== undefined && partedAfter(old.lives, own) > 0)) return;
    throw new DestinationError(
      "stop",
      `${to.name} holds changes of another gateway, migrate to an empty one`,
    );
  }
  const floor = Math.max(await from.forgottenSeq(), old?.floor ?? 0);
  const schema = await from.schema();
  if (old === undefined || floor === 0 || schema === undefined) return;
  await to.ensureSchema(schema);
  const start = positionAt(old.lives, { seq: floor }, "migration");
  await to.refill({ from: undefined, to: { ...start, filled: "", floor } });
}

/** Counts what is written. */
class Counted extends DelegateAdapter {
  changes = 0;
  rows = 0;
  seq = 0;
  onWrite: () => void = () => {};

  constructor(inner: DatabaseAdapter) {
    super(inner.name, inner);
  }

  override async insertDeltas(batch: FlushBatch): Promise<void> {
    await this.inner.insertDeltas(batch);
    this.changes += batch.changes.length;
    this.rows += batch.rows.length;
    this.seq = batch.to.seq;
    this.onWrite();
  }
}
