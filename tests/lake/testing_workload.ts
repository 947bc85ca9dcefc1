/**
 * A gateway's log that is flushed to a lake commit by commit, and what its tables are to say after
 * each of them, worked out beside it.
 *
 * @module
 */

import type { DatabaseAdapter } from "@lakesync/adapters";
import type { Value } from "@lakesync/core";
import { TestLog, type Written } from "../conformance/testing_log.ts";
import { rowText, type TableRows } from "./readers.ts";

/** The columns of the table of rows, as readers tell them. */
export const ROW_COLUMNS: TableRows["columns"] = [
  ["id", "string"],
  ["title", "string"],
  ["done", "boolean"],
  ["n", "long"],
];

/** Those columns of the table of changes that are held against the log. */
export const CHANGE_COLUMNS: TableRows["columns"] = [
  ["_op", "string"],
  ["_row", "string"],
  ["_seq", "long"],
  ...ROW_COLUMNS.slice(1),
];

type Cells = Readonly<Record<string, Value>>;

/** What the tables are to say. */
export interface Expected {
  /** Rows of the table of rows, in the form of {@linkcode TableRows}. */
  readonly rows: readonly string[];
  /** Rows of the table of changes, of {@linkcode CHANGE_COLUMNS} only. */
  readonly changes: readonly string[];
}

/** Numbers that look like chance and are the same for the same seed: mulberry32. */
export function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function toldOf(value: Value | undefined): string | boolean | null {
  if (value === undefined || value === null) return null;
  return typeof value === "boolean" ? value : String(value);
}

function told(columns: TableRows["columns"], cells: Cells): string {
  return rowText(columns, columns.map(([name]) => toldOf(cells[name])));
}

/** Only those columns of what a reader saw that are held against the log. */
export function onlyChanges(seen: TableRows): readonly string[] {
  return seen.rows.map((text) => {
    const row = JSON.parse(text);
    return rowText(CHANGE_COLUMNS, CHANGE_COLUMNS.map(([name]) => row[name]));
  }).sort();
}

/** Writes commits to a lake. */
export class Workload {
  readonly #log: TestLog;
  readonly #below: (below: number) => number;
  readonly #rows = new Map<string, Cells>();
  readonly #changes: string[] = [];
  #made = 0;

  /**
   * @param adapter the lake
   * @param seed chooses what is written
   */
  constructor(adapter: DatabaseAdapter, seed: number) {
    this.#log = new TestLog(adapter);
    this.#below = chance(seed);
  }

  /** The last commit. */
  get seq(): number {
    return this.#log.seq;
  }

  /** What the tables are to say now. */
  get expected(): Expected {
    const rows = [...this.#rows.values()].map((cells) => told(ROW_COLUMNS, cells));
    return { rows: rows.sort(), changes: this.#changes.toSorted() };
  }

  /** Makes the lake ready. */
  async begin(): Promise<void> {
    await this.#log.begin();
  }

  /**
   * Commits transactions and flushes them at once.
   *
   * @param commits how many
   * @param size how many changes each has
   * @param sending is called when all is known and nothing is sent
   */
  async flush(commits: number, size: number, sending: () => void = () => {}): Promise<void> {
    const changes = Array.from({ length: commits }, () => {
      const written = Array.from({ length: size }, () => this.#write());
      return this.#log.commit(...written);
    });
    sending();
    await this.#log.insert(changes.flat());
  }

  #write(): Written {
    const ids = [...this.#rows.keys()];
    const rowId = this.#below(3) === 0 ? undefined : ids[this.#below(ids.length + 1)];
    if (rowId === undefined) return this.#insert(`r${++this.#made}`);
    if (this.#below(4) === 0) {
      this.#rows.delete(rowId);
      return this.#told({ op: "DELETE", table: "todos", rowId });
    }
    const cells = this.#below(2) === 0 ? { done: this.#below(2) === 0 } : { n: -this.#below(1000) };
    this.#rows.set(rowId, { ...this.#rows.get(rowId), ...cells });
    return this.#told({ op: "UPDATE", table: "todos", rowId, cells });
  }

  #insert(rowId: string): Written {
    const title = this.#below(5) === 0 ? null : `title ${this.#below(1_000)} é`;
    const cells = { title, done: false, n: 2n ** 62n + BigInt(this.#below(100)) };
    this.#rows.set(rowId, { id: rowId, ...cells });
    return this.#told({ op: "INSERT", table: "todos", rowId, cells, replaces: true });
  }

  #told(written: Written): Written {
    const { op, rowId, cells } = written;
    const own = { _op: op ?? null, _row: rowId, _seq: this.#log.seq + 1 };
    this.#changes.push(told(CHANGE_COLUMNS, { ...cells, ...own }));
    return written;
  }
}
