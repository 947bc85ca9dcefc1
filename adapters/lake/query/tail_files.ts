/**
 * What a gateway has not flushed yet, as files of changes beside those of the lake: read once, and
 * read on with each question.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DestinationSchema, Place, PositionLife } from "../../adapter.ts";
import { partedAfter } from "../../flush/resume.ts";
import type { SourceEntry } from "../../flush/source.ts";
import { ChangeColumns } from "../flush/change_batch.ts";
import { encodeChange } from "../flush/changes.ts";
import { type LakeTable, planTable } from "../flush/layout.ts";
import { schemaText } from "../iceberg/schema_json.ts";
import type { ParquetWriter } from "../parquet/parquet.ts";
import { QueryError, TailError } from "./duck.ts";
import type { LakeState } from "./lake_state.ts";
import type { QueryTail, TailPage } from "./tail.ts";

/** What is not in the lake yet. */
export interface TailState {
  /** The last commit that is there whole. */
  readonly seq: number;
  /** When each commit was made, in milliseconds since 1970; ascending by commit. */
  readonly commits: readonly (readonly [seq: number, committedMs: number])[];
  /** Tables as they are to be, by their numbers. */
  readonly tables: ReadonlyMap<number, LakeTable>;
  /** Paths of files of changes, by the numbers of tables. */
  readonly files: ReadonlyMap<number, readonly string[]>;
}

/** More files than this are written anew as few. */
const MAX_FILES = 64;

/** So many changes are in a file, at most. */
const MAX_ROWS = 50_000;

/** Gathers changes for files. */
class TailRows {
  readonly #write: (id: number, columns: ChangeColumns) => Promise<void>;
  #columns = new Map<number, ChangeColumns>();
  #version = 0;

  constructor(write: (id: number, columns: ChangeColumns) => Promise<void>) {
    this.#write = write;
  }

  /** Takes entries, by the tables of a version of the schema. */
  async add(
    tables: ReadonlyMap<number, LakeTable>,
    version: number,
    entries: readonly SourceEntry[],
  ): Promise<void> {
    if (version !== this.#version) await this.end();
    this.#version = version;
    for (const change of entries.flatMap((entry) => entry.changes)) {
      const id = (change.effect?.key ?? change.unsettles)?.table ?? 0;
      const table = tables.get(id);
      if (table === undefined) continue;
      const columns = this.#columns.get(id) ?? new ChangeColumns(table);
      this.#columns.set(id, columns);
      columns.add(encodeChange(table, change));
      if (columns.length >= MAX_ROWS) await this.#write(id, columns);
    }
  }

  /** Writes what is left. */
  async end(): Promise<void> {
    const left = [...this.#columns];
    this.#columns = new Map();
    for (const [id, columns] of left) if (columns.length > 0) await this.#write(id, columns);
  }
}

/** Follows a gateway. */
export class TailFiles {
  readonly #tail: QueryTail;
  readonly #writer: ParquetWriter;
  readonly #folder: () => Promise<string>;
  #through: Place = { seq: 0 };
  #lives: readonly PositionLife[] = [];
  #schema: DestinationSchema = { version: 0, tables: [] };
  #commits: [seq: number, committedMs: number][] = [];
  #files = new Map<number, string[]>();

  /**
   * Begins to follow.
   *
   * @param tail the gateway
   * @param writer writes files
   * @param folder where to
   */
  constructor(tail: QueryTail, writer: ParquetWriter, folder: () => Promise<string>) {
    this.#tail = tail;
    this.#writer = writer;
    this.#folder = folder;
  }

  /**
   * Reads what the gateway has that a lake does not have.
   *
   * @param state the lake
   * @throws {TailError} when the two do not fit together at this moment
   */
  async read(state: LakeState): Promise<TailState> {
    if (this.#through.seq < state.seq || this.#count > MAX_FILES) await this.#restart(state);
    const rows = new TailRows((id, columns) => this.#write(id, columns));
    try {
      for (;;) {
        const page = await this.#tail.read(this.#through);
        this.#check(page, state);
        this.#take(page);
        const tables = this.#tables(state);
        await rows.add(tables, this.#schema.version, page.entries);
        const last = page.entries.at(-1);
        if (last === undefined) break;
        this.#through = last.last ? { seq: last.seq } : { seq: last.seq, slice: last.slice };
      }
      await rows.end();
    } catch (error) {
      await this.clear();
      throw error;
    }
    const { seq, slice } = this.#through;
    return {
      seq: Math.max(state.seq, slice === undefined ? seq : seq - 1),
      commits: this.#commits,
      tables: this.#tables(state),
      files: this.#files,
    };
  }

  /** Removes all files. */
  async clear(): Promise<void> {
    const paths = [...this.#files.values()].flat();
    this.#files = new Map();
    this.#commits = [];
    this.#lives = [];
    this.#through = { seq: 0 };
    for (const path of paths) await rm(path, { force: true });
  }

  get #count(): number {
    return [...this.#files.values()].reduce((sum, { length }) => sum + length, 0);
  }

  async #restart({ seq, lives }: LakeState): Promise<void> {
    await this.clear();
    this.#through = { seq };
    this.#lives = lives;
  }

  /** Refuses a page that does not go on where the lake, or the page before, ended. */
  #check(page: TailPage, state: LakeState): void {
    if (partedAfter(page.lives, state) < state.seq) {
      throw new TailError(
        "The gateway went back to before what the lake has: ask again after its next flush, or without what is not flushed",
      );
    }
    const through = { seq: this.#through.seq, lives: this.#lives };
    if (partedAfter(page.lives, through) < through.seq) {
      throw new TailError("The gateway went back while it was asked, ask again");
    }
    if (page.isTrimmed) {
      throw new TailError(
        "The gateway no longer has what the lake lacks: flush, or ask without what is not flushed",
      );
    }
  }

  #take({ schema, lives, entries }: TailPage): void {
    this.#schema = schema;
    this.#lives = lives;
    for (const { seq, committedMs } of entries) {
      if (this.#commits.at(-1)?.[0] !== seq) this.#commits.push([seq, committedMs]);
    }
  }

  async #write(id: number, columns: ChangeColumns): Promise<void> {
    const batch = columns.finish();
    const metadata = new Map([["iceberg.schema", schemaText({ fields: batch.fields })]]);
    const { bytes } = await this.#writer.write(batch, { metadata });
    const path = join(await this.#folder(), `tail-${randomUUID()}`);
    this.#files.set(id, [...this.#files.get(id) ?? [], path]);
    await writeFile(path, bytes);
  }

  /** Tables as the gateway has them now, which may have columns that the lake does not have yet. */
  #tables({ tables }: LakeState): ReadonlyMap<number, LakeTable> {
    const { version, tables: newest } = this.#schema;
    const planned = new Map<number, LakeTable>();
    for (const table of newest) {
      const before = tables.changes.get(table.id)?.layout;
      const layout = planTable(table, version, before);
      if (typeof layout === "string") throw new QueryError(layout);
      planned.set(table.id, layout);
    }
    return planned;
  }
}
