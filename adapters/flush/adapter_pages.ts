/**
 * Changes that were read back from an adapter, as the transactions and slices that they came in.
 *
 * @module
 */

import type { Value } from "@lakesync/core";
import type { DatabaseAdapter, DeltaPage, FlushPosition, Place, StoredChange } from "../adapter.ts";
import { comparePlaces } from "../place.ts";
import type { SourceEntry, SourceLimit } from "./source.ts";

/** A slice of a transaction, without the effects of its changes. */
export interface StoredEntry extends Omit<SourceEntry, "changes"> {
  readonly changes: readonly StoredChange[];
}

/** Slices in order. */
export interface StoredEntries {
  readonly groups: readonly StoredEntry[];
  /** Whether there are no more up to the position. */
  readonly isEnd: boolean;
}

/** The last commit of which nothing is asked for any more. */
export function sinceWhen({ seq, slice }: Place): number {
  return slice === undefined ? seq : seq - 1;
}

/**
 * Makes slices of a page. What is after the position that the adapter had before the page was read
 * is left out, since of that it is not known whether more of the same transaction follows.
 *
 * @param adapter what the page was read from
 * @param page the page
 * @param position where the adapter stood before
 * @param limit how much is wanted
 */
export async function entriesOf(
  adapter: DatabaseAdapter,
  page: DeltaPage,
  position: FlushPosition,
  { bytes }: SourceLimit,
): Promise<StoredEntries> {
  const changes = page.changes.filter((change) => comparePlaces(change, position) <= 0);
  const all = slicesOf(changes);
  const groups: (readonly StoredChange[])[] = [];
  let size = 0;
  for (const slice of all) {
    if (groups.length > 0 && size >= bytes) break;
    groups.push(slice);
    size += sizeOf(slice);
  }
  const isCut = groups.length < all.length;
  const isEnd = !isCut && (page.isComplete || changes.length < page.changes.length);
  const last = groups.at(-1)?.[0];
  const next = isCut
    ? all[groups.length]?.[0]
    : isEnd || last === undefined
    ? undefined
    : (await adapter.queryDeltasSince(last, 1)).changes[0];
  const isOpen = last !== undefined &&
    (next?.seq === last.seq || (position.slice !== undefined && position.seq === last.seq));
  const entries = groups.flatMap((slice, i): readonly StoredEntry[] => {
    const [first] = slice;
    if (first === undefined) return [];
    const { seq, committedMs } = first;
    const following = groups[i + 1]?.[0];
    const isLast = following === undefined ? !isOpen : following.seq !== seq;
    const bytes = sizeOf(slice);
    return [{ seq, slice: first.slice, last: isLast, bytes, committedMs, changes: slice }];
  });
  return { groups: entries, isEnd };
}

function slicesOf(changes: readonly StoredChange[]): readonly (readonly StoredChange[])[] {
  const slices: StoredChange[][] = [];
  let last: StoredChange | undefined;
  for (const change of changes) {
    if (last === undefined || comparePlaces(last, change) !== 0) slices.push([]);
    slices.at(-1)?.push(change);
    last = change;
  }
  return slices;
}

/** About how many bytes changes take. */
function sizeOf(changes: readonly StoredChange[]): number {
  let size = 0;
  for (const { columns, rowId } of changes) {
    size += 64 + rowId.length;
    for (const value of Object.values(columns)) size += sizeOfValue(value);
  }
  return size;
}

function sizeOfValue(value: Value): number {
  if (typeof value === "string" || value instanceof Uint8Array) return 4 + value.length;
  return typeof value === "object" && value !== null ? JSON.stringify(value).length : 8;
}
