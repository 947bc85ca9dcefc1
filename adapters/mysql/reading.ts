/**
 * What rows of LakeSync's own tables say.
 *
 * @module
 */

import type { Hlc, JsonValue, Op, Value } from "@lakesync/core";
import type { DestinationKey, FlushPosition, RowProblem } from "../adapter.ts";
import type { NumberedChange, StoredPosition } from "../database/backend.ts";
import type { StoredRow } from "../database/images.ts";
import { decodeCells } from "../database/stored_cells.ts";
import { fromStoredValue } from "../database/stored_value.ts";
import type { ReadRow } from "./connection.ts";
import { text } from "./literals.ts";
import { POSITION } from "./names.ts";

/** Reads the position, for {@linkcode storedPosition}. */
export const READ_POSITION: string =
  `SELECT position, generation, forgotten_seq FROM ${POSITION} WHERE only_row = 1`;

/** The columns of a row of the state table, to be read by {@linkcode storedRow}. */
export const STATE_COLUMNS =
  "s.table_id, s.row_id, s.is_visible, s.cells, s.seq, s.committed_ms, s.settled";

/** The columns of a change, to be read by {@linkcode storedChange}. */
export const CHANGE_COLUMNS: string =
  "seq, slice, n, HEX(delta_id), committed_at, op, table_name, " +
  "table_id, row_id, columns, hlc, client_id, mutation_id, schema_version";

/** The columns of a problem, to be read by {@linkcode rowProblem}. */
export const PROBLEM_COLUMNS = "table_id, row_id, kind, reason, code, seq, found_at";

/** A row of the state table. */
export function storedRow(row: ReadRow): StoredRow {
  const [, , isVisible, cells, seq, committedMs, settled] = row;
  return {
    key: keyIn(row),
    isVisible: isVisible === 1,
    cells: decodeCells(String(cells)),
    seq: Number(seq),
    committedMs: Number(committedMs),
    settled: Number(settled),
  };
}

/** The key in the first two values of a row. */
export function keyIn([table, rowId]: ReadRow): DestinationKey {
  return { table: Number(table), rowId: textOf(rowId) };
}

const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** A text from its bytes. */
export function textOf(value: unknown): string {
  return value instanceof Uint8Array ? UTF8.decode(value) : String(value);
}

/** A change. */
export function storedChange(
  row: ReadRow,
): Omit<NumberedChange, "effect" | "unsettles"> & { readonly key: DestinationKey | undefined } {
  const [seq, slice, n, deltaId, committedAt, op, table, tableId, rowId, ...rest] = row;
  const [json, hlc, clientId, mutationId, schemaVersion] = rest;
  const columns: Record<string, Value> = {};
  const cells: Readonly<Record<string, JsonValue>> = JSON.parse(String(json));
  for (const [name, value] of Object.entries(cells)) columns[name] = fromStoredValue(value);
  return {
    deltaId: String(deltaId).toLowerCase(),
    op: op as Op,
    table: String(table),
    rowId: textOf(rowId),
    columns,
    hlc: BigInt(String(hlc)) as Hlc,
    clientId: String(clientId),
    mutationId: Number(mutationId),
    seq: Number(seq),
    slice: Number(slice),
    n: Number(n),
    committedMs: msOf(committedAt),
    schemaVersion: Number(schemaVersion),
    key: tableId === null ? undefined : keyIn([tableId, rowId]),
  };
}

/** The row of the position table. */
export function storedPosition([position, generation, forgottenSeq]: ReadRow): StoredPosition {
  return {
    position: typeof position === "string" ? JSON.parse(position) as FlushPosition : undefined,
    generation: Number(generation),
    forgottenSeq: Number(forgottenSeq),
  };
}

/** A row with a problem. */
export function rowProblem(row: ReadRow): Omit<RowProblem, "table"> {
  const [, , kind, reason, code, seq, foundAt] = row;
  return {
    key: keyIn(row),
    kind: kind === "parked" ? "parked" : "dead",
    reason: String(reason),
    code: code === null ? undefined : String(code),
    seq: Number(seq),
    atMs: msOf(foundAt),
  };
}

/** Keys of rows by table, as a condition on a table with `table_id` and `row_id`. */
export function keyCondition(alias: string, table: number, rowIds: readonly string[]): string {
  return `${alias}.table_id = ${table} AND ${alias}.row_id IN (${rowIds.map(text).join(",")})`;
}

function msOf(time: unknown): number {
  return Date.parse(`${String(time).replace(" ", "T")}Z`);
}
