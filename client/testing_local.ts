/**
 * What tests of the local database share: files that go away, a driver that crashes, a gateway in
 * memory.
 *
 * @module
 */

import {
  type BucketState,
  canonicalJson,
  type Change,
  type Delta,
  EMPTY_ROW,
  forEachCell,
  type Hlc,
  isVisible,
  type JsonValue,
  kindOf,
  merge,
  type MergeKind,
  type PullResult,
  type PushResult,
  type Rejection,
  type RowChange,
  type RowState,
  type Schema,
  type Transaction,
  type Value,
  ZERO_HLC,
} from "@lakesync/core";
import type { SqliteConnection, SqliteDriver } from "./database/driver.ts";
import { loadDriver } from "./database/open.ts";
import type { BatchLimits } from "./replica.ts";

/** Limits that no small test reaches. */
export const WIDE: BatchLimits = {
  transactions: 1_000,
  deltas: 10_000,
  bytes: 4_000_000,
};

/** Runs a function with a folder that is removed afterwards. */
export async function withFolder<T>(
  work: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-" });
  try {
    return await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Copies a database as a crash would leave it: the file and its log, whatever is going on. */
export function copyDatabase(from: string, to: string): void {
  for (const suffix of ["", "-wal"]) {
    try {
      Deno.copyFileSync(from + suffix, to + suffix);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** Fails every call from a chosen one on, after leaving a copy of the database. */
export class CrashingDriver implements SqliteDriver {
  /** How many more calls succeed; undefined: all. */
  left: number | undefined;
  /** Where the copy goes. */
  copyTo = "";
  /** Whether it has crashed. */
  crashed = false;
  #path = "";

  /** Opens a connection that crashes. */
  async open(path: string): Promise<SqliteConnection> {
    this.#path = path;
    const inner = await (await loadDriver()).open(path);
    const step = <T>(call: () => Promise<T>): Promise<T> => {
      if (!this.crashed && this.left !== undefined && this.left-- <= 0) {
        this.crashed = true;
        copyDatabase(this.#path, this.copyTo);
      }
      return this.crashed ? Promise.reject(new Error("The machine crashed")) : call();
    };
    return {
      get inTransaction() {
        return inner.inTransaction;
      },
      script: (sql) => step(() => inner.script(sql)),
      run: (sql, params) => step(() => inner.run(sql, params)),
      runMany: (sql, rows) => step(() => inner.runMany(sql, rows)),
      values: (sql, params) => step(() => inner.values(sql, params)),
      all: (sql, params) => step(() => inner.all(sql, params)),
      close: () => inner.close(),
    };
  }
}

/** The cells of a visible row by column. */
export type Cells = Readonly<Record<string, Value>>;

/** Visible rows by table and rowId. */
export type Rows = ReadonlyMap<string, Cells>;

/** The name of a row in {@linkcode Rows}. */
export function rowName(table: string, rowId: string): string {
  return `${table} ${rowId}`;
}

interface Kept {
  readonly rows: Map<string, RowState>;
  readonly seq: number;
  readonly last: Map<string, number>;
  readonly refused: Map<string, Rejection[]>;
}

/** A gateway in memory, on core's merge. Pulls are differences between two of its states. */
export class MemoryGateway {
  #rows = new Map<string, RowState>();
  #columns = new Map<string, number>();
  #names: string[] = [];
  #seq = 0;
  #last = new Map<string, number>();
  #refused = new Map<string, Rejection[]>();
  #snapshots = new Map<number, Rows>([[0, new Map()]]);
  #hlc: Hlc = ZERO_HLC;
  readonly #schema: Schema | undefined;

  /** @param schema tells the columns' merge kinds; without it the last write wins everywhere */
  constructor(schema?: Schema) {
    this.#schema = schema;
  }

  /** The last commit number. */
  get seq(): number {
    return this.#seq;
  }

  /** The greatest stamp. */
  get hlc(): Hlc {
    return this.#hlc;
  }

  /** What it has consumed of a client. */
  lastOf(clientId: string): number {
    return this.#last.get(clientId) ?? 0;
  }

  /** Keeps a backup. */
  backup(): Kept {
    return {
      rows: new Map(this.#rows),
      seq: this.#seq,
      last: new Map(this.#last),
      refused: new Map(this.#refused),
    };
  }

  /** Goes back to a backup. */
  restore({ rows, seq, last, refused }: Kept): void {
    this.#rows = new Map(rows);
    this.#seq = seq;
    this.#last = new Map(last);
    this.#refused = new Map(refused);
  }

  #column(name: string): number {
    let id = this.#columns.get(name);
    if (id === undefined) {
      id = this.#names.push(name) - 1;
      this.#columns.set(name, id);
    }
    return id;
  }

  #commit(clientId: string, deltas: readonly Delta[]): void {
    this.#seq++;
    for (const { shape, rowId, hlc, values } of deltas) {
      const columns = this.#schema?.tables.get(shape.table)?.byName;
      const kinds = shape.columns.map((name) => {
        const column = columns?.get(name);
        return column === undefined ? "lww" : kindOf(column);
      });
      const change: Change = {
        op: shape.op,
        seq: this.#seq,
        hlc: hlc ?? ZERO_HLC,
        clientId,
        columns: shape.columns.map((name) => this.#column(name)),
        values,
        kinds: kinds.every((kind) => kind === "lww") ? undefined : kinds,
      };
      if (change.hlc > this.#hlc) this.#hlc = change.hlc;
      const name = rowName(shape.table, rowId);
      this.#rows.set(name, merge(this.#rows.get(name) ?? EMPTY_ROW, change));
    }
    this.#snapshots.set(this.#seq, this.visible());
  }

  /** All visible rows. */
  visible(): Rows {
    const visible = new Map<string, Cells>();
    for (const [name, row] of this.#rows) {
      if (!isVisible(row)) continue;
      const cells: Record<string, Value> = {};
      forEachCell(row, (column, value) => {
        cells[this.#names[column] ?? ""] = value;
      });
      visible.set(name, cells);
    }
    return visible;
  }

  /** Commits deltas of someone. */
  write(clientId: string, deltas: readonly Delta[]): void {
    this.#commit(clientId, deltas);
  }

  /** Takes a push. */
  push(
    clientId: string,
    transactions: readonly Transaction[],
    refuses: (mutationId: number) => boolean = () => false,
  ): PushResult {
    const refused = this.#refused.get(clientId) ?? [];
    for (const { mutationId, deltas } of transactions) {
      const last = this.lastOf(clientId);
      if (mutationId <= last) continue;
      if (mutationId !== last + 1) {
        throw new Error(`Gap: ${mutationId} after ${last}`);
      }
      this.#last.set(clientId, mutationId);
      if (refuses(mutationId)) {
        const code = "FORBIDDEN_WRITE";
        refused.push({ mutationId, code, message: "Not allowed", delta: 0 });
      } else this.#commit(clientId, deltas);
    }
    this.#refused.set(clientId, refused);
    return {
      lastMutationId: this.lastOf(clientId),
      rejected: [...refused],
      seq: this.#seq,
      serverTime: "2026-01-01T00:00:00Z",
      serverHlc: this.#hlc,
    };
  }

  /** Gives the pages from a cursor to now. */
  pull(
    clientId: string,
    cursor: string | undefined,
    pageRows: number = Infinity,
  ): PullResult[] {
    const before = this.#snapshots.get(Number(cursor?.split("/")[0] ?? 0)) ??
      new Map();
    const changes = difference(before, this.visible());
    const pages: PullResult[] = [];
    const common = {
      lastMutationId: this.lastOf(clientId),
      serverHlc: this.#hlc,
    };
    while (changes.length > pageRows) {
      const page = changes.splice(0, pageRows);
      const cursor = `staged/${pages.length}`;
      pages.push({ ...common, changes: page, cursor, complete: false });
    }
    const buckets: BucketState[] = [];
    pages.push({
      ...common,
      changes,
      cursor: `${this.#seq}/`,
      complete: true,
      checkpoint: { seq: this.#seq, buckets },
    });
    return pages;
  }
}

function same(a: Value | undefined, b: Value | undefined): boolean {
  if (a === b) return true;
  return a !== undefined && b !== undefined && canonicalJson(a) === canonicalJson(b);
}

function difference(before: Rows, after: Rows): RowChange[] {
  const changes: RowChange[] = [];
  const shapes = new Map<string, RowChange["shape"]>();
  const shapeOf = (op: "PUT" | "REMOVE", table: string, columns: string[]) => {
    const key = JSON.stringify([op, table, columns]);
    const shape = shapes.get(key) ?? { op, table, columns };
    shapes.set(key, shape);
    return shape;
  };
  const split = (name: string) => {
    const at = name.indexOf(" ");
    return [name.slice(0, at), name.slice(at + 1)] as const;
  };
  for (const [name, cells] of after) {
    const old = before.get(name);
    const changed = [...new Set([...Object.keys(cells), ...Object.keys(old ?? {})])]
      .filter((column) => old === undefined || !same(cells[column], old[column]));
    if (old !== undefined && changed.length === 0) continue;
    const [table, rowId] = split(name);
    const values = changed.map((column) => cells[column] ?? null);
    changes.push({ shape: shapeOf("PUT", table, changed), rowId, values });
  }
  for (const name of before.keys()) {
    if (after.has(name)) continue;
    const [table, rowId] = split(name);
    changes.push({ shape: shapeOf("REMOVE", table, []), rowId, values: [] });
  }
  return changes;
}

/** Lays what a delta carries over a value, by the words of the merge kinds. */
function layValue(kind: MergeKind, value: Value, written: Value): Value {
  if (kind === "lww") return written;
  if (written === null) return value;
  const fields = written as { readonly [list: string]: JsonValue };
  if (kind === "counter") {
    const sum = BigInt(value as number | bigint ?? 0) + BigInt(fields["add"] as number | string);
    return Number.isSafeInteger(Number(sum)) ? Number(sum) : sum;
  }
  if (kind === "set") {
    const texts = (list: Value | undefined) =>
      new Set((list as readonly JsonValue[] ?? []).map((element) => JSON.stringify(element)));
    const left = texts(value).difference(texts(fields["remove"]));
    return [...left.union(texts(fields["add"]))].sort().map((text) => JSON.parse(text));
  }
  if (value === null) return written;
  const [low, high] = value < written ? [value, written] : [written, value];
  return kind === "max" ? high : low;
}

/**
 * Lays pending transactions over rows, as docs/semantics.md says.
 *
 * @param base the rows of the gateway
 * @param transactions what is pending
 * @param schema tells merge kinds, of which `max` and `min` are for plain numbers and ASCII here
 * @returns the rows
 */
export function layOver(
  base: Rows,
  transactions: readonly Transaction[],
  schema?: Schema,
): Map<string, Cells> {
  const rows = new Map(base);
  for (const { shape, rowId, values } of transactions.flatMap(({ deltas }) => deltas)) {
    const name = rowName(shape.table, rowId);
    const row = rows.get(name);
    if (shape.op === "DELETE") rows.delete(name);
    else if (shape.op === "INSERT" || row !== undefined) {
      const columns = schema?.tables.get(shape.table)?.byName;
      const cells: Record<string, Value> = { ...row };
      for (const [i, column] of shape.columns.entries()) {
        const kind = columns?.get(column)?.merge ?? "lww";
        cells[column] = layValue(kind, cells[column] ?? null, values[i] ?? null);
      }
      rows.set(name, cells);
    }
  }
  return rows;
}
