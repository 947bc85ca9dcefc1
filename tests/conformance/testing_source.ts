/**
 * A gateway's log in memory, with what each change made of its row, that can be put back to an older
 * commit and lose its beginning.
 *
 * @module
 */

import type {
  Change,
  DestinationSchema,
  LatestState,
  PositionLife,
  RowEffect,
} from "@lakesync/adapters";
import { MemoryData } from "@lakesync/adapters";
import type { ChangeSource, SourceEntry, SourceNews } from "@lakesync/adapters/flush";
import { compareKeys, comparePlaces } from "../../adapters/place.ts";

const WRITER = "truth";

/** The log. */
export class TestSource implements ChangeSource {
  readonly #listeners = new Set<(news: SourceNews) => void>();
  #entries: readonly SourceEntry[] = [];
  #truth = new MemoryData();
  #trimmedSeq = 0;
  #lives: readonly PositionLife[] = [{ id: "life-1", fromSeq: 0 }];
  schema: DestinationSchema;
  /** The last commit. */
  seq = 0;

  /** @param schema the tables */
  constructor(schema: DestinationSchema) {
    this.schema = schema;
  }

  /** All rows as they are now. */
  get rowsNow(): readonly LatestState[] {
    return this.#truth.sorted;
  }

  /** All changes, also those that the log no longer holds. */
  get changes(): readonly Change[] {
    return this.#entries.flatMap(({ changes }) => changes);
  }

  /** The commit up to which the log lacks changes. */
  get trimmedSeq(): number {
    return this.#trimmedSeq;
  }

  /** Commits a transaction in slices. */
  commit(slices: readonly (readonly Change[])[]): void {
    this.seq++;
    const written = slices.filter((changes) => changes.length > 0);
    const entries = written.map((changes, i): SourceEntry => ({
      seq: this.seq,
      slice: changes[0]?.slice ?? 0,
      last: i === written.length - 1,
      bytes: changes.length * 100,
      committedMs: changes[0]?.committedMs ?? 0,
      changes,
    }));
    this.#entries = [...this.#entries, ...entries];
    this.#apply(entries);
    this.#tell();
  }

  /** Puts the gateway back to a commit, and begins another life. */
  restore(seq: number, life: string): void {
    this.seq = Math.min(seq, this.seq);
    this.#entries = this.#entries.filter((entry) => entry.seq <= this.seq);
    this.#trimmedSeq = Math.min(this.#trimmedSeq, this.seq);
    const kept = this.#lives.filter(({ fromSeq }, i) => i === 0 || fromSeq < this.seq);
    this.#lives = [...kept, { id: life, fromSeq: this.seq }];
    this.#truth = new MemoryData();
    this.#apply(this.#entries);
    this.#tell();
  }

  /** Loses the beginning of the log. */
  trim(seq: number): void {
    this.#trimmedSeq = Math.max(this.#trimmedSeq, Math.min(seq, this.seq));
  }

  head(): ReturnType<ChangeSource["head"]> {
    const lives = this.#lives.filter(({ fromSeq }, i) => i === 0 || fromSeq < this.seq);
    return Promise.resolve({ seq: this.seq, lives });
  }

  read(...[after, limit]: Parameters<ChangeSource["read"]>): ReturnType<ChangeSource["read"]> {
    const trimmed = after.seq < this.#trimmedSeq + (after.slice === undefined ? 0 : 1);
    const found = trimmed ? [] : this.#entries.filter((entry) => comparePlaces(entry, after) > 0);
    const entries: SourceEntry[] = [];
    let changes = 0;
    for (const entry of found) {
      if (changes >= limit.changes) break;
      entries.push(entry);
      changes += entry.changes.length;
    }
    const last = entries.at(-1);
    const read = last === undefined ? 0 : last.last ? last.seq : last.seq - 1;
    const isEnd = entries.length === found.length;
    const keptAfter = this.#trimmedSeq;
    return Promise.resolve({ entries, trimmed, throughSeq: isEnd ? this.seq : read, keptAfter });
  }

  rows(...[keys]: Parameters<ChangeSource["rows"]>): ReturnType<ChangeSource["rows"]> {
    const rows = keys.map((key): RowEffect => {
      const { isVisible, cells } = this.#truth.row(key) ?? { isVisible: false, cells: [] };
      return { key, isVisible, cells, replaces: true };
    });
    return Promise.resolve({ rows, seq: this.seq });
  }

  walk(...[after, limit]: Parameters<ChangeSource["walk"]>): ReturnType<ChangeSource["walk"]> {
    const [table = 0, rowId = ""] = after === "" ? [] : JSON.parse(after);
    const rest = this.#truth.sorted.filter(({ key }) => compareKeys(key, { table, rowId }) > 0);
    const rows = rest.slice(0, limit).map(({ key, isVisible, cells }): RowEffect => ({
      key,
      isVisible,
      cells,
      replaces: true,
    }));
    const last = rows.at(-1)?.key;
    const isEnd = rows.length === rest.length;
    const place = isEnd || last === undefined
      ? undefined
      : JSON.stringify([last.table, last.rowId]);
    return Promise.resolve({ rows, seq: this.seq, place });
  }

  keepAfter(): () => void {
    return () => {};
  }

  onCommit(listener: (news: SourceNews) => void): () => void {
    const own = (news: SourceNews) => listener(news);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  #apply(entries: readonly SourceEntry[]): void {
    const from = this.#truth.position;
    const to = { seq: this.seq, lives: [], writer: WRITER };
    const changes = entries.flatMap(({ changes }) => changes);
    this.#truth.insert({ from, to, rows: [], changes, isWhole: true });
  }

  #tell(): void {
    for (const listener of this.#listeners) listener({ seq: this.seq });
  }
}
