/**
 * A lake of JSON that is read back as its documentation says: its objects in their order, what was
 * given up left out, and rows from the last filling on.
 *
 * @module
 */

import {
  type Capabilities,
  type Change,
  type DatabaseAdapter,
  type DeltaPage,
  type DestinationKey,
  type FlushPosition,
  type LatestState,
  memoryAdapter,
  MemoryData,
  type ObjectStore,
  type Place,
  type RowEffect,
} from "@lakesync/adapters";
import { DelegateAdapter } from "../../adapters/delegate.ts";
import { jsonLakeAdapter } from "../../adapters/lake/json/adapter.ts";
import {
  changeOf,
  type Envelope,
  rowOf,
  unpackEnvelope,
} from "../../adapters/lake/json/envelope.ts";

/** What was written at a place: rows that were set, or a change. */
type Entry =
  | { readonly at: FlushPosition; readonly rows: readonly RowEffect[] }
  | { readonly at: FlushPosition; readonly change: Change };

/** What the objects say, in their order. */
export async function readEnvelopes(store: ObjectStore): Promise<readonly Envelope[]> {
  const keys: string[] = [];
  for await (const { key } of store.listObjects("main/changes")) keys.push(key);
  const all: Envelope[] = [];
  for (const key of keys.sort()) {
    const bytes = await store.getObject(key);
    if (bytes !== undefined) all.push(await unpackEnvelope(bytes));
  }
  return all;
}

function replayed(entries: readonly Entry[], position: FlushPosition | undefined): MemoryData {
  const data = new MemoryData();
  for (const entry of entries) {
    const [rows, changes] = "rows" in entry ? [entry.rows, []] : [[], [entry.change]];
    data.insert({ from: data.position, to: entry.at, rows, changes, isWhole: true });
  }
  data.position = position;
  return data;
}

async function read(store: ObjectStore): Promise<{ changes: MemoryData; rows: MemoryData }> {
  let entries: Entry[] = [];
  let from = 0;
  let position: FlushPosition | undefined;
  for (const { kind, position: at, rows, deltas } of await readEnvelopes(store)) {
    position = at;
    if (kind === "rewind") entries = entries.filter((entry) => entry.at.seq <= at.seq);
    if (kind === "refill") from = entries.length;
    if (rows.length > 0) entries.push({ at, rows: rows.map(rowOf) });
    for (const delta of deltas) {
      const { seq, slice } = delta;
      entries.push({ at: { seq, slice, lives: [], writer: "" }, change: changeOf(delta) });
    }
    from = Math.min(from, entries.length);
  }
  return {
    changes: replayed(entries, position),
    rows: replayed(entries.slice(from), position),
  };
}

/** A lake of JSON that can be read. */
export class ReadJsonLake extends DelegateAdapter {
  readonly #store: ObjectStore;

  /** @param store its objects */
  constructor(store: ObjectStore) {
    super("lake", jsonLakeAdapter({ store, namespace: "main" }));
    this.#store = store;
  }

  /** The same, as it is. */
  get unread(): DatabaseAdapter {
    return this.inner;
  }

  override get capabilities(): Capabilities {
    return { ...this.inner.capabilities, readable: true };
  }

  override async queryDeltasSince(after: Place, limit: number): Promise<DeltaPage> {
    const { changes } = await read(this.#store);
    return await memoryAdapter("read", changes).queryDeltasSince(after, limit);
  }

  override async getLatestState(
    keys: readonly DestinationKey[],
  ): Promise<readonly (LatestState | undefined)[]> {
    const { rows } = await read(this.#store);
    return await memoryAdapter("read", rows).getLatestState(keys);
  }

  override async scanState(
    after: DestinationKey | undefined,
    limit: number,
  ): Promise<readonly LatestState[]> {
    const { rows } = await read(this.#store);
    return await memoryAdapter("read", rows).scanState(after, limit);
  }
}
