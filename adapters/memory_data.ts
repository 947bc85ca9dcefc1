/**
 * What a destination in memory holds, and what each write makes of it. Each write is one step
 * without a pause, so it happens whole or, where it throws, not at all.
 *
 * @module
 */

import type {
  Cell,
  DestinationKey,
  DestinationSchema,
  FlushBatch,
  FlushPosition,
  Forget,
  LatestState,
  Move,
  Place,
  RowEffect,
  StoredChange,
} from "./adapter.ts";
import { referencesOf } from "./memory_references.ts";
import { moved } from "./moved.ts";
import { compareKeys, comparePlaces, nameOfKey, samePosition } from "./place.ts";

/** So many changes and so many rows are forgotten at once, at most. */
const FORGET_AT_ONCE = 1_000;

/** When a row was last changed. */
type Committed = Pick<LatestState, "seq" | "committedMs">;

/** All that a destination in memory holds. */
export class MemoryData {
  /** Where it stands. */
  position: FlushPosition | undefined;
  /** The tables. */
  schema: DestinationSchema | undefined;
  /** Up to which commit changes have been forgotten. */
  forgottenSeq: number = 0;
  readonly #rows = new Map<string, LatestState>();
  readonly #unsettled = new Map<string, DestinationKey>();
  #changes: StoredChange[] = [];
  readonly #ids = new Set<string>();
  #sorted: readonly LatestState[] | undefined;

  /** Rows that are unsettled. */
  get unsettled(): Iterable<DestinationKey> {
    return this.#unsettled.values();
  }

  /** All rows, in the order of their keys. */
  get sorted(): readonly LatestState[] {
    return this.#sorted ??= [...this.#rows.values()].sort((a, b) => compareKeys(a.key, b.key));
  }

  /** A row. */
  row(key: DestinationKey): LatestState | undefined {
    return this.#rows.get(nameOfKey(key));
  }

  /** The changes after a place, in order. */
  changesAfter(after: Place): readonly StoredChange[] {
    let [low, high] = [0, this.#changes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const change = this.#changes[middle];
      if (change !== undefined && comparePlaces(change, after) <= 0) low = middle + 1;
      else high = middle;
    }
    return this.#changes.slice(low);
  }

  /** Writes a batch. */
  insert(batch: FlushBatch): void {
    this.#move(batch);
    const { to, rows, changes } = batch;
    for (const row of rows) {
      const committedMs = this.row(row.key)?.committedMs ?? 0;
      this.#apply(row, { seq: to.seq, committedMs });
    }
    for (const { effect, unsettles, ...change } of changes) {
      this.#keep({ ...change, key: effect?.key ?? unsettles });
      if (effect !== undefined) this.#apply(effect, change);
      else if (unsettles !== undefined) this.#unsettle(unsettles, change);
    }
  }

  /** Gives up what is after a position. */
  rewind(move: Move): void {
    this.#move(move);
    const { seq } = move.to;
    for (const { deltaId, key } of this.changesAfter({ seq })) {
      this.#ids.delete(deltaId);
      if (key !== undefined) this.#unsettled.set(nameOfKey(key), key);
    }
    this.#changes = this.#changes.filter((change) => change.seq <= seq);
    this.forgottenSeq = Math.min(this.forgottenSeq, seq);
    for (const row of this.#rows.values()) {
      if (row.seq > seq) this.#unsettled.set(nameOfKey(row.key), row.key);
    }
  }

  /** Begins to be filled from rows. */
  refill(move: Move): void {
    this.#move(move);
    for (const [name, { key }] of this.#rows) this.#unsettled.set(name, key);
  }

  /** Forgets a piece of what is old; tells whether there is more. */
  forget({ committedBeforeMs, throughSeq, rows }: Forget): boolean {
    const isOld = ({ seq, committedMs }: Committed) =>
      seq <= throughSeq && committedMs < committedBeforeMs;
    let count = this.#changes.findIndex((change) => !isOld(change));
    if (count < 0) count = this.#changes.length;
    const gone = this.#changes.splice(0, Math.min(count, FORGET_AT_ONCE));
    for (const { deltaId, seq } of gone) {
      this.#ids.delete(deltaId);
      this.forgottenSeq = Math.max(this.forgottenSeq, seq);
    }
    const old = this.sorted.filter((row) =>
      isOld(row) && (rows || !row.isVisible) && !this.#unsettled.has(nameOfKey(row.key))
    );
    const referenced = referencesOf(this.schema, this.#rows.values());
    const free = old.filter(({ key }) => !referenced.has(nameOfKey(key)));
    for (const { key, seq } of free.slice(0, FORGET_AT_ONCE)) {
      this.#rows.delete(nameOfKey(key));
      this.forgottenSeq = Math.max(this.forgottenSeq, seq);
    }
    if (free.length > 0) this.#sorted = undefined;
    return gone.length < count ||
      (free.length > 0 && old.length > Math.min(free.length, FORGET_AT_ONCE));
  }

  #move({ from, to }: Move): void {
    if (!samePosition(this.position, from)) {
      throw moved(this.position, from);
    }
    this.position = structuredClone(to);
  }

  #keep(change: StoredChange): void {
    if (this.#ids.has(change.deltaId)) return;
    this.#ids.add(change.deltaId);
    const last = this.#changes.at(-1);
    this.#changes.push(change);
    if (last !== undefined && comparePlaces(change, last) < 0) this.#changes.sort(comparePlaces);
  }

  #apply({ key, isVisible, replaces, cells }: RowEffect, committed: Committed): void {
    const before = this.row(key)?.cells ?? [];
    const after = merged(before, cells, replaces);
    this.#set({ key, isVisible, cells: after, ...when(committed) });
    if (replaces) this.#unsettled.delete(nameOfKey(key));
  }

  #unsettle(key: DestinationKey, committed: Committed): void {
    const { isVisible, cells } = this.row(key) ?? { isVisible: false, cells: [] };
    this.#set({ key, isVisible, cells, ...when(committed) });
    this.#unsettled.set(nameOfKey(key), key);
  }

  #set(row: LatestState): void {
    this.#rows.set(nameOfKey(row.key), row);
    this.#sorted = undefined;
  }
}

function when({ seq, committedMs }: Committed): Committed {
  return { seq, committedMs };
}

/** Cells with others laid over them; a cell without a stamp keeps the one that is there. */
function merged(
  under: readonly Cell[],
  over: readonly Cell[],
  replaces: boolean,
): readonly Cell[] {
  const before = new Map<number, Cell>(under.map((cell) => [cell[0], cell]));
  const cells = new Map(replaces ? [] : before);
  for (const [column, value, stamp = before.get(column)?.[2]] of over) {
    cells.set(column, stamp === undefined ? [column, value] : [column, value, stamp]);
  }
  return [...cells.values()].sort(([a], [b]) => a - b);
}
