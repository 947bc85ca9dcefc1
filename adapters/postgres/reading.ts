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
import type { ReadRow } from "./client.ts";

/** The columns of a row of the state table, to be read by {@linkcode storedRow}. */
export const STATE_COLUMNS =
  "s.table_id, s.row_id, s.is_visible, s.cells, s.seq, s.committed_ms, s.settled";

/** The columns of a change, to be read by {@linkcode storedChange}. */
export const CHANGE_COLUMNS: string =
  "encode(delta_id, 'hex') AS delta_id, op, table_name, table_id, row_id, columns::text AS columns, " +
  "hlc::text AS hlc, client_id, mutation_id, seq, slice, n, " +
  "round(extract(epoch FROM committed_at) * 1000)::bigint AS committed_ms, schema_version";

/** A row of the state table. */
export function storedRow(row: ReadRow): StoredRow {
  return {
    key: keyIn(row),
    isVisible: row.is_visible === true,
    cells: decodeCells(String(row.cells)),
    seq: Number(row.seq),
    committedMs: Number(row.committed_ms),
    settled: Number(row.settled),
  };
}

/** The key in a row of the state table. */
export function keyIn(row: ReadRow): DestinationKey {
  return { table: Number(row.table_id), rowId: String(row.row_id) };
}

/** A change. */
export function storedChange(
  row: ReadRow,
): Omit<NumberedChange, "effect" | "unsettles"> & { readonly key: DestinationKey | undefined } {
  const columns: Record<string, Value> = {};
  const json: Readonly<Record<string, JsonValue>> = JSON.parse(String(row.columns));
  for (const [name, value] of Object.entries(json)) columns[name] = fromStoredValue(value);
  return {
    deltaId: String(row.delta_id),
    op: row.op as Op,
    table: String(row.table_name),
    rowId: String(row.row_id),
    columns,
    hlc: BigInt(String(row.hlc)) as Hlc,
    clientId: String(row.client_id),
    mutationId: Number(row.mutation_id),
    seq: Number(row.seq),
    slice: Number(row.slice),
    n: Number(row.n),
    committedMs: Number(row.committed_ms),
    schemaVersion: Number(row.schema_version),
    key: row.table_id === null ? undefined : keyIn(row),
  };
}

/** The row of the position table. */
export function storedPosition(row: ReadRow): StoredPosition {
  const { position } = row;
  return {
    position: typeof position === "string" ? JSON.parse(position) as FlushPosition : undefined,
    generation: Number(row.generation),
    forgottenSeq: Number(row.forgotten_seq),
  };
}

/** The columns of {@linkcode storedPosition}. */
export const POSITION_COLUMNS = "position::text AS position, generation, forgotten_seq";

/** A row with a problem. */
export function rowProblem(row: ReadRow): Omit<RowProblem, "table"> {
  return {
    key: keyIn(row),
    kind: row.problem === "parked" ? "parked" : "dead",
    reason: String(row.problem_reason),
    code: row.problem_code === null ? undefined : String(row.problem_code),
    seq: Number(row.problem_seq),
    atMs: Number(row.problem_ms),
  };
}
