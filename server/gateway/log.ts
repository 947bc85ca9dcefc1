/**
 * What a log entry holds: the deltas of a transaction and what the merge made of each, so that
 * whoever reads the log need not merge again.
 *
 * Bytes: four for the schema version whose names the deltas use, four for the length of the deltas
 * (both big-endian), the deltas, then for each delta one byte of
 * flags and, where only some of its columns won, a bit for each column, least significant first. What
 * follows is what the merge made of columns that are not `lww`, UTF-8 JSON with one array
 * `[place, value, place, value, …]` for each delta that has such columns, in order; nothing follows
 * where no delta has any.
 *
 * @module
 */

import { decodeDeltas, type Delta, encodeDeltas, type Value } from "@lakesync/core";
import { readValue, type StoredValue, writeValue } from "./record_value.ts";

/** What the merge made of a delta. */
export interface Outcome {
  /** Whether the row was visible before it. */
  readonly wasVisible: boolean;
  /** Whether the row is visible after it. */
  readonly isVisible: boolean;
  /** For each value of the delta, whether it is the cell's now; "all" or "none" for short. */
  readonly won: "all" | "none" | readonly boolean[];
  /**
   * For each counter, `max`, `min` or set column of the delta its place among the delta's values and
   * its value as merged, null when nothing is known of it; not there when all columns are `lww`.
   */
  readonly merged?: readonly (readonly [place: number, value: Value])[];
}

const WAS_VISIBLE = 1;
const IS_VISIBLE = 2;
const ALL_WON = 4;
const SOME_WON = 8;
const MERGED = 16;

type StoredMerged = readonly StoredValue[];

function writeOutcome(outcome: Outcome, bytes: number[]): void {
  const { won, merged } = outcome;
  const some = won !== "all" && won !== "none";
  bytes.push(
    (outcome.wasVisible ? WAS_VISIBLE : 0) |
      (outcome.isVisible ? IS_VISIBLE : 0) |
      (won === "all" ? ALL_WON : 0) | (some ? SOME_WON : 0) |
      (merged === undefined ? 0 : MERGED),
  );
  if (!some) return;
  for (let i = 0; i < won.length; i += 8) {
    let bits = 0;
    for (let bit = 0; bit < 8; bit++) if (won[i + bit]) bits |= 1 << bit;
    bytes.push(bits);
  }
}

const NO_BYTES = new Uint8Array();

function writeMerged(outcomes: readonly Outcome[]): Uint8Array {
  const all: StoredMerged[] = [];
  for (const { merged } of outcomes) {
    if (merged === undefined) continue;
    all.push(merged.flatMap(([place, value]) => [place, writeValue(value)]));
  }
  return all.length === 0 ? NO_BYTES : new TextEncoder().encode(JSON.stringify(all));
}

function readMerged(stored: StoredMerged): NonNullable<Outcome["merged"]> {
  const merged: (readonly [number, Value])[] = [];
  for (let i = 0; i < stored.length; i += 2) {
    merged.push([Number(stored[i]), readValue(stored[i + 1] ?? null)]);
  }
  return merged;
}

/** Where the deltas begin. */
const HEADER_BYTES = 8;

/**
 * Writes a log entry's payload.
 *
 * @param version the schema version whose names the deltas use
 * @param deltas the deltas as they were sent
 * @param outcomes what the merge made of each
 */
export function writeLogPayload(
  version: number,
  deltas: readonly Delta[],
  outcomes: readonly Outcome[],
): Uint8Array {
  const rows = encodeDeltas(deltas);
  const flags: number[] = [];
  for (const outcome of outcomes) writeOutcome(outcome, flags);
  const merged = writeMerged(outcomes);
  const payload = new Uint8Array(HEADER_BYTES + rows.length + flags.length + merged.length);
  const header = new DataView(payload.buffer);
  header.setUint32(0, version);
  header.setUint32(4, rows.length);
  payload.set(rows, HEADER_BYTES);
  payload.set(flags, HEADER_BYTES + rows.length);
  payload.set(merged, HEADER_BYTES + rows.length + flags.length);
  return payload;
}

/** The schema version whose names the deltas of a log entry use. */
export function logVersion(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset).getUint32(0);
}

/** Reads a log entry's payload. */
export function readLogPayload(
  payload: Uint8Array,
): readonly { readonly delta: Delta; readonly outcome: Outcome }[] {
  const length = new DataView(payload.buffer, payload.byteOffset).getUint32(4);
  const deltas = decodeDeltas(payload.subarray(HEADER_BYTES, HEADER_BYTES + length));
  const merging: number[] = [];
  let at = HEADER_BYTES + length;
  const entries = deltas.map((delta, place): { delta: Delta; outcome: Outcome } => {
    const flags = payload[at++] ?? 0;
    let won: Outcome["won"] = flags & ALL_WON ? "all" : "none";
    if (flags & SOME_WON) {
      const bits: boolean[] = [];
      for (let i = 0; i < delta.values.length; i++) {
        bits.push(((payload[at + (i >> 3)] ?? 0) & (1 << (i & 7))) !== 0);
      }
      at += Math.ceil(delta.values.length / 8);
      won = bits;
    }
    if (flags & MERGED) merging.push(place);
    const wasVisible = (flags & WAS_VISIBLE) !== 0;
    return {
      delta,
      outcome: { wasVisible, isVisible: (flags & IS_VISIBLE) !== 0, won },
    };
  });
  if (merging.length === 0) return entries;
  const stored: readonly StoredMerged[] = JSON.parse(
    new TextDecoder().decode(payload.subarray(at)),
  );
  for (const [i, place] of merging.entries()) {
    const entry = entries[place];
    if (entry === undefined) continue;
    entry.outcome = { ...entry.outcome, merged: readMerged(stored[i] ?? []) };
  }
  return entries;
}
