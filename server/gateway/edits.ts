/**
 * What the log does not have: the schemas and the rules that were put, in the order in which they
 * came into force. Who replays the log onto a copy puts them again between the commits.
 *
 * @module
 */

import type { JsonValue } from "@lakesync/core";
import type { TableReach } from "./table_reach.ts";

/** The name of the record that holds them. */
export const EDITS_META = "edits";

/** How many characters of them are kept at most, but for the last one, which always is. */
const MAX_CHARS = 1_000_000;

/** A schema or rules that came into force. */
export interface Edit {
  /** What it is. */
  readonly kind: "schema" | "rules";
  /** Of rules the commit that put them in force; of a schema the last commit before it. */
  readonly seq: number;
  /** When, in milliseconds since 1970. */
  readonly ms: number;
  /** What was put. */
  readonly spec: JsonValue;
  /** Of rules: which tables clients reached by them; every one unless given. */
  readonly reach?: TableReach;
  /** Of rules: whether there were none yet, and merely tables were closed or opened. */
  readonly open?: boolean;
}

/** The edits that are known. */
export interface Edits {
  /** All edits that followed a commit at or after this one are among them. */
  readonly sinceSeq: number;
  /** In order. */
  readonly edits: readonly Edit[];
}

/**
 * Reads the edits.
 *
 * @param stored as they were written; undefined where none were noted yet
 */
export function readEdits(stored: string | undefined): Edits | undefined {
  return stored === undefined ? undefined : JSON.parse(stored);
}

/**
 * Notes an edit.
 *
 * @param stored the edits as they were written before; undefined where none were noted yet
 * @param edit the edit
 * @param isFirst whether it is the first one ever made
 * @returns what to write
 */
export function withEdit(
  stored: string | undefined,
  edit: Omit<Edit, "spec"> & { readonly spec: object },
  isFirst: boolean,
): string {
  const known = readEdits(stored) ?? { sinceSeq: isFirst ? 0 : edit.seq, edits: [] };
  const spec: JsonValue = JSON.parse(JSON.stringify(edit.spec));
  let edits: readonly Edit[] = [...known.edits, { ...edit, spec }];
  let { sinceSeq } = known;
  for (;;) {
    const text = JSON.stringify({ sinceSeq, edits } satisfies Edits);
    const [oldest, ...others] = edits;
    if (text.length <= MAX_CHARS || oldest === undefined || others.length === 0) return text;
    edits = others;
    // Of those that followed the same commit some may be gone now.
    sinceSeq = oldest.seq + 1;
  }
}
