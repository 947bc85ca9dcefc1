/**
 * The state of `counter`, `max` and `min` columns: pairs of a tag and what was written under it.
 * The tag of a write is the life of the row that it belongs to, so a DELETE takes away all that was
 * written to the life it ends, whenever it comes.
 *
 * For fixed tags every order of the same writes gives the same pairs.
 *
 * @module
 */

import { type ExtremeKind, orderOf } from "./merge_kind.ts";
import { compareStamps, type Stamp } from "./merge_stamp.ts";
import { toInteger, type Value } from "./value.ts";

/** What was written under one tag. */
export interface Pair<V extends Value = Value> extends Stamp {
  /** A counter's sum, or the greatest or least value. */
  readonly value: V;
}

/** Pairs of a counter, the oldest tag first; each tag once. */
export type CounterPairs = readonly Pair<bigint>[];

/**
 * Pairs of a `max` or `min` column, the oldest tag first. A pair is kept only while its value beats
 * those of all later tags, since it would never be seen otherwise.
 */
export type ExtremePairs = readonly Pair[];

/**
 * Pairs that one cell keeps. Beyond it the two oldest run together under the later tag: a DELETE
 * between the two then leaves what it should have taken away.
 */
export const MAX_PAIRS = 32;

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/**
 * Adds to a counter.
 *
 * @param pairs the counter
 * @param tag the write's tag
 * @param by how much
 * @returns the counter then; the same object when that changes nothing
 */
export function addToCounter(pairs: CounterPairs, tag: Stamp, by: bigint): CounterPairs {
  const { at, found } = placeOf(pairs, tag);
  if (found !== undefined && by === 0n) return pairs;
  const value = by + (found?.value ?? 0n);
  const next = pairs.toSpliced(at, found === undefined ? 0 : 1, pairOf(tag, value));
  return bounded(next, (older, newer) => older + newer);
}

/**
 * Offers a value to a `max` or `min` column.
 *
 * @param pairs the column's pairs
 * @param kind how to choose
 * @param tag the write's tag
 * @param value the value, not null
 * @returns the pairs then; the same object when that changes nothing
 */
export function offer(
  pairs: ExtremePairs,
  kind: ExtremeKind,
  tag: Stamp,
  value: Value,
): ExtremePairs {
  const order = orderOf(kind);
  const { at } = placeOf(pairs, tag);
  const later = pairs[at];
  if (later !== undefined && order(later.value, value) >= 0) return pairs;
  const end = later !== undefined && compareStamps(later, tag) === 0 ? at + 1 : at;
  let begin = at;
  while (begin > 0 && order(pairs[begin - 1]?.value ?? null, value) <= 0) begin--;
  const next = pairs.toSpliced(begin, end - begin, pairOf(tag, value));
  return bounded(next, (older) => older);
}

/**
 * Drops what a DELETE takes away.
 *
 * @param pairs the pairs
 * @param died the DELETE's stamp
 * @returns those with a later tag; the same object when that is all of them
 */
export function livingPairs<V extends Value>(
  pairs: readonly Pair<V>[],
  died: Stamp,
): readonly Pair<V>[] {
  const from = pairs.findIndex((pair) => compareStamps(pair, died) > 0);
  return from === 0 ? pairs : from < 0 ? [] : pairs.slice(from);
}

/**
 * A counter's value: the exact sum, held within the bounds of a signed 64-bit integer.
 *
 * @param pairs the counter
 * @returns the value
 */
export function counterValue(pairs: CounterPairs): number | bigint {
  let sum = 0n;
  for (const { value } of pairs) sum += value;
  return toInteger(sum > INT64_MAX ? INT64_MAX : sum < INT64_MIN ? INT64_MIN : sum);
}

/**
 * The value of a `max` or `min` column. The oldest tag's is the greatest or least of all, or the
 * pair would have gone.
 *
 * @param pairs the column's pairs
 * @returns the value
 */
export function extremeValue(pairs: ExtremePairs): Value {
  return pairs[0]?.value ?? null;
}

function pairOf<V extends Value>({ hlc, clientId }: Stamp, value: V): Pair<V> {
  return { hlc, clientId, value };
}

/** Where a tag is or belongs: the first pair that is not older. */
function placeOf<V extends Value>(
  pairs: readonly Pair<V>[],
  tag: Stamp,
): { readonly at: number; readonly found: Pair<V> | undefined } {
  let at = pairs.length;
  while (at > 0 && compareStamps(pairs[at - 1] as Stamp, tag) >= 0) at--;
  const pair = pairs[at];
  return { at, found: pair !== undefined && compareStamps(pair, tag) === 0 ? pair : undefined };
}

function bounded<V extends Value>(
  pairs: readonly Pair<V>[],
  join: (older: V, newer: V) => V,
): readonly Pair<V>[] {
  const [oldest, next, ...rest] = pairs;
  if (pairs.length <= MAX_PAIRS || oldest === undefined || next === undefined) return pairs;
  return [pairOf(next, join(oldest.value, next.value)), ...rest];
}
