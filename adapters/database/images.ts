/**
 * What a batch makes of its rows: all its effects, merged into one final image per row. Pure
 * functions.
 *
 * @module
 */

import type { DestinationKey, FlushBatch, RowEffect } from "../adapter.ts";
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
  /** The commit that last changed it; 0 where that is not known. */
  readonly seq: number;
  /** When that was committed, in milliseconds since 1970. */
  readonly committedMs: number;
  /**
   * The generation in which it was last settled. It is unsettled when that is not the destination's
   * generation: with each refill a new one begins, and a rewind sets {@linkcode UNSETTLED}.
   */
  readonly settled: number;
}

/** The generation of a row that a rewind unsettled. */
export const UNSETTLED = -1;

/** An effect with the commit it came with. */
interface Placed {
  readonly effect: RowEffect;
  /** Undefined for rows that are set beside the changes. */
  readonly commit: { readonly seq: number; readonly committedMs: number } | undefined;
}

/**
 * Tells for which rows of a batch it must be known how they were before: those whose first effect
 * leaves cells as they are, or has cells whose stamps are not known.
 *
 * @param batch the batch
 * @returns the rows, each once
 */
export function neededBefore(batch: FlushBatch): readonly DestinationKey[] {
  const needs = new KeyMap<boolean>();
  const isPlain = ({ replaces, cells }: RowEffect) =>
    replaces && cells.every(([, , stamp]) => stamp !== undefined);
  for (const { effect } of placedEffects(batch)) {
    if (!needs.has(effect.key)) needs.set(effect.key, !isPlain(effect));
  }
  return needs.keys().filter((key) => needs.get(key));
}

/**
 * Merges all effects of a batch.
 *
 * @param batch the batch
 * @param before rows as they were, at least those of {@linkcode neededBefore} that were there
 * @param generation the destination's generation
 * @returns one image for each row, in the order in which the batch names the rows first. One that is
 * not visible and has no cells is no longer to be kept
 */
export function mergeImages(
  batch: FlushBatch,
  before: Iterable<StoredRow>,
  generation: number,
): readonly StoredRow[] {
  const known = new KeyMap<StoredRow>();
  for (const row of before) known.set(row.key, row);
  const images = new KeyMap<StoredRow>();
  for (const { effect, commit } of placedEffects(batch)) {
    const { key, isVisible, replaces } = effect;
    const row = images.get(key) ?? known.get(key);
    images.set(key, {
      key,
      isVisible,
      cells: cellsAfter(row?.cells, effect),
      seq: commit?.seq ?? row?.seq ?? 0,
      committedMs: commit?.committedMs ?? row?.committedMs ?? 0,
      settled: replaces ? generation : row?.settled ?? generation,
    });
  }
  return images.values();
}

/** Whether there is something of a row to be kept. */
export function isKept({ isVisible, cells }: Pick<StoredRow, "isVisible" | "cells">): boolean {
  return isVisible || cells.size > 0;
}

function placedEffects({ rows, changes }: FlushBatch): readonly Placed[] {
  const placed: Placed[] = rows.map((effect) => ({ effect, commit: undefined }));
  for (const { effect, seq, committedMs } of changes) {
    if (effect !== undefined) placed.push({ effect, commit: { seq, committedMs } });
  }
  return placed;
}

function cellsAfter(before: KeptCells | undefined, { replaces, cells }: RowEffect): KeptCells {
  const after = new Map<number, KeptCell>(replaces ? [] : before);
  for (const [column, value, stamp = before?.get(column)?.stamp] of cells) {
    after.set(column, { value, stamp });
  }
  return after;
}
