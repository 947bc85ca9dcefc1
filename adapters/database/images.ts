/**
 * What a batch makes of its rows: all its effects, merged into one final image per row. Pure
 * functions.
 *
 * @module
 */

import type { Cell, DestinationKey, FlushBatch, RowEffect } from "../adapter.ts";
import { KeyMap } from "./row_keys.ts";
import type { KeptCell, KeptCells } from "./stored_cells.ts";

/** A row as it is kept. */
export interface StoredRow {
  /** The row. */
  readonly key: DestinationKey;
  /** Whether readers see it. */
  readonly isVisible: boolean;
  /** All its cells, seen or not. */
  readonly cells: KeptCells;
  /** The last commit that may have changed it. */
  readonly seq: number;
  /** When its last change was committed, in milliseconds since 1970; 0 when that is not known. */
  readonly committedMs: number;
  /**
   * The generation in which it was last settled. It is unsettled when that is not the destination's
   * generation: with each refill a new one begins, and a rewind sets {@linkcode UNSETTLED}.
   */
  readonly settled: number;
}

/** The generation of a row that a rewind unsettled. */
export const UNSETTLED = -1;

/** What a batch does to one row. */
interface Placed {
  readonly key: DestinationKey;
  /** Undefined when it only unsettles the row. */
  readonly effect: RowEffect | undefined;
  /** The commit it came with. */
  readonly seq: number;
  /** When that was; undefined for rows that are set beside the changes. */
  readonly committedMs: number | undefined;
}

/**
 * Tells for which rows of a batch it must be known how they were before: all but those whose first
 * change replaces what they were, by cells whose stamps are known.
 *
 * @param batch the batch
 * @returns the rows, each once
 */
export function neededBefore(batch: FlushBatch): readonly DestinationKey[] {
  const needs = new KeyMap<boolean>();
  for (const { key, effect, committedMs } of placed(batch)) {
    if (!needs.has(key)) needs.set(key, !isAnew({ effect, committedMs }));
  }
  return needs.keys().filter((key) => needs.get(key));
}

/**
 * Merges all effects of a batch.
 *
 * @param batch the batch
 * @param before rows as they were, at least those of {@linkcode neededBefore} that were there
 * @param generation the destination's generation
 * @returns one image for each row, in the order in which the batch names the rows first
 */
export function mergeImages(
  batch: FlushBatch,
  before: Iterable<StoredRow>,
  generation: number,
): readonly StoredRow[] {
  const known = new KeyMap<StoredRow>();
  for (const row of before) known.set(row.key, row);
  const images = new KeyMap<StoredRow>();
  for (const { key, effect, seq, committedMs } of placed(batch)) {
    const row = images.get(key) ?? known.get(key);
    const isReplaced = effect?.replaces === true;
    images.set(key, {
      key,
      isVisible: effect?.isVisible ?? row?.isVisible ?? false,
      cells: cellsAfter(row?.cells, effect?.cells ?? [], isReplaced),
      seq,
      committedMs: committedMs ?? row?.committedMs ?? 0,
      settled: effect === undefined
        ? UNSETTLED
        : isReplaced
        ? generation
        : row?.settled ?? generation,
    });
  }
  return images.values();
}

function isAnew({ effect, committedMs }: Pick<Placed, "effect" | "committedMs">): boolean {
  return effect?.replaces === true && committedMs !== undefined &&
    effect.cells.every(([, , stamp]) => stamp !== undefined);
}

function placed({ to, rows, changes }: FlushBatch): readonly Placed[] {
  const all: Placed[] = [];
  for (const effect of rows) {
    all.push({ key: effect.key, effect, seq: to.seq, committedMs: undefined });
  }
  for (const { effect, unsettles, seq, committedMs } of changes) {
    const key = effect?.key ?? unsettles;
    if (key !== undefined) all.push({ key, effect, seq, committedMs });
  }
  return all;
}

function cellsAfter(
  before: KeptCells | undefined,
  cells: readonly Cell[],
  replaces: boolean,
): KeptCells {
  if (before !== undefined && cells.length === 0 && !replaces) return before;
  const after = new Map<number, KeptCell>(replaces ? [] : before);
  for (const [column, value, stamp = before?.get(column)?.stamp] of cells) {
    after.set(column, { value, stamp });
  }
  return after;
}
