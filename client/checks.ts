/**
 * What the capture triggers refuse. SQLite stores any value in any column; a value that could
 * never reach the gateway fails the app's statement at once, instead of being refused later.
 *
 * The gateway's checks are stricter in places that SQL cannot judge cheaply (decimals, the depth
 * of JSON); what passes here and is refused there becomes a dead letter.
 *
 * @module
 */

import { type ColumnType, DEFAULT_LIMITS, type MergeKind, type Table } from "@lakesync/core";
import { incrementSql, MAX_SET_CHANGES } from "./capture_kinds.ts";
import { quoteName, quoteText } from "./sql.ts";

const HEX = "[0-9a-f]";
const UUID = [8, 4, 4, 4, 12].map((digits) => HEX.repeat(digits)).join("-");
const MAX = DEFAULT_LIMITS.maxValueBytes;

/** A test of an SQL expression that is not null, and what the column takes. */
interface Check {
  readonly bad: (x: string) => string;
  readonly takes: string;
}

function text(format: (x: string) => string): (x: string) => string {
  return (x) =>
    `typeof(${x}) <> 'text' OR instr(${x}, char(0)) OR octet_length(${x}) > ${MAX} OR ${format(x)}`;
}

function badTimestamp(x: string): string {
  const whole = `substr(${x}, 1, 19)`;
  const rest = `substr(${x}, 20)`;
  const digits = `substr(${x}, 21, length(${x}) - 21)`;
  return `strftime('%Y-%m-%dT%H:%M:%S', ${whole}) IS NOT ${whole} OR NOT (${rest} = 'Z' OR ` +
    `(${rest} GLOB '.[0-9]*Z' AND length(${x}) <= 27 AND ${digits} NOT GLOB '*[^0-9]*'))`;
}

const CHECKS: Readonly<Record<string, Check>> = {
  string: {
    bad: text(() => "0"),
    takes: "text without NUL, at most 4 MiB",
  },
  integer: {
    bad: (x) => `typeof(${x}) <> 'integer'`,
    takes: "a whole number",
  },
  number: {
    bad: (x) => `typeof(${x}) NOT IN ('integer', 'real') OR ${x} IN (9e999, -9e999)`,
    takes: "a finite number",
  },
  boolean: {
    bad: (x) => `typeof(${x}) <> 'integer' OR ${x} NOT IN (0, 1)`,
    takes: "0 or 1",
  },
  timestamp: {
    bad: text(badTimestamp),
    takes: "an RFC 3339 time in UTC, like 2026-01-31T09:30:00.123Z",
  },
  date: {
    bad: text((x) => `length(${x}) <> 10 OR date(${x}) IS NOT ${x}`),
    takes: "a date like 2026-01-31",
  },
  uuid: {
    bad: text((x) => `${x} NOT GLOB '${UUID}'`),
    takes: "a UUID in lower case",
  },
  bytes: {
    bad: (x) => `typeof(${x}) <> 'blob' OR octet_length(${x}) > ${MAX}`,
    takes: "a BLOB of at most 4 MiB",
  },
  json: {
    bad: (x) =>
      `typeof(${x}) NOT IN ('integer', 'real') AND (${text((y) => `NOT json_valid(${y})`)(x)})`,
    takes: "JSON text of at most 4 MiB",
  },
};

const DECIMAL: Check = {
  bad: text((x) => `${x} = '' OR ${x} GLOB '*[^0-9.-]*'`),
  takes: "a decimal as text",
};

function badSet(x: string): string {
  // OR does not promise to leave out what is behind a true operand, so invalid JSON is kept away.
  const valid = `CASE WHEN json_valid(${x}) THEN ${x} ELSE '0' END`;
  return `json_type(${valid}) <> 'array' OR EXISTS (SELECT 1 FROM json_each(${valid})
    WHERE type NOT IN ('text', 'integer', 'real', 'true', 'false')
      OR value IN (9e999, -9e999) OR (type = 'text' AND instr(value, char(0))))`;
}

const SET: Check = {
  bad: text(badSet),
  takes: "a JSON array of texts, finite numbers, true and false, at most 4 MiB, for it is a set",
};

function checkOf(type: ColumnType, merge: MergeKind): Check {
  return merge === "set" ? SET : CHECKS[type] ?? DECIMAL;
}

function raise(table: string, column: string, takes: string): string {
  return `RAISE(ABORT, ${quoteText(`LakeSync: ${table}.${column} takes ${takes}`)})`;
}

/**
 * Writes one branch of a CASE that refuses a value that does not fit. NULL always fits.
 *
 * @param table the table's name, for the message
 * @param column the column
 * @param x the value as SQL
 * @param when as SQL: when the value is to be judged
 * @returns `WHEN … THEN RAISE(…)`
 */
export function checkValue(
  table: string,
  column: { readonly name: string; readonly type: ColumnType; readonly merge: MergeKind },
  x: string,
  when: string,
): string {
  const { bad, takes } = checkOf(column.type, column.merge);
  return `WHEN ${when} AND ${x} IS NOT NULL AND (${bad(x)}) THEN ${
    raise(table, column.name, takes)
  }`;
}

/**
 * Writes one branch of a CASE that refuses an UPDATE of a counter by more than 64 bits hold.
 *
 * @param table the table's name
 * @param column the counter's name
 * @returns `WHEN … THEN RAISE(…)`
 */
export function checkIncrement(table: string, column: string): string {
  const name = quoteName(column);
  return `WHEN typeof(${incrementSql(`NEW.${name}`, `OLD.${name}`)}) <> 'integer' THEN ${
    raise(table, column, "a change of at most 64 bits at once, for it is a counter")
  }`;
}

/**
 * Writes one branch of a CASE that refuses a change of too many elements of a set.
 *
 * @param table the table's name
 * @param column the set's name
 * @param when as SQL: whether there are too many
 * @returns `WHEN … THEN RAISE(…)`
 */
export function checkElements(table: string, column: string, when: string): string {
  return `WHEN ${when} THEN ${
    raise(table, column, `at most ${MAX_SET_CHANGES} added and removed elements at once`)
  }`;
}

/**
 * Writes the branches of a CASE that refuse a key that cannot be synced.
 *
 * @param table the table
 * @param keys the key's values as SQL
 * @param rowId the rowId as SQL
 * @returns `WHEN … THEN RAISE(…)` for each column, and for the whole
 */
export function checkKey(
  table: Table,
  keys: readonly string[],
  rowId: string,
): string[] {
  const max = DEFAULT_LIMITS.maxRowIdBytes;
  const columns = table.primaryKey.map(({ name, type }, i) => {
    const { bad, takes } = checkOf(type, "lww");
    const x = keys[i] ?? "NULL";
    return `WHEN ${x} IS NULL OR ${bad(x)} THEN ${
      raise(table.name, name, `${takes}, for it is part of the key`)
    }`;
  });
  const names = table.primaryKey.map(({ name }) => name).join(", ");
  return [
    ...columns,
    `WHEN octet_length(${rowId}) NOT BETWEEN 1 AND ${max} THEN ${
      raise(table.name, names, `a key that is not empty, at most ${max} bytes`)
    }`,
  ];
}
