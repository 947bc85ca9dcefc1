/**
 * What a log entry holds: the deltas of a transaction and what the merge made of each, so that
 * whoever reads the log need not merge again.
 *
 * Bytes: four for the schema version whose names the deltas use, four for the length of the deltas
 * (both big-endian), the deltas, then for each delta one byte of
 * flags and, where only some of its columns won, a bit for each column, least significant first. What
 * follows is UTF-8 JSON with one array for each delta that needs one, in order: for what the merge
 * made of columns that are not `lww` `[place, value, place, value, …]`, for what a DELETE has left of
 * its row `[column, value, column, value, …]`, for whose cells wait in a row `[claims]`. Nothing
 * follows where no delta needs one.
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
  /**
   * Where cells that the delta does not write are gone after it, or the row had none: what the row
   * holds then. "own" for nothing but what it won itself, else every cell by the column's number. Not
   * there: all other cells are as they were.
   */
  readonly left?: "own" | readonly (readonly [column: number, value: Value])[];
  /**
   * Where write rules will judge the cells that wait in the row for its INSERT: the claims of who
   * wrote them, as JSON.
   */
  readonly waits?: string;
}

const WAS_VISIBLE = 1;
const IS_VISIBLE = 2;
const ALL_WON = 4;
const SOME_WON = 8;
const MERGED = 16;
const LEFT_OWN = 32;
const LEFT_SOME = 64;
const WAITS = 128;

/** Numbers and values in turn. */
type StoredPairs = readonly StoredValue[];

function writeOutcome(outcome: Outcome, bytes: number[]): void {
  const { won, merged, left } = outcome;
  const some = won !== "all" && won !== "none";
  bytes.push(
    (outcome.wasVisible ? WAS_VISIBLE : 0) |
      (outcome.isVisible ? IS_VISIBLE : 0) |
      (won === "all" ? ALL_WON : 0) | (some ? SOME_WON : 0) |
      (merged === undefined ? 0 : MERGED) |
      (left === undefined ? 0 : left === "own" ? LEFT_OWN : LEFT_SOME) |
      (outcome.waits === undefined ? 0 : WAITS),
  );
  if (!some) return;
  for (let i = 0; i < won.length; i += 8) {
    let bits = 0;
    for (let bit = 0; bit < 8; bit++) if (won[i + bit]) bits |= 1 << bit;
    bytes.push(bits);
  }
}

const NO_BYTES = new Uint8Array();

function writePairs(outcomes: readonly Outcome[]): Uint8Array {
  const all: StoredPairs[] = [];
  for (const { merged, left, waits } of outcomes) {
    for (const pairs of [merged, left]) {
      if (pairs === undefined || pairs === "own") continue;
      all.push(pairs.flatMap(([number, value]) => [number, writeValue(value)]));
    }
    if (waits !== undefined) all.push([waits]);
  }
  return all.length === 0 ? NO_BYTES : new TextEncoder().encode(JSON.stringify(all));
}

function readPairs(stored: StoredPairs = []): NonNullable<Outcome["merged"]> {
  const pairs: (readonly [number, Value])[] = [];
  for (let i = 0; i < stored.length; i += 2) {
    pairs.push([Number(stored[i]), readValue(stored[i + 1] ?? null)]);
  }
  return pairs;
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
  const pairs = writePairs(outcomes);
  const payload = new Uint8Array(HEADER_BYTES + rows.length + flags.length + pairs.length);
  const header = new DataView(payload.buffer);
  header.setUint32(0, version);
  header.setUint32(4, rows.length);
  payload.set(rows, HEADER_BYTES);
  payload.set(flags, HEADER_BYTES + rows.length);
  payload.set(pairs, HEADER_BYTES + rows.length + flags.length);
  return payload;
}

/** The schema version whose names the deltas of a log entry use. */
export function logVersion(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset).getUint32(0);
}

/** What the merge made of the deltas of a log entry, as bytes. */
export function logOutcomes(payload: Uint8Array): Uint8Array {
  const length = new DataView(payload.buffer, payload.byteOffset).getUint32(4);
  return payload.subarray(HEADER_BYTES + length);
}

/** Reads a log entry's payload. */
export function readLogPayload(
  payload: Uint8Array,
): readonly { readonly delta: Delta; readonly outcome: Outcome }[] {
  const length = new DataView(payload.buffer, payload.byteOffset).getUint32(4);
  const deltas = decodeDeltas(payload.subarray(HEADER_BYTES, HEADER_BYTES + length));
  const needing: [place: number, field: "merged" | "left" | "waits"][] = [];
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
    if (flags & MERGED) needing.push([place, "merged"]);
    if (flags & LEFT_SOME) needing.push([place, "left"]);
    if (flags & WAITS) needing.push([place, "waits"]);
    const outcome: Outcome = {
      wasVisible: (flags & WAS_VISIBLE) !== 0,
      isVisible: (flags & IS_VISIBLE) !== 0,
      won,
      ...(flags & LEFT_OWN ? { left: "own" } : {}),
    };
    return { delta, outcome };
  });
  if (needing.length === 0) return entries;
  const stored: readonly StoredPairs[] = JSON.parse(
    new TextDecoder().decode(payload.subarray(at)),
  );
  for (const [i, [place, field]] of needing.entries()) {
    const entry = entries[place];
    if (entry === undefined) continue;
    const read = field === "waits" ? String(stored[i]?.[0]) : readPairs(stored[i]);
    entry.outcome = { ...entry.outcome, [field]: read };
  }
  return entries;
}
