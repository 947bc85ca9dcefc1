/**
 * What goes to a destination at once. A batch ends where a transaction ends; only one that is
 * larger than a batch is cut, at one of its slices, so that memory stays that of a batch. Pure
 * functions.
 *
 * @module
 */

import type { FlushSettings } from "./settings.ts";
import type { SourceEntry } from "./source.ts";

/** Entries of the log that are written at once. */
export interface Cut {
  /** The entries. */
  readonly entries: readonly SourceEntry[];
  /** Whether they end where a transaction ends. */
  readonly isWhole: boolean;
}

/**
 * Takes as many entries from the beginning as one batch may hold.
 *
 * @param entries what comes next in the log
 * @param settings the bounds of a batch
 * @returns at least one entry, when there is one
 */
export function cutBatch(
  entries: readonly SourceEntry[],
  { maxChanges, maxBytes }: Pick<FlushSettings, "maxChanges" | "maxBytes">,
): Cut {
  let changes = 0;
  let bytes = 0;
  let taken = 0;
  let whole = 0;
  for (const entry of entries) {
    changes += entry.changes.length;
    bytes += entry.bytes;
    if (taken > 0 && (changes > maxChanges || bytes > maxBytes)) break;
    taken++;
    if (entry.last) whole = taken;
  }
  return { entries: entries.slice(0, whole === 0 ? taken : whole), isWhole: whole > 0 };
}
