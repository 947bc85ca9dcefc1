/**
 * How many digits the texts of times and decimals have. The same value may be written in several
 * ways, of which a source of rows keeps one; clients write all values of a column alike, such as
 * times with milliseconds, so some of the gateway's own rows tell how. Pure.
 *
 * @module
 */

import { decimalParts, forEachCell, type RowState } from "@lakesync/core";
import type { Catalog } from "./catalog.ts";
import type { SourceRow } from "./checkpoint_rows.ts";

/** Columns by number, by the numbers of their tables. */
export type ColumnsByTable = ReadonlyMap<number, ReadonlySet<number>>;

/** Of columns, the least number of digits behind the point, by number. */
export type Digits = ReadonlyMap<number, number>;

/** More values of a column are not looked at. */
const MAX_SAMPLES = 200;

/**
 * The columns whose values have several texts.
 *
 * @param catalog the newest schema
 * @param columns the columns to choose from
 */
export function columnsOfDigits(catalog: Catalog, columns: ColumnsByTable): ColumnsByTable {
  const found = new Map<number, ReadonlySet<number>>();
  for (const [id, numbers] of columns) {
    const table = catalog.tableById(id);
    const chosen = table?.table.columns.flatMap(({ name, type, key }) => {
      const number = table.byName.get(name)?.id;
      const has = type === "timestamp" || decimalParts(type) !== undefined;
      return has && !key && number !== undefined && numbers.has(number) ? [number] : [];
    }) ?? [];
    if (chosen.length > 0) found.set(id, new Set(chosen));
  }
  return found;
}

/** Values of the gateway's own rows. */
export class Samples {
  readonly #columns: ColumnsByTable;
  readonly #texts = new Map<string, string[]>();

  /** @param columns the columns that are looked at */
  constructor(columns: ColumnsByTable) {
    this.#columns = columns;
  }

  /** Whether there is anything to look at. */
  get isNeeded(): boolean {
    return this.#columns.size > 0;
  }

  /** Takes in a row. */
  add(table: number, state: RowState): void {
    const columns = this.#columns.get(table);
    if (columns === undefined) return;
    forEachCell(state, (column, value) => {
      if (typeof value !== "string" || !columns.has(column)) return;
      const name = `${table} ${column}`;
      const texts = this.#texts.get(name) ?? [];
      this.#texts.set(name, texts);
      if (texts.length < MAX_SAMPLES) texts.push(value);
    });
  }

  /** The digits of all columns, by table; undefined when one is written now so, now otherwise. */
  digits(): ReadonlyMap<number, Digits> | undefined {
    const all = new Map<number, Digits>();
    for (const [table, columns] of this.#columns) {
      const digits = new Map<number, number>();
      for (const column of columns) {
        const found = digitsOf(this.#texts.get(`${table} ${column}`) ?? []);
        if (found === undefined) return undefined;
        digits.set(column, found);
      }
      all.set(table, digits);
    }
    return all;
  }
}

/** The least number of digits with which all of some texts are written; 0: as few as can be. */
function digitsOf(texts: readonly string[]): number | undefined {
  const counts = new Set(texts.map((text) => /\.(\d+)/.exec(text)?.[1]?.length ?? 0));
  const [only = 0, ...others] = counts;
  if (others.length === 0) return only;
  return texts.every((text) => withDigits(text, 0) === text) ? 0 : undefined;
}

/** Writes the text of a time or a decimal with at least so many digits behind the point. */
function withDigits(text: string, digits: number): string {
  const end = text.endsWith("Z") ? "Z" : "";
  const [whole = "", fraction = ""] = text.slice(0, text.length - end.length).split(".");
  const kept = fraction.replace(/0+$/, "").padEnd(digits, "0");
  return kept === "" ? `${whole}${end}` : `${whole}.${kept}${end}`;
}

/**
 * Writes the values of a row as the gateway has them.
 *
 * @param row the row
 * @param digits of the columns whose values have several texts
 */
export function written(row: SourceRow, digits: Digits | undefined): SourceRow {
  if (digits === undefined) return row;
  const cells = row.cells.map(([column, value]): SourceRow["cells"][number] => {
    const least = digits.get(column);
    return least === undefined || typeof value !== "string"
      ? [column, value]
      : [column, withDigits(value, least)];
  });
  return { ...row, cells };
}
