/**
 * What a log entry holds: the deltas of a transaction and what the merge made of each, so that
 * whoever reads the log need not merge again.
 *
 * Bytes: four for the length of the deltas (big-endian), the deltas, then for each delta one byte of
 * flags and, where only some of its columns won, a bit for each column, least significant first.
 *
 * @module
 */

import { decodeDeltas, type Delta, encodeDeltas } from "@lakesync/core";

/** What the merge made of a delta. */
export interface Outcome {
  /** Whether the row was visible before it. */
  readonly wasVisible: boolean;
  /** Whether the row is visible after it. */
  readonly isVisible: boolean;
  /** For each value of the delta, whether it is the cell's now; "all" or "none" for short. */
  readonly won: "all" | "none" | readonly boolean[];
}

const WAS_VISIBLE = 1;
const IS_VISIBLE = 2;
const ALL_WON = 4;
const SOME_WON = 8;

function writeOutcome(outcome: Outcome, bytes: number[]): void {
  const { won } = outcome;
  const some = won !== "all" && won !== "none";
  bytes.push(
    (outcome.wasVisible ? WAS_VISIBLE : 0) |
      (outcome.isVisible ? IS_VISIBLE : 0) |
      (won === "all" ? ALL_WON : 0) | (some ? SOME_WON : 0),
  );
  if (!some) return;
  for (let i = 0; i < won.length; i += 8) {
    let bits = 0;
    for (let bit = 0; bit < 8; bit++) if (won[i + bit]) bits |= 1 << bit;
    bytes.push(bits);
  }
}

/** Writes a log entry's payload. */
export function writeLogPayload(
  deltas: readonly Delta[],
  outcomes: readonly Outcome[],
): Uint8Array {
  const rows = encodeDeltas(deltas);
  const flags: number[] = [];
  for (const outcome of outcomes) writeOutcome(outcome, flags);
  const payload = new Uint8Array(4 + rows.length + flags.length);
  new DataView(payload.buffer).setUint32(0, rows.length);
  payload.set(rows, 4);
  payload.set(flags, 4 + rows.length);
  return payload;
}

/** Reads a log entry's payload. */
export function readLogPayload(
  payload: Uint8Array,
): readonly { readonly delta: Delta; readonly outcome: Outcome }[] {
  const length = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
  const deltas = decodeDeltas(payload.subarray(4, 4 + length));
  let at = 4 + length;
  return deltas.map((delta) => {
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
    const wasVisible = (flags & WAS_VISIBLE) !== 0;
    return {
      delta,
      outcome: { wasVisible, isVisible: (flags & IS_VISIBLE) !== 0, won },
    };
  });
}
