/**
 * Cursors: opaque to clients, here the place a pull goes on from.
 *
 * @module
 */

import type { ScanPosition } from "../store/store.ts";

/** Where a pull goes on from. */
export interface Cursor {
  /** The life of the gateway's data in which it was written. */
  readonly life: string;
  /** The checkpoint the client has; 0: none. */
  readonly base: number;
  /** The client's lastMutationId at that checkpoint. */
  readonly lastMutationId: number;
  /** The schema version of the client at that checkpoint; 0: it did not say. */
  readonly version: number;
  /** Set between the pages of one checkpoint. */
  readonly paging?: {
    /** The head when the first page was read. */
    readonly start: number;
    /** The schema version the pages are read for. */
    readonly version: number;
    /** Where the next page begins. */
    readonly after: ScanPosition;
  };
}

/** Writes a cursor as a text of URL-safe characters. */
export function writeCursor(cursor: Cursor): string {
  const { life, base, lastMutationId, version, paging } = cursor;
  const fields = [1, life, base, lastMutationId, version];
  if (paging) {
    fields.push(
      paging.start,
      paging.version,
      paging.after.seq,
      paging.after.tie,
    );
  }
  return btoa(JSON.stringify(fields)).replaceAll("+", "-").replaceAll("/", "_")
    .replaceAll("=", "");
}

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

/**
 * Reads a cursor.
 *
 * @returns the cursor, or undefined for a text that was never one
 */
export function readCursor(text: string): Cursor | undefined {
  if (text.length > 1024 || !/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  let fields: unknown;
  try {
    fields = JSON.parse(atob(text.replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    return undefined;
  }
  if (
    !Array.isArray(fields) || (fields.length !== 5 && fields.length !== 9) ||
    fields[0] !== 1
  ) {
    return undefined;
  }
  const [, life, base, lastMutationId, version, start, pageVersion, seq, tie] = fields;
  if (
    typeof life !== "string" || !isCount(base) || !isCount(lastMutationId) ||
    !isCount(version)
  ) {
    return undefined;
  }
  if (fields.length === 5) return { life, base, lastMutationId, version };
  if (
    !isCount(start) || !isCount(pageVersion) || !isCount(seq) ||
    typeof tie !== "string"
  ) {
    return undefined;
  }
  return {
    life,
    base,
    lastMutationId,
    version,
    paging: { start, version: pageVersion, after: { seq, tie } },
  };
}
