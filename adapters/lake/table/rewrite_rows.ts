/**
 * Brings images of rows into the files of a table of rows. Files are read and written one after the
 * other, so the memory it takes is that of a few files and of what changed.
 *
 * @module
 */

import { type Column, gather, isNull, slice } from "../columns/mod.ts";
import type { LakeTable } from "../flush/layout.ts";
import { keyAt, readAt } from "../iceberg/lake_files.ts";
import type { DataFile } from "../iceberg/manifest.ts";
import { currentSchema, type TableMetadata } from "../iceberg/metadata.ts";
import type { LakeField } from "../iceberg/schema.ts";
import { fromTableSchema, schemaText } from "../iceberg/schema_json.ts";
import type { FileChanges } from "../iceberg/summary.ts";
import type { ColumnBatch } from "../parquet/parquet.ts";
import { buildRows, type FoldedChanges, keyFields, NONE } from "./build_rows.ts";
import { byKey, findRows, imagesOf, keysOf, type TouchedRows } from "./find_rows.ts";
import { type FileReading, type LiveFile, readFields, writeGone } from "./live_files.ts";
import { mergeInTurns, Pace, sortInTurns } from "./pace.ts";
import { DEFAULT_REWRITE, fateOf, type RewriteSettings, rowsPerFile } from "./rewrite_plan.ts";
import { compareRowKeys, type RowKey } from "./row_key.ts";
import { type FileWriting, writeRows } from "./write_file.ts";

/** How files of rows are written. */
export interface RowFileSettings extends RewriteSettings {
  /** A file has about so many bytes at most. */
  readonly targetBytes: number;
}

/** What holds unless configured otherwise. */
export const DEFAULT_ROW_FILES: RowFileSettings = {
  ...DEFAULT_REWRITE,
  targetBytes: 24 * 1024 * 1024,
};

/** The table that is written. */
export interface RowsTarget {
  /** What it is in LakeSync. */
  readonly table: LakeTable;
  /** What it is in the catalog. */
  readonly metadata: TableMetadata;
  /** Its files. */
  readonly files: readonly LiveFile[];
  /** The object with rows that are not visible but have cells. */
  readonly hidden: string | undefined;
}

/** What a commit is to change. */
export interface RowChanges extends FileChanges {
  /** The object with rows that are not visible but have cells, from then on. */
  readonly hidden: string | undefined;
  /** How many rows are in it; undefined when it is the one of before. */
  readonly hiddenRows: number | undefined;
}

/** Rows that were built. */
interface Built {
  readonly batch: ColumnBatch;
  readonly keys: readonly RowKey[];
}

/**
 * Writes the files that have the images in them.
 *
 * @param lake what reads and writes files
 * @param target the table
 * @param folded the images
 * @param settings how files are written
 */
export async function rewriteRows(
  lake: FileReading & FileWriting,
  target: RowsTarget,
  folded: FoldedChanges,
  settings: RowFileSettings = DEFAULT_ROW_FILES,
): Promise<RowChanges> {
  return await new Rewriting(lake, target, folded, settings).run();
}

class Rewriting {
  readonly #lake: FileReading & FileWriting;
  readonly #target: RowsTarget;
  readonly #folded: FoldedChanges;
  readonly #settings: RowFileSettings;
  readonly #fields: readonly LakeField[];
  readonly #pace: Pace;
  #sorted: readonly number[] = [];
  readonly #added: DataFile[] = [];
  readonly #removed: DataFile[] = [];
  /** Rows for new files. */
  readonly #shown: Built[] = [];
  /** Rows that nobody sees. */
  readonly #hidden: Built[] = [];
  /** Which images are in a file, or in the hidden object. */
  readonly #isPlaced: Uint8Array;
  /** Whether rows are gone from the hidden ones. */
  #isHiddenLess = false;

  constructor(
    lake: FileReading & FileWriting,
    target: RowsTarget,
    folded: FoldedChanges,
    settings: RowFileSettings,
  ) {
    this.#lake = lake;
    this.#target = target;
    this.#folded = folded;
    this.#settings = settings;
    this.#fields = fromTableSchema(currentSchema(target.metadata)).fields;
    this.#pace = new Pace(lake.nextTurn);
    this.#isPlaced = new Uint8Array(folded.images.size);
  }

  async run(): Promise<RowChanges> {
    const { table, files } = this.#target;
    const [lake, folded, pace] = [this.#lake, this.#folded, this.#pace];
    this.#sorted = await byKey(folded, pace);
    const touched = await findRows(lake, table, files, folded, this.#sorted, pace);
    for (const { hits } of touched) for (const image of hits.values()) this.#isPlaced[image] = 1;
    const hidden = await this.#takeHidden();
    for (const rows of touched) {
      if (this.#fate(rows) === "rewrite") await this.#rewrite(rows);
      else await this.#delete(rows);
    }
    await this.#addNew();
    await this.#writeShown();
    return { added: this.#added, removed: this.#removed, ...await this.#writeHidden(hidden) };
  }

  #fate({ file, gone, hits }: TouchedRows): ReturnType<typeof fateOf> {
    const { fileSizeInBytes: bytes, recordCount: rows } = file.entry.dataFile;
    return fateOf({ bytes, rows, gone: gone.size, touched: hits.size }, this.#settings);
  }

  /** Writes a file anew, with new rows that are among its own. */
  async #rewrite({ file, gone, hits, range }: TouchedRows): Promise<void> {
    const { dataFile } = file.entry;
    const base = await readFields(this.#lake, dataFile, this.#fields);
    const keys = await keysOf(this.#target.table, base, this.#pace);
    const kept: [row: number, image: number][] = [];
    for (let row = 0; row < base.length; row++) {
      if (this.#pace.isOver()) await this.#pace.rest();
      if (gone.has(row)) continue;
      const image = hits.get(row) ?? NONE;
      if (image === NONE || this.#folded.images.isVisible(image)) kept.push([row, image]);
    }
    const added = this.#newWithin(range).map((image): [number, number] => [NONE, image]);
    const keyOf = ([row, image]: readonly [number, number]) =>
      (row === NONE ? this.#folded.keys[image] : keys[row]) ?? [];
    const compare = (a: readonly [number, number], b: readonly [number, number]) =>
      compareRowKeys(keyOf(a), keyOf(b));
    const all = await mergeInTurns(kept, added, compare, this.#pace);
    for (const part of this.#parts(all)) {
      const batch = await this.#build(base, part);
      this.#added.push(await writeRows(this.#lake, this.#target.metadata, batch));
    }
    await this.#hide(base, hits);
    this.#removed.push(dataFile, ...file.deletes);
  }

  /** Takes rows of a file away, and keeps what becomes of them for new files. */
  async #delete({ file, gone, hits }: TouchedRows): Promise<void> {
    const { dataFile } = file.entry;
    const places = [...gone, ...hits.keys()].sort((a, b) => a - b);
    const { metadata } = this.#target;
    this.#added.push(await writeGone(this.#lake, metadata, dataFile.filePath, places));
    this.#removed.push(...file.deletes);
    const shown = [...hits].filter(([, image]) => this.#folded.images.isVisible(image));
    const isNeeded = [...hits.values()].some((image) => this.#folded.images.needsBefore(image));
    const base = isNeeded ? await readFields(this.#lake, dataFile, this.#fields) : undefined;
    if (shown.length > 0) await this.#keep(this.#shown, base, shown);
    await this.#hide(base, hits);
  }

  /** Keeps what is left of rows that nobody sees. */
  async #hide(
    base: ColumnBatch | undefined,
    hits: Iterable<readonly [number, number]>,
  ): Promise<void> {
    const { images } = this.#folded;
    const left = [...hits].filter(([, image]) =>
      !images.isVisible(image) && (images.needsBefore(image) || images.hasValues(image))
    );
    if (left.length > 0) await this.#keep(this.#hidden, base, left);
  }

  async #keep(
    list: Built[],
    base: ColumnBatch | undefined,
    rows: readonly (readonly [row: number, image: number])[],
  ): Promise<void> {
    const picks = base === undefined ? rows.map(([, image]) => [NONE, image] as const) : rows;
    const keys = rows.map(([, image]) => this.#folded.keys[image] ?? []);
    list.push({ batch: await this.#build(base, picks), keys });
  }

  #build(
    base: ColumnBatch | undefined,
    rows: readonly (readonly [row: number, image: number])[],
  ): Promise<ColumnBatch> {
    const picks = { bases: rows.map(([row]) => row), images: rows.map(([, image]) => image) };
    const { table } = this.#target;
    return buildRows(table, this.#fields, base, this.#folded, picks, this.#pace);
  }

  /** New rows whose keys are in a range; each is given once. */
  #newWithin([low, high]: TouchedRows["range"]): readonly number[] {
    const { keys, images } = this.#folded;
    const found: number[] = [];
    for (let i = firstAt(this.#sorted, keys, low); i < this.#sorted.length; i++) {
      const image = this.#sorted[i] ?? NONE;
      if (compareRowKeys(keys[image] ?? [], high) > 0) break;
      if (this.#isPlaced[image] !== 0 || !images.isVisible(image)) continue;
      this.#isPlaced[image] = 1;
      found.push(image);
    }
    return found;
  }

  /** What is left has no row yet. */
  async #addNew(): Promise<void> {
    const left = this.#sorted.filter((image) => this.#isPlaced[image] === 0)
      .map((image): [number, number] => [NONE, image]);
    const shown = left.filter(([, image]) => this.#folded.images.isVisible(image));
    if (shown.length > 0) await this.#keep(this.#shown, undefined, shown);
    await this.#hide(undefined, left);
  }

  async #writeShown(): Promise<void> {
    const batch = await this.#sortedRows(this.#shown);
    if (batch === undefined) return;
    const places = Array.from({ length: batch.length }, (_, row) => row);
    for (const part of this.#parts(places)) {
      const [from = 0, to = 0] = [part[0], part.at(-1)];
      const one = places.length === part.length ? batch : rowsOf(batch, from, to + 1);
      this.#added.push(await writeRows(this.#lake, this.#target.metadata, one));
    }
  }

  /** Puts rows together, sorted by key. */
  async #sortedRows(built: readonly Built[]): Promise<ColumnBatch | undefined> {
    const unsorted = built.flatMap(({ keys }, batch) =>
      keys.map((key, row) => ({ key, batch, row }))
    );
    if (unsorted.length === 0) return undefined;
    const compare = (a: { readonly key: RowKey }, b: { readonly key: RowKey }) =>
      compareRowKeys(a.key, b.key);
    const rows = await sortInTurns(unsorted, compare, this.#pace);
    const picks = { batches: rows.map(({ batch }) => batch), rows: rows.map(({ row }) => row) };
    const columns: Column[] = [];
    for (const i of this.#fields.keys()) {
      columns.push(gather(built.flatMap(({ batch }) => batch.columns[i] ?? []), picks));
      await this.#pace.rest();
    }
    return { fields: this.#fields, length: rows.length, columns };
  }

  /** Parts of about one size, none too large for a file. */
  #parts<T>(rows: readonly T[]): readonly (readonly T[])[] {
    if (rows.length === 0) return [];
    const known = this.#target.files.map(({ entry: { dataFile } }) => ({
      bytes: dataFile.fileSizeInBytes,
      rows: dataFile.recordCount,
    }));
    const large = known.filter(({ rows }) => rows >= 1_000);
    const most = rowsPerFile(this.#settings.targetBytes, large, 16 * this.#fields.length);
    const parts = Math.ceil(rows.length / most);
    const each = Math.ceil(rows.length / parts);
    return Array.from({ length: parts }, (_, i) => rows.slice(i * each, (i + 1) * each))
      .filter((part) => part.length > 0);
  }

  /** Reads the rows that nobody saw, and parts those that change from the others. */
  async #takeHidden(): Promise<Built | undefined> {
    const { hidden, table } = this.#target;
    if (hidden === undefined) return undefined;
    const batch = await this.#lake.reader.read(await readAt(this.#lake, hidden), this.#fields);
    const keys = await keysOf(table, batch, this.#pace);
    const hits = await imagesOf(keys, this.#folded, this.#pace);
    const { images } = this.#folded;
    const changed = [...hits].filter(([, image]) => this.#isPlaced[image] === 0);
    for (const [, image] of changed) this.#isPlaced[image] = 1;
    const shown = changed.filter(([, image]) => images.isVisible(image));
    if (shown.length > 0) await this.#keep(this.#shown, batch, shown);
    await this.#hide(batch, changed);
    const left = keys.flatMap((key, row) => hits.has(row) ? [] : [{ key, row }]);
    if (left.length === keys.length) return { batch, keys };
    this.#isHiddenLess = true;
    const rows = left.map(({ row }): [number, number] => [row, NONE]);
    return { batch: await this.#build(batch, rows), keys: left.map(({ key }) => key) };
  }

  async #writeHidden(
    before: Built | undefined,
  ): Promise<Pick<RowChanges, "hidden" | "hiddenRows">> {
    const { hidden, metadata } = this.#target;
    const cells = new Set(keyFields(this.#target.table).map(({ id }) => id));
    const built = this.#hidden.map(({ batch, keys }) => withCells(batch, keys, cells));
    const added = built.filter(({ keys }) => keys.length > 0);
    const isSame = !this.#isHiddenLess && added.length === 0;
    if (isSame) return { hidden, hiddenRows: undefined };
    const all = before === undefined ? added : [before, ...added];
    const batch = await this.#sortedRows(all);
    if (batch === undefined) return { hidden: undefined, hiddenRows: 0 };
    const name = `${metadata.location}/data/hidden-${crypto.randomUUID()}.parquet`;
    const text = schemaText({ fields: this.#fields });
    const length = batch.length;
    const file = await this.#lake.writer.write(batch, {
      metadata: new Map([["iceberg.schema", text]]),
    });
    await this.#lake.store.putObject(keyAt(this.#lake, name), file.bytes);
    return { hidden: name, hiddenRows: length };
  }
}

/** The place of the first image whose key is not below one. */
function firstAt(sorted: readonly number[], keys: readonly RowKey[], key: RowKey): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareRowKeys(keys[sorted[middle] ?? NONE] ?? [], key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Those rows that have a cell beside the key's. */
function withCells(
  batch: ColumnBatch,
  keys: readonly RowKey[],
  keyIds: ReadonlySet<number>,
): Built {
  const cells = batch.columns.filter((_, i) => !keyIds.has(batch.fields[i]?.id ?? 0));
  const rows = keys.flatMap((_, row) => cells.some((column) => !isNull(column, row)) ? [row] : []);
  if (rows.length === keys.length) return { batch, keys };
  const picks = { batches: rows.map(() => 0), rows };
  const columns = batch.columns.map((column) => gather([column], picks));
  return {
    batch: { fields: batch.fields, length: rows.length, columns },
    keys: rows.map((row) => keys[row] ?? []),
  };
}

function rowsOf(batch: ColumnBatch, from: number, to: number): ColumnBatch {
  const columns = batch.columns.map((column) => slice(column, from, to));
  return { fields: batch.fields, length: to - from, columns };
}
