/**
 * The tables of a guide, so that they can be held to what is true.
 *
 * @module
 */

import { ROOT } from "../gate/files.ts";

/**
 * The rows of a table.
 *
 * @param path the guide
 * @param column what one of its columns is called
 * @returns the cells of each row
 * @throws {Error} when there is no such table
 */
export async function rowsOf(path: string, column: string): Promise<string[][]> {
  const lines = (await Deno.readTextFile(new URL(path, ROOT))).split("\n");
  const head = lines.findIndex((line) => line.startsWith("|") && line.includes(`| ${column} `));
  if (head < 0) throw new Error(`${path} has no table with a column ${column}`);
  const rows: string[][] = [];
  for (let at = head + 2; lines[at]?.startsWith("|"); at++) {
    rows.push((lines[at] ?? "").split("|").slice(1, -1).map((cell) => cell.trim()));
  }
  return rows;
}
