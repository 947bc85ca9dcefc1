/**
 * A lake of JSON: each flush is one gzipped object, numbered from 1, that is created where there is
 * none. So changes and position come into force with one object. What a rewind gave up stays in the
 * objects before it, and readers leave it out.
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
  type Forget,
  type Move,
  type RowProblem,
} from "../../adapter.ts";
import { fromStoredSchema, toStoredSchema } from "../../database/stored_schema.ts";
import type { FlushSettings } from "../../flush/settings.ts";
import { Turns } from "../../lifecycle/turns.ts";
import { moved } from "../../moved.ts";
import type { ObjectStore } from "../../object-store/object_store.ts";
import { comparePlaces, nameOfKey, samePosition } from "../../place.ts";
import { folderOfName } from "../location.ts";
import {
  changeJson,
  changeOf,
  effectJson,
  effectOf,
  type Envelope,
  keyOfName,
  nameOf,
  readEnvelope,
  writeEnvelope,
} from "./json_envelope.ts";
import { kept } from "./standing.ts";

/** What a lake of JSON is made of. */
export interface JsonLakeOptions {
  /** Its name, for status and log. */
  readonly name: string;
  /** Where its objects are, or what opens that. */
  readonly store: ObjectStore | (() => ObjectStore | Promise<ObjectStore>);
  /** What the objects are under. */
  readonly namespace: string;
  /** How it wants to be flushed to. */
  readonly flushSettings: Partial<FlushSettings>;
  /** The clock, in milliseconds since 1970. */
  readonly now: () => number;
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

/** So many objects are in a folder. */
const PER_FOLDER = 1_000;

/** So many objects are forgotten at once, at most. */
const FORGET_AT_ONCE = 1_000;

/** The newest object. */
interface Newest {
  /** Its number; 0 when there is none. */
  readonly number: number;
  readonly envelope: Omit<Envelope, "format"> | undefined;
}

/** Where a lake of JSON has its objects. */
function folderOf(namespace: string): string {
  return `${folderOfName(namespace)}/lakesync-json`;
}

/**
 * The key of an object.
 *
 * @param namespace what the objects are under
 * @param number its number, from 1
 */
export function envelopeKey(namespace: string, number: number): string {
  const pad = (value: number) => String(value).padStart(10, "0");
  return `${folderOf(namespace)}/${pad(Math.floor(number / PER_FOLDER))}/${pad(number)}.json.gz`;
}

/** A lake of JSON as a destination. */
export class JsonLake implements DatabaseAdapter {
  readonly name: string;
  readonly capabilities: Capabilities = CAPABILITIES;
  readonly flushSettings: Partial<FlushSettings>;
  readonly #options: JsonLakeOptions;
  readonly #turns = new Turns();
  #store: ObjectStore | undefined;
  /** Undefined when it is to be looked for. */
  #newest: Newest | undefined;
  #isClosed = false;

  /** @param options what it is made of */
  constructor(options: JsonLakeOptions) {
    this.name = options.name;
    this.flushSettings = options.flushSettings;
    this.#options = options;
  }

  position(): Promise<FlushPosition | undefined> {
    return this.#work((_, { envelope }) => Promise.resolve(envelope?.position ?? undefined));
  }

  ensureSchema(schema: DestinationSchema): Promise<void> {
    return this.#work(async (store, newest) => {
      const stored = toStoredSchema(schema);
      const known = await this.#schemaOf(store, newest);
      if (known !== undefined && schema.version < known.version) return;
      const isSame = known !== undefined &&
        JSON.stringify(toStoredSchema(known)) === JSON.stringify(stored);
      if (isSame) return;
      const { position = null } = newest.envelope ?? {};
      const schemaAt = newest.number + 1;
      await this.#create(store, newest, { kind: "schema", position, schemaAt, schema: stored });
    });
  }

  insertDeltas(batch: FlushBatch): Promise<void> {
    return this.#work(async (store, newest) => {
      check(newest, batch);
      const { to, rows, changes } = batch;
      const { unsettledFrom = 0 } = newest.envelope ?? {};
      const unsettles = changes.some((change) => change.unsettles !== undefined);
      const settles = unsettledFrom > 0 &&
        (rows.length > 0 || changes.some(({ effect }) => effect?.replaces === true));
      const envelope = {
        kind: "flush" as const,
        position: kept(to),
        rows: rows.map(effectJson),
        changes: changes.map(changeJson),
      };
      const left = settles && !unsettles
        ? applied(await this.#unsettled(store, newest), envelope)
        : undefined;
      await this.#create(store, newest, {
        ...envelope,
        unsettledFrom: left?.size === 0
          ? 0
          : unsettledFrom === 0 && unsettles
          ? newest.number + 1
          : unsettledFrom,
      });
    });
  }

  rewind(move: Move): Promise<void> {
    return this.#work(async (store, newest) => {
      check(newest, move);
      const lost = new Map<string, DestinationKey>();
      const first = await this.#firstNumber(store);
      for (let number = newest.number; number >= first; number--) {
        const { from, kind, rows = [], changes = [], position } = await this.#read(store, number);
        const isAfter = ({ seq }: { readonly seq: number }) => seq > move.to.seq;
        if (kind === "flush") {
          const touched = changes.filter(isAfter).map(changeOf)
            .flatMap(({ effect, unsettles }) => effect?.key ?? unsettles ?? []);
          const set = position !== null && isAfter(position) ? rows.map(effectOf) : [];
          for (const key of [...touched, ...set.map(({ key }) => key)]) {
            lost.set(nameOfKey(key), key);
          }
        }
        if (from === null || comparePlaces(from, move.to) <= 0) break;
      }
      await this.#create(store, newest, {
        kind: "rewind",
        position: kept(move.to),
        unsettled: [...lost.values()].map(nameOf),
        unsettledFrom: newest.envelope?.unsettledFrom || newest.number + 1,
      });
    });
  }

  refill(move: Move): Promise<void> {
    return this.#work(async (store, newest) => {
      check(newest, move);
      const position = kept(move.to);
      await this.#create(store, newest, { kind: "refill", position, unsettledFrom: 0 });
    });
  }

  unsettled(limit: number): Promise<readonly DestinationKey[]> {
    return this.#work(async (store, newest) =>
      [...(await this.#unsettled(store, newest)).values()].slice(0, limit)
    );
  }

  schema(): Promise<DestinationSchema | undefined> {
    return this.#work((store, newest) => this.#schemaOf(store, newest));
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

  forget({ committedBeforeMs, throughSeq }: Forget): Promise<boolean> {
    return this.#work(async (store, { number, envelope }) => {
      const { schemaAt = 0, unsettledFrom = 0 } = envelope ?? {};
      const needed = Math.min(number, schemaAt || number, unsettledFrom || number);
      const gone: string[] = [];
      let first = await this.#firstNumber(store);
      for (; first < needed && gone.length < FORGET_AT_ONCE; first++) {
        const { position, atMs } = await this.#read(store, first);
        if ((position?.seq ?? 0) > throughSeq || atMs >= committedBeforeMs) break;
        gone.push(this.#key(first));
      }
      // The oldest first, so that what is left begins at one place.
      for (const key of gone) await store.deleteObject(key);
      return gone.length === FORGET_AT_ONCE;
    });
  }

  forgottenSeq(): Promise<number> {
    return this.#work(async (store, { number, envelope }) => {
      const first = number === 0 ? 1 : await this.#firstNumber(store);
      if (first <= 1) return 0;
      const { from } = await this.#read(store, first);
      return Math.min(from?.seq ?? 0, envelope?.position?.seq ?? 0);
    });
  }

  problems(): Promise<readonly RowProblem[]> {
    return Promise.resolve([]);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#turns.take(() => Promise.resolve());
  }

  /** Works on the newest object, one call after the other; after a failure it is looked for anew. */
  #work<T>(work: (store: ObjectStore, newest: Newest) => Promise<T>): Promise<T> {
    return this.#turns.take(async () => {
      if (this.#isClosed) throw new DestinationError("stop", `${this.name} is closed`);
      try {
        const { store } = this.#options;
        this.#store ??= typeof store === "function" ? await store() : store;
        this.#newest ??= await this.#findNewest(this.#store);
        return await work(this.#store, this.#newest);
      } catch (error) {
        this.#newest = undefined;
        if (error instanceof DestinationError) throw error;
        const message = error instanceof Error ? error.message : String(error);
        const retry = error instanceof TypeError ? "stop" : "later";
        throw new DestinationError(retry, message, { cause: error });
      }
    });
  }

  #key(number: number): string {
    return envelopeKey(this.#options.namespace, number);
  }

  async #numbers(store: ObjectStore): Promise<readonly number[]> {
    const numbers: number[] = [];
    for await (const { key } of store.listObjects(folderOf(this.#options.namespace))) {
      const [, number] = /\/(\d{10,})\.json\.gz$/.exec(key) ?? [];
      if (number !== undefined) numbers.push(Number(number));
    }
    return numbers;
  }

  async #firstNumber(store: ObjectStore): Promise<number> {
    return (await this.#numbers(store)).reduce((a, b) => Math.min(a, b), Infinity);
  }

  async #findNewest(store: ObjectStore): Promise<Newest> {
    const number = (await this.#numbers(store)).reduce((a, b) => Math.max(a, b), 0);
    return { number, envelope: number === 0 ? undefined : await this.#read(store, number) };
  }

  async #read(store: ObjectStore, number: number): Promise<Envelope> {
    const bytes = await store.getObject(this.#key(number));
    if (bytes !== undefined) return await readEnvelope(bytes);
    throw new DestinationError("later", `Object ${number} of ${this.name} is not there`);
  }

  async #schemaOf(
    store: ObjectStore,
    { envelope }: Newest,
  ): Promise<DestinationSchema | undefined> {
    const { schemaAt = 0 } = envelope ?? {};
    const stored = schemaAt === 0 ? undefined : (await this.#read(store, schemaAt)).schema;
    return stored && fromStoredSchema(stored);
  }

  async #unsettled(
    store: ObjectStore,
    { number, envelope }: Newest,
  ): Promise<Map<string, DestinationKey>> {
    const unsettled = new Map<string, DestinationKey>();
    const { unsettledFrom = 0 } = envelope ?? {};
    for (let at = unsettledFrom; at > 0 && at <= number; at++) {
      applied(unsettled, await this.#read(store, at));
    }
    return unsettled;
  }

  /** Creates the next object, if nobody has. */
  async #create(
    store: ObjectStore,
    { number, envelope: before }: Newest,
    given: Partial<Envelope> & Pick<Envelope, "kind" | "position">,
  ): Promise<void> {
    const envelope: Omit<Envelope, "format"> = {
      schemaAt: before?.schemaAt ?? 0,
      unsettledFrom: before?.unsettledFrom ?? 0,
      ...given,
      atMs: this.#options.now(),
      from: before?.position ?? null,
    };
    const bytes = await writeEnvelope(envelope);
    if (!await store.createObject(this.#key(number + 1), bytes)) {
      throw new DestinationError("now", `${this.name} was written by another process`);
    }
    this.#newest = { number: number + 1, envelope };
  }

  #unreadable(): DestinationError {
    return new DestinationError("stop", `${this.name} is a lake of JSON: read its objects`);
  }
}

function check({ envelope }: Newest, { from }: Pick<Move, "from">): void {
  const position = envelope?.position ?? undefined;
  if (!samePosition(position, from)) throw moved(position, from);
}

/** What an object makes of the rows that are unsettled; they are changed. */
function applied(
  unsettled: Map<string, DestinationKey>,
  { kind, rows = [], changes = [], unsettled: lost = [] }: Pick<
    Envelope,
    "kind" | "rows" | "changes" | "unsettled"
  >,
): Map<string, DestinationKey> {
  if (kind === "refill") unsettled.clear();
  for (const key of lost.map(keyOfName)) unsettled.set(nameOfKey(key), key);
  for (const { table, rowId } of rows) unsettled.delete(nameOfKey({ table, rowId }));
  for (const { effect, unsettles } of changes) {
    if (effect?.replaces) unsettled.delete(nameOfKey(effect));
    if (unsettles === undefined) continue;
    const key = keyOfName(unsettles);
    unsettled.set(nameOfKey(key), key);
  }
  return unsettled;
}
