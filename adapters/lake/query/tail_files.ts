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
   * @throws {QueryError} when the two do not fit together at this moment
   */
  async read(state: LakeState): Promise<TailState> {
    const isBehind = this.#through.seq < state.seq;
    const first = await this.#tail.read(isBehind ? { seq: state.seq } : this.#through);
    const parted = partedAfter(first.lives, state);
    if (parted < state.seq) {
      throw new TailError(
        "The gateway went back to before what the lake has: ask again after its next flush, or without what is not flushed",
      );
    }
    const isOther = partedAfter(first.lives, { ...this.#through, lives: this.#lives }) <
      this.#through.seq;
    const count = [...this.#files.values()].reduce((sum, { length }) => sum + length, 0);
    if (isBehind || isOther || count > MAX_FILES) {
      await this.clear();
      this.#through = { seq: state.seq };
    }
    let page = isOther || count > MAX_FILES ? await this.#tail.read(this.#through) : first;
    for (;;) {
      if (page.isTrimmed) {
        throw new TailError(
          "The gateway no longer has what the lake lacks: flush, or ask without what is not flushed",
        );
      }
      await this.#take(page, state);
      const last = page.entries.at(-1);
      if (last === undefined) break;
      this.#through = last.last ? { seq: last.seq } : { seq: last.seq, slice: last.slice };
      page = await this.#tail.read(this.#through);
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
    this.#through = { seq: 0 };
    for (const path of paths) await rm(path, { force: true });
  }

  async #take({ schema, lives, entries }: TailPage, state: LakeState): Promise<void> {
    this.#schema = schema;
    this.#lives = lives;
    const tables = this.#tables(state);
    const columns = new Map<number, ChangeColumns>();
    for (const { seq, committedMs } of entries) {
      if (this.#commits.at(-1)?.[0] !== seq) this.#commits.push([seq, committedMs]);
    }
    for (const change of entries.flatMap((entry: SourceEntry) => entry.changes)) {
      const id = (change.effect?.key ?? change.unsettles)?.table ?? 0;
      const table = tables.get(id);
      if (table === undefined) continue;
      let taken = columns.get(id);
      if (taken === undefined) columns.set(id, taken = new ChangeColumns(table));
      taken.add(encodeChange(table, change));
    }
    for (const [id, taken] of columns) {
      const paths = this.#files.get(id) ?? [];
      paths.push(await this.#write(taken));
      this.#files.set(id, paths);
    }
  }

  async #write(columns: ChangeColumns): Promise<string> {
    const batch = columns.finish();
    const metadata = new Map([["iceberg.schema", schemaText({ fields: batch.fields })]]);
    const { bytes } = await this.#writer.write(batch, { metadata });
    const path = join(await this.#folder(), `tail-${randomUUID()}`);
    await writeFile(path, bytes);
    return path;
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
