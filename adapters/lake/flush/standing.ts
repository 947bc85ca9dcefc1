/**
 * Where a lake stands: its own position and those of its tables, which may be ahead of it after a
 * crash between two commits. Pure functions.
 *
 * @module
 */

import type { FlushBatch, FlushPosition, Move } from "../../adapter.ts";
import { partedAfter } from "../../flush/resume.ts";
import { comparePlaces } from "../../place.ts";

/**
 * The position of a lake.
 *
 * @param own what the table of the position says
 * @param parts the positions with which tables of changes were last written
 * @returns with how far tables are ahead; undefined before the first flush
 */
export function lakePosition(
  own: FlushPosition | undefined,
  parts: readonly (FlushPosition | undefined)[],
): FlushPosition | undefined {
  if (own === undefined) return undefined;
  const ahead = parts.flatMap((part) =>
    part !== undefined && part.seq > own.seq ? [{ seq: part.seq, lives: part.lives }] : []
  );
  return ahead.length === 0 ? own : { ...own, ahead };
}

/** A position as it is kept: how far parts are ahead is told only. */
export function kept({ ahead: _, ...position }: FlushPosition): FlushPosition {
  return position;
}

/** Whether a table has changes after a place. */
export function isAhead(part: FlushPosition | undefined, of: FlushPosition | undefined): boolean {
  return part !== undefined && comparePlaces(part, of ?? { seq: 0 }) > 0;
}

/**
 * Whether a table has changes that a batch's history does not have.
 *
 * @param part the table's position
 * @param batch the batch
 */
export function isOfLostHistory(
  part: FlushPosition | undefined,
  { from, to }: Pick<FlushBatch, "from" | "to">,
): boolean {
  if (part === undefined || !isAhead(part, from)) return false;
  const parted = partedAfter(to.lives, part);
  return parted < part.seq && parted < to.seq;
}

/**
 * Where a table stands after a batch.
 *
 * @param part where it stands before
 * @param to where the lake stands after the batch
 */
export function partAfter(part: FlushPosition | undefined, to: FlushPosition): FlushPosition {
  if (part === undefined || comparePlaces(part, to) <= 0) return kept(to);
  return { ...part, writer: to.writer };
}

/**
 * Where the lake stands after a rewind. Where only tables are ahead of the place, it stays.
 *
 * @param own where it stands
 * @param move the rewind
 */
export function rewound(own: FlushPosition | undefined, { to }: Move): FlushPosition {
  if (own === undefined || comparePlaces(own, to) >= 0) return kept(to);
  const { floor } = to;
  return { ...own, writer: to.writer, ...(floor === undefined ? {} : { floor }) };
}
