/**
 * Whether two adapters hold the same rows, while they may still be written to: rows that differ are
 * looked at again.
 *
 * @module
 */

import { canonicalJson, sha256Hex } from "@lakesync/core";
import type { DatabaseAdapter, LatestState } from "../adapter.ts";

/** What one table holds. */
export interface TableFigures {
  /** Rows that readers see. */
  readonly rows: number;
  /** Rows that they do not see, whose cells are kept. */
  readonly hidden: number;
  /** The sum of the hashes of all rows, cells and stamps included, in hex. */
  readonly checksum: string;
}

/** How two adapters compare. */
export interface Comparison {
  /** What they hold, by table number. */
  readonly tables: ReadonlyMap<number, TableFigures>;
  /** The names of rows that differ, as `table rowId`; the first hundred. */
  readonly different: readonly string[];
}

/** So often a row that differs is looked at again. */
const TRIES = 3;
const SHOWN = 100;
const MODULUS = 2n ** 128n;

/**
 * Compares all rows, both ways.
 *
 * @param one an adapter
 * @param other another, which follows the first
 * @param pageSize so many rows are read at once
 * @param settle waits until `other` has what `one` has
 * @param isWanted whether rows of a table are compared
 */
export async function compareRows(
  one: DatabaseAdapter,
  other: DatabaseAdapter,
  pageSize: number,
  settle: () => Promise<void>,
  isWanted: (table: number) => boolean,
): Promise<Comparison> {
  const sums = new Map<number, { rows: number; hidden: number; sum: bigint }>();
  const different: string[] = [];

  async function walk(from: DatabaseAdapter, to: DatabaseAdapter, counts: boolean): Promise<void> {
    let after: LatestState["key"] | undefined;
    for (;;) {
      const page = await from.scanState(after, pageSize);
      let rows: readonly (LatestState | undefined)[] = page.filter(({ key }) =>
        isWanted(key.table)
      );
      const keys = rows.flatMap((row) => row === undefined ? [] : [row.key]);
      let others = await to.getLatestState(keys);
      for (
        let i = 0;
        i < TRIES && rows.some((row, at) => textOf(row) !== textOf(others[at]));
        i++
      ) {
        await settle();
        [rows, others] = [await from.getLatestState(keys), await to.getLatestState(keys)];
      }
      for (const [i, key] of keys.entries()) {
        const text = textOf(rows[i]);
        if (text !== textOf(others[i])) {
          if (different.length < SHOWN) different.push(`${key.table} ${key.rowId}`);
        } else if (counts && text !== "") {
          const sum = sums.get(key.table) ?? { rows: 0, hidden: 0, sum: 0n };
          sums.set(key.table, sum);
          if (rows[i]?.isVisible) sum.rows++;
          else sum.hidden++;
          sum.sum = (sum.sum + BigInt(`0x${sha256Hex(text).slice(0, 32)}`)) % MODULUS;
        }
      }
      after = page.at(-1)?.key;
      if (page.length < pageSize) return;
    }
  }

  await walk(one, other, true);
  await walk(other, one, false);
  const tables = new Map([...sums].map(([table, { rows, hidden, sum }]) => [
    table,
    { rows, hidden, checksum: sum.toString(16).padStart(32, "0") },
  ]));
  return { tables, different: [...new Set(different)] };
}

/** A row as a text; empty for one that is gone or was never there. */
function textOf(row: LatestState | undefined): string {
  if (row === undefined || (!row.isVisible && row.cells.length === 0)) return "";
  const { key, isVisible, cells } = row;
  const parts = cells.map(([column, value, stamp]) => {
    const type = value instanceof Uint8Array ? "bytes" : typeof value;
    const text = Object.is(value, -0) ? "-0" : canonicalJson(value);
    return `${column} ${type} ${text} ${stamp?.hlc ?? ""} ${stamp?.clientId ?? ""}`;
  });
  return JSON.stringify([key.table, key.rowId, isVisible, ...parts]);
}
