/**
 * One checksum for a client's tables and for what the gateway sends, over every value of every row.
 *
 * @module
 */

import { hash } from "node:crypto";

/** Tables and their columns, the key first. */
const TABLES = {
  cities: ["id", "name", "country", "admin", "population", "lon", "lat"],
  edits: ["id", "city_id", "note"],
} as const;

type Cell = string | number | bigint | boolean | null | object | undefined;

function checksum(lines: string[]): string {
  return String(hash("sha256", lines.sort().join("\n"))).slice(0, 16);
}

function line(table: string, cells: readonly Cell[]): string {
  return JSON.stringify([
    table,
    ...cells.map((cell) => (cell === null || cell === undefined ? null : String(cell))),
  ]);
}

/**
 * The checksum of a client's tables.
 *
 * @param query runs SQL there
 * @returns 16 hex digits
 */
export async function tableChecksum(
  query: (sql: string) => Promise<readonly Readonly<Record<string, Cell>>[]>,
): Promise<string> {
  const lines: string[] = [];
  for (const [table, columns] of Object.entries(TABLES)) {
    for (const row of await query(`SELECT ${columns.join(", ")} FROM ${table}`)) {
      lines.push(line(table, columns.map((column) => row[column])));
    }
  }
  return checksum(lines);
}

/**
 * The checksum of what a new client would be sent, asked for in plain JSON.
 *
 * @param url the server
 * @param token a token for the gateway `default`
 * @returns 16 hex digits
 */
export async function gatewayChecksum(url: string, token: string): Promise<string> {
  const rows = new Map<string, string>();
  let cursor = "";
  for (;;) {
    const query = `clientId=checker&limit=10000&schemaVersion=1&cursor=${cursor}`;
    const response = await fetch(`${url}/v1/sync/default/pull?${query}`, {
      headers: { authorization: `Bearer ${token}`, accept: "application/json" },
    });
    const page = await response.json();
    if (!response.ok) throw new Error(page.error);
    for (const { op, table, rowId, columns } of page.changes) {
      const key = `${table} ${rowId}`;
      const [, ...names] = TABLES[table as keyof typeof TABLES];
      if (op === "REMOVE") rows.delete(key);
      else rows.set(key, line(table, [rowId, ...names.map((name) => columns[name])]));
    }
    cursor = page.cursor;
    if (page.complete) return checksum([...rows.values()]);
  }
}
