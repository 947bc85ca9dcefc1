/**
 * The cells of a row as one JSON text: `[[hlc, clientId, {column: value, …}], …]`. Cells that were
 * written together have the same stamp, so it is there once for all of them. A stamp that is not
 * known is `[null, null, …]`.
 *
 * @module
 */

import type { Hlc, JsonValue, Stamp, Value } from "@lakesync/core";
import type { Cell } from "../adapter.ts";
import { fromStoredValue, toStoredValue } from "./stored_value.ts";

/** A cell without its column's number. */
export interface KeptCell {
  /** Its value. */
  readonly value: Value;
  /** The stamp of the write that gave it, where that is known. */
  readonly stamp: Stamp | undefined;
}

/** The cells of a row by the numbers of their columns. */
export type KeptCells = ReadonlyMap<number, KeptCell>;

type Group = readonly [
  hlc: string | null,
  clientId: string | null,
  values: Readonly<Record<string, JsonValue>>,
];

/**
 * Writes the cells of a row.
 *
 * @param cells the cells
 * @returns JSON
 */
export function encodeCells(cells: KeptCells): string {
  const groups: [stamp: Stamp | undefined, members: string][] = [];
  for (const [column, { value, stamp }] of cells) {
    const member = `"${column}":${JSON.stringify(toStoredValue(value))}`;
    const group = groups.find(([other]) => isSame(other, stamp));
    if (group === undefined) groups.push([stamp, member]);
    else group[1] += `,${member}`;
  }
  const texts = groups.map(([stamp, members]) =>
    stamp === undefined
      ? `[null,null,{${members}}]`
      : `["${stamp.hlc}",${JSON.stringify(stamp.clientId)},{${members}}]`
  );
  return `[${texts.join(",")}]`;
}

/**
 * Reads cells that {@linkcode encodeCells} wrote.
 *
 * @param json JSON
 * @returns the cells, ascending by column
 */
export function decodeCells(json: string): KeptCells {
  const cells: [number, KeptCell][] = [];
  for (const [hlc, clientId, values] of JSON.parse(json) as readonly Group[]) {
    const stamp = hlc === null || clientId === null
      ? undefined
      : { hlc: BigInt(hlc) as Hlc, clientId };
    for (const [column, value] of Object.entries(values)) {
      cells.push([Number(column), { value: fromStoredValue(value), stamp }]);
    }
  }
  return new Map(cells.sort(([a], [b]) => a - b));
}

/** Cells as the port has them, ascending by column. */
export function portCells(cells: KeptCells): readonly Cell[] {
  return [...cells]
    .sort(([a], [b]) => a - b)
    .map(([column, { value, stamp }]) =>
      stamp === undefined ? [column, value] : [column, value, stamp]
    );
}

function isSame(a: Stamp | undefined, b: Stamp | undefined): boolean {
  return a === b ||
    (a !== undefined && b !== undefined && a.hlc === b.hlc && a.clientId === b.clientId);
}
