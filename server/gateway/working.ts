/**
 * The rows, clients and sums that one commit touches, as they are while it is put together.
 *
 * @module
 */

import {
  cellSum,
  EMPTY_ROW,
  isVisible,
  merge,
  type Rejection,
  rowSeed,
  type RowState,
  rowSum,
} from "@lakesync/core";
import type { BucketRecord, RowKey, RowWrite, StoredRow } from "../store/store.ts";
import { type CatalogTable, writtenValues } from "./catalog.ts";
import { type JudgedDelta, reject } from "./judge.ts";
import type { Outcome } from "./log.ts";
import { bucketsOf, entryOf, place } from "./placement.ts";
import { isMember, type Membership, readRecord, type RowRecord, writeRecord } from "./record.ts";

const NEW_ROW: RowRecord = {
  state: EMPTY_ROW,
  memberships: [],
  checksum: 0,
  orphanOf: undefined,
};

interface WorkingRow {
  readonly key: RowKey;
  readonly ref: unknown;
  readonly stored: RowRecord;
  record: RowRecord;
}

/** Counts of visible rows by the table's number. */
export type TableCounts = Map<number, number>;

/** Names a row in a map. */
export function keyText(key: RowKey): string {
  return `${key.table}:${key.rowId}`;
}

function checksumOf(
  table: CatalogTable,
  rowId: string,
  state: RowState,
): number {
  const seed = rowSeed(table.table.name, rowId);
  let sum = rowSum(seed);
  for (const { columns, values } of state.cells) {
    for (let i = 0; i < columns.length; i++) {
      const name = table.columns[columns[i] as number]?.name ?? "";
      sum += cellSum(seed, name, values[i] ?? null);
    }
  }
  return sum % 2 ** 32;
}

function wonOf(
  before: RowState,
  after: RowState,
  delta: JudgedDelta,
  seq: number,
): Outcome["won"] {
  if (after === before) return "none";
  const { columns, places } = delta.compiled;
  const last = after.cells.at(-1);
  const { hlc } = delta.delta;
  if (
    columns.length === 0 || last === undefined || last.hlc !== hlc ||
    last.seq !== seq
  ) return "none";
  if (last.columns.length === columns.length) return "all";
  const won = new Array<boolean>(delta.delta.values.length).fill(false);
  columns.forEach((column, i) => won[places[i] ?? 0] = last.columns.includes(column));
  return won;
}

interface Sums {
  readonly bucket: number;
  readonly id: string;
  rows: number;
  checksum: number;
}

/** Rows as one commit leaves them, with the sums of the buckets they are in. */
export class WorkingSet {
  readonly #rows = new Map<string, WorkingRow>();
  readonly #horizonSeq: number;
  #buckets: Map<number, Sums>;
  #counts: TableCounts;
  #orphans = new Map<string, number>();

  /**
   * @param buckets the buckets' sums before the commit
   * @param counts visible rows by table before the commit
   * @param horizonSeq history at or before it is forgotten
   */
  constructor(
    buckets: Iterable<BucketRecord>,
    counts: TableCounts,
    horizonSeq: number,
  ) {
    this.#buckets = new Map(
      [...buckets].map((bucket) => [bucket.bucket, { ...bucket }]),
    );
    this.#counts = new Map(counts);
    this.#horizonSeq = horizonSeq;
  }

  /** The sums of the buckets as they are now. */
  get buckets(): readonly BucketRecord[] {
    return [...this.#buckets.values()];
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
        record: stored,
      });
    }
  }

  /**
   * Applies a transaction whose rows were all taken in, whole or not at all.
   *
   * @param clientId who wrote it
   * @param mutationId which of its transactions it is
   * @param deltas its valid deltas
   * @param seq the commit it gets
   * @param maxOrphans how many more rows this client may update before their INSERT
   * @param offset how many deltas of the transaction came before these
   * @returns what the merge made of each delta, or a refusal
   */
  apply(
    clientId: string,
    mutationId: number,
    deltas: readonly JudgedDelta[],
    seq: number,
    maxOrphans: number,
    offset = 0,
  ): { readonly outcomes: readonly Outcome[] } | {
    readonly rejection: Rejection;
  } {
    const rows = deltas.map((delta) => this.#row(delta));
    const restore = this.#snapshotIfRefusable(deltas, rows);
    const outcomes: Outcome[] = [];
    for (const [i, delta] of deltas.entries()) {
      const row = rows[i] as WorkingRow;
      const outcome = this.#applyDelta(clientId, row, delta, seq, maxOrphans);
      if (outcome === undefined) {
        restore?.();
        const message = "Too many updates of rows that were never inserted, insert the rows first";
        return reject(mutationId, offset + i, "NO_SUCH_ROW", message);
      }
      outcomes.push(outcome);
    }
    return { outcomes };
  }

  #row({ compiled, delta }: JudgedDelta): WorkingRow {
    const row = this.#rows.get(`${compiled.table.id}:${delta.rowId}`);
    if (row === undefined) {
      throw new Error("A row was not taken in before it was changed");
    }
    return row;
  }

  /** Only an UPDATE of a row never seen can be refused here; other transactions pay nothing. */
  #snapshotIfRefusable(
    deltas: readonly JudgedDelta[],
    rows: readonly WorkingRow[],
  ): (() => void) | undefined {
    if (
      !deltas.some(({ compiled }, i) => compiled.op === "UPDATE" && rows[i]?.record === NEW_ROW)
    ) {
      return undefined;
    }
    const records = rows.map((row) => row.record);
    const buckets = new Map(
      [...this.#buckets].map(([number, sums]) => [number, { ...sums }]),
    );
    const counts = new Map(this.#counts);
    const orphans = new Map(this.#orphans);
    return () => {
      for (const [i, row] of rows.entries()) {
        row.record = records[i] ?? row.stored;
      }
      this.#buckets = buckets;
      this.#counts = counts;
      this.#orphans = orphans;
    };
  }

  #applyDelta(
    clientId: string,
    row: WorkingRow,
    judged: JudgedDelta,
    seq: number,
    maxOrphans: number,
  ): Outcome | undefined {
    const { compiled, delta } = judged;
    const before = row.record;
    const { op, table, columns } = compiled;
    const values = writtenValues(compiled, delta);
    const state = merge(before.state, {
      op,
      hlc: delta.hlc,
      clientId,
      seq,
      columns,
      values,
    });
    const wasVisible = isVisible(before.state);
    if (state === before.state) {
      return { wasVisible, isVisible: wasVisible, won: "none" };
    }
    const nowVisible = isVisible(state);
    let { orphanOf } = before;
    if (before === NEW_ROW && op === "UPDATE") {
      if ((this.#orphans.get(clientId) ?? 0) >= maxOrphans) return undefined;
      orphanOf = clientId;
      this.#orphans.set(clientId, (this.#orphans.get(clientId) ?? 0) + 1);
    } else if (orphanOf !== undefined && op !== "UPDATE") {
      this.#orphans.set(orphanOf, (this.#orphans.get(orphanOf) ?? 0) - 1);
      orphanOf = undefined;
    }
    const checksum = nowVisible ? checksumOf(table, delta.rowId, state) : 0;
    const memberships = this.#placed(before, state, seq);
    row.record = { state, memberships, checksum, orphanOf };
    if (wasVisible !== nowVisible) {
      this.#counts.set(
        table.id,
        (this.#counts.get(table.id) ?? 0) + (nowVisible ? 1 : -1),
      );
    }
    this.#sum(before.memberships, -1, before.checksum);
    this.#sum(memberships, 1, checksum);
    return {
      wasVisible,
      isVisible: nowVisible,
      won: wonOf(before.state, state, judged, seq),
    };
  }

  /**
   * A late DELETE may hide cells of a row that a later INSERT keeps visible. Who has the row must be
   * told, so the row leaves its buckets and enters them again.
   */
  #placed(before: RowRecord, state: RowState, seq: number): readonly Membership[] {
    const { memberships } = before;
    const hides = state.cells.length < before.state.cells.length &&
      state.died !== before.state.died;
    const left = hides ? place(memberships, [], seq, this.#horizonSeq) : memberships;
    return place(left, bucketsOf(state), seq, this.#horizonSeq);
  }

  #sum(
    memberships: readonly Membership[],
    sign: 1 | -1,
    checksum: number,
  ): void {
    for (const membership of memberships) {
      const sums = this.#buckets.get(membership.bucket);
      if (sums === undefined || !isMember(membership)) continue;
      sums.rows += sign;
      sums.checksum = (sums.checksum + sign * checksum + 2 ** 32) % 2 ** 32;
    }
  }

  /** Gives what to write of the rows, and forgets the rows. */
  takeRows(): readonly RowWrite[] {
    const writes: RowWrite[] = [];
    for (const { key, ref, stored, record } of this.#rows.values()) {
      if (record === stored) continue;
      const drop = stored.memberships.filter((old) => !record.memberships.includes(old)).map(
        entryOf,
      );
      const add = record.memberships.filter((now) => !stored.memberships.includes(now)).map(
        entryOf,
      );
      writes.push({ ...key, data: writeRecord(record), ref, drop, add });
    }
    this.#rows.clear();
    return writes;
  }
}
