/**
 * A model of a lake as a destination: objects that are written whole, and snapshots that exist when
 * the next metadata object was created where none was. The snapshot names the data objects and the
 * flush position, so both come into force with one object. Data objects of commits that failed stay,
 * and nobody reads them.
 *
 * @module
 */

import type {
  Destination,
  DestinationKey,
  DestinationSchema,
  FlushBatch,
  FlushPosition,
  Move,
} from "@lakesync/adapters";
import type { TableRows } from "../history.ts";
import {
  checkPosition,
  type Content,
  NO_CONTENT,
  rowsOf,
  unsettledOf,
  withBatch,
  withRefill,
  withRewind,
} from "./content.ts";
import { calling, type DestinationWorld } from "./faults.ts";

/** A data object. */
type DataObject =
  | { readonly kind: "changes"; readonly batch: FlushBatch }
  | { readonly kind: "rewind" | "refill"; readonly move: Move };

/** A metadata object. */
interface Snapshot {
  /** Its number, from 1; 0 is the lake before its first snapshot. */
  readonly version: number;
  /** The keys of its data objects, oldest first. */
  readonly data: readonly string[];
  readonly position: FlushPosition | undefined;
  readonly schema: DestinationSchema;
}

const EMPTY: Snapshot = {
  version: 0,
  data: [],
  position: undefined,
  schema: NO_CONTENT.schema,
};

/** A lake in memory. */
export class ModelLake implements Destination {
  readonly name: string;
  readonly #world: DestinationWorld;
  readonly #data = new Map<string, DataObject>();
  readonly #metadata = new Map<string, Snapshot>();
  #names = 0;
  #read: { readonly data: readonly string[]; readonly content: Content } = {
    data: [],
    content: NO_CONTENT,
  };

  /**
   * @param name its name
   * @param world chance, time and faults
   */
  constructor(name: string, world: DestinationWorld) {
    this.name = name;
    this.#world = world;
  }

  async position(): Promise<FlushPosition | undefined> {
    return (await this.#snapshot()).position;
  }

  async unsettled(limit: number): Promise<readonly DestinationKey[]> {
    return unsettledOf(this.#content(await this.#snapshot()), limit);
  }

  async ensureSchema(schema: DestinationSchema): Promise<void> {
    const base = await this.#snapshot();
    if (schema.version > base.schema.version) await this.#create({ ...base, schema });
  }

  async insertDeltas(batch: FlushBatch): Promise<void> {
    await this.#commit(batch, { kind: "changes", batch });
  }

  async rewind(move: Move): Promise<void> {
    await this.#commit(move, { kind: "rewind", move });
  }

  async refill(move: Move): Promise<void> {
    await this.#commit(move, { kind: "refill", move });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** How many data objects there are that no snapshot names. */
  get orphans(): number {
    return this.#data.size - this.#latest().data.length;
  }

  /** Every change it holds, by its identity, in the order it was written. */
  deltaIds(): readonly string[] {
    return [...this.#content(this.#latest()).changes.keys()];
  }

  /** The rows of its tables, by name and rowId. */
  rows(): TableRows {
    return rowsOf(this.#content(this.#latest()));
  }

  async #commit(move: Move, object: DataObject): Promise<void> {
    const base = await this.#snapshot();
    checkPosition({ ...NO_CONTENT, position: base.position }, move);
    const key = `data/${++this.#names}`;
    await calling(this.#world, "put", () => void this.#data.set(key, object));
    await this.#create({ ...base, data: [...base.data, key], position: move.to });
  }

  /** Creates the next metadata object, if nobody has. */
  async #create(base: Snapshot): Promise<void> {
    const snapshot = { ...base, version: base.version + 1 };
    const key = `metadata/v${snapshot.version}.json`;
    await calling(this.#world, "create", () => {
      if (this.#metadata.has(key)) throw new Error(`The object ${key} is there already`);
      this.#metadata.set(key, snapshot);
    });
  }

  #snapshot(): Promise<Snapshot> {
    return calling(this.#world, "get", () => this.#latest());
  }

  #latest(): Snapshot {
    return this.#metadata.get(`metadata/v${this.#metadata.size}.json`) ?? EMPTY;
  }

  /** Reads the data objects of a snapshot, those that the one before had not. */
  #content({ data, position, schema }: Snapshot): Content {
    const isNext = this.#read.data.every((key, i) => key === data[i]);
    let { content } = isNext ? this.#read : { content: NO_CONTENT };
    for (const key of isNext ? data.slice(this.#read.data.length) : data) {
      const object = this.#data.get(key);
      if (object === undefined) throw new Error(`The object ${key} is not there`);
      content = object.kind === "changes"
        ? withBatch(content, object.batch)
        : object.kind === "rewind"
        ? withRewind(content, object.move)
        : withRefill(content, object.move);
    }
    this.#read = { data, content };
    return { ...content, position, schema };
  }
}
