/**
 * The statements of a transaction. Each is for many rows, which it takes as one array for each
 * column.
 *
 * @module
 */

import { rowIdOf, type Value } from "@lakesync/core";
import type { DestinationKey } from "../adapter.ts";
import type {
  JudgedRow,
  Leftovers,
  NumberedChange,
  OldRows,
  SqlTransaction,
  StoredPosition,
  StoredProblem,
  TableLayout,
  TableRow,
} from "../database/backend.ts";
import type { Refusal } from "../database/bisect.ts";
import { type StoredRow, UNSETTLED } from "../database/images.ts";
import type { Reference } from "../database/references.ts";
import { encodeCells, type KeptCells } from "../database/stored_cells.ts";
import { toStoredValue } from "../database/stored_value.ts";
import type { Parameter, ReadRow, Session } from "./client.ts";
import { refusalOf } from "./errors.ts";
import { type OwnTables, quoteName } from "./names.ts";
import { POSITION_COLUMNS, STATE_COLUMNS, storedPosition, storedRow } from "./reading.ts";
import { keyArrays, tableStatements } from "./table_statements.ts";
import { arrayText, encoderOf, keyFromText, numberArray, textArray } from "./values.ts";

/** A transaction on a session. */
export class PostgresTransaction implements SqlTransaction {
  readonly session: Session;
  readonly own: OwnTables;
  readonly #cells = new WeakMap<KeptCells, string>();
  #savepoints = 0;

  /**
   * @param session where it runs
   * @param own LakeSync's own tables
   */
  constructor(session: Session, own: OwnTables) {
    this.session = session;
    this.own = own;
  }

  run(text: string, ...parameters: Parameter[]): Promise<readonly ReadRow[]> {
    return this.session.run(text, parameters);
  }

  async lockPosition(): Promise<StoredPosition> {
    const [row = {}] = await this.run(
      `SELECT ${POSITION_COLUMNS} FROM ${this.own.position} WHERE only_row FOR UPDATE`,
    );
    return storedPosition(row);
  }

  async putPosition({ position, generation, forgottenSeq }: StoredPosition): Promise<void> {
    await this.run(
      `UPDATE ${this.own.position} SET position = $1::text::json, generation = $2::int, ` +
        `forgotten_seq = $3::bigint, moved_at = now() WHERE only_row`,
      position === undefined ? null : JSON.stringify(position),
      generation,
      forgottenSeq,
    );
  }

  async insertChanges(changes: readonly NumberedChange[]): Promise<void> {
    const times = new Map<number, string>();
    const timeOf = (ms: number) => {
      let text = times.get(ms);
      if (text === undefined) times.set(ms, text = new Date(ms).toISOString());
      return text;
    };
    await this.run(
      `INSERT INTO ${this.own.deltas} (delta_id, op, table_name, table_id, row_id, columns, hlc, ` +
        `client_id, mutation_id, seq, slice, n, committed_at, schema_version) ` +
        `SELECT decode(delta_id, 'hex'), op, table_name, table_id, row_id, columns, hlc, ` +
        `client_id, mutation_id, seq, slice, n, committed_at, schema_version ` +
        `FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::json[], ` +
        `$7::bigint[], $8::text[], $9::bigint[], $10::bigint[], $11::int[], $12::int[], ` +
        `$13::timestamptz[], $14::int[]) AS u (delta_id, op, table_name, table_id, row_id, ` +
        `columns, hlc, client_id, mutation_id, seq, slice, n, committed_at, schema_version) ` +
        `ON CONFLICT DO NOTHING`,
      textArray(changes.map(({ deltaId }) => deltaId)),
      textArray(changes.map(({ op }) => op)),
      textArray(changes.map(({ table }) => table)),
      numberArray(
        changes.map(({ effect, unsettles }) => (effect?.key ?? unsettles)?.table ?? null),
      ),
      textArray(changes.map(({ rowId }) => rowId)),
      textArray(changes.map(({ columns }) => columnsText(columns))),
      numberArray(changes.map(({ hlc }) => hlc)),
      textArray(changes.map(({ clientId }) => clientId)),
      numberArray(changes.map(({ mutationId }) => mutationId)),
      numberArray(changes.map(({ seq }) => seq)),
      numberArray(changes.map(({ slice }) => slice)),
      numberArray(changes.map(({ n }) => n)),
      textArray(changes.map(({ committedMs }) => timeOf(committedMs))),
      numberArray(changes.map(({ schemaVersion }) => schemaVersion)),
    );
  }

  async giveUpChanges(afterSeq: number): Promise<void> {
    const { deltas, state, position } = this.own;
    await this.run(
      `WITH gone AS (DELETE FROM ${deltas} WHERE seq > $1::bigint RETURNING table_id, row_id) ` +
        `INSERT INTO ${state} (table_id, row_id, is_visible, cells, seq, committed_ms, settled) ` +
        `SELECT DISTINCT table_id, row_id, false, '[]', 0, 0, ${UNSETTLED} FROM gone ` +
        `WHERE table_id IS NOT NULL ` +
        `ON CONFLICT (table_id, row_id) DO UPDATE SET settled = ${UNSETTLED}`,
      afterSeq,
    );
    await this.run(
      `UPDATE ${state} SET settled = ${UNSETTLED} ` +
        `WHERE settled = (SELECT generation FROM ${position} WHERE only_row) AND seq > $1::bigint`,
      afterSeq,
    );
  }

  async forgetChanges(
    committedBeforeMs: number,
    throughSeq: number,
    limit: number,
  ): Promise<{ readonly seq: number; readonly isMore: boolean }> {
    const { deltas } = this.own;
    const oldest = await this.run(
      `SELECT seq, slice, n, extract(epoch FROM committed_at) * 1000 < $1::bigint AS is_old ` +
        `FROM ${deltas} ORDER BY seq, slice, n LIMIT $2::int`,
      Math.ceil(committedBeforeMs),
      limit + 1,
    );
    const end = oldest.findIndex(({ seq, is_old }) => Number(seq) > throughSeq || !is_old);
    const count = end < 0 ? oldest.length : end;
    const last = oldest[Math.min(count, limit) - 1];
    if (last === undefined) return { seq: 0, isMore: false };
    const [seq, slice, n] = [Number(last.seq), Number(last.slice), Number(last.n)];
    await this.run(
      `DELETE FROM ${deltas} WHERE (seq, slice, n) <= ($1::bigint, $2::int, $3::int)`,
      seq,
      slice,
      n,
    );
    return { seq, isMore: count > limit };
  }

  async readRows(keys: readonly DestinationKey[]): Promise<readonly StoredRow[]> {
    const rows = await this.run(readRowsText(this.own), ...keyParameters(keys));
    return rows.map(storedRow);
  }

  async readTable(
    table: number,
    afterRowId: string,
    limit: number,
  ): Promise<readonly StoredRow[]> {
    const rows = await this.run(
      `SELECT ${STATE_COLUMNS} FROM ${this.own.state} s WHERE table_id = $1::int ` +
        `AND row_id > $2::text AND is_visible ORDER BY row_id LIMIT $3::int`,
      table,
      afterRowId,
      limit,
    );
    return rows.map(storedRow);
  }

  prepareRows(rows: readonly StoredRow[]): void {
    for (const { cells } of rows) this.#cells.set(cells, encodeCells(cells));
  }

  async putRows(rows: readonly JudgedRow[]): Promise<void> {
    await this.run(
      `INSERT INTO ${this.own.state} AS s (table_id, row_id, is_visible, cells, seq, ` +
        `committed_ms, settled) SELECT * FROM unnest($1::int[], $2::text[], $3::boolean[], ` +
        `$4::text[], $5::bigint[], $6::bigint[], $7::int[]) ` +
        `ON CONFLICT (table_id, row_id) DO UPDATE SET is_visible = excluded.is_visible, ` +
        `cells = excluded.cells, seq = excluded.seq, committed_ms = excluded.committed_ms, ` +
        `settled = excluded.settled, problem = NULL, problem_reason = NULL, ` +
        `problem_code = NULL, problem_seq = NULL, problem_at = NULL, waits_table = NULL, ` +
        `waits_row = NULL, kept_props = CASE WHEN excluded.is_visible THEN s.kept_props END`,
      numberArray(rows.map(({ key }) => key.table)),
      textArray(rows.map(({ key }) => key.rowId)),
      arrayText(rows.map(({ isVisible }) => isVisible), encoderOf("boolean")),
      textArray(rows.map(({ cells }) => this.#cells.get(cells) ?? encodeCells(cells))),
      numberArray(rows.map(({ seq }) => seq)),
      numberArray(rows.map(({ committedMs }) => committedMs)),
      numberArray(rows.map(({ settled }) => settled)),
    );
    const judged = rows.filter(({ problem }) => problem !== undefined);
    if (judged.length === 0) return;
    await this.putProblems(judged.map(({ key, problem }) => [key, problem]));
  }

  async deleteRows(keys: readonly DestinationKey[]): Promise<void> {
    await this.run(
      `DELETE FROM ${this.own.state} s USING unnest($1::int[], $2::text[]) AS u (table_id, row_id) ` +
        `WHERE s.table_id = u.table_id AND s.row_id = u.row_id`,
      ...keyParameters(keys),
    );
  }

  async oldRows(
    { throughSeq, hiddenOnly, after }: OldRows,
    limit: number,
  ): Promise<readonly StoredRow[]> {
    const { state, position } = this.own;
    const rows = await this.run(
      `SELECT ${STATE_COLUMNS} FROM ${state} s ` +
        `WHERE settled = (SELECT generation FROM ${position} WHERE only_row) ` +
        `AND seq <= $1::bigint AND seq >= $2::bigint ` +
        `AND (seq, table_id, row_id) > ($2::bigint, $3::int, $4::text) ` +
        `${hiddenOnly ? "AND NOT is_visible " : ""}ORDER BY seq, table_id, row_id LIMIT $5::int`,
      throughSeq,
      after?.seq ?? -1,
      after?.key.table ?? -1,
      after?.key.rowId ?? "",
      limit,
    );
    return rows.map(storedRow);
  }

  async leftovers(): Promise<Leftovers> {
    const { tables, state } = this.own;
    const rows = await this.run(
      // As EXISTS it may be answered from a list of all that is parked.
      `SELECT id, (SELECT true FROM ${state} WHERE problem = 'parked' AND waits_table = id ` +
        `LIMIT 1) AS is_waited, (SELECT true FROM ${state} WHERE kept_props IS NOT NULL ` +
        `AND table_id = id LIMIT 1) AS has_props FROM ${tables} WHERE id > 0`,
    );
    const ids = (name: string) =>
      new Set(rows.filter((row) => row[name] === true).map(({ id }) => Number(id)));
    return { waitedFor: ids("is_waited"), keptProps: ids("has_props") };
  }

  async putProblems(
    problems: readonly (readonly [key: DestinationKey, problem: StoredProblem | undefined])[],
  ): Promise<void> {
    const of = <T>(read: (problem: StoredProblem) => T | undefined) =>
      problems.map(([, problem]) => problem === undefined ? null : read(problem) ?? null);
    await this.run(
      `UPDATE ${this.own.state} s SET problem = u.problem, problem_reason = u.reason, ` +
        `problem_code = u.code, problem_seq = u.seq, ` +
        `problem_at = to_timestamp(u.at_ms / 1000.0), waits_table = u.waits_table, ` +
        `waits_row = u.waits_row FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], ` +
        `$5::text[], $6::bigint[], $7::bigint[], $8::int[], $9::text[]) AS u (table_id, row_id, ` +
        `problem, reason, code, seq, at_ms, waits_table, waits_row) ` +
        `WHERE s.table_id = u.table_id AND s.row_id = u.row_id ` +
        `AND (s.problem IS NOT NULL OR u.problem IS NOT NULL)`,
      ...keyParameters(problems.map(([key]) => key)),
      textArray(of(({ kind }) => kind)),
      textArray(of(({ reason }) => reason)),
      textArray(of(({ code }) => code)),
      numberArray(of(({ seq }) => seq)),
      numberArray(of(({ atMs }) => Math.round(atMs))),
      numberArray(of(({ waitsFor }) => waitsFor?.table)),
      textArray(of(({ waitsFor }) => waitsFor?.rowId)),
    );
  }

  async waitingFor(
    parents: readonly DestinationKey[],
    limit: number,
  ): Promise<readonly StoredRow[]> {
    const rows = await this.run(
      `SELECT ${STATE_COLUMNS} FROM unnest($1::int[], $2::text[]) AS u (table_id, row_id) ` +
        `JOIN ${this.own.state} s ON s.problem = 'parked' AND s.waits_table = u.table_id ` +
        `AND s.waits_row = u.row_id LIMIT $3::int`,
      ...keyParameters(parents),
      limit,
    );
    return rows.map(storedRow);
  }

  async attempt(run: () => Promise<void>): Promise<Refusal | undefined> {
    const name = `lakesync_${++this.#savepoints}`;
    await this.run(`SAVEPOINT ${name}`);
    try {
      await run();
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      await this.run(`ROLLBACK TO SAVEPOINT ${name}; RELEASE SAVEPOINT ${name}`);
      return refusal;
    }
    await this.run(`RELEASE SAVEPOINT ${name}`);
    return undefined;
  }

  async deferReferences(): Promise<void> {
    await this.run("SET CONSTRAINTS ALL DEFERRED");
  }

  async checkReferences(): Promise<void> {
    await this.run("SET CONSTRAINTS ALL IMMEDIATE");
  }

  async upsert(layout: TableLayout, rows: readonly TableRow[]): Promise<void> {
    const { upsert } = tableStatements(this.own, layout);
    await this.run(
      upsert,
      ...layout.columns.map(({ column }, i) =>
        arrayText(rows.map(({ values }) => values[i] ?? null), encoderOf(column.type))
      ),
    );
  }

  async remove(layout: TableLayout, rowIds: readonly string[]): Promise<void> {
    await this.run(tableStatements(this.own, layout).remove, ...keyArrays(layout, rowIds));
  }

  async missing(layout: TableLayout, rowIds: readonly string[]): Promise<readonly string[]> {
    const { missing } = tableStatements(this.own, layout);
    const rows = await this.run(missing, ...keyArrays(layout, rowIds), textArray(rowIds));
    return rows.map(({ row_id }) => String(row_id));
  }

  async children(
    { columnId }: Reference,
    child: TableLayout,
    parent: TableLayout,
    parentRowIds: readonly string[],
  ): Promise<readonly { readonly rowId: string; readonly parentRowId: string }[]> {
    const column = child.columns.find(({ id }) => id === columnId);
    if (column === undefined) return [];
    const name = quoteName(column.column.name);
    const keys = child.key.map(({ column }, i) => `t.${quoteName(column.name)}::text AS k${i}`);
    const [parentKey] = parent.key;
    const rows = await this.run(
      `SELECT u.row_id, ${keys.join(", ")} FROM unnest($1::${parentKey?.native ?? "text"}[], ` +
        `$2::text[]) AS u (k, row_id) JOIN ${this.own.table(child.table.name)} t ` +
        `ON t.${name} = u.k`,
      ...keyArrays(parent, parentRowIds),
      textArray(parentRowIds),
    );
    return rows.map((row) => {
      const key = child.key.map(({ column }, i): Value =>
        keyFromText(String(row[`k${i}`]), column)
      );
      return { rowId: rowIdOf(child.table, key), parentRowId: String(row.row_id) };
    });
  }

  async keepProps(layout: TableLayout, rowIds: readonly string[]): Promise<void> {
    const { keepProps } = tableStatements(this.own, layout);
    if (keepProps === undefined) return;
    await this.run(keepProps, ...keyArrays(layout, rowIds), textArray(rowIds));
  }

  async restoreProps(layout: TableLayout, rowIds: readonly string[]): Promise<void> {
    const { restoreProps } = tableStatements(this.own, layout);
    if (restoreProps === undefined) return;
    await this.run(restoreProps, ...keyArrays(layout, rowIds), textArray(rowIds));
    await this.run(
      `UPDATE ${this.own.state} s SET kept_props = NULL FROM unnest($1::int[], $2::text[]) ` +
        `AS u (table_id, row_id) WHERE s.table_id = u.table_id AND s.row_id = u.row_id ` +
        `AND s.kept_props IS NOT NULL`,
      ...keyParameters(rowIds.map((rowId) => ({ table: layout.id, rowId }))),
    );
  }
}

/** Reads rows of the state table by two arrays of keys. */
export function readRowsText({ state }: OwnTables): string {
  return `SELECT ${STATE_COLUMNS} FROM unnest($1::int[], $2::text[]) AS u (table_id, row_id) ` +
    `JOIN ${state} s ON s.table_id = u.table_id AND s.row_id = u.row_id`;
}

/** Keys as two arrays. */
export function keyParameters(keys: readonly DestinationKey[]): readonly [string, string] {
  return [
    numberArray(keys.map(({ table }) => table)),
    textArray(keys.map(({ rowId }) => rowId)),
  ];
}

function columnsText(columns: Readonly<Record<string, Value>>): string {
  let text = "{";
  for (const [name, value] of Object.entries(columns)) {
    if (text.length > 1) text += ",";
    text += `${JSON.stringify(name)}:${JSON.stringify(toStoredValue(value))}`;
  }
  return text + "}";
}
