/**
 * The statements of a materialised table.
 *
 * @module
 */

import { keyOf, rowIdOf } from "@lakesync/core";
import type { LayoutColumn, TableLayout, TableRow } from "../database/backend.ts";
import type { ReadRow } from "./connection.ts";
import { type Literal, literalOf } from "./literals.ts";
import { quoteName } from "./names.ts";
import { keyValue } from "./types.ts";

/** What the statements of a table are made of. */
export interface TableStatements {
  /** Its name, quoted. */
  readonly name: string;
  /** The columns of its key, quoted, with commas. */
  readonly keyNames: string;
  /** What comes before the tuples of an upsert. */
  readonly before: string;
  /** What comes after them. */
  readonly after: string;
  /** Writes the tuple of a row. */
  tuple(row: TableRow): string;
  /** A condition that is true of some rows. A rowId that is none of the table is left out. */
  among(rowIds: readonly string[]): string;
  /** The rowId of a row whose first values are its key. */
  rowIdOf(row: ReadRow): string;
}

const known = new WeakMap<TableLayout, TableStatements>();

/**
 * The statements of a table.
 *
 * @param layout the table
 */
export function tableStatements(layout: TableLayout): TableStatements {
  let statements = known.get(layout);
  if (statements === undefined) known.set(layout, statements = compose(layout));
  return statements;
}

function compose({ table, columns, key, extras }: TableLayout): TableStatements {
  const keys = key.map(nameOf);
  const stamped = extras.has("synced_at");
  const names = [...columns.map(nameOf), ...stamped ? ["synced_at"] : []];
  const updates = names.filter((name) => !keys.includes(name))
    .map((name) => `${name} = VALUES(${name})`);
  const [first = ""] = keys;
  // A row that is met by another unique index has another key, and must not be overwritten: a key
  // that becomes NULL makes the statement fail.
  const isSame = keys.map((name) => `${name} = VALUES(${name})`).join(" AND ");
  const literals = columns.map(literalIn);
  const keyLiterals = key.map(literalIn);
  const condition = (rowId: string): string | undefined => {
    const values = keyOf(table, rowId);
    if (typeof values === "string") return undefined;
    const texts = values.map((value, i) =>
      value === null ? "NULL" : keyLiterals[i]?.(value) ?? "NULL"
    );
    return keys.length === 1
      ? texts[0]
      : `(${texts.map((text, i) => `${keys[i]} = ${text}`).join(" AND ")})`;
  };
  return {
    name: quoteName(table.name),
    keyNames: keys.join(", "),
    before: `INSERT INTO ${quoteName(table.name)} (${names.join(", ")}) VALUES`,
    after: `ON DUPLICATE KEY UPDATE ` +
      [`${first} = IF(${isSame}, ${first}, NULL)`, ...updates].join(", "),
    tuple({ values }) {
      let text = "(";
      for (const [i, value] of values.entries()) {
        if (i > 0) text += ",";
        text += value === null ? "NULL" : literals[i]?.(value) ?? "NULL";
      }
      return text + (stamped ? ",UTC_TIMESTAMP(6))" : ")");
    },
    among(rowIds) {
      const texts = rowIds.flatMap((rowId) => condition(rowId) ?? []);
      if (texts.length === 0) return "1 = 0";
      return keys.length === 1 ? `${first} IN (${texts.join(",")})` : `(${texts.join(" OR ")})`;
    },
    rowIdOf: (row) => rowIdOf(table, key.map(({ column }, i) => keyValue(row[i], column.type))),
  };
}

function nameOf({ column }: LayoutColumn): string {
  return quoteName(column.name);
}

function literalIn({ column, native }: LayoutColumn): Literal {
  return literalOf(column.type, native);
}
