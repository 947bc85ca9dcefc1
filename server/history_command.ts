/**
 * `lakesync history`: who changed which cell of a row when.
 *
 * @module
 */

import type { CellChange, RowChange } from "@lakesync/adapters/lake/query";
import type { HistoryConfig } from "./query_arguments.ts";
import { valueJson } from "./query_format.ts";
import { withLake } from "./query_lake.ts";

function timeOf({ committedMs }: RowChange): string {
  return new Date(committedMs).toISOString();
}

/**
 * A history as lines to read: one for each change, and one below it for each cell.
 *
 * @param changes the history
 */
export function historyLines(changes: readonly RowChange[]): string[] {
  const who = changes.map(({ clientId }) => clientId ?? "-");
  const widths = {
    seq: Math.max(0, ...changes.map(({ seq }) => String(seq).length)),
    who: Math.max(0, ...who.map(({ length }) => length)),
  };
  return changes.flatMap((change, i) => {
    const { op, seq, isVisible, cells } = change;
    const hidden = isVisible || op === "DELETE" ? "" : "  (not visible)";
    const head = [
      timeOf(change),
      `commit ${String(seq).padStart(widths.seq)}`,
      (who[i] ?? "").padEnd(widths.who),
      `${op}${hidden}`,
    ].join("  ");
    return [head, ...cells.map((cell) => `    ${cellText(cell)}`)];
  });
}

function cellText({ column, before, after }: CellChange): string {
  return `${column}: ${valueJson(before)} -> ${valueJson(after)}`;
}

function changeJson(change: RowChange): string {
  const { op, seq, clientId, mutationId, deltaId, hlc, isVisible, cells } = change;
  const members: readonly (readonly [string, string])[] = [
    ["op", JSON.stringify(op)],
    ["seq", `"${seq}"`],
    ["at", JSON.stringify(timeOf(change))],
    ["clientId", JSON.stringify(clientId)],
    ["mutationId", JSON.stringify(mutationId)],
    ["deltaId", JSON.stringify(deltaId)],
    ["hlc", hlc === null ? "null" : `"${hlc}"`],
    ["visible", String(isVisible)],
    [
      "cells",
      `[${
        cells.map(({ column, before, after }) =>
          `{"column":${JSON.stringify(column)},"before":${valueJson(before)},"after":${
            valueJson(after)
          }}`
        )
      }]`,
    ],
  ];
  return `{${members.map(([name, json]) => `"${name}":${json}`).join(",")}}`;
}

/**
 * A history as JSON: a list of objects, a line each.
 *
 * @param changes the history
 */
export function historyJson(changes: readonly RowChange[]): string {
  return changes.length === 0 ? "[]" : `[\n${changes.map(changeJson).join(",\n")}\n]`;
}

/**
 * Tells the history of a row.
 *
 * @param config which
 * @param note told for people, not for programs
 * @returns lines to print
 * @throws {Error} when there never was such a row
 */
export async function runHistory(
  config: HistoryConfig,
  note: (text: string) => void,
): Promise<readonly string[]> {
  const { table, rowId, asOf, format } = config;
  const options = asOf === undefined ? {} : { asOf };
  const changes = await withLake(config, (query) => query.history(table, rowId, options), note);
  if (changes.length === 0) {
    throw new Error(`Nothing is known of a row ${JSON.stringify(rowId)} of ${table}`);
  }
  return format === "json" ? [historyJson(changes)] : historyLines(changes);
}
