/**
 * Finds what a page names, in its bytes. RowIds and texts of worlds are tokens unlike any other, so
 * that whatever is on the wire is found, wherever it is.
 *
 * @module
 */

import { encodePullResult, type PullResult } from "@lakesync/core";
import type { ShownTables } from "./reference.ts";

const TOKEN = /~[a-z2-7]{14}/g;

const latin = new TextDecoder("latin1");

/** The tokens of a text. */
export function tokensIn(text: string): readonly string[] {
  return text.includes("~") ? text.match(TOKEN) ?? [] : [];
}

/** What is to be read in a cursor, which is base64 or nothing that can be read. */
function cursorText(cursor: string): string {
  const letters = cursor.replaceAll("-", "+").replaceAll("_", "/");
  return /^[A-Za-z0-9+/]*$/.test(letters) && letters.length % 4 !== 1 ? atob(letters) : cursor;
}

/**
 * The tokens in the bytes of a page. Ids of buckets are left out: they are made of claims and of
 * what parameters look up.
 *
 * @param page the page
 * @returns the tokens, those inside the cursor too
 */
export function tokensOnWire(page: PullResult): readonly string[] {
  const { checkpoint } = page;
  const buckets = checkpoint?.buckets.map((bucket) => ({ ...bucket, id: "" })) ?? [];
  const bytes = encodePullResult(
    checkpoint === undefined ? page : { ...page, checkpoint: { ...checkpoint, buckets } },
  );
  return [...tokensIn(latin.decode(bytes)), ...tokensIn(cursorText(page.cursor))];
}

/** Adds every token that a scope shows. */
export function addTokens(seen: Set<string>, shown: ShownTables): void {
  for (const rows of shown.values()) {
    for (const [rowId, row] of rows) {
      for (const token of tokensIn(rowId)) seen.add(token);
      for (const value of row.values()) {
        if (typeof value !== "string") continue;
        for (const token of tokensIn(value)) seen.add(token);
      }
    }
  }
}
