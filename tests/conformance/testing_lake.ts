/**
 * A lake that is read back as its specification says: all rows of the tables of changes, found
 * through the catalog, folded in the order of their places. So the suite holds what is in the objects
 * against what was sent.
 *
 * @module
 */

import {
  type Capabilities,
  type DatabaseAdapter,
  type DeltaPage,
  type DestinationKey,
  type FlushPosition,
  type LatestState,
  memoryAdapter,
  MemoryData,
  type ObjectStore,
  type Place,
} from "@lakesync/adapters";
import { lakeAdapter, lakeLocation } from "@lakesync/adapters/lake";
import { DelegateAdapter } from "../../adapters/delegate.ts";
import { comparePlaces } from "../../adapters/place.ts";
import { objectCatalog } from "../../adapters/lake/catalog/object_catalog.ts";
import { changesFiles } from "../../adapters/lake/flush/change_files.ts";
import { readChangeRows } from "../../adapters/lake/flush/change_batch.ts";
import { decodeChangeRow, type DecodedRow } from "../../adapters/lake/flush/changes.ts";
import type { Lake } from "../../adapters/lake/flush/lake.ts";
import { CHANGE_FIELDS, changesSchema, OTHER_FIELDS } from "../../adapters/lake/flush/layout.ts";
import { PROPERTY } from "../../adapters/lake/flush/properties.ts";
import { loadTables } from "../../adapters/lake/flush/tables.ts";
import { unknownTable } from "../../adapters/lake/flush/write_batch.ts";
import { readAt } from "../../adapters/lake/iceberg/lake_files.ts";
import { openParquetReader, openParquetWriter } from "../../adapters/lake/parquet/mod.ts";

/** The place of tests' lakes. */
export const LOCATION: ReturnType<typeof lakeLocation> = lakeLocation("memory://lake");

/** A lake's adapter over objects. */
export function lakeOver(store: ObjectStore, now: () => number = Date.now): DatabaseAdapter {
  return lakeAdapter({
    store,
    location: LOCATION,
    namespace: "main",
    writer: WRITER,
    reader: READER,
    now,
    nextTurn: () => Promise.resolve(),
  });
}

/** Kept open for all tests, since each one that is opened needs memory for good. */
const WRITER = { ...openParquetWriter({ thread: false }), close: () => Promise.resolve() };
const READER = { ...openParquetReader({ thread: false }), close: () => Promise.resolve() };

/** Where a lake is. */
export interface LakePlace {
  readonly location: ReturnType<typeof lakeLocation>;
  readonly namespace: string;
}

/** Where tests' lakes are. */
export const PLACE: LakePlace = { location: LOCATION, namespace: "main" };

/** What reads a lake's objects. */
export function readingLake(store: ObjectStore, { location, namespace }: LakePlace): Lake {
  const files = { store, location };
  return {
    ...files,
    catalog: objectCatalog(files),
    namespace,
    writer: WRITER,
    reader: READER,
    now: Date.now,
    nextTurn: () => Promise.resolve(),
  };
}

/** From which commit a lake was filled last; 0 when it never was. */
async function refilledFrom(store: ObjectStore, place: LakePlace): Promise<number> {
  const { main } = await loadTables(readingLake(store, place));
  return Number(main?.metadata.properties?.[PROPERTY.refillSeq] ?? 0);
}

/** Reads all rows of all tables of changes, in the order in which they were written. */
export async function lakeRows(
  store: ObjectStore,
  place: LakePlace = PLACE,
): Promise<readonly DecodedRow[]> {
  const lake = readingLake(store, place);
  const all: DecodedRow[] = [];
  for (const { loaded, layout } of (await loadTables(lake)).changes.values()) {
    const fields = layout === undefined
      ? [...CHANGE_FIELDS, ...OTHER_FIELDS]
      : changesSchema(layout).fields;
    const files = await changesFiles(lake, loaded);
    for (const { file } of files.toSorted((a, b) => a.sequenceNumber - b.sequenceNumber)) {
      const batch = await READER.read(await readAt(lake, file.filePath), fields);
      for (const { row, other } of readChangeRows(layout, batch)) {
        all.push(decodeChangeRow(layout ?? unknownTable(other.number), row));
      }
    }
  }
  return all;
}

/** What a lake's tables of changes say. */
export interface FoldedLake {
  /** The changes. */
  readonly changes: MemoryData;
  /** The rows: those that were filled last, with the changes after that. */
  readonly rows: MemoryData;
  /** The same of rows of changes in the order in which they were written, not of their places. */
  readonly written: MemoryData;
}

/** Reads a lake. */
export async function foldedLake(
  store: ObjectStore,
  position: FlushPosition | undefined,
  place: LakePlace = PLACE,
): Promise<FoldedLake> {
  const all = await lakeRows(store, place);
  const sorted = all.toSorted(compareRows);
  const refillSeq = await refilledFrom(store, place);
  const isNeeded = (row: DecodedRow) =>
    row.kind === "set" ? row.at.seq >= refillSeq : row.change.seq > refillSeq;
  return {
    changes: replayed(sorted.toSorted(compareStamps), position),
    rows: replayed(refillSeq === 0 ? sorted : sorted.filter(isNeeded), position),
    written: replayed(refillSeq === 0 ? all : all.filter(isNeeded), position),
  };
}

function replayed(rows: readonly DecodedRow[], position: FlushPosition | undefined): MemoryData {
  const data = new MemoryData();
  for (const row of rows) {
    const from = data.position;
    const to = { ...placeOf(row), lives: [], writer: "" };
    if (row.kind === "set") {
      data.insert({ from, to, rows: [row.row], changes: [], isWhole: true });
    } else {
      const { columnIds: _, ...change } = row.change;
      data.insert({ from, to, rows: [], changes: [change], isWhole: true });
    }
  }
  data.position = position;
  return data;
}

function placeOf(row: DecodedRow): Place {
  return row.kind === "set" ? row.at : row.change;
}

/** By place, and rows that are set after the changes of theirs. */
function compareRows(a: DecodedRow, b: DecodedRow): number {
  return comparePlaces(placeOf(a), placeOf(b)) ||
    Number(a.kind === "set") - Number(b.kind === "set");
}

/** Changes of one place are in several tables; the suite's are in the order of their stamps. */
function compareStamps(a: DecodedRow, b: DecodedRow): number {
  if (a.kind === "set" || b.kind === "set") return compareRows(a, b);
  return compareRows(a, b) || Number(a.change.hlc - b.change.hlc);
}

/** A lake that can be read. */
export class ReadLake extends DelegateAdapter {
  readonly #store: ObjectStore;

  /**
   * @param inner the lake
   * @param store its objects
   */
  constructor(inner: DatabaseAdapter, store: ObjectStore) {
    super("lake", inner);
    this.#store = store;
  }

  override get capabilities(): Capabilities {
    return { ...this.inner.capabilities, readable: true };
  }

  override async queryDeltasSince(after: Place, limit: number): Promise<DeltaPage> {
    return await memoryAdapter("read", (await this.#read()).changes).queryDeltasSince(after, limit);
  }

  override async getLatestState(
    keys: readonly DestinationKey[],
  ): Promise<readonly (LatestState | undefined)[]> {
    return await memoryAdapter("read", (await this.#read()).rows).getLatestState(keys);
  }

  override async scanState(
    after: DestinationKey | undefined,
    limit: number,
  ): Promise<readonly LatestState[]> {
    return await memoryAdapter("read", (await this.#read()).rows).scanState(after, limit);
  }

  async #read(): Promise<FoldedLake> {
    return await foldedLake(this.#store, await this.inner.position());
  }
}
