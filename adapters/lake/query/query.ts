/**
 * Questions to a lake: SQL over its tables as they are now, with what the gateway has not flushed
 * yet, or as they were at any moment.
 *
 * @module
 */

import { Turns } from "../../lifecycle/turns.ts";
import type { ObjectStore } from "../../object-store/object_store.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { objectCatalog } from "../catalog/object_catalog.ts";
import { type LakeLocation, lakeLocation } from "../location.ts";
import { openParquetReader, openParquetWriter } from "../parquet/mod.ts";
import type { Lake } from "../flush/lake.ts";
import { Duck, QueryError, type ResultColumn, type ResultRows, type ResultStream } from "./duck.ts";
import { type CacheOptions, FileCache } from "./file_cache.ts";
import { readRowHistory, type RowChange } from "./history.ts";
import { type LakeState, readState } from "./lake_state.ts";
import type { AsOf } from "./moment.ts";
import { seqAt } from "./seq_at.ts";
import { QuerySession } from "./session.ts";
import type { QueryTail } from "./tail.ts";
import { TailFiles, type TailState } from "./tail_files.ts";
import {
  changesView,
  type Moment,
  placedChanges,
  type PlannedView,
  type QueryTable,
  queryTables,
  rowsView,
} from "./views.ts";

/** Which lake is asked. */
export interface LakeQueryOptions {
  /** Where its objects are. */
  readonly store: ObjectStore;
  /** What they are called outside, such as `file:///data/lake` or `s3://bucket/lake`. */
  readonly location: LakeLocation | string;
  /** What the tables are under: the gateway's namespace. */
  readonly namespace: string;
  /** What knows the tables; the object store alone unless given. It is not closed. */
  readonly catalog?: Catalog;
  /** The gateway, for what it has not flushed yet; only the lake unless given. */
  readonly tail?: QueryTail;
  /** How much memory DuckDB may take, in bytes; 1 GiB unless given. */
  readonly memoryBytes?: number;
  /** Where objects are kept that are not in a folder. */
  readonly cache?: CacheOptions;
}

/** When something is asked about. */
export interface QueryOptions {
  /** The moment; now unless given. */
  readonly asOf?: AsOf;
}

/** An answer. */
export interface QueryResult {
  /** Its columns. */
  readonly columns: readonly ResultColumn[];
  /** Its rows: a value for each column, in LakeSync's forms. */
  readonly rows: ResultRows;
  /** The commit after which the tables were shown. */
  readonly seq: number;
}

/** An answer whose rows come in pieces. */
export interface QueryStream extends ResultStream {
  /** The commit after which the tables are shown. */
  readonly seq: number;
}

/** What a question is answered with. */
interface Plan {
  readonly views: readonly PlannedView[];
  /** All tables that there are. */
  readonly tables: readonly QueryTable[];
  readonly seq: number;
}

const MEMORY_BYTES = 2 ** 30;

/** A lake that can be asked; one question after the other. */
export class LakeQuery {
  readonly #lake: Lake;
  readonly #cache: FileCache;
  readonly #tail: TailFiles | undefined;
  readonly #memoryBytes: number;
  readonly #turns = new Turns();
  readonly #end: () => Promise<void>;
  /** What the last question was answered with. */
  #session: QuerySession | undefined;
  #isClosed = false;

  /**
   * Takes a lake.
   *
   * @param lake the lake
   * @param options how it is asked
   * @param end gives back what the lake holds
   */
  constructor(lake: Lake, options: LakeQueryOptions, end: () => Promise<void>) {
    const { tail, memoryBytes = MEMORY_BYTES } = options;
    this.#lake = lake;
    this.#cache = new FileCache(lake, options.cache);
    this.#tail = tail && new TailFiles(tail, lake.writer, () => this.#cache.folder());
    this.#memoryBytes = memoryBytes;
    this.#end = end;
  }

  /**
   * Answers SQL as DuckDB has it. Each synced table `t` is there as `t`, its rows, and as
   * `t__changes`, all as of one commit.
   *
   * @param sql one statement that reads
   * @param options the moment
   * @throws {QueryError} when it cannot be answered
   */
  async query(sql: string, options: QueryOptions = {}): Promise<QueryResult> {
    return await this.read(sql, options, async ({ columns, rows, seq }) => {
      const all: ResultRows[number][] = [];
      for await (const some of rows) all.push(...some);
      return { columns, rows: all, seq };
    });
  }

  /**
   * Answers SQL piece by piece.
   *
   * @param sql one statement that reads
   * @param options the moment
   * @param take takes the answer; its rows are gone once this has ended
   * @throws {QueryError} when it cannot be answered
   */
  read<T>(
    sql: string,
    options: QueryOptions,
    take: (answer: QueryStream) => Promise<T>,
  ): Promise<T> {
    return this.#turn(async () => {
      const { views, seq, tables } = await this.#plan(sql, options);
      const { duck } = await this.#shared(views);
      const answer = await told(duck.select(sql), tables, this.#lake);
      return await take({ ...answer, seq });
    });
  }

  /**
   * Writes an answer to a Parquet file.
   *
   * @param sql one statement that reads
   * @param path the file; one that is there is replaced
   * @param options the moment
   * @returns the commit that it is as of
   * @throws {QueryError} when it cannot be answered
   */
  writeParquet(sql: string, path: string, options: QueryOptions = {}): Promise<number> {
    return this.#turn(async () => {
      const { views, seq, tables } = await this.#plan(sql, options);
      const session = await this.#open("", views, [path]);
      try {
        await told(session.duck.copy(sql, path), tables, this.#lake);
        return seq;
      } finally {
        session.close();
      }
    });
  }

  /**
   * Tells how a row came to be what it is.
   *
   * @param table the table
   * @param rowId the row's id
   * @param options up to when
   * @returns what was done to it, the oldest first; none for a row that there never was
   * @throws {QueryError} when there is no such table
   */
  history(
    table: string,
    rowId: string,
    options: QueryOptions = {},
  ): Promise<readonly RowChange[]> {
    return this.#turn(async () => {
      const { tables, moment } = await this.#moment(options);
      const found = tables.find(({ name }) => name.toLowerCase() === table.toLowerCase());
      if (found === undefined) throw new QueryError(noTable(table, tables, this.#lake));
      const view = await placedChanges(this.#lake, found, moment);
      const { duck } = await this.#shared([view]);
      return await readRowHistory(duck, found.layout, rowId);
    });
  }

  /** Gives back memory, files and threads. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#turns.take(async () => {
      this.#session?.close();
      await this.#tail?.clear();
      await this.#cache.close();
      await this.#end();
    });
  }

  #turn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(new QueryError("The lake is closed"));
    return this.#turns.take(work);
  }

  async #plan(
    sql: string,
    options: QueryOptions,
  ): Promise<Plan> {
    const { tables, moment } = await this.#moment(options);
    const views: PlannedView[] = [];
    const isAll = ALL_TABLES.test(sql);
    for (const table of tables) {
      if (isAll || isNamed(sql, table.name)) views.push(await rowsView(this.#lake, table, moment));
      if (isAll || isNamed(sql, table.changesName)) {
        views.push(await changesView(this.#lake, table, moment));
      }
    }
    return { views, tables, seq: moment.seq };
  }

  async #moment(
    { asOf }: QueryOptions,
  ): Promise<{ readonly tables: readonly QueryTable[]; readonly moment: Moment }> {
    const state: LakeState = await readState(this.#lake);
    const tail: TailState | undefined = await this.#tail?.read(state);
    const open = () => this.#duck();
    const timeline = { lake: this.#lake, cache: this.#cache, open, state, tail };
    const seq = await seqAt(timeline, asOf);
    return { tables: queryTables(state, tail), moment: { state, seq } };
  }

  /** A session for questions, which is kept for the next one about the same. */
  async #shared(views: readonly PlannedView[]): Promise<QuerySession> {
    const id = idOf(views);
    if (this.#session?.id === id) return this.#session;
    this.#session?.close();
    this.#session = undefined;
    return this.#session = await this.#open(id, views, []);
  }

  async #open(
    id: string,
    views: readonly PlannedView[],
    more: readonly string[],
  ): Promise<QuerySession> {
    return await QuerySession.open(id, views, this.#cache, await this.#duck(), more);
  }

  async #duck(): Promise<Duck> {
    const spillFolder = await this.#cache.folder();
    return await Duck.open({ memoryBytes: this.#memoryBytes, spillFolder });
  }
}

/** Lets others work; nothing is written here that would take long. */
function nextTurn(): Promise<void> {
  return Promise.resolve();
}

/** Whether SQL may name a table, whose name is of letters, digits and `_`. */
function isNamed(sql: string, name: string): boolean {
  return new RegExp(`(?<![A-Za-z0-9_])${name}(?![A-Za-z0-9_])`, "i").test(sql);
}

/** Names the tables that there are, where one is asked for that is not. */
/** Asks which tables there are; where it only looks so, a view too many is made. */
const ALL_TABLES = /\bshow\s+(all\s+)?tables\b|\binformation_schema\b/i;

async function told<T>(
  work: Promise<T>,
  tables: readonly QueryTable[],
  lake: Lake,
): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const message = error instanceof Error ? error.message : "";
    const name = /^Catalog Error: Table with name (.+?) does not exist/.exec(message)?.[1];
    throw name === undefined
      ? error
      : new QueryError(noTable(name, tables, lake), { cause: error });
  }
}

function noTable(
  name: string,
  tables: readonly QueryTable[],
  { namespace, location }: Lake,
): string {
  const known = tables.flatMap(({ name, changesName }) => [name, changesName]).join(", ");
  const none = `none yet under ${namespace} in ${location.root}`;
  return `There is no table ${name}, there are ${known === "" ? none : known}`;
}

/** Tells apart what views show: the SQL has all but the objects' paths. */
function idOf(views: readonly PlannedView[]): string {
  const nowhere = new Map<string, string>();
  return JSON.stringify(views.map(({ name, needs, sql }) => [
    name,
    sql(nowhere),
    needs.map(({ location }) => location),
  ]));
}

/**
 * Opens a lake to ask it questions. DuckDB is loaded with the first one.
 *
 * @param options which lake
 */
export function openLakeQuery(options: LakeQueryOptions): LakeQuery {
  const { store, namespace } = options;
  const location = typeof options.location === "string"
    ? lakeLocation(options.location)
    : options.location;
  const catalog = options.catalog ?? objectCatalog({ store, location });
  const writer = openParquetWriter({ thread: false });
  const reader = openParquetReader({ thread: false });
  const lake: Lake = {
    store,
    location,
    namespace,
    catalog,
    writer,
    reader,
    now: Date.now,
    nextTurn,
  };
  return new LakeQuery(lake, options, async () => {
    await writer.close();
    await reader.close();
    if (options.catalog === undefined) await catalog.close();
  });
}
