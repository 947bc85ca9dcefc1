/**
 * The flow of an adapter of a SQL database: what a flush, a rewind or a new schema does, in which
 * order, and in one transaction. How it is done is the backend's.
 *
 * @module
 */

import type {
  Capabilities,
  Change,
  DatabaseAdapter,
  DeltaPage,
  DestinationKey,
  DestinationSchema,
  FlushBatch,
  FlushPosition,
  Forget,
  LatestState,
  Move,
  Place,
  RowProblem,
} from "../adapter.ts";
import { moved } from "../moved.ts";
import { comparePlaces, samePosition } from "../place.ts";
import type { NumberedChange, SqlBackend, SqlTransaction, StoredPosition } from "./backend.ts";
import { ensureTables } from "./ensure_tables.ts";
import { Family } from "./family.ts";
import { forgetOld } from "./forget.ts";
import { mergeImages, neededBefore, type StoredRow } from "./images.ts";
import { KeyMap } from "./row_keys.ts";
import { settleRows } from "./settle.ts";
import { portCells } from "./stored_cells.ts";

/** A slice that no transaction has: after all slices. */
const AFTER_ALL = 2 ** 31 - 1;

/** An adapter over a SQL database. */
export class SqlAdapter implements DatabaseAdapter {
  readonly name: string;
  readonly #backend: SqlBackend;
  readonly #now: () => number;
  #ready: Promise<void> | undefined;
  /** The tables as they were last seen; read again after anything that failed. */
  #family: Family | undefined;

  /**
   * @param name its name, for status and log
   * @param backend the database
   * @param now the time, in milliseconds since 1970
   */
  constructor(name: string, backend: SqlBackend, now: () => number = Date.now) {
    this.name = name;
    this.#backend = backend;
    this.#now = now;
  }

  get capabilities(): Capabilities {
    return this.#backend.capabilities;
  }

  async position(): Promise<FlushPosition | undefined> {
    return (await this.#backend.position())?.position;
  }

  async schema(): Promise<DestinationSchema | undefined> {
    return (await this.#backend.layouts())?.schema;
  }

  async ensureSchema(schema: DestinationSchema): Promise<void> {
    await this.#writing(async () => {
      this.#family = undefined;
      await ensureTables(schema, this.#backend, this.#now);
    });
  }

  async insertDeltas(batch: FlushBatch): Promise<void> {
    await this.#writing(async () => {
      await this.#backend.prepareTimes(batch.changes.map(({ committedMs }) => committedMs));
      const layouts = this.#family === undefined ? await this.#backend.layouts() : undefined;
      if (layouts !== undefined) this.#family = new Family(layouts, this.#backend);
      await this.#backend.transact((transaction) => this.#insert(transaction, batch));
    });
  }

  async rewind(move: Move): Promise<void> {
    await this.#moving(move, async (transaction, { forgottenSeq }) => {
      await transaction.giveUpChanges(move.to.seq);
      return { forgottenSeq: Math.min(forgottenSeq, move.to.seq) };
    });
  }

  async refill(move: Move): Promise<void> {
    await this.#moving(
      move,
      (_, { generation }) => Promise.resolve({ generation: generation + 1 }),
    );
  }

  async unsettled(limit: number): Promise<readonly DestinationKey[]> {
    return await this.#backend.unsettled(limit);
  }

  async queryDeltasSince(after: Place, limit: number): Promise<DeltaPage> {
    const { seq, slice = AFTER_ALL } = after;
    // A change has gone before the position that says so is read, or is read.
    const found = [
      ...await this.#backend.changes({ seq, slice, n: AFTER_ALL }, limit + 1),
    ];
    const last = found[limit - 1];
    if (last !== undefined && found.length > limit) {
      for (;;) {
        const end = found.findIndex((each, i) => i >= limit && comparePlaces(each, last) !== 0);
        if (end >= 0) {
          found.splice(end);
          break;
        }
        const place = found.at(-1) ?? last;
        const more = await this.#backend.changes(place, limit + 1);
        if (more.length === 0) return await this.#page(after, found, true);
        found.push(...more);
      }
      return await this.#page(after, found, false);
    }
    return await this.#page(after, found, true);
  }

  async getLatestState(
    keys: readonly DestinationKey[],
  ): Promise<readonly (LatestState | undefined)[]> {
    const rows = new KeyMap<LatestState>();
    for (const row of await this.#backend.rows(keys)) rows.set(row.key, latest(row));
    return keys.map((key) => rows.get(key));
  }

  async scanState(
    after: DestinationKey | undefined,
    limit: number,
  ): Promise<readonly LatestState[]> {
    return (await this.#backend.scan(after, limit)).map(latest);
  }

  async forget(what: Forget): Promise<boolean> {
    return await this.#writing(() => forgetOld(what, this.#backend));
  }

  async forgottenSeq(): Promise<number> {
    return (await this.#backend.position())?.forgottenSeq ?? 0;
  }

  async problems(limit: number): Promise<readonly RowProblem[]> {
    const [problems, layouts] = await Promise.all([
      this.#backend.problems(limit),
      this.#backend.layouts(),
    ]);
    return problems.map((problem) => ({
      ...problem,
      table: layouts?.tables.get(problem.key.table)?.table.name ?? `${problem.key.table}`,
    }));
  }

  async abandon(): Promise<void> {
    await this.#backend.abandon?.();
  }

  async close(): Promise<void> {
    await this.#backend.close();
  }

  async #page(
    after: Place,
    found: readonly ({ readonly n: number } & DeltaPage["changes"][number])[],
    isComplete: boolean,
  ): Promise<DeltaPage> {
    const forgottenSeq = await this.forgottenSeq();
    const isTrimmed = after.slice === undefined
      ? after.seq < forgottenSeq
      : after.seq <= forgottenSeq;
    return { changes: found.map(({ n: _, ...change }) => change), isComplete, isTrimmed };
  }

  async #insert(transaction: SqlTransaction, batch: FlushBatch): Promise<void> {
    const stored = await transaction.lockPosition();
    checkPosition(stored, batch);
    const needed = neededBefore(batch);
    const before = needed.length === 0 ? [] : await transaction.readRows(needed);
    const images = mergeImages(batch, before, stored.generation);
    // The database adds the changes while the rows are made ready here.
    const adding = batch.changes.length === 0
      ? Promise.resolve()
      : transaction.insertChanges(numbered(batch.changes));
    adding.catch(() => {});
    transaction.prepareRows?.(images);
    try {
      const context = { transaction, backend: this.#backend, family: this.#family };
      if (images.length > 0) {
        await settleRows(images, { ...context, seq: batch.to.seq, nowMs: this.#now() });
      }
    } catch (error) {
      // What failed first is why what came after it failed.
      await adding;
      throw error;
    }
    await adding;
    await transaction.putPosition({ ...stored, position: batch.to });
  }

  async #moving(
    move: Move,
    change: (
      transaction: SqlTransaction,
      stored: StoredPosition,
    ) => Promise<Partial<StoredPosition>>,
  ): Promise<void> {
    await this.#writing(() =>
      this.#backend.transact(async (transaction) => {
        const stored = await transaction.lockPosition();
        checkPosition(stored, move);
        const changed = await change(transaction, stored);
        await transaction.putPosition({ ...stored, ...changed, position: move.to });
      }, true)
    );
  }

  /** Runs what writes. After a failure nothing is believed that was known before. */
  async #writing<T>(run: () => Promise<T>): Promise<T> {
    try {
      await (this.#ready ??= this.#backend.bootstrap());
      return await run();
    } catch (error) {
      this.#ready = undefined;
      this.#family = undefined;
      throw error;
    }
  }
}

function checkPosition({ position }: StoredPosition, { from }: Move): void {
  if (samePosition(position, from)) return;
  throw moved(position, from);
}

/** Changes with their places in their slices; a batch holds slices whole. */
function numbered(changes: readonly Change[]): readonly NumberedChange[] {
  let n = 0;
  let last: Change | undefined;
  return changes.map((change) => {
    n = last !== undefined && comparePlaces(change, last) === 0 ? n + 1 : 0;
    last = change;
    return { ...change, n };
  });
}

function latest({ key, isVisible, cells, seq, committedMs }: StoredRow): LatestState {
  return { key, isVisible, cells: portCells(cells), seq, committedMs };
}
