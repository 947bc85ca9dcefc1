/**
 * The rows that one commit touches, as they are while it is put together.
 *
 * @module
 */

import {
  type Change,
  DEFAULT_LIMITS,
  EMPTY_ROW,
  isVisible,
  type JsonValue,
  merge,
  oversizedColumn,
  type Rejection,
  type RejectionCode,
  type RowState,
  RULE_LIMITS,
  type Value,
} from "@lakesync/core";
import type { RowKey, RowWrite, StoredRow } from "../store/store.ts";
import { type RowSums, sumsOf } from "./bucket_sums.ts";
import { type CatalogTable, writtenValues } from "./catalog.ts";
import { type JudgedDelta, reject } from "./judge.ts";
import type { BucketLedger, BucketReader, LedgerBucket } from "./ledger.ts";
import type { Outcome } from "./log.ts";
import type { Lookups } from "./lookups.ts";
import { leftOf, mergedOf } from "./merged.ts";
import { entryOf, place, placementsOf, rowReader } from "./placement.ts";
import { isMember, type Membership, readRecord, type RowRecord, writeRecord } from "./record.ts";
import { bucketId } from "./rule_book.ts";
import { MissingLookups, type WriteGuard } from "./write_guard.ts";

const NEW_ROW: RowRecord = {
  state: EMPTY_ROW,
  memberships: [],
  cutSeq: 0,
  orphanOf: undefined,
};

interface WorkingRow {
  readonly key: RowKey;
  readonly ref: unknown;
  readonly stored: RowRecord;
  table: CatalogTable | undefined;
  record: RowRecord;
  /** The commit of its last change here. */
  seq: number;
}

/** Counts of visible rows by the table's number. */
export type TableCounts = Map<number, number>;

/** Names a row in a map. */
export function keyText(key: RowKey): string {
  return `${key.table}:${key.rowId}`;
}

/** Who writes, and within which bounds. */
export interface Writer {
  /** The client. */
  readonly clientId: string;
  /** How many more rows it may update before their INSERT. */
  readonly maxOrphans: number;
  /** Judges by the write rules. */
  readonly guard: WriteGuard;
}

function wonOf(
  before: RowState,
  after: RowState,
  delta: JudgedDelta,
  seq: number,
): Outcome["won"] {
  if (after === before) return "none";
  const { columns, places, kinds } = delta.compiled;
  const last = after.cells.at(-1);
  const { hlc } = delta.delta;
  const isLast = last !== undefined && last.hlc === hlc && last.seq === seq &&
    !before.cells.includes(last);
  if (kinds === undefined) {
    if (columns.length === 0 || !isLast) return "none";
    if (last.columns.length === columns.length) return "all";
  }
  const won = new Array<boolean>(delta.delta.values.length).fill(false);
  columns.forEach((column, i) => {
    const plain = kinds === undefined || kinds[i] === "lww";
    won[places[i] ?? 0] = plain ? isLast && last.columns.includes(column) : true;
  });
  return won;
}

/** A change that can be taken back. */
type Undo = () => void;

/** A delta that cannot be applied. */
interface Refused {
  readonly code: RejectionCode;
  readonly message: string;
}

/** Rows as one commit leaves them. */
export class WorkingSet {
  readonly #rows = new Map<string, WorkingRow>();
  readonly #horizonSeq: number;
  readonly #ledger: BucketLedger;
  readonly #lookups: Lookups;
  readonly #counts: TableCounts;
  readonly #orphans = new Map<string, number>();

  /**
   * @param ledger the buckets
   * @param lookups what parameters look up, for this commit
   * @param counts visible rows by table before the commit
   * @param horizonSeq history at or before it is forgotten
   */
  constructor(
    ledger: BucketLedger,
    lookups: Lookups,
    counts: TableCounts,
    horizonSeq: number,
  ) {
    this.#ledger = ledger;
    this.#lookups = lookups;
    this.#counts = new Map(counts);
    this.#horizonSeq = horizonSeq;
  }

  /** Visible rows by table as they are now. */
  get counts(): TableCounts {
    return this.#counts;
  }

  /** By how many the rows that a client updated before their INSERT have changed. */
  get orphans(): ReadonlyMap<string, number> {
    return this.#orphans;
  }

  /** Takes in rows as they are stored. */
  load(
    keys: readonly RowKey[],
    rows: readonly (StoredRow | undefined)[],
  ): void {
    for (const [i, key] of keys.entries()) {
      const row = rows[i];
      const stored = row === undefined ? NEW_ROW : readRecord(row.data);
      this.#rows.set(keyText(key), {
        key,
        ref: row?.ref,
        stored,
        table: undefined,
        record: stored,
        seq: 0,
      });
    }
  }

  /**
   * Applies a transaction whose rows were all taken in, whole or not at all.
   *
   * @param writer who wrote it
   * @param mutationId which of its transactions it is
   * @param deltas its valid deltas
   * @param seq the commit it gets
   * @param offset how many deltas of the transaction came before these
   * @returns what the merge made of each delta, or a refusal
   * @throws {MissingLookups} when a look-up must be loaded first; nothing is applied then
   */
  apply(
    writer: Writer,
    mutationId: number,
    deltas: readonly JudgedDelta[],
    seq: number,
    offset = 0,
  ): { readonly outcomes: readonly Outcome[] } | {
    readonly rejection: Rejection;
  } {
    const undo: Undo[] = [];
    const takeBack = () => {
      for (const step of undo.reverse()) step();
    };
    const outcomes: Outcome[] = [];
    try {
      for (const [i, delta] of deltas.entries()) {
        const outcome = this.#applyDelta(writer, delta, seq, undo);
        if ("code" in outcome) {
          takeBack();
          return reject(mutationId, offset + i, outcome.code, outcome.message);
        }
        outcomes.push(outcome);
      }
    } catch (error) {
      if (error instanceof MissingLookups) takeBack();
      throw error;
    }
    return { outcomes };
  }

  #row({ compiled, delta }: JudgedDelta): WorkingRow {
    const row = this.#rows.get(`${compiled.table.id}:${delta.rowId}`);
    if (row === undefined) {
      throw new Error("A row was not taken in before it was changed");
    }
    row.table = compiled.table;
    return row;
  }

  #applyDelta(
    writer: Writer,
    judged: JudgedDelta,
    seq: number,
    undo: Undo[],
  ): Outcome | Refused {
    const { compiled, delta } = judged;
    const { op, table, columns, kinds } = compiled;
    const values = writtenValues(compiled, delta);
    const { clientId } = writer;
    const change: Change = {
      op,
      hlc: delta.hlc,
      clientId,
      seq,
      columns,
      values,
      ...(kinds === undefined ? {} : { kinds }),
    };
    if (this.#ledger.book.active.modeOf(table.table.name) === "upload-only") {
      return passThrough(writer, judged, change);
    }
    const row = this.#row(judged);
    const before = row.record;
    const state = this.#merged(writer, judged, change, before);
    const message = writer.guard.refusal({
      op,
      table,
      rowId: delta.rowId,
      before: before.state,
      after: state,
      own: () => merge(EMPTY_ROW, { ...change, op: "INSERT" }),
    });
    if (message !== undefined) return { code: "FORBIDDEN_WRITE", message };
    if (oversizedColumn(before.state, state) !== undefined) {
      const message =
        `A set is full, all its elements take at most ${DEFAULT_LIMITS.maxValueBytes} bytes`;
      return { code: "VALIDATION_ERROR", message };
    }
    const spread = this.#spread(judged, state);
    if (spread !== undefined) return spread;
    const wasVisible = isVisible(before.state);
    if (state === before.state) {
      return { wasVisible, isVisible: wasVisible, won: "none", ...mergedOf(judged, state) };
    }
    const waiting = waitingIn(writer, op, before, state);
    if (waiting !== undefined && "code" in waiting) return waiting;
    const refused = this.#countOrphan(writer, row, op, undo);
    if (refused !== undefined) return refused;
    const cutSeq = state.died === before.state.died ? before.cutSeq : seq;
    const { waiting: _, ...record } = row.record;
    const waits = waiting === undefined ? {} : { waiting };
    this.#replace(row, { ...record, ...waits, state, cutSeq }, seq, undo);
    return {
      wasVisible,
      isVisible: isVisible(state),
      won: wonOf(before.state, state, judged, seq),
      ...mergedOf(judged, state),
      ...leftOf(judged, before.state, state, before.waiting !== undefined),
      ...(waiting === undefined || waiting === before.waiting
        ? {}
        : { waits: JSON.stringify(waiting.claims) }),
    };
  }

  /** A row is in no more buckets than one commit can move it in. */
  #spread({ compiled, delta }: JudgedDelta, state: RowState): Refused | undefined {
    const { table } = compiled;
    const { name } = table.table;
    const spreading = this.#ledger.book.spreading(name);
    if (spreading.length === 0 || !isVisible(state)) return undefined;
    const row = rowReader(table, delta.rowId, state);
    const count = Math.max(...spreading.map((rule) => rule.keyCount(row)));
    if (count <= RULE_LIMITS.maxKeys) return undefined;
    const message =
      `The row would be in ${count} buckets of one rule, at most ${RULE_LIMITS.maxKeys}; ` +
      "put fewer elements into the columns that rules look into";
    return { code: "VALIDATION_ERROR", message };
  }

  /**
   * The row after a change. Cells that waited for an INSERT count only where the rules would have let
   * their writer put them into the row that the INSERT alone makes.
   */
  #merged(
    { guard }: Writer,
    { compiled, delta }: JudgedDelta,
    change: Change,
    { state: before, waiting }: RowRecord,
  ): RowState {
    const state = merge(before, change);
    if (waiting === undefined || change.op !== "INSERT" || !isVisible(state)) return state;
    const alone = merge({ ...EMPTY_ROW, died: before.died }, change);
    const claims = isClaims(waiting.claims) ? waiting.claims : {};
    const { table } = compiled;
    return guard.admits(claims, { table, rowId: delta.rowId, before: alone, after: state })
      ? state
      : alone;
  }

  /** Only so many rows may be updated by a client before their INSERT. */
  #countOrphan(
    { clientId, maxOrphans }: Writer,
    row: WorkingRow,
    op: Change["op"],
    undo: Undo[],
  ): Refused | undefined {
    const before = row.record;
    if (before === NEW_ROW && op === "UPDATE") {
      if ((this.#orphans.get(clientId) ?? 0) >= maxOrphans) {
        const message = "Too many updates of rows that were never inserted, insert the rows first";
        return { code: "NO_SUCH_ROW", message };
      }
      this.#addOrphans(clientId, 1, undo);
      row.record = { ...before, orphanOf: clientId };
    } else if (before.orphanOf !== undefined && op !== "UPDATE") {
      this.#addOrphans(before.orphanOf, -1, undo);
      row.record = { ...before, orphanOf: undefined };
    }
    undo.push(() => row.record = before);
    return undefined;
  }

  #addOrphans(clientId: string, by: number, undo: Undo[]): void {
    const count = this.#orphans.get(clientId) ?? 0;
    this.#orphans.set(clientId, count + by);
    undo.push(() => this.#orphans.set(clientId, count));
  }

  #replace(row: WorkingRow, record: RowRecord, seq: number, undo: Undo[]): void {
    const { record: before, seq: beforeSeq, key, table } = row;
    row.record = record;
    row.seq = seq;
    undo.push(() => {
      row.record = before;
      row.seq = beforeSeq;
    });
    const more = Number(isVisible(record.state)) - Number(isVisible(before.state));
    if (more !== 0) {
      const count = this.#counts.get(key.table) ?? 0;
      this.#counts.set(key.table, count + more);
      undo.push(() => this.#counts.set(key.table, count));
    }
    if (table === undefined) return;
    this.#lookUp(table, key.rowId, before.state, -1, undo);
    this.#lookUp(table, key.rowId, record.state, 1, undo);
  }

  /** A row that a parameter looks up is seen by the deltas after it. */
  #lookUp(
    table: CatalogTable,
    rowId: string,
    state: RowState,
    by: 1 | -1,
    undo: Undo[],
  ): void {
    const { name } = table.table;
    const families = this.#ledger.book.placing(name)
      .filter(({ family, liveSeq }) => family.kind === "lookup" && liveSeq !== undefined);
    if (families.length === 0 || !isVisible(state)) return;
    const row = rowReader(table, rowId, state);
    for (const { number, family } of families) {
      const rule = family.tables.get(name);
      if (rule === undefined || family.yields === undefined) continue;
      const value: Value = row(family.yields);
      for (const key of rule.keysOf(row)) {
        const id = bucketId(number, key);
        this.#lookups.change(id, family, value, by);
        undo.push(() => this.#lookups.change(id, family, value, by === 1 ? -1 : 1));
      }
    }
  }

  /**
   * Places the changed rows in their buckets, gives what to write of them, and forgets the rows.
   *
   * @param read reads the records of buckets
   */
  async takeRows(read: BucketReader): Promise<readonly RowWrite[]> {
    const changed = [...this.#rows.values()].filter(({ record, stored }) => record !== stored);
    const placed = changed.map((row) => ({ row, placements: this.#placements(row) }));
    await this.#ledger.load(
      placed.flatMap(({ row, placements }) => [
        ...row.stored.memberships.map(({ bucket }) => bucket),
        ...placements.map(({ id }) => id),
      ]),
      read,
    );
    const writes = placed.map(({ row, placements }) => this.#write(row, placements));
    this.#rows.clear();
    return writes;
  }

  #placements({ key, table, record }: WorkingRow): ReturnType<typeof placementsOf> {
    if (table === undefined || !isVisible(record.state)) return [];
    const { name } = table.table;
    const families = this.#ledger.book.placing(name);
    if (families.length === 0) return [];
    return placementsOf(families, name, rowReader(table, key.rowId, record.state));
  }

  #write(row: WorkingRow, placements: ReturnType<typeof placementsOf>): RowWrite {
    const { key, ref, stored, seq } = row;
    const resting: Membership[] = [];
    const moving: Membership[] = [];
    for (const membership of stored.memberships) {
      const family = this.#ledger.byNumber(membership.bucket)?.placed;
      if (family === undefined) continue;
      (family.retiredSeq === undefined ? moving : resting).push(membership);
    }
    const now = placements.map(({ id, values }) => ({
      bucket: this.#ledger.byId(id).bucket,
      values,
    }));
    const moved = place(moving, now, seq, this.#horizonSeq);
    this.#sum(row, moving, moved);
    const memberships = resting.length === 0 ? moved : [...resting, ...moved];
    const before = new Set(stored.memberships);
    const after = new Set(memberships);
    const drop = stored.memberships.filter((old) => !after.has(old)).map(entryOf);
    const add = memberships.filter((next) => !before.has(next)).map(entryOf);
    return { ...key, data: writeRecord({ ...row.record, memberships }), ref, drop, add };
  }

  #sum(row: WorkingRow, before: readonly Membership[], after: readonly Membership[]): void {
    const { key, stored, record, seq } = row;
    let was: RowSums | undefined;
    let is: RowSums | undefined;
    const olds = byBucket(before);
    const nows = byBucket(after);
    for (const bucketNumber of new Set([...olds.keys(), ...nows.keys()])) {
      const old = olds.get(bucketNumber);
      const now = nows.get(bucketNumber);
      const bucket = this.#ledger.byNumber(bucketNumber);
      if (old === now || bucket === undefined) continue;
      const wasIn = old !== undefined && isMember(old);
      const isIn = now !== undefined && isMember(now);
      if (needsSums(bucket)) {
        if (wasIn) was ??= sumsOf(key.rowId, stored.state);
        if (isIn) is ??= sumsOf(key.rowId, record.state);
      }
      this.#ledger.change(
        bucket,
        seq,
        key.table,
        wasIn ? was ?? NO_SUMS : undefined,
        isIn ? is ?? NO_SUMS : undefined,
      );
    }
  }
}

function byBucket(memberships: readonly Membership[]): ReadonlyMap<number, Membership> {
  return new Map(memberships.map((membership) => [membership.bucket, membership]));
}

function needsSums({ placed }: LedgerBucket): boolean {
  return placed?.family.kind === "bucket";
}

function isClaims(claims: JsonValue): claims is { readonly [claim: string]: JsonValue } {
  return typeof claims === "object" && claims !== null && !Array.isArray(claims);
}

/** Whose cells wait in a row after a change, where write rules judge them. */
function waitingIn(
  { guard, clientId }: Writer,
  op: Change["op"],
  { waiting }: RowRecord,
  state: RowState,
): RowRecord["waiting"] | Refused {
  if (isVisible(state)) return undefined;
  if (state.cells.length === 0 && (state.merged?.length ?? 0) === 0) return undefined;
  if (op !== "UPDATE" || !guard.judges) return waiting;
  if (waiting !== undefined && waiting.clientId !== clientId) {
    const message =
      "The row was not inserted yet, and another client's update of it waits for that";
    return { code: "NO_SUCH_ROW", message };
  }
  return { clientId, claims: JSON.parse(JSON.stringify(guard.caller.claims)) };
}

const NO_SUMS: RowSums = { row: 0, columns: [], hashes: [] };

/** A row of an upload-only table goes to the log alone. */
function passThrough(
  { guard, clientId }: Writer,
  judged: JudgedDelta,
  change: Change,
): Outcome | Refused {
  const { compiled, delta } = judged;
  const { op, table } = compiled;
  if (op !== "INSERT") {
    const message = `Table ${table.table.name} is upload-only, it takes nothing but INSERTs`;
    return { code: "VALIDATION_ERROR", message };
  }
  const after = merge(EMPTY_ROW, { ...change, clientId });
  const message = guard.refusal({
    op,
    table,
    rowId: delta.rowId,
    before: EMPTY_ROW,
    after,
    own: () => after,
  });
  if (message !== undefined) return { code: "FORBIDDEN_WRITE", message };
  const merged = mergedOf(judged, after);
  return { wasVisible: false, isVisible: true, won: "all", left: "own", ...merged };
}
