/**
 * Rows of a gateway that were copied at some time, as a source of rows for snapshots.
 *
 * @module
 */

import { memoryObjects } from "@lakesync/adapters";
import { memoryStores } from "../store/memory.ts";
import type { Store, StoreFactory } from "../store/store.ts";
import type { RowSource, SourceRow, SourceRows } from "./checkpoint_rows.ts";
import type { CheckpointSettings } from "./checkpoint_settings.ts";
import type { GatewayEnvironment } from "./environment.ts";
import type { Gateway } from "./gateway.ts";
import { lifeOf } from "./lives.ts";
import { CheckpointWorld } from "./testing_checkpoint.ts";

interface Copy {
  readonly rows: ReadonlyMap<number, readonly SourceRow[]>;
  readonly seq: number;
  readonly through: number;
  readonly places: SourceRows["places"];
}

const NOTHING: Copy = { rows: new Map(), seq: 0, through: 0, places: [] };

/** A source that follows a gateway when it is told to. */
export interface CopyingSource extends RowSource {
  /** Called before each page; set anew by tests. */
  onPage: () => Promise<void>;
  /** How many rows were read. */
  readonly reads: number;
  /**
   * Follows the gateway to where it is now.
   *
   * @param isNewer of which rows, where the source can tell; else in part
   */
  copy(isNewer?: (rowId: string) => boolean): Promise<void>;
}

/** Copied rows. */
export class CopiedRows implements CopyingSource {
  #copy: Copy = NOTHING;
  /** How many rows were read. */
  reads = 0;
  /** Called before each page; set anew by tests. */
  onPage: () => Promise<void> = () => Promise.resolve();

  /** @param gateway gives the gateway, once it is open */
  constructor(public gateway: () => Gateway) {}

  /**
   * Copies the rows as they are now.
   *
   * @param isNewer of which rows; the others stay as they were, and the copy is as old as those
   */
  async copy(isNewer?: (rowId: string) => boolean): Promise<void> {
    const { history } = this.gateway();
    const before = this.#copy;
    const rows = new Map<number, SourceRow[]>();
    const keep = (table: number, row: SourceRow) => {
      const all = rows.get(table) ?? [];
      rows.set(table, all);
      all.push(row);
    };
    let place: string | undefined = "";
    while (place !== undefined) {
      const page: Awaited<ReturnType<typeof history.walk>> = await history.walk(place, 100);
      for (const { key, isVisible, cells } of page.rows) {
        if (!isVisible || isNewer?.(key.rowId) === false) continue;
        const given = cells.flatMap(([column, value]): [number, typeof value][] =>
          value === null ? [] : [[column, value]]
        );
        keep(key.table, { rowId: key.rowId, cells: given });
      }
      place = page.place;
    }
    for (const [table, old] of isNewer === undefined ? [] : before.rows) {
      for (const row of old) if (!isNewer?.(row.rowId)) keep(table, row);
    }
    const { seq, lives } = await history.head();
    const now = { seq, life: lifeOf(lives, seq) };
    this.#copy = isNewer === undefined
      ? { rows, seq, through: seq, places: [now] }
      : { rows, seq: before.seq, through: seq, places: [...before.places, now] };
  }

  /** Changes a copied row, as a source that is wrong has it. */
  spoil(table: number, change: (row: SourceRow) => readonly SourceRow[]): void {
    const rows = new Map(this.#copy.rows);
    rows.set(table, (rows.get(table) ?? []).flatMap(change));
    this.#copy = { ...this.#copy, rows };
  }

  open(): Promise<SourceRows | undefined> {
    const { rows, ...copy } = this.#copy;
    return Promise.resolve({
      ...copy,
      read: (table) => this.#read(rows.get(table) ?? []),
    });
  }

  async *#read(rows: readonly SourceRow[]): AsyncGenerator<readonly SourceRow[]> {
    for (let at = 0; at < rows.length; at += 4) {
      await this.onPage();
      const page = rows.slice(at, at + 4);
      this.reads += page.length;
      yield page;
    }
  }
}

/** A world whose snapshots may be made of rows from elsewhere. */
export interface RowsWorld<Source extends RowSource = CopiedRows> extends AsyncDisposable {
  /** The world. */
  readonly world: CheckpointWorld;
  /** The source of rows. */
  readonly source: Source;
  /** What the gateway was told of that went wrong. */
  readonly failures: string[];
  /** How many rows the store has read. */
  readonly rowsRead: () => number;
}

/** Opens a world with a source that has nothing yet. */
export function openRowsWorld(
  settings: Partial<CheckpointSettings> = {},
  stores: StoreFactory = memoryStores(),
): Promise<RowsWorld> {
  return openWorldWith((gateway) => new CopiedRows(gateway), settings, stores);
}

/**
 * Opens a world with a source.
 *
 * @param open makes the source; it is given what gives the gateway, once that is open
 * @param settings of checkpoints
 * @param stores keep the data
 * @param env what of the world is not to be as usual
 */
export async function openWorldWith<Source extends RowSource>(
  open: (gateway: () => Gateway) => Source,
  settings: Partial<CheckpointSettings> = {},
  stores: StoreFactory = memoryStores(),
  env: Partial<GatewayEnvironment> = {},
): Promise<RowsWorld<Source>> {
  const failures: string[] = [];
  const held: { world?: CheckpointWorld; store?: Store } = {};
  const source = open(() => {
    if (held.world === undefined) throw new Error("The world is not open yet");
    return held.world.gateway;
  });
  const factory: StoreFactory = {
    kind: stores.kind,
    list: () => stores.list(),
    close: () => stores.close(),
    open: async (gatewayId, create) => {
      const store = await stores.open(gatewayId, create);
      if (gatewayId === "Notes" && store !== undefined) held.store = store;
      return store;
    },
  };
  const world = await CheckpointWorld.open(
    { rowsOf: () => source, ...settings },
    factory,
    memoryObjects(),
    { ...env, onError: (what, error) => failures.push(`${what}: ${error}`) },
  );
  held.world = world;
  return {
    world,
    source,
    failures,
    rowsRead: () => held.store?.counters.rowsRead ?? 0,
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}
