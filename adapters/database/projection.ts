/**
 * Brings rows to their tables so that foreign keys hold whatever the rows are: parents are written
 * before their children and removed after them. A row whose parent is not in its table waits for
 * it (`parked`); one that the database refuses is set aside (`dead`); neither stops the others.
 * Children of a row that leaves its table leave theirs and wait, since the table cannot hold them.
 *
 * @module
 */

import { keyOf, type Value } from "@lakesync/core";
import type { DestinationKey } from "../adapter.ts";
import type {
  SqlBackend,
  SqlTransaction,
  StoredProblem,
  TableLayout,
  TableRow,
} from "./backend.ts";
import { bisect } from "./bisect.ts";
import type { StoredRow } from "./images.ts";
import { type Family, parentOf } from "./family.ts";
import { KeyMap } from "./row_keys.ts";

/** A row on its way to its table. */
interface Candidate {
  readonly row: StoredRow;
  readonly layout: TableLayout;
  readonly written: TableRow;
}

/** What became of rows. */
export interface Projected {
  /** The rows that are in their tables now. */
  readonly written: KeyMap<TableLayout>;
  /** What is wrong with rows, those included that had to leave because of others. */
  readonly problems: KeyMap<StoredProblem>;
  /** Rows that waited and were tried again, since one of a circle with them came. */
  readonly retried: KeyMap<true>;
}

/** So many rows of a circle are tried again at once, at most. */
const MAX_RETRIED = 10_000;

/** Where and when rows are projected. */
export interface ProjectionContext {
  /** The transaction. */
  readonly transaction: SqlTransaction;
  /** The database. */
  readonly backend: Pick<SqlBackend, "misfit">;
  /** The tables and what they reference. */
  readonly family: Family;
  /** The commit with which problems come. */
  readonly seq: number;
  /** Now, in milliseconds since 1970. */
  readonly nowMs: number;
}

/**
 * Writes rows that readers see to their tables and takes the others away. Rows of tables that the
 * schema does not have are left out.
 *
 * @param rows the rows as they are now, each once
 * @param context where and when
 */
export async function projectRows(
  rows: readonly StoredRow[],
  context: ProjectionContext,
): Promise<Projected> {
  const projection = new Projection(context);
  await projection.run(rows);
  return projection;
}

class Projection implements Projected {
  readonly written: KeyMap<TableLayout> = new KeyMap();
  readonly problems: KeyMap<StoredProblem> = new KeyMap();
  readonly retried: KeyMap<true> = new KeyMap();
  /** Rows that are not to be in their tables. */
  readonly #leaving = new KeyMap<TableLayout>();
  readonly #context: ProjectionContext;

  constructor(context: ProjectionContext) {
    this.#context = context;
  }

  async run(rows: readonly StoredRow[]): Promise<void> {
    const { family, transaction } = this.#context;
    const byTable = new Map<number, Candidate[]>();
    for (const row of rows) {
      const layout = family.tables.get(row.key.table);
      if (layout === undefined) continue;
      const written = row.isVisible ? this.#written(row, layout) : undefined;
      if (written === undefined) this.#leaving.set(row.key, layout);
      else entry(byTable, row.key.table).push({ row, layout, written });
    }
    // Rows may have to leave tables of a circle although none of them is among the rows.
    const isCircular = family.groups.some((group) => family.isCircular(group));
    if (isCircular) await transaction.deferReferences();
    for (const group of family.groups) {
      const candidates = group.flatMap((id) => byTable.get(id) ?? []);
      if (candidates.length === 0) continue;
      const isCircular = family.isCircular(group);
      const all = isCircular ? await this.#circle(candidates, group) : candidates;
      await this.#write(all, isCircular);
    }
    await this.#remove();
    if (isCircular) await transaction.checkReferences();
  }

  /** A row as its table takes it; undefined, and a problem noted, when it cannot be held exactly. */
  #written(row: StoredRow, layout: TableLayout): TableRow | undefined {
    const { rowId } = row.key;
    const key = keyOf(layout.table, rowId);
    const misfit = typeof key === "string" ? key : this.#misfit(row, layout, key);
    if (typeof misfit === "string") {
      this.#fail(row.key, layout, { reason: misfit, code: undefined });
      return undefined;
    }
    return { rowId, values: misfit };
  }

  /** All values of a row, or why one of them cannot be held. */
  #misfit(
    { cells }: StoredRow,
    { columns, key: keyColumns }: TableLayout,
    key: readonly Value[],
  ): readonly Value[] | string {
    const { backend } = this.#context;
    const values: Value[] = [];
    for (const layout of columns) {
      const { id, column } = layout;
      const value = column.key
        ? key[keyColumns.findIndex((each) => each.id === id)] ?? null
        : cells.get(id)?.value ?? null;
      const misfit = value === null ? undefined : backend.misfit(layout, value);
      if (misfit !== undefined) return `${column.name} ${misfit}`;
      values.push(value);
    }
    return values;
  }

  /** Writes rows of tables that reference each other, or of one table. */
  async #write(candidates: readonly Candidate[], isCircular: boolean): Promise<void> {
    const { transaction, family } = this.#context;
    const ready = await this.#park(candidates);
    for (const id of new Set(ready.map(({ layout }) => layout.id))) {
      const own = ready.filter(({ layout }) => layout.id === id);
      const layout = own[0]?.layout;
      if (layout === undefined) continue;
      const refused = await bisect(
        own,
        (part) =>
          transaction.attempt(() => transaction.upsert(layout, part.map(({ written }) => written))),
      );
      for (const { row } of own) this.written.set(row.key, layout);
      for (const [{ row }, refusal] of refused) this.#fail(row.key, layout, refusal);
    }
    // Rows that reference a dead one of their own group were written, and have to leave.
    if (isCircular && family.references.length > 0) {
      await this.#park(ready.filter(({ row }) => !this.#leaving.has(row.key)));
    }
  }

  /**
   * Adds rows that are kept and not in their tables: in a circle one may wait for another that waits
   * for it, and only together they can come.
   */
  async #circle(
    candidates: readonly Candidate[],
    group: readonly number[],
  ): Promise<readonly Candidate[]> {
    const { family, transaction } = this.#context;
    const coming = new KeyMap<true>();
    const all = [...candidates];
    let added: readonly Candidate[] = candidates;
    while (added.length > 0 && this.retried.size < MAX_RETRIED) {
      for (const { row } of added) coming.set(row.key, true);
      const absent = (await this.#absent(added, coming)).keys()
        .filter(({ table }) => group.includes(table));
      const kept = absent.length === 0 ? [] : await transaction.readRows(absent);
      added = kept.flatMap((row) => {
        const layout = family.tables.get(row.key.table);
        const written = layout && row.isVisible ? this.#written(row, layout) : undefined;
        if (layout === undefined || written === undefined) return [];
        this.retried.set(row.key, true);
        return [{ row, layout, written }];
      });
      all.push(...added);
    }
    return all;
  }

  /** Parks those of some rows whose parents are not there; gives the others. */
  async #park(candidates: readonly Candidate[]): Promise<readonly Candidate[]> {
    const { family } = this.#context;
    const coming = new KeyMap<true>();
    for (const { row } of candidates) coming.set(row.key, true);
    const absent = await this.#absent(candidates, coming);
    let ready = candidates;
    for (;;) {
      const still = ready.filter((candidate) => {
        const { layout, row, written } = candidate;
        for (const reference of family.parentsOf(layout.id)) {
          const parent = parentOf(reference, written.values);
          if (parent === undefined || !(this.#leaving.has(parent) || absent.has(parent))) continue;
          this.#parkRow(row.key, layout, parent);
          return false;
        }
        return true;
      });
      if (still.length === ready.length) return ready;
      ready = still;
    }
  }

  /** The rows that some rows reference and that are neither in their tables nor about to come. */
  async #absent(
    candidates: readonly Candidate[],
    coming: KeyMap<true>,
  ): Promise<KeyMap<true>> {
    const { family, transaction } = this.#context;
    const unknown = new KeyMap<true>();
    for (const { layout, written } of candidates) {
      for (const reference of family.parentsOf(layout.id)) {
        const parent = parentOf(reference, written.values);
        if (parent === undefined || coming.has(parent)) continue;
        if (!this.written.has(parent) && !this.#leaving.has(parent)) unknown.set(parent, true);
      }
    }
    const absent = new KeyMap<true>();
    for (const [table, rowIds] of byTableOf(unknown.keys())) {
      const layout = family.tables.get(table);
      if (layout === undefined) continue;
      for (const rowId of await transaction.missing(layout, rowIds)) {
        absent.set({ table, rowId }, true);
      }
    }
    return absent;
  }

  /** Takes rows from their tables, and before them those that reference them. */
  async #remove(): Promise<void> {
    const { family, transaction } = this.#context;
    let added = this.#leaving.keys();
    while (added.length > 0) {
      const next: DestinationKey[] = [];
      for (const [table, parentRowIds] of byTableOf(added)) {
        const parent = family.tables.get(table);
        for (const reference of parent === undefined ? [] : family.childrenOf(table)) {
          const child = family.tables.get(reference.child);
          if (child === undefined || parent === undefined) continue;
          const children = await transaction.children(reference, child, parent, parentRowIds);
          for (const { rowId, parentRowId } of children) {
            const key = { table: reference.child, rowId };
            if (this.#leaving.has(key)) continue;
            this.#parkRow(key, child, { table, rowId: parentRowId });
            next.push(key);
          }
        }
      }
      added = next;
    }
    const leaving = byTableOf(this.#leaving.keys());
    for (const id of family.groups.flat().toReversed()) {
      const layout = family.tables.get(id);
      const rowIds = leaving.get(id);
      if (layout === undefined || rowIds === undefined) continue;
      const kept = rowIds.filter((rowId) => this.problems.has({ table: id, rowId }));
      if (kept.length > 0) await transaction.keepProps(layout, kept);
      const refused = await bisect(
        rowIds,
        (part) => transaction.attempt(() => transaction.remove(layout, part)),
      );
      for (const [rowId, { reason, code }] of refused) {
        const why = `The row could not be taken from its table: ${reason}`;
        this.#fail({ table: id, rowId }, layout, { reason: why, code });
      }
    }
  }

  #fail(
    key: DestinationKey,
    layout: TableLayout,
    { reason, code }: Pick<StoredProblem, "reason" | "code">,
  ): void {
    const { seq, nowMs } = this.#context;
    this.written.delete(key);
    this.#leaving.set(key, layout);
    this.problems.set(key, { kind: "dead", reason, code, waitsFor: undefined, seq, atMs: nowMs });
  }

  #parkRow(key: DestinationKey, layout: TableLayout, parent: DestinationKey): void {
    const { seq, nowMs, family } = this.#context;
    this.written.delete(key);
    this.#leaving.set(key, layout);
    const table = family.tables.get(parent.table)?.table.name ?? parent.table;
    const reason = `It references a row that is not in table ${table}: ${parent.rowId}`;
    this.problems.set(key, {
      kind: "parked",
      reason,
      code: undefined,
      waitsFor: parent,
      seq,
      atMs: nowMs,
    });
  }
}

/** Row ids by the numbers of their tables. */
export function byTableOf(keys: readonly DestinationKey[]): Map<number, string[]> {
  const byTable = new Map<number, string[]>();
  for (const { table, rowId } of keys) entry(byTable, table).push(rowId);
  return byTable;
}

function entry<K, V>(map: Map<K, V[]>, key: K): V[] {
  let list = map.get(key);
  if (list === undefined) map.set(key, list = []);
  return list;
}
