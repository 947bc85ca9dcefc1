/**
 * Cells of other kinds than `lww` within a row's record, positional JSON:
 *
 * - counter: `[column, seq, "counter", tag, sum, tag, sum, …]`
 * - max, min: `[column, seq, kind, tag, value, tag, value, …]`
 * - set: `[column, seq, "set", written, stamp, added, removed, stamp, added, removed, …]`, elements
 *   that one write decided together
 *
 * A tag or stamp is `[hlc, clientId]`, or 0 where it is the row's `born`. Sums are numbers, beyond
 * ±(2^53−1) decimal text.
 *
 * @module
 */

import {
  canonicalJson,
  type CellKind,
  type Hlc,
  type JsonValue,
  type MergedCell,
  type Pair,
  type SetEntry,
  type Stamp,
  toPlainJson,
  type Value,
} from "@lakesync/core";
import { readValue, writeValue } from "./record_value.ts";

type StoredStamp = 0 | readonly [hlc: string, clientId: string];

/** A cell as it is stored. */
export type StoredCell = readonly [
  column: number,
  seq: number,
  kind: Exclude<CellKind, "lww">,
  ...state: readonly JsonValue[],
];

function isStamp(a: Stamp | undefined, b: Stamp): boolean {
  return a !== undefined && a.hlc === b.hlc && a.clientId === b.clientId;
}

function writeStamp(stamp: Stamp, born: Stamp | undefined): StoredStamp {
  return isStamp(born, stamp) ? 0 : [stamp.hlc.toString(), stamp.clientId];
}

function readStamp(stored: JsonValue | undefined, born: Stamp | undefined): Stamp {
  if (!Array.isArray(stored)) return born ?? { hlc: 0n as Hlc, clientId: "" };
  return { hlc: BigInt(String(stored[0])) as Hlc, clientId: String(stored[1]) };
}

/** Writes the cells of a row that was born at a stamp. */
export function writeMerged(
  cells: readonly MergedCell[],
  born: Stamp | undefined,
): readonly StoredCell[] {
  return cells.map((cell): StoredCell => {
    const { column, seq, kind } = cell;
    if (cell.kind === "set") {
      const written = writeStamp(cell.state.written, born);
      return [column, seq, kind, written, ...writeEntries(cell.state.entries, born)];
    }
    const write = cell.kind === "counter" ? toPlainJson : writeValue;
    const pairs: readonly Pair[] = cell.pairs;
    return [
      column,
      seq,
      kind,
      ...pairs.flatMap((pair) => [writeStamp(pair, born), write(pair.value)]),
    ];
  });
}

/** Reads the cells of a row that was born at a stamp. */
export function readMerged(
  stored: readonly StoredCell[],
  born: Stamp | undefined,
): readonly MergedCell[] {
  return stored.map(([column, seq, kind, ...state]): MergedCell => {
    if (kind === "set") {
      const [written, ...entries] = state;
      const set = { written: readStamp(written, born), entries: readEntries(entries, born) };
      return { column, seq, kind, state: set };
    }
    if (kind === "counter") {
      return { column, seq, kind, pairs: readPairs(state, born, (sum) => BigInt(String(sum))) };
    }
    return { column, seq, kind, pairs: readPairs(state, born, readValue) };
  });
}

function readPairs<V extends Value>(
  state: readonly JsonValue[],
  born: Stamp | undefined,
  read: (value: JsonValue) => V,
): readonly Pair<V>[] {
  const pairs: Pair<V>[] = [];
  for (let i = 0; i < state.length; i += 2) {
    pairs.push({ ...readStamp(state[i], born), value: read(state[i + 1] ?? null) });
  }
  return pairs;
}

function writeEntries(entries: readonly SetEntry[], born: Stamp | undefined): JsonValue[] {
  const byStamp = new Map<string, readonly [StoredStamp, JsonValue[], JsonValue[]]>();
  for (const { text, stamp, present } of entries) {
    const name = `${stamp.hlc}:${stamp.clientId}`;
    let group = byStamp.get(name);
    if (group === undefined) {
      group = [writeStamp(stamp, born), [], []];
      byStamp.set(name, group);
    }
    group[present ? 1 : 2].push(JSON.parse(text));
  }
  return [...byStamp.values()].flat();
}

function readEntries(stored: readonly JsonValue[], born: Stamp | undefined): readonly SetEntry[] {
  const entries: SetEntry[] = [];
  for (let i = 0; i < stored.length; i += 3) {
    const stamp = readStamp(stored[i], born);
    for (const present of [true, false]) {
      const elements = stored[i + (present ? 1 : 2)];
      if (!Array.isArray(elements)) continue;
      for (const element of elements) {
        entries.push({ text: canonicalJson(element), stamp, present });
      }
    }
  }
  return entries.sort((a, b) => (a.text < b.text ? -1 : 1));
}
