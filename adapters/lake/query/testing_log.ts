/**
 * The log of a gateway that is flushed as far as a test wants, and what its rows are after each
 * commit.
 *
 * @module
 */

import type { JsonValue, Value } from "@lakesync/core";
import type {
  Change,
  DatabaseAdapter,
  FlushPosition,
  PositionLife,
  RowEffect,
} from "../../adapter.ts";
import { mergeImages, type StoredRow } from "../../database/images.ts";
import type { SourceEntry } from "../../flush/source.ts";
import { canonicalValue } from "../flush/values.ts";
import {
  destinationSchema,
  type GivenChange,
  NUMBERS,
  placed,
  testSchema,
} from "../table/testing_history.ts";
import type { LakeQuery, QueryOptions } from "./query.ts";
import type { QueryTail, TailPage } from "./tail.ts";

/** Cells of rows by the numbers of columns, without those that are null. */
export type SeenRows = ReadonlyMap<string, ReadonlyMap<number, Value>>;

const TYPES = new Map(
  testSchema(2).tables.get("tasks")?.columns.map(({ name, type }) => [NUMBERS.get(name), type]),
);

function sorted(rows: Iterable<[string, [number, Value][]]>): SeenRows {
  const all = [...rows].map(([id, cells]): [string, ReadonlyMap<number, Value>] => [
    id,
    new Map(cells.sort(([a], [b]) => a - b)),
  ]);
  return new Map(all.sort(([a], [b]) => a < b ? -1 : 1));
}

/** Asks for the rows of the table `tasks`. */
export async function askRows(query: LakeQuery, options: QueryOptions = {}): Promise<SeenRows> {
  const { columns, rows } = await query.query("SELECT * FROM tasks", options);
  return sorted(rows.map((row): [string, [number, Value][]] => {
    const cells = columns.flatMap(({ name }, i): [number, Value][] => {
      const value = row[i] ?? null;
      const number = NUMBERS.get(name) ?? 0;
      if (number <= 2 || value === null) return [];
      const type = TYPES.get(number) ?? "string";
      const read = type === "json" ? JSON.parse(String(value)) as JsonValue : value;
      return [[number, type === "json" ? read : canonicalValue(type, read)]];
    });
    return [JSON.stringify([row[0] ?? null, row[1] ?? null]), cells];
  }));
}

/** What a page of the log holds. */
const PAGE_ENTRIES = 2;

/** A gateway's log. */
export class TestLog implements QueryTail {
  readonly #adapter: DatabaseAdapter;
  readonly #entries: SourceEntry[] = [];
  readonly #lives: PositionLife[];
  #position: FlushPosition | undefined;
  #version: 1 | 2 = 1;
  /** Whether the log lost what comes after this commit. */
  trimmedAfter: number = Infinity;

  constructor(adapter: DatabaseAdapter, life: string = "life-0") {
    this.#adapter = adapter;
    this.#lives = [{ id: life, fromSeq: 0 }];
  }

  /** The last commit. */
  get seq(): number {
    return this.#entries.length;
  }

  /** When a commit was made. */
  timeOf(seq: number): Date {
    return new Date(this.#entries[seq - 1]?.committedMs ?? 0);
  }

  /** Begins, or begins to use the second version of the schema. */
  async ready(version: 1 | 2): Promise<void> {
    await this.#adapter.ensureSchema(destinationSchema(version));
    this.#version = version;
    if (this.#position === undefined) await this.flush(0);
  }

  /** Uses the second version of the schema, of which the lake has not heard. */
  evolve(): void {
    this.#version = 2;
  }

  /** Commits a transaction. */
  commit(given: readonly GivenChange[]): void {
    const seq = this.seq + 1;
    const committedMs = Date.UTC(2026, 0, 1) + seq * 3_600_000;
    const changes = given.map((change) => ({
      ...placed(change, seq, 0, this.#version),
      committedMs,
    }));
    this.#entries.push({ seq, slice: 0, last: true, bytes: 1, committedMs, changes });
  }

  /** Flushes up to a commit. */
  async flush(seq: number = this.seq): Promise<void> {
    const from = this.#position;
    const changes = this.#entries.slice(from?.seq ?? 0, seq).flatMap((entry) => entry.changes);
    const to = { seq, lives: [...this.#lives], writer: "w" };
    await this.#adapter.insertDeltas({ from, to, rows: [], changes, isWhole: true });
    this.#position = to;
  }

  /** Loses all commits after one, and takes the lake back. */
  async restore(seq: number): Promise<void> {
    const from = this.#position;
    this.#entries.length = seq;
    this.#lives.push({ id: `life-${this.#lives.length}`, fromSeq: seq });
    const to = { seq, lives: [...this.#lives], writer: "w" };
    await this.#adapter.rewind({ from, to });
    this.#position = to;
  }

  /** Loses its log and all rows but those that are given, and fills the lake with them. */
  async refill(rows: readonly RowEffect[]): Promise<void> {
    const { seq } = this;
    const to = { seq, lives: [...this.#lives], writer: "w", floor: seq };
    const filling = { ...to, filled: "" };
    await this.#adapter.refill({ from: this.#position, to: filling });
    await this.#adapter.insertDeltas({ from: filling, to, rows, changes: [], isWhole: true });
    this.#position = to;
  }

  read({ seq }: { readonly seq: number }): Promise<TailPage> {
    return Promise.resolve({
      schema: destinationSchema(this.#version),
      headSeq: this.seq,
      lives: this.#lives,
      entries: this.#entries.slice(seq, seq + PAGE_ENTRIES),
      isTrimmed: seq > this.trimmedAfter,
    });
  }

  /** The rows after a commit. */
  rowsAfter(seq: number): SeenRows {
    const changes: readonly Change[] = this.#entries.slice(0, seq)
      .flatMap((entry) => entry.changes);
    const to = { seq, lives: [], writer: "" };
    const images = mergeImages({ from: undefined, to, rows: [], changes, isWhole: true }, [], 0);
    return sorted(images.filter(({ isVisible }) => isVisible).map(seen));
  }
}

function seen({ key, cells }: StoredRow): [string, [number, Value][]] {
  return [
    key.rowId,
    [...cells].flatMap(([number, { value }]): [number, Value][] =>
      value === null ? [] : [[number, canonicalValue(TYPES.get(number) ?? "string", value)]]
    ),
  ];
}
