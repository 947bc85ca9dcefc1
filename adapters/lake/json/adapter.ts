/**
 * A lake of JSON as a destination, for those that want no tables: each batch is one gzipped object
 * with the changes as they were written and the position. It is written and not read back.
 *
 * @module
 */

import {
  type Capabilities,
  type DatabaseAdapter,
  DestinationError,
  type DestinationKey,
  type DestinationSchema,
  type FlushBatch,
  type FlushPosition,
  type Move,
  type RowProblem,
} from "../../adapter.ts";
import { fromStoredSchema, toStoredSchema } from "../../database/stored_schema.ts";
import { Turns } from "../../lifecycle/turns.ts";
import { moved } from "../../moved.ts";
import type { ObjectStore } from "../../object-store/object_store.ts";
import { nameOfKey, samePosition } from "../../place.ts";
import { type Envelope, envelopeOf, moveOf } from "./envelope.ts";
import { ObjectLog } from "./object_log.ts";

/** What a lake of JSON is made of. */
export interface JsonLakeOptions {
  /** Its name, for status and log; `lake` unless given. */
  readonly name?: string;
  /** Where its objects are. It is not closed with the lake. */
  readonly store: ObjectStore;
  /** The folder of the gateway's objects. */
  readonly namespace: string;
  /** The clock, in milliseconds since 1970; the runtime's unless given. */
  readonly now?: () => number;
}

const CAPABILITIES: Capabilities = {
  readable: false,
  materialised: false,
  foreignKeys: false,
  transactionalDdl: false,
  nulInText: true,
  mergesRows: false,
  knowsChanges: false,
};

/** What is known of the objects. */
interface Known {
  /** The number of the newest one; 0 when there is none. */
  newest: number;
  position: FlushPosition | undefined;
  /** Rows that hold what is lost, by their names. */
  readonly unsettled: Map<string, DestinationKey>;
  /** The first object that says so; 0 when there are none. */
  unsettledFrom: number;
}

/**
 * Makes a lake of JSON. Nothing is opened before the first call.
 *
 * @param options what it is made of
 *
 * @example
 * ```ts
 * import { memoryObjects } from "@lakesync/adapters";
 * import { jsonLakeAdapter } from "@lakesync/adapters/lake";
 *
 * const adapter = jsonLakeAdapter({ store: memoryObjects(), namespace: "main" });
 * console.assert(await adapter.position() === undefined);
 * await adapter.close();
 * ```
 */
export function jsonLakeAdapter(options: JsonLakeOptions): DatabaseAdapter {
  return new JsonLake(options);
}

class JsonLake implements DatabaseAdapter {
  readonly name: string;
  readonly #store: ObjectStore;
  readonly #schemaKey: string;
  readonly #log: ObjectLog;
  readonly #now: () => number;
  readonly #turns = new Turns();
  /** Undefined when nothing is known, and the objects are to be asked. */
  #known: Known | undefined;
  #isClosed = false;

  constructor({ name = "lake", store, namespace, now = Date.now }: JsonLakeOptions) {
    this.name = name;
    this.#store = store;
    this.#schemaKey = `${namespace}/schema.json`;
    this.#log = new ObjectLog(store, namespace);
    this.#now = now;
  }

  get capabilities(): Capabilities {
    return CAPABILITIES;
  }

  position(): Promise<FlushPosition | undefined> {
    return this.#work(({ position }) => Promise.resolve(position));
  }

  ensureSchema(schema: DestinationSchema): Promise<void> {
    return this.#work(async () => {
      const held = await this.#schema();
      if (held !== undefined && held.version > schema.version) return;
      const text = JSON.stringify(toStoredSchema(schema));
      if (held !== undefined && text === JSON.stringify(toStoredSchema(held))) return;
      await this.#store.putObject(this.#schemaKey, new TextEncoder().encode(text));
    });
  }

  insertDeltas(batch: FlushBatch): Promise<void> {
    return this.#work(async (known) => {
      await this.#append(known, batch, (facts) => envelopeOf(batch, facts));
    });
  }

  rewind(move: Move): Promise<void> {
    return this.#work(async (known) => {
      const lost = await this.#touchedAfter(known, move.to.seq);
      await this.#append(known, move, (facts) => moveOf("rewind", move, lost, facts));
    });
  }

  refill(move: Move): Promise<void> {
    return this.#work(async (known) => {
      await this.#append(known, move, (facts) => moveOf("refill", move, [], facts));
    });
  }

  unsettled(limit: number): Promise<readonly DestinationKey[]> {
    return this.#work(({ unsettled }) => Promise.resolve([...unsettled.values()].slice(0, limit)));
  }

  schema(): Promise<DestinationSchema | undefined> {
    return this.#work(() => this.#schema());
  }

  queryDeltasSince(): Promise<never> {
    return Promise.reject(this.#unreadable());
  }

  getLatestState(): Promise<never> {
    return Promise.reject(this.#unreadable());
  }

  scanState(): Promise<never> {
    return Promise.reject(this.#unreadable());
  }

  /** Objects are never deleted here; object storages have rules for that. */
  forget(): Promise<boolean> {
    return Promise.resolve(false);
  }

  forgottenSeq(): Promise<number> {
    return Promise.resolve(0);
  }

  problems(): Promise<readonly RowProblem[]> {
    return Promise.resolve([]);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#turns.take(() => Promise.resolve());
  }

  /** Works on what is known, one call after the other; after a failure nothing is known any more. */
  #work<T>(work: (known: Known) => Promise<T>): Promise<T> {
    return this.#turns.take(async () => {
      if (this.#isClosed) throw new DestinationError("stop", `${this.name} is closed`);
      try {
        return await work(this.#known ??= await this.#find());
      } catch (error) {
        this.#known = undefined;
        if (error instanceof DestinationError) throw error;
        const message = error instanceof Error ? error.message : String(error);
        throw new DestinationError("later", message, { cause: error });
      }
    });
  }

  async #find(): Promise<Known> {
    const newest = await this.#log.newest();
    const last = newest === 0 ? undefined : await this.#read(newest);
    const known: Known = {
      newest,
      position: last?.position,
      unsettled: new Map(),
      unsettledFrom: last?.unsettledFrom ?? 0,
    };
    if (known.unsettledFrom > 0) {
      for (let number = known.unsettledFrom; number <= newest; number++) {
        settle(known.unsettled, await this.#read(number));
      }
    }
    return known;
  }

  async #read(number: number): Promise<Envelope> {
    const envelope = await this.#log.read(number);
    if (envelope !== undefined) return envelope;
    throw new DestinationError(
      "stop",
      `Object ${number} of ${this.name} is gone, though it is needed`,
    );
  }

  async #schema(): Promise<DestinationSchema | undefined> {
    const bytes = await this.#store.getObject(this.#schemaKey);
    if (bytes === undefined) return undefined;
    return fromStoredSchema(JSON.parse(new TextDecoder().decode(bytes)));
  }

  async #append(
    known: Known,
    { from }: Pick<Move, "from">,
    make: (facts: Pick<Envelope, "createdAt" | "unsettledFrom">) => Envelope,
  ): Promise<void> {
    if (!samePosition(known.position, from)) throw moved(known.position, from);
    const number = known.newest + 1;
    const createdAt = new Date(this.#now()).toISOString();
    const draft = make({ createdAt, unsettledFrom: 0 });
    const unsettled = new Map(known.unsettled);
    settle(unsettled, draft);
    const unsettledFrom = unsettled.size === 0 ? 0 : known.unsettledFrom || number;
    if (!await this.#log.create(number, { ...draft, unsettledFrom })) {
      throw new DestinationError("now", "Another process has written, ask for the position again");
    }
    this.#known = { newest: number, position: draft.position, unsettled, unsettledFrom };
  }

  /** The rows that anything after a commit has touched and that was not given up before. */
  async #touchedAfter({ newest }: Known, seq: number): Promise<readonly DestinationKey[]> {
    const keys = new Map<string, DestinationKey>();
    let most = Infinity;
    const isLost = (at: number) => at > seq && at <= most;
    for (let number = newest; number > 0; number--) {
      const { kind, position, deltas, rows } = await this.#read(number);
      if (position.seq <= seq || kind === "refill") break;
      if (kind === "rewind") most = Math.min(most, position.seq);
      for (const { seq: at, effect, unsettles } of deltas) {
        const key = effect ?? unsettles;
        if (isLost(at) && key !== undefined) keys.set(nameOfKey(key), keyOf(key));
      }
      if (isLost(position.seq)) { for (const row of rows) keys.set(nameOfKey(row), keyOf(row)); }
    }
    return [...keys.values()];
  }

  #unreadable(): DestinationError {
    return new DestinationError("stop", `${this.name} is a lake: read its objects`);
  }
}

function keyOf({ table, rowId }: DestinationKey): DestinationKey {
  return { table, rowId };
}

/** What an object makes of the rows that are unsettled. */
function settle(
  unsettled: Map<string, DestinationKey>,
  { kind, deltas, rows, unsettled: more }: Envelope,
): void {
  if (kind === "refill") unsettled.clear();
  for (const key of more) unsettled.set(nameOfKey(key), key);
  for (const row of rows) if (row.replaces) unsettled.delete(nameOfKey(row));
  for (const { effect, unsettles } of deltas) {
    if (effect?.replaces === true) unsettled.delete(nameOfKey(effect));
    if (unsettles !== undefined) unsettled.set(nameOfKey(unsettles), unsettles);
  }
}
