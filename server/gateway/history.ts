/**
 * The log as destinations read it: transactions in the order of their commits, each change with its
 * identity and with what it made of its row, so that nobody behind this merges again.
 *
 * @module
 */

import {
  type Delta,
  deltaIdOf,
  type Hlc,
  isVisible,
  type Stamp,
  type Table,
  type Value,
  ZERO_HLC,
} from "@lakesync/core";
import type { LogEntry, LogPosition, RowKey, Store, StoredRow } from "../store/store.ts";
import type { Catalog } from "./catalog.ts";
import type { Committer } from "./committer.ts";
import { changedCells, numbersOf } from "./history_cells.ts";
import type { Life } from "./lives.ts";
import { logVersion, readLogPayload } from "./log.ts";
import { stampedCells } from "./merged.ts";
import { readRecord } from "./record.ts";

/**
 * A cell of a row: its column's number, which it keeps whatever it is called, its value, and the
 * stamp of the write that gave it, where that is known.
 */
export type NumberedCell = readonly [column: number, value: Value, stamp?: Stamp | undefined];

/** A table of the newest schema with the numbers that it and its columns keep for ever. */
export interface HistoryTable {
  /** Its number, from 1. */
  readonly id: number;
  /** The table. */
  readonly table: Table;
  /** The numbers of its columns, in the table's order. */
  readonly columnIds: readonly number[];
}

/** What a change made of its row. */
export interface HistoryEffect {
  /** The row. */
  readonly key: RowKey;
  /** Whether the row was visible before it. */
  readonly wasVisible: boolean;
  /** Whether the row is visible after it. */
  readonly isVisible: boolean;
  /** Whether the row has no other cells than these after it; else all others are as they were. */
  readonly replaces: boolean;
  /** Cells with their values as merged. */
  readonly cells: readonly NumberedCell[];
}

/** A change as it was committed. */
export interface HistoryChange {
  /** The change as it was sent, stamped. */
  readonly delta: Delta & { readonly hlc: Hlc; readonly deltaId: string };
  /** What it made of its row; undefined when its schema version is long gone. */
  readonly effect: HistoryEffect | undefined;
  /** The numbers of the columns of its shape, in order; not there when the version is gone. */
  readonly columnIds?: readonly number[];
}

/** A transaction, or a slice of a large one. */
export interface HistoryEntry extends Omit<LogEntry, "payload"> {
  /** Whether no slice of the transaction comes after it. */
  readonly last: boolean;
  /** The size of what the log holds of it, in bytes. */
  readonly bytes: number;
  /** The schema version whose names its deltas use. */
  readonly schemaVersion: number;
  /** Its changes in order. */
  readonly changes: readonly HistoryChange[];
}

/** A place in the log: after a transaction, or after a slice of it. */
export interface HistoryPlace {
  /** The transaction's commit number; 0 is before every transaction. */
  readonly seq: number;
  /** The slice, from 0; not there: after all of them. */
  readonly slice?: number;
}

/** How much to read of the log. */
export interface HistoryLimit {
  /** Stop when so many changes are read. */
  readonly changes: number;
  /** Stop when so many bytes of the log are read. */
  readonly bytes: number;
}

/** A part of the log. */
export interface HistoryPage {
  /** Entries in order; none when there are no more, or when `trimmed`. */
  readonly entries: readonly HistoryEntry[];
  /** Whether the log no longer holds everything after the place. */
  readonly trimmed: boolean;
  /** When trimmed: the log holds everything after this commit. */
  readonly keptAfter?: number;
  /** Whatever was committed up to this seq and is not before the place is among the entries. */
  readonly throughSeq: number;
}

/** The tables as they are called now. */
export interface HistorySchema {
  /** The schema's version; 0 without one. */
  readonly version: number;
  /** Its tables. */
  readonly tables: readonly HistoryTable[];
}

/** Where the history stands. */
export interface HistoryHead {
  /** The last commit number. */
  readonly seq: number;
  /** The lives of the history, oldest first. */
  readonly lives: readonly Life[];
}

/** A row as it is now. */
export interface HistoryRow {
  /** The row. */
  readonly key: RowKey;
  /** Whether it is visible. */
  readonly isVisible: boolean;
  /** All its cells, also those that are not seen because the row is not visible. */
  readonly cells: readonly NumberedCell[];
}

/** Rows of a walk over all rows. */
export interface HistoryWalk extends HistoryRows {
  /** Where the walk stands then; undefined when it has seen all rows. */
  readonly place: string | undefined;
}

/** Rows as they are now. */
export interface HistoryRows {
  /** The rows, in the order of the keys that were given. */
  readonly rows: readonly HistoryRow[];
  /** No commit after this one has touched them. */
  readonly seq: number;
}

/** Reads the history of a gateway. */
export interface GatewayHistory {
  /** The tables, those of everything that was read before. */
  readonly schema: HistorySchema;
  /** Where it stands. */
  head(): Promise<HistoryHead>;
  /**
   * Reads the log. An entry is read whole, so a page may be over the limit by one entry.
   *
   * @param after the place in the log to read from
   * @param limit how much to read
   */
  read(after: HistoryPlace, limit: HistoryLimit): Promise<HistoryPage>;
  /** Reads rows as they are now; rows that are not there have no cells. */
  rows(keys: readonly RowKey[]): Promise<HistoryRows>;
  /**
   * Walks over all rows, in an order in which rows that are added later come later.
   *
   * @param after where the walk stands, "" for the start
   * @param limit so many rows at most
   */
  walk(after: string, limit: number): Promise<HistoryWalk>;
  /**
   * Keeps the log after a place that may move, unless the log grows beyond its greatest size and is
   * to be trimmed then.
   *
   * @param seq tells the last seq that is no longer needed
   * @returns ends the keeping
   */
  keepAfter(seq: () => number): () => void;
}

/** So many entries are read from the store at once, at most. */
const MAX_ENTRIES = 512;

/** After so many changes others get their turn. */
const TURN_CHANGES = 500;

/** The history of an open gateway. */
export class History implements GatewayHistory {
  readonly #committer: Committer;
  readonly #kept = new Set<() => number>();

  /** @param committer the gateway's writer */
  constructor(committer: Committer) {
    this.#committer = committer;
  }

  /** Whether anyone keeps the log. */
  get isKept(): boolean {
    return this.#kept.size > 0;
  }

  /** The last seq that nobody needs any more. */
  get neededAfter(): number {
    return Math.min(Infinity, ...[...this.#kept].map((seq) => seq()));
  }

  keepAfter(seq: () => number): () => void {
    const own = () => seq();
    this.#kept.add(own);
    return () => this.#kept.delete(own);
  }

  get schema(): HistorySchema {
    const { catalog } = this.#committer;
    return catalog === undefined
      ? { version: 0, tables: [] }
      : { version: catalog.schema.version, tables: tablesOf(catalog) };
  }

  async head(): Promise<HistoryHead> {
    const { head, lives } = await this.#committer.current();
    return { seq: head.seq, lives };
  }

  async read(after: HistoryPlace, limit: HistoryLimit): Promise<HistoryPage> {
    const { store, env } = this.#committer;
    const { head } = await this.#committer.current();
    const { found, complete } = await readEntries(store, positionOf(after), head.seq, limit);
    const { trimmedSeq } = await this.#committer.current();
    const { catalog } = this.#committer;
    const trimmed = after.seq < (after.slice === undefined ? trimmedSeq : trimmedSeq + 1);
    if (trimmed) return { entries: [], trimmed, keptAfter: trimmedSeq, throughSeq: head.seq };
    if (catalog === undefined) return { entries: [], trimmed, throughSeq: head.seq };
    const entries: HistoryEntry[] = [];
    let changes = 0;
    for (const [entry, last] of found) {
      if (changes >= limit.changes) break;
      const next = decoded(catalog, entry, last, env.hash);
      entries.push(next);
      const turns = Math.floor(changes / TURN_CHANGES);
      changes += next.changes.length;
      if (Math.floor(changes / TURN_CHANGES) > turns) await env.nextTurn();
    }
    const all = complete && entries.length === found.length;
    return { entries, trimmed, throughSeq: all ? head.seq : wholeSeq(entries) };
  }

  async rows(keys: readonly RowKey[]): Promise<HistoryRows> {
    const { store } = this.#committer;
    const stored = await store.readRows(keys);
    const { seq } = await store.head();
    const rows = keys.map((key, i): HistoryRow => {
      const row = stored[i];
      return row === undefined ? { key, isVisible: false, cells: [] } : rowOf(row);
    });
    return { rows, seq };
  }

  async walk(after: string, limit: number): Promise<HistoryWalk> {
    const { store } = this.#committer;
    const { rows, complete } = await store.scanRows({ after, limit });
    const { seq } = await store.head();
    return { rows: rows.map(rowOf), seq, place: complete ? undefined : rows.at(-1)?.position };
  }
}

/** After all slices of a transaction. */
export const ALL_SLICES: number = 2 ** 31 - 1;

function positionOf({ seq, slice = ALL_SLICES }: HistoryPlace): LogPosition {
  return { seq, slice };
}

/** The last transaction of which nothing comes after these entries. */
function wholeSeq(entries: readonly HistoryEntry[]): number {
  const last = entries.at(-1);
  return last === undefined ? 0 : last.last ? last.seq : last.seq - 1;
}

/** Reads entries up to a head, each with whether it is its transaction's last. */
async function readEntries(
  store: Store,
  after: LogPosition,
  headSeq: number,
  limit: HistoryLimit,
): Promise<{
  readonly found: readonly (readonly [entry: LogEntry, last: boolean])[];
  /** Whether there are no more. */
  readonly complete: boolean;
}> {
  const read: LogEntry[] = [];
  let bytes = 0;
  let largest = 1;
  let complete = false;
  while (bytes < limit.bytes && read.length < limit.changes) {
    const room = Math.ceil((limit.bytes - bytes) / largest);
    const count = Math.min(MAX_ENTRIES, read.length === 0 ? 2 : Math.max(1, room));
    const page = await store.readLog(read.at(-1) ?? after, count);
    const committed = page.filter(({ seq }) => seq <= headSeq);
    for (const entry of committed) {
      read.push(entry);
      bytes += entry.payload.length;
      largest = Math.max(largest, entry.payload.length);
    }
    complete = committed.length < count;
    if (complete) break;
  }
  const found = read.flatMap((entry, i): [LogEntry, boolean][] => {
    const next = read[i + 1];
    if (next !== undefined) return [[entry, next.seq !== entry.seq]];
    return complete ? [[entry, true]] : [];
  });
  return { found, complete };
}

function rowOf({ table, rowId, data }: StoredRow): HistoryRow {
  const { state } = readRecord(data);
  return { key: { table, rowId }, isVisible: isVisible(state), cells: stampedCells(state) };
}

function decoded(
  catalog: Catalog,
  entry: LogEntry,
  last: boolean,
  hash: Committer["env"]["hash"],
): HistoryEntry {
  const { payload, ...rest } = entry;
  const schemaVersion = logVersion(payload);
  const version = catalog.logged(schemaVersion);
  // Deltas of one payload share their shapes.
  const numbers = new Map<Delta["shape"], readonly number[] | undefined>();
  const changes = readLogPayload(payload).map(({ delta, outcome }): HistoryChange => {
    const hlc = delta.hlc ?? ZERO_HLC;
    const deltaId = delta.deltaId ?? deltaIdOf(rest.clientId, delta, hlc, hash);
    const stamped = { ...delta, hlc, deltaId };
    if (version === undefined) return { delta: stamped, effect: undefined };
    const { shape } = delta;
    if (!numbers.has(shape)) numbers.set(shape, numbersOf(version, shape));
    const columnIds = numbers.get(shape);
    return {
      delta: stamped,
      effect: changedCells(version, stamped, rest.clientId, outcome),
      ...(columnIds === undefined ? {} : { columnIds }),
    };
  });
  return { ...rest, last, bytes: payload.length, schemaVersion, changes };
}

function tablesOf(catalog: Catalog): readonly HistoryTable[] {
  return [...catalog.tables()].map(({ id, table, byName }) => ({
    id,
    table,
    columnIds: table.columns.map(({ name }) => byName.get(name)?.id ?? 0),
  }));
}
