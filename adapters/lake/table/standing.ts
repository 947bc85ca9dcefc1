/**
 * What the table of rows knows of how it was made.
 *
 * @module
 */

import type { FlushPosition } from "../../adapter.ts";
import { partedAfter } from "../../flush/resume.ts";
import { comparePlaces } from "../../place.ts";
import { PROPERTY, summaryOf } from "../flush/properties.ts";
import type { TableMetadata } from "../iceberg/metadata.ts";

/** Property names, beside those of `flush/properties.ts`. */
export const MERGE_PROPERTY = {
  /** How `main` was made, as JSON: {@linkcode MergeStanding}. */
  merged: "lakesync.merged",
  /** How the branch {@linkcode NEXT} was made, which will be `main` when it is complete. */
  next: "lakesync.merged-next",
} as const;

/** The branch on which a table is made anew. */
export const NEXT = "lakesync-next";

/** How rows were made. */
export interface MergeStanding {
  /** All files of changes of commits up to this sequence number are in them. */
  readonly sequence: number;
  /** Where that is in the gateway's history; undefined before the first merge. */
  readonly position: FlushPosition | undefined;
  /** The object with cells of rows that are not visible. */
  readonly hidden?: string;
  /** How many rows are in it. */
  readonly hiddenRows?: number;
  /** The filling from which they were made: nothing before it is in them. */
  readonly refill?: number;
}

/** How rows stand that nothing was merged into. */
export const UNMERGED: MergeStanding = { sequence: 0, position: undefined };

/**
 * Reads how a table of rows was made.
 *
 * @param metadata the table
 * @param name which of its branches
 */
export function standingOf(
  { properties }: TableMetadata,
  name: keyof typeof MERGE_PROPERTY = "merged",
): MergeStanding | undefined {
  const json = properties?.[MERGE_PROPERTY[name]];
  return json === undefined || json === "" ? undefined : JSON.parse(json);
}

/**
 * What a merge writes into properties and summary.
 *
 * @param standing how the rows stand after it
 * @param before how they stood
 * @param name which branch
 */
export function standingTexts(
  standing: MergeStanding,
  before: MergeStanding,
  name: keyof typeof MERGE_PROPERTY,
): {
  readonly properties: Readonly<Record<string, string>>;
  readonly summary: Readonly<Record<string, string>>;
} {
  const { position } = standing;
  const json = JSON.stringify(standing);
  const isMain = name === "merged" && position !== undefined;
  return {
    properties: {
      [MERGE_PROPERTY[name]]: json,
      ...(isMain ? { [PROPERTY.position]: JSON.stringify(position) } : {}),
    },
    summary: {
      ...(position === undefined ? {} : summaryOf(position, before.position)),
      ...(standing.hidden === undefined ? {} : { "lakesync.hidden": standing.hidden }),
    },
  };
}

/**
 * Whether rows are to say that they stand elsewhere, although there is nothing to merge: the changes
 * have moved on without any, or have gone back.
 *
 * @param changes where the changes stand
 * @param rows where the rows stand
 */
export function hasMoved(
  changes: FlushPosition | undefined,
  rows: FlushPosition | undefined,
): boolean {
  if (changes === undefined) return false;
  return rows === undefined || comparePlaces(rows, changes) !== 0 ||
    partedAfter(changes.lives, rows) < rows.seq;
}
