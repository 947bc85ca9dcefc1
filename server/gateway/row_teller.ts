/**
 * What one client is told of one row, by what it held and what it is to hold.
 *
 * @module
 */

import {
  type ChangeShape,
  type Family,
  forEachCell,
  type JsonValue,
  type RowChange,
  type Value,
} from "@lakesync/core";
import type { ScannedRow } from "../store/store.ts";
import { shownColumns } from "./bucket_state.ts";
import type { Catalog, CatalogTable, CatalogVersion } from "./catalog.ts";
import type { Cursor, ScanState } from "./cursor.ts";
import { mayBeJoined } from "./placement.ts";
import { isMember, type Membership, readRecord, type RowRecord, spanAt } from "./record.ts";
import { type CheckpointPlan, maySend, tellingBucket } from "./scans.ts";
import type { ReadScope } from "./scope.ts";

/** A bucket that the client held, with what its base goes by. */
export interface HeldFamily {
  /** The bucket's family. */
  readonly family: Family;
  /** The commit at which the client's content of it is true. */
  readonly base: number;
  /** What its residual conditions compared with. */
  readonly residual: readonly JsonValue[];
}

/** What a client is told of a row. */
export interface ToldRow {
  /** The change, without its buckets. */
  readonly change: RowChange;
  /** The numbers of the client's buckets that hold the row now. */
  readonly buckets: readonly number[];
}

/** Columns, by number, of a row that some buckets show. */
class Shown {
  readonly buckets: number[] = [];
  #all = false;
  #some: Set<number> | undefined;

  add(bucket: number, columns: ReadonlySet<number> | undefined): void {
    this.buckets.push(bucket);
    if (columns === undefined) this.#all = true;
    else if (this.#some === undefined) this.#some = new Set(columns);
    else for (const column of columns) this.#some.add(column);
  }

  get any(): boolean {
    return this.buckets.length > 0;
  }

  has(column: number): boolean {
    return this.#all || (this.#some?.has(column) ?? false);
  }

  /** Whether every column is in it. */
  get all(): boolean {
    return this.#all;
  }
}

/** Everything that decides what is told of a row. */
interface Judged {
  readonly row: ScannedRow;
  readonly record: RowRecord;
  readonly names: CatalogTable;
  readonly was: Shown;
  readonly is: Shown;
  /** What earlier pages of this checkpoint may have brought. */
  readonly maybe: Shown;
  /** The commit at which what was held is true. */
  readonly base: number;
  /** Whether nothing that the client may have of it counts. */
  readonly whole: boolean;
}

/** Tells rows to one client. */
export class RowTeller {
  readonly #catalog: Catalog;
  readonly #names: CatalogVersion;
  readonly #cursor: Cursor;
  readonly #plan: CheckpointPlan;
  readonly #scope: ReadScope;
  readonly #held: ReadonlyMap<number, HeldFamily>;
  readonly #families: ReadonlyMap<number, Family>;
  readonly #places: ReadonlyMap<number, number>;
  readonly #shapes = new Map<string, ChangeShape>();
  readonly #shown = new Map<Family, Map<number, ReadonlySet<number> | undefined>>();

  /**
   * @param catalog the newest schema, by which rules are written
   * @param names the schema as the client knows it
   * @param cursor where the client is
   * @param plan the checkpoint
   * @param scope what is granted
   * @param held what the buckets that the client held go by
   * @param families the families of all buckets that are scanned
   */
  constructor(
    catalog: Catalog,
    names: CatalogVersion,
    cursor: Cursor,
    plan: CheckpointPlan,
    scope: ReadScope,
    held: ReadonlyMap<number, HeldFamily>,
    families: ReadonlyMap<number, Family>,
  ) {
    this.#catalog = catalog;
    this.#names = names;
    this.#cursor = cursor;
    this.#plan = plan;
    this.#scope = scope;
    this.#held = held;
    this.#families = families;
    this.#places = new Map(plan.scans.map(({ bucket }, place) => [bucket, place]));
  }

  /**
   * Tells a row that a scan has found.
   *
   * @param bucket the bucket that is scanned
   * @param row the row
   * @returns undefined when there is nothing to tell, or another scan tells it
   */
  tell(bucket: number, row: ScannedRow): ToldRow | undefined {
    const newest = this.#catalog.tableById(row.table);
    const names = this.#names.tableById(row.table);
    if (newest === undefined || names === undefined) return undefined;
    const record = readRecord(row.data);
    const { memberships } = record;
    if (memberships.length > 1 || this.#plan.scans.length > 1) {
      if (tellingBucket(memberships, this.#plan, this.#places) !== bucket) return undefined;
    }
    const judged = this.#judge(row, record, newest, names);
    if (judged.is.any) return this.#put(judged);
    return judged.was.any || judged.maybe.any ? this.#remove(judged) : undefined;
  }

  #judge(
    row: ScannedRow,
    record: RowRecord,
    newest: CatalogTable,
    names: CatalogTable,
  ): Judged {
    const { start, scans, heads } = this.#plan;
    const was = new Shown();
    const is = new Shown();
    const maybe = new Shown();
    let base = Infinity;
    let whole = false;
    for (const membership of record.memberships) {
      const { bucket } = membership;
      const place = this.#places.get(bucket);
      const scan = place === undefined ? undefined : scans[place];
      if (scan === undefined) continue;
      const held = this.#held.get(bucket);
      const span = held === undefined ? -1 : heldSpan(membership, held, newest);
      if (held !== undefined && span >= 0) {
        was.add(bucket, this.#columns(held.family, newest));
        base = Math.min(base, held.base);
        whole ||= span === 0 && mayBeJoined(membership);
      }
      const granted = this.#scope.buckets.get(bucket);
      const family = this.#families.get(bucket);
      if (
        granted !== undefined && isIn(membership, granted.placed.family, granted.residual, newest)
      ) {
        is.add(bucket, this.#columns(granted.placed.family, newest));
      }
      if (family !== undefined && scan.sentFrom >= 0) {
        if (maybeSent(membership, scan, heads, family, newest)) {
          maybe.add(bucket, this.#columns(family, newest));
        }
      }
      whole ||= scan.repair || scan.page > 0 || (membership.spans.at(-1) ?? 0) > start;
    }
    return { row, record, names, was, is, maybe, base, whole };
  }

  #columns(family: Family, table: CatalogTable): ReadonlySet<number> | undefined {
    let tables = this.#shown.get(family);
    if (tables === undefined) {
      tables = new Map();
      this.#shown.set(family, tables);
    }
    if (!tables.has(table.id)) {
      const rule = family.tables.get(table.table.name);
      tables.set(table.id, shownColumns(rule?.columns, table));
    }
    return tables.get(table.id);
  }

  #remove({ row, names }: Judged): ToldRow {
    const shape = this.#shape("REMOVE", names.table.name, [], []);
    return { change: { shape, rowId: row.rowId, values: [] }, buckets: [] };
  }

  #put(judged: Judged): ToldRow | undefined {
    const { row, record, names, was, is, maybe, whole } = judged;
    const knew = was.any && !whole && !this.#isNew(names.since);
    const reborn = record.cutSeq > (was.any ? judged.base : this.#plan.start) &&
      (was.any || maybe.any);
    const columns: string[] = [];
    const values: Value[] = [];
    const told = new Set<number>();
    forEachCell(record.state, (id, value, seq) => {
      const column = names.columns[id];
      if (column === undefined || !is.has(id)) return;
      told.add(id);
      const had = knew && !reborn && was.has(id) && seq <= judged.base;
      if (had && !this.#isNew(column.since)) return;
      columns.push(column.name);
      values.push(value);
    });
    if (reborn || (whole && (was.any || maybe.any))) {
      this.#hide(names, is, told, columns, values);
    }
    const unset = this.#unset(judged);
    if (knew && columns.length === 0 && unset.length === 0 && sameBuckets(was, is)) {
      return undefined;
    }
    const shape = this.#shape("PUT", names.table.name, columns, unset);
    return { change: { shape, rowId: row.rowId, values }, buckets: is.buckets };
  }

  #isNew(since: number): boolean {
    return this.#plan.learns && since > this.#cursor.version;
  }

  /** Cells that the client may have and that are no more come as nulls. */
  #hide(
    names: CatalogTable,
    is: Shown,
    told: ReadonlySet<number>,
    columns: string[],
    values: Value[],
  ): void {
    for (const column of names.columns) {
      if (column === undefined || told.has(column.id) || !is.has(column.id)) continue;
      if (names.table.byName.get(column.name)?.key) continue;
      columns.push(column.name);
      values.push(null);
    }
  }

  /** Columns that the client may hold cells of and is no longer shown. */
  #unset({ names, was, is, maybe }: Judged): readonly string[] {
    if (is.all || (!was.any && !maybe.any)) return [];
    const unset: string[] = [];
    for (const column of names.columns) {
      if (column === undefined || is.has(column.id)) continue;
      if (names.table.byName.get(column.name)?.key) continue;
      if (was.has(column.id) || maybe.has(column.id)) unset.push(column.name);
    }
    return unset;
  }

  #shape(
    op: ChangeShape["op"],
    table: string,
    columns: readonly string[],
    unset: readonly string[],
  ): ChangeShape {
    const key = `${op} ${table} ${columns.join(" ")} - ${unset.join(" ")}`;
    let shape = this.#shapes.get(key);
    if (shape === undefined) {
      shape = { op, table, columns, ...(unset.length === 0 ? {} : { unset }) };
      this.#shapes.set(key, shape);
    }
    return shape;
  }
}

function sameBuckets(was: Shown, is: Shown): boolean {
  return was.buckets.length === is.buckets.length &&
    was.buckets.every((bucket) => is.buckets.includes(bucket));
}

/** Whether the residual conditions held of the row in one of its spans. */
function holds(
  family: Family,
  residual: readonly JsonValue[],
  values: readonly Value[] | undefined,
  { table }: CatalogTable,
): boolean {
  if (values === undefined) return true;
  return family.tables.get(table.name)?.holds(residual, values) ?? false;
}

/** The place of the span in which the row was held at a commit; -1 when it was not. */
function heldSpan(
  membership: Membership,
  { family, base, residual }: HeldFamily,
  table: CatalogTable,
): number {
  const span = spanAt(membership, base);
  return span >= 0 && holds(family, residual, membership.values?.[span], table) ? span : -1;
}

function isIn(
  membership: Membership,
  family: Family,
  residual: readonly JsonValue[],
  table: CatalogTable,
): boolean {
  return isMember(membership) && holds(family, residual, membership.values?.at(-1), table);
}

/** Whether an earlier page of this checkpoint may have brought the row. */
function maybeSent(
  { spans, values }: Membership,
  scan: ScanState,
  heads: readonly number[],
  family: Family,
  table: CatalogTable,
): boolean {
  for (let i = 0; i < spans.length; i += 2) {
    const entered = spans[i] ?? 0;
    if (!maySend(scan, heads, entered, spans[i + 1])) continue;
    if (holds(family, scan.residual, values?.[i / 2], table)) return true;
    for (const [through, residual] of scan.past ?? []) {
      if (entered <= through && holds(family, residual, values?.[i / 2], table)) return true;
    }
  }
  return false;
}
