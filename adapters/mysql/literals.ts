/**
 * Values as MySQL reads them in a statement. Statements are sent as text, which has no limit on how
 * many values there are. What is here relies on the session's `sql_mode` (backslashes escape) and
 * character set (utf8mb4).
 *
 * @module
 */

import type { Value } from "@lakesync/core";

const SPECIAL = /['\\]/;

/** Writes a text. */
export function text(value: string): string {
  if (!SPECIAL.test(value)) return `'${value}'`;
  return `'${value.replaceAll(/['\\]/g, "\\$&")}'`;
}

/** Writes a text, or NULL. */
export function textOrNull(value: string | null | undefined): string {
  return value === null || value === undefined ? "NULL" : text(value);
}

/** Writes a whole number, or NULL. */
export function integerOrNull(value: number | undefined): string {
  return value === undefined ? "NULL" : String(value);
}

/** Writes a double: with an exponent, since without one it would be read as a decimal. */
export function double(value: number): string {
  const digits = String(value);
  return digits.includes("e") ? digits : `${digits}e0`;
}

/** Writes bytes. */
export function bytes(value: Uint8Array): string {
  return `x'${value.toHex()}'`;
}

/** Writes a time in milliseconds since 1970, in UTC. */
export function time(ms: number): string {
  return `'${new Date(ms).toISOString().slice(0, -1).replace("T", " ")}'`;
}

/** Writes a value that is not null. What is no value of its type is left for MySQL to refuse. */
export type Literal = (value: Value) => string;

/**
 * How the values of a column are written.
 *
 * @param type the column's type in the schema
 * @param native its type in the database
 */
export function literalOf(type: string, native: string): Literal {
  switch (type) {
    case "integer":
      return (value) =>
        typeof value === "number" || typeof value === "bigint" ? `${value}` : any(value);
    case "number":
      return (value) =>
        typeof value === "number" || typeof value === "bigint" ? double(Number(value)) : any(value);
    case "boolean":
      return (value) => value === true ? "1" : value === false ? "0" : any(value);
    case "timestamp":
      return native.startsWith("datetime")
        ? (value) => text(String(value).replace("T", " ").replace("Z", ""))
        : any;
    case "bytes":
      return (value) => value instanceof Uint8Array ? bytes(value) : any(value);
    case "json":
      return (value) => text(JSON.stringify(value));
    default:
      return any;
  }
}

function any(value: Value): string {
  return text(typeof value === "string" ? value : String(value));
}
