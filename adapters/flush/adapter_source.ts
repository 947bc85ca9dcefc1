/**
 * An adapter as what destinations follow. It keeps changes and rows, but not what each change made of
 * its row. So where a row has changed since, its change only unsettles it, and the row is set once
 * all of its changes have arrived: no row is ever ahead of the position of who follows.
 *
 * @module
 */

import {
  type DatabaseAdapter,
  DestinationError,
  type DestinationKey,
  type DestinationSchema,
  type FlushPosition,
  type LatestState,
  type RowEffect,
  type StoredChange,
} from "../adapter.ts";
import { comparePlaces, nameOfKey } from "../place.ts";
import { entriesOf, sinceWhen } from "./adapter_pages.ts";
import { partedAfter } from "./resume.ts";
import type { ChangeSource, SourceNews, SourcePage, SourceWalk } from "./source.ts";

const NOWHERE: FlushPosition = { seq: 0, lives: [], writer: "" };

const NOTHING: SourcePage = { entries: [], trimmed: false, throughSeq: 0 };

/** An adapter that is followed. */
export interface AdapterSource extends ChangeSource {
  /** To be called when something may have been written to it. */
  tell(news: SourceNews): void;
}

/**
 * Lets destinations follow an adapter.
 *
 * While the adapter has rows that are not settled, or is being filled itself, rows cannot be read;
 * who asks is told to come again later.
 *
 * @param adapter the adapter
 */
export function adapterSource(adapter: DatabaseAdapter): AdapterSource {
  const listeners = new Set<(news: SourceNews) => void>();
  let schema: DestinationSchema = { version: 0, tables: [] };

  /** Reads while the adapter stays in one history. */
  async function steadily<T>(read: (before: FlushPosition) => Promise<T>): Promise<T> {
    const before = whole(adapter, await adapter.position());
    const result = await read(before);
    schema = await adapter.schema() ?? schema;
    const after = whole(adapter, await adapter.position());
    const isOn = comparePlaces(after, before) >= 0 &&
      partedAfter(after.lives, before) === before.seq;
    if (isOn) return result;
    throw new DestinationError("now", `${adapter.name} went back, it is read again`);
  }

  /** Whether all rows are set. To be asked before they are read: until then one may be set again. */
  async function isSettled(): Promise<boolean> {
    return (await adapter.unsettled(1)).length === 0;
  }

  async function settled<T>(read: () => Promise<T>): Promise<T> {
    return await steadily(async () => {
      if (await isSettled()) return await read();
      throw new DestinationError("later", `${adapter.name} has rows that are still to be set`);
    });
  }

  return {
    get schema() {
      return schema;
    },
    async head() {
      const { seq, lives } = await adapter.position() ?? NOWHERE;
      return { seq, lives };
    },
    async read(after, limit) {
      if (await isEmpty(adapter)) {
        if (after.seq === 0) return NOTHING;
        throw new DestinationError("later", `${adapter.name} is still empty`);
      }
      return await steadily(async (position) => {
        const page = await adapter.queryDeltasSince(after, limit.changes);
        const trimmed = page.isTrimmed || sinceWhen(after) < (position.floor ?? 0);
        if (trimmed) {
          const keptAfter = Math.max(await adapter.forgottenSeq(), position.floor ?? 0);
          return { entries: [], trimmed, throughSeq: 0, keptAfter };
        }
        const { groups, isEnd } = await entriesOf(adapter, page, position, limit);
        const areSettled = await isSettled();
        const rows = await rowsOf(adapter, groups.flatMap(({ changes }) => changes));
        const effects = effectsOf(rows, areSettled);
        const entries = groups.map(({ changes, ...entry }) => ({
          ...entry,
          changes: changes.map((change) => ({ ...change, ...effects(change) })),
        }));
        const last = entries.at(-1);
        const read = last === undefined ? 0 : last.last ? last.seq : last.seq - 1;
        return { entries, trimmed, throughSeq: isEnd ? wholeSeq(position) : read };
      });
    },
    rows: (keys) =>
      settled(async () => {
        const rows = await adapter.getLatestState(keys);
        return {
          rows: keys.map((key, i) => rowEffect(rows[i] ?? { key, isVisible: false, cells: [] })),
          seq: newest(rows),
        };
      }),
    walk: (after, limit) =>
      settled(async (): Promise<SourceWalk> => {
        const rows = await adapter.scanState(after === "" ? undefined : parsePlace(after), limit);
        const last = rows.at(-1);
        const place = last === undefined || rows.length < limit ? undefined : placeOf(last.key);
        return { rows: rows.map(rowEffect), seq: newest(rows), place };
      }),
    keepAfter: () => () => {},
    onCommit: (listener) => {
      const own = (news: SourceNews) => listener(news);
      listeners.add(own);
      return () => listeners.delete(own);
    },
    tell: (news) => {
      for (const listener of listeners) listener(news);
    },
  };
}

/** Where an adapter stands that has all of its rows. */
function whole(adapter: DatabaseAdapter, position: FlushPosition = NOWHERE): FlushPosition {
  const { seq, filled, floor = 0 } = position;
  if (filled === undefined && seq >= floor) return position;
  throw new DestinationError("later", `${adapter.name} is being filled`);
}

/**
 * Tells whether an adapter holds nothing. It may have been put in the place of another and is about
 * to be filled: nobody who follows it is to give up anything for that.
 */
async function isEmpty(adapter: DatabaseAdapter): Promise<boolean> {
  const { seq, floor } = await adapter.position() ?? NOWHERE;
  return seq === 0 && floor === undefined && (await adapter.scanState(undefined, 1)).length === 0;
}

function wholeSeq({ seq, slice }: { readonly seq: number; readonly slice?: number }): number {
  return slice === undefined ? seq : seq - 1;
}

function newest(rows: readonly (LatestState | undefined)[]): number {
  return rows.reduce((seq, row) => Math.max(seq, row?.seq ?? 0), 0);
}

function rowEffect({ key, isVisible, cells }: Omit<RowEffect, "replaces">): RowEffect {
  return { key, isVisible, replaces: true, cells };
}

/** Rows that changes touched, by their names. */
async function rowsOf(
  adapter: DatabaseAdapter,
  changes: readonly StoredChange[],
): Promise<ReadonlyMap<string, LatestState>> {
  const keys = new Map<string, DestinationKey>();
  for (const { key } of changes) if (key !== undefined) keys.set(nameOfKey(key), key);
  const rows = keys.size === 0 ? [] : await adapter.getLatestState([...keys.values()]);
  return new Map(rows.flatMap((row) => row === undefined ? [] : [[nameOfKey(row.key), row]]));
}

/**
 * What changes made of their rows. A change after which its row did not change any more made of it
 * what it is now.
 */
function effectsOf(
  rows: ReadonlyMap<string, LatestState>,
  areSettled: boolean,
): (change: StoredChange) => { effect: RowEffect | undefined; unsettles?: DestinationKey } {
  return ({ key, seq }) => {
    if (key === undefined) return { effect: undefined };
    const row = rows.get(nameOfKey(key));
    if (!areSettled || row === undefined || row.seq > seq) {
      return { effect: undefined, unsettles: key };
    }
    return { effect: rowEffect(row) };
  };
}

function placeOf({ table, rowId }: DestinationKey): string {
  return JSON.stringify([table, rowId]);
}

function parsePlace(place: string): DestinationKey {
  const [table, rowId]: readonly unknown[] = JSON.parse(place);
  return { table: Number(table), rowId: String(rowId) };
}
