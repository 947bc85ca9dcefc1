/**
 * Answers as text: a table for people, CSV and JSON for programs. No value is rounded: integers
 * beyond ±(2^53−1) are text in JSON, as everywhere in the protocol, and bytes are base64.
 *
 * @module
 */

import type { QueryStream, ResultColumn, ResultRows } from "@lakesync/adapters/lake/query";
import { encodeBase64, type Value } from "@lakesync/core";

/** Widths are those of so many rows at the beginning. */
const MEASURED_ROWS = 1_000;

/**
 * A value as JSON.
 *
 * @param value the value
 */
export function valueJson(value: Value): string {
  if (typeof value === "bigint") return `"${value}"`;
  if (value instanceof Uint8Array) return `"${encodeBase64(value)}"`;
  if (Object.is(value, -0)) return "-0";
  if (typeof value === "number" && !Number.isFinite(value)) return `"${value}"`;
  return JSON.stringify(value);
}

/** A value as text; null is undefined. */
function valueText(value: Value): string | undefined {
  if (value === null) return undefined;
  if (typeof value === "string") return value;
  if (Object.is(value, -0)) return "-0";
  if (typeof value === "bigint" || typeof value === "number") return String(value);
  if (value instanceof Uint8Array) return encodeBase64(value);
  return valueJson(value);
}

/**
 * Rows as JSON: a list of objects, a line each.
 *
 * @param stream the answer
 * @returns pieces of the text
 */
export async function* jsonText({ columns, rows }: QueryStream): AsyncGenerator<string> {
  const names = columns.map(({ name }) => JSON.stringify(name));
  let before = "[";
  for await (const some of rows) {
    let text = "";
    for (const row of some) {
      const members = row.map((value, i) => `${names[i]}:${valueJson(value)}`);
      text += `${before}\n{${members.join(",")}}`;
      before = ",";
    }
    yield text;
  }
  yield before === "[" ? "[]\n" : "\n]\n";
}

function csvField(value: Value): string {
  const text = valueText(value);
  if (text === undefined) return "";
  return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Rows as CSV (RFC 4180) with the names first; null is empty, an empty text is `""`.
 *
 * @param stream the answer
 * @returns pieces of the text
 */
export async function* csvText({ columns, rows }: QueryStream): AsyncGenerator<string> {
  yield `${columns.map(({ name }) => csvField(name)).join(",")}\r\n`;
  for await (const some of rows) {
    yield some.map((row) => `${row.map(csvField).join(",")}\r\n`).join("");
  }
}

/** Types whose values end at the same place. */
const RIGHT = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*)$/;

// deno-lint-ignore no-control-regex
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/g;

/** A text on one line, which no terminal takes for a command. */
function oneLine(value: Value): string {
  const escape = (char: string) => JSON.stringify(char).slice(1, -1);
  return valueText(value)?.replace(CONTROLS, (char) => {
    const code = char.charCodeAt(0);
    return code < 0x20 ? escape(char) : `\\u${code.toString(16).padStart(4, "0")}`;
  }) ?? "";
}

function line(
  cells: readonly string[],
  columns: readonly ResultColumn[],
  widths: readonly number[],
): string {
  const padded = cells.map((cell, i) => {
    const width = widths[i] ?? 0;
    if (RIGHT.test(columns[i]?.type ?? "")) return cell.padStart(width);
    return i === cells.length - 1 ? cell : cell.padEnd(width);
  });
  return `${padded.join("  ").trimEnd()}\n`;
}

/**
 * Rows as a table for people. Columns are as wide as their first values.
 *
 * @param stream the answer
 * @returns pieces of the text
 */
export async function* tableText({ columns, rows }: QueryStream): AsyncGenerator<string> {
  const first: string[][] = [];
  let widths: readonly number[] | undefined;
  const head = () => {
    widths = columns.map(({ name }, i) =>
      Math.max(name.length, ...first.map((cells) => cells[i]?.length ?? 0))
    );
    const names = columns.map(({ name }) => oneLine(name));
    const rule = widths.map((width) => "-".repeat(width)).join("  ");
    return line(names, columns, widths) + `${rule}\n` +
      first.splice(0).map((cells) => line(cells, columns, widths ?? [])).join("");
  };
  for await (const some of rows) {
    const cells = textsOf(some);
    if (widths !== undefined) {
      const known = widths;
      yield cells.map((row) => line(row, columns, known)).join("");
      continue;
    }
    first.push(...cells);
    if (first.length >= MEASURED_ROWS) yield head();
  }
  if (widths === undefined) yield head();
}

function textsOf(rows: ResultRows): string[][] {
  return rows.map((row) => row.map(oneLine));
}
