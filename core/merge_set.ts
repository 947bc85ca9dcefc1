/**
 * The state of a `set` column. An element is there when its greatest add is not older than its
 * greatest remove; of the two stamps only the greater can ever decide, so one stamp is kept, and
 * which of the two it is.
 *
 * Source: Shapiro et al., "A comprehensive study of Convergent and Commutative Replicated Data
 * Types" (2011), last-writer-wins element set, here with a bias to adds.
 *
 * @module
 */

import { canonicalJson } from "./delta.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { compareStamps, type Stamp } from "./merge_stamp.ts";
import type { SetElement, SetWrite } from "./merge_written.ts";
import { utf8Length } from "./value.ts";

/** An element that was added or removed. */
export interface SetEntry {
  /** The element as canonical JSON; it orders the entries. */
  readonly text: string;
  /** The greatest write of it. */
  readonly stamp: Stamp;
  /** Whether that write added it. */
  readonly present: boolean;
}

/** All that is known of a set. */
export interface SetState {
  /** The greatest write of any element; a set that was written and is empty is not null. */
  readonly written: Stamp;
  /** Its elements in the order of their texts (UTF-16 code units), each once. */
  readonly entries: readonly SetEntry[];
}

/**
 * Removed elements that a set remembers, and the UTF-16 code units of their texts. Beyond it those
 * that were removed first are forgotten: an older add of one that comes later still brings it back.
 */
export const MAX_REMOVED: { readonly elements: number; readonly units: number } = {
  elements: 10_000,
  units: DEFAULT_LIMITS.maxValueBytes,
};

/**
 * Merges a write into a set.
 *
 * @param state the set, undefined when nothing is known of it
 * @param stamp the write's stamp
 * @param write what it adds and removes
 * @returns the set then; the same object when that changes nothing
 */
export function writeSet(state: SetState | undefined, stamp: Stamp, write: SetWrite): SetState {
  const own = { hlc: stamp.hlc, clientId: stamp.clientId };
  const newer = state === undefined || compareStamps(own, state.written) > 0;
  const entries = joined(state?.entries ?? [], entriesOf(own, write));
  if (!newer && entries === state.entries) return state;
  return { written: newer ? own : state.written, entries: withoutOldest(entries) };
}

/**
 * Drops what a DELETE takes away.
 *
 * @param state the set
 * @param died the DELETE's stamp
 * @returns the set then, undefined when nothing is left, the same object when nothing is dropped
 */
export function livingSet(state: SetState, died: Stamp): SetState | undefined {
  if (compareStamps(state.written, died) <= 0) return undefined;
  const entries = state.entries.filter(({ stamp }) => compareStamps(stamp, died) > 0);
  return entries.length === state.entries.length ? state : { ...state, entries };
}

/**
 * A set's value: its elements in the order of their canonical JSON (UTF-16 code units).
 *
 * @param state the set
 * @returns the elements
 */
export function setValue(state: SetState): readonly SetElement[] {
  return state.entries.filter(({ present }) => present).map(({ text }) => JSON.parse(text));
}

/**
 * The size of a set's value.
 *
 * @param state the set
 * @returns bytes of its canonical JSON in UTF-8
 */
export function setBytes(state: SetState): number {
  let bytes = 2;
  let count = 0;
  for (const { text, present } of state.entries) {
    if (!present) continue;
    bytes += utf8Length(text);
    count++;
  }
  return bytes + Math.max(0, count - 1);
}

/**
 * Tells whether two states of a set have the same value.
 *
 * @param a a state
 * @param b a state
 * @returns whether the same elements are there
 */
export function sameElements(a: SetState, b: SetState): boolean {
  let [i, j] = [0, 0];
  for (;;) {
    while (a.entries[i]?.present === false) i++;
    while (b.entries[j]?.present === false) j++;
    if (a.entries[i]?.text !== b.entries[j]?.text) return false;
    if (a.entries[i] === undefined) return true;
    i++;
    j++;
  }
}

function entriesOf(stamp: Stamp, { add, remove }: SetWrite): readonly SetEntry[] {
  const present = new Map<string, boolean>();
  for (const element of remove) present.set(canonicalJson(element), false);
  for (const element of add) present.set(canonicalJson(element), true);
  return [...present].sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([text, isPresent]) => ({ text, stamp, present: isPresent }));
}

function beats(entry: SetEntry, other: SetEntry): boolean {
  const order = compareStamps(entry.stamp, other.stamp);
  return order > 0 || (order === 0 && entry.present && !other.present);
}

/** Joins two sorted lists; gives back the first when the second has no effect. */
function joined(known: readonly SetEntry[], written: readonly SetEntry[]): readonly SetEntry[] {
  const all: SetEntry[] = [];
  let changed = false;
  let at = 0;
  for (const entry of written) {
    let other = known[at];
    while (other !== undefined && other.text < entry.text) {
      all.push(other);
      other = known[++at];
    }
    const rival = other?.text === entry.text ? other : undefined;
    if (rival !== undefined) at++;
    const wins = rival === undefined || beats(entry, rival);
    all.push(wins ? entry : rival);
    changed ||= wins;
  }
  if (!changed) return known;
  for (; at < known.length; at++) all.push(known[at] as SetEntry);
  return all;
}

function withoutOldest(entries: readonly SetEntry[]): readonly SetEntry[] {
  const removed = entries.filter(({ present }) => !present);
  let units = 0;
  for (const { text } of removed) units += text.length;
  if (removed.length <= MAX_REMOVED.elements && units <= MAX_REMOVED.units) return entries;
  removed.sort((a, b) => compareStamps(b.stamp, a.stamp) || (a.text < b.text ? -1 : 1));
  const kept = new Set<SetEntry>();
  let left = MAX_REMOVED.units;
  for (const entry of removed) {
    left -= entry.text.length;
    if (left < 0 || kept.size === MAX_REMOVED.elements) break;
    kept.add(entry);
  }
  return entries.filter((entry) => entry.present || kept.has(entry));
}
