/**
 * The history of one row: who changed which cell when, and what it was before.
 *
 * @module
 */

import type { Op, Value } from "@lakesync/core";
import type { FlushBatch } from "../../adapter.ts";
import { mergeImages, type StoredRow } from "../../database/images.ts";
import { decodeChangeRow } from "../flush/changes.ts";
import { CHANGE_FIELDS, type LakeTable } from "../flush/layout.ts";
import { canonicalValue, isSameValue } from "../flush/values.ts";
import type { Duck } from "./duck.ts";
import { PLACE, valueSql } from "./fold.ts";
import { nameSql, textSql } from "./sql.ts";
import { PLACED_CHANGES } from "./views.ts";

/** A cell that became another. */
export interface CellChange {
  /** The column, by the name it has now. */
  readonly column: string;
  /** What it was; null when nothing. */
  readonly before: Value;
  /** What it is from then on. */
  readonly after: Value;
}

/** Something that was done to a row. */
export interface RowChange {
  /** What; `SET` when the row was set as the gateway had it, beside the changes. */
  readonly op: Op | "SET";
  /** The commit. */
  readonly seq: number;
  /** When it was committed, in milliseconds since 1970. */
  readonly committedMs: number;
  /** Who did it; null for `SET`. */
  readonly clientId: string | null;
  /** In which of the client's transactions; null for `SET`. */
  readonly mutationId: number | null;
  /** The change's identity; null for `SET`. */
  readonly deltaId: string | null;
  /** When it was written, by the writer's clock; null for `SET`. */
  readonly hlc: bigint | null;
  /** Whether readers see the row from then on. */
  readonly isVisible: boolean;
  /** What became of its cells; what did not win or was the same before is not there. */
  readonly cells: readonly CellChange[];
}

/**
 * Reads the history of a row out of the view of its table's changes.
 *
 * @param duck has the view {@linkcode PLACED_CHANGES}
 * @param table the table
 * @param rowId the row
 * @returns what was done to it, the oldest first
 */
export async function readRowHistory(
  duck: Duck,
  table: LakeTable,
  rowId: string,
): Promise<readonly RowChange[]> {
  const own = CHANGE_FIELDS.map(({ name }) => nameSql(name));
  const values = table.columns.map(valueSql);
  const rows = await duck.rows(`SELECT ${[...own, "epoch_ms(_committed_at)", ...values].join(", ")}
    FROM ${PLACED_CHANGES} WHERE _row = ${textSql(rowId)} ORDER BY ${PLACE}`);
  const changes: RowChange[] = [];
  let before: StoredRow | undefined;
  for (const row of rows) {
    const decoded = decodeRow(table, rowId, row);
    const batch = batchOf(decoded);
    const [after = before] = mergeImages(batch, before === undefined ? [] : [before], 0);
    changes.push(changeOf(table, row, decoded, before, after));
    before = after;
  }
  return changes;
}

type Decoded = ReturnType<typeof decodeChangeRow>;

function decodeRow(table: LakeTable, rowId: string, row: readonly Value[]): Decoded {
  const text = (i: number) => typeof row[i] === "string" ? row[i] : null;
  const number = (i: number) => row[i] === null || row[i] === undefined ? null : Number(row[i]);
  const first = CHANGE_FIELDS.length + 1;
  return decodeChangeRow(table, {
    op: text(0) as Op | "SET",
    rowId,
    clientId: text(2),
    hlc: hlcOf(row),
    seq: number(4) ?? 0,
    slice: number(5),
    mutationId: number(6),
    deltaId: text(7),
    committedMs: number(CHANGE_FIELDS.length) ?? 0,
    schemaVersion: number(9),
    changed: text(10),
    raw: text(11),
    effect: text(12),
    values: table.columns.map(({ type, field }, i): Value => {
      const value = row[first + i] ?? null;
      if (value === null) return null;
      if (field.from === "json" && typeof value === "string") return JSON.parse(value);
      return canonicalValue(type, value);
    }),
  });
}

function hlcOf(row: readonly Value[]): bigint | null {
  const hlc = row[3];
  return typeof hlc === "bigint" || typeof hlc === "number" ? BigInt(hlc) : null;
}

/** What is decoded as a batch of it alone, which databases would be given. */
function batchOf(decoded: Decoded): FlushBatch {
  const seq = decoded.kind === "set" ? decoded.at.seq : decoded.change.seq;
  return {
    from: undefined,
    to: { seq, lives: [], writer: "" },
    isWhole: true,
    rows: decoded.kind === "set" ? [decoded.row] : [],
    changes: decoded.kind === "set" ? [] : [decoded.change],
  };
}

function changeOf(
  table: LakeTable,
  row: readonly Value[],
  decoded: Decoded,
  before: StoredRow | undefined,
  after: StoredRow | undefined,
): RowChange {
  const change = decoded.kind === "change" ? decoded.change : undefined;
  const cells = table.columns.flatMap(({ number, name, isKey }): readonly CellChange[] => {
    if (isKey) return [];
    const [old, now] = [before, after].map((image) => image?.cells.get(number)?.value ?? null);
    if (old === undefined || now === undefined || isSameValue(old, now)) return [];
    return [{ column: name, before: old, after: now }];
  });
  return {
    op: change?.op ?? "SET",
    seq: change?.seq ?? (decoded.kind === "set" ? decoded.at.seq : 0),
    committedMs: decoded.kind === "set" ? decoded.committedMs : decoded.change.committedMs,
    clientId: change?.clientId ?? null,
    mutationId: change?.mutationId ?? null,
    deltaId: change?.deltaId ?? null,
    hlc: hlcOf(row),
    isVisible: after?.isVisible ?? false,
    cells,
  };
}
