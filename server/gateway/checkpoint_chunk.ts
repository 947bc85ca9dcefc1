/**
 * Chunks: rows of one bucket as a compressed page, and the hashes by which a chunk is found that
 * holds a row.
 *
 * @module
 */

import {
  type ChangeShape,
  decodePullResult,
  encodePullResult,
  forEachCell,
  type RowChange,
  rowHash,
  type RowState,
  type Value,
  ZERO_HLC,
} from "@lakesync/core";
import type { RowKey, ScannedRow } from "../store/store.ts";
import { shownColumns } from "./bucket_state.ts";
import type { Catalog, CatalogVersion } from "./catalog.ts";
import { readRecord } from "./record.ts";
import type { PlacedFamily } from "./rule_book.ts";

/** So many bytes are compressed before others get a turn. */
const PIECE_BYTES = 128 * 1024;

const HASH_BYTES = 4;

/** Names a row within a gateway. */
export function rowName({ table, rowId }: RowKey): string {
  return `${table} ${rowId}`;
}

/** Writes rows of a bucket by its projection, under the names of a schema version. */
export class ChunkRows {
  readonly #catalog: Catalog;
  readonly #names: CatalogVersion;
  readonly #placed: PlacedFamily;
  readonly #shown = new Map<number, ReadonlySet<number> | undefined>();
  readonly #shapes = new Map<string, ChangeShape>();

  /**
   * @param catalog the newest schema, by which rules are written
   * @param names the schema as the clients know it
   * @param placed the bucket's family
   */
  constructor(catalog: Catalog, names: CatalogVersion, placed: PlacedFamily) {
    this.#catalog = catalog;
    this.#names = names;
    this.#placed = placed;
  }

  /** A row that is in the bucket; undefined when the schema version does not know its table. */
  change(row: ScannedRow): RowChange | undefined {
    return this.changeOf(row, readRecord(row.data).state);
  }

  /**
   * A row that is in the bucket.
   *
   * @param row the row
   * @param state its cells
   * @returns undefined when the schema version does not know its table
   */
  changeOf(row: RowKey, state: RowState): RowChange | undefined {
    const names = this.#names.tableById(row.table);
    if (names === undefined) return undefined;
    const shown = this.#columns(row.table);
    const columns: string[] = [];
    const values: Value[] = [];
    let key = `${row.table}`;
    forEachCell(state, (id, value) => {
      const column = names.columns[id];
      if (column === undefined || !(shown?.has(id) ?? true)) return;
      columns.push(column.name);
      values.push(value);
      key += ` ${id}`;
    });
    let shape = this.#shapes.get(key);
    if (shape === undefined) {
      shape = { op: "PUT", table: names.table.name, columns };
      this.#shapes.set(key, shape);
    }
    return { shape, rowId: row.rowId, values };
  }

  /**
   * The numbers of the columns whose cells the bucket's rows come with, by table; tables that the
   * schema version does not know are left out.
   */
  columns(): ReadonlyMap<number, ReadonlySet<number>> {
    const all = new Map<number, ReadonlySet<number>>();
    for (const name of this.#placed.family.tables.keys()) {
      const id = this.#catalog.table(name)?.id;
      const names = id === undefined ? undefined : this.#names.tableById(id);
      if (id === undefined || names === undefined) continue;
      const shown = this.#columns(id);
      const known = names.columns.flatMap((column) => column === undefined ? [] : [column.id]);
      all.set(id, new Set(known.filter((number) => shown?.has(number) ?? true)));
    }
    return all;
  }

  #columns(table: number): ReadonlySet<number> | undefined {
    if (!this.#shown.has(table)) {
      const newest = this.#catalog.tableById(table);
      const rule = newest && this.#placed.family.tables.get(newest.table.name);
      // A table that the family does not have has no rows in its buckets.
      this.#shown.set(table, newest && shownColumns(rule?.columns, newest));
    }
    return this.#shown.get(table);
  }
}

async function through(
  stream: CompressionStream | DecompressionStream,
  bytes: Uint8Array,
  nextTurn: () => Promise<void>,
): Promise<Uint8Array> {
  const writer = stream.writable.getWriter();
  const write = async () => {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      await writer.write(new Uint8Array(bytes.subarray(at, at + PIECE_BYTES)));
      await nextTurn();
    }
    await writer.close();
  };
  const [result] = await Promise.all([new Response(stream.readable).arrayBuffer(), write()]);
  return new Uint8Array(result);
}

/** Writes a chunk. */
export async function writeChunk(
  changes: readonly RowChange[],
  nextTurn: () => Promise<void>,
): Promise<Uint8Array> {
  const page = encodePullResult({
    changes,
    cursor: "",
    complete: false,
    lastMutationId: 0,
    serverHlc: ZERO_HLC,
  });
  await nextTurn();
  return await through(new CompressionStream("gzip"), page, nextTurn);
}

/** Reads a chunk. */
export async function readChunk(
  chunk: Uint8Array,
  nextTurn: () => Promise<void>,
): Promise<readonly RowChange[]> {
  const page = await through(new DecompressionStream("gzip"), chunk, nextTurn);
  return decodePullResult(page).changes;
}

/** Hashes the name of a row to 32 bits. */
export function hashName(name: string): number {
  return rowHash(name);
}

/** Writes the hashes of a chunk's rows. */
export function writeIndex(names: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(names.length * HASH_BYTES);
  const view = new DataView(bytes.buffer);
  names.forEach((name, i) => view.setUint32(i * HASH_BYTES, hashName(name)));
  return bytes;
}

/**
 * Finds rows that a chunk may hold.
 *
 * @param index what {@linkcode writeIndex} wrote
 * @param wanted names by their hashes
 */
export function findInIndex(
  index: Uint8Array,
  wanted: ReadonlyMap<number, readonly string[]>,
): readonly string[] {
  const view = new DataView(index.buffer, index.byteOffset, index.byteLength);
  const found: string[] = [];
  for (let at = 0; at < index.length; at += HASH_BYTES) {
    const names = wanted.get(view.getUint32(at));
    if (names !== undefined) found.push(...names);
  }
  return found;
}
