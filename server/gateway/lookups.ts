/**
 * What parameters look up: the values that the rows of a look-up bucket yield. Read from the store
 * once and kept while the bucket does not change.
 *
 * @module
 */

import {
  type Family,
  keyText,
  LakeSyncError,
  type LookupKey,
  type LookupReader,
  type ParamValues,
  type Value,
} from "@lakesync/core";
import type { BucketRecord, ReadView, ScannedRow } from "../store/store.ts";
import type { Catalog } from "./catalog.ts";
import type { BucketLedger } from "./ledger.ts";
import { rowReader } from "./placement.ts";
import { readRecord } from "./record.ts";
import { bucketId, type RuleBook } from "./rule_book.ts";

/** Rows read at once. */
const PAGE = 1_000;

/** How many values are kept in memory. */
const MAX_VALUES = 500_000;

/** How often each value is yielded, by its key text. */
type Counts = Map<string, { readonly value: Value; count: number }>;

/** So many changes are kept beside the values they change, before all is put together anew. */
const MAX_CHANGES = 1_000;

class Values implements ParamValues {
  /**
   * @param counts what was read
   * @param changes by how much each value is yielded more often since
   */
  constructor(readonly counts: Counts, readonly changes: Counts = new Map()) {}

  count(text: string): number {
    return (this.counts.get(text)?.count ?? 0) + (this.changes.get(text)?.count ?? 0);
  }

  get size(): number {
    return this.counts.size + this.changes.size;
  }

  has(text: string): boolean {
    return this.count(text) > 0;
  }

  *values(): Iterable<Value> {
    for (const [text, { value }] of this.counts) if (this.count(text) > 0) yield value;
    for (const [text, { value, count }] of this.changes) {
      if (count > 0 && !this.counts.has(text)) yield value;
    }
  }

  /** The values after a commit; who reads these goes on with these. */
  with(more: Counts): Values {
    const changes = mapWith(this.changes, more);
    if (changes.size <= MAX_CHANGES) return new Values(this.counts, changes);
    return new Values(mapWith(this.counts, changes));
  }
}

function mapWith(counts: Counts, more: Counts): Counts {
  const sum: Counts = new Map(counts);
  for (const [text, { value, count }] of more) {
    sum.set(text, { value, count: count + (counts.get(text)?.count ?? 0) });
  }
  return sum;
}

const NOTHING: ParamValues = new Values(new Map());

/** Look-ups that are remembered between requests. */
export class LookupCache {
  readonly #kept = new Map<number, { readonly seq: number; readonly values: Values }>();
  #size = 0;

  /** What is remembered of a bucket as it is at its last change. */
  get({ bucket, seq }: BucketRecord): ParamValues | undefined {
    const kept = this.#kept.get(bucket);
    if (kept === undefined || kept.seq !== seq) return undefined;
    this.#kept.delete(bucket);
    this.#kept.set(bucket, kept);
    return kept.values;
  }

  /** Remembers; forgets what was asked for longest ago. */
  put({ bucket, seq }: Pick<BucketRecord, "bucket" | "seq">, values: Values): void {
    this.#forget(bucket);
    this.#kept.set(bucket, { seq, values });
    this.#size += 1 + values.size;
    for (const oldest of this.#kept.keys()) {
      if (this.#size <= MAX_VALUES || oldest === bucket) break;
      this.#forget(oldest);
    }
  }

  /** Takes in what a commit made of a bucket, where it is remembered as it was before. */
  fold(bucket: number, beforeSeq: number, seq: number, changes: Counts): void {
    const kept = this.#kept.get(bucket);
    if (kept === undefined || kept.seq !== beforeSeq) return;
    this.put({ bucket, seq }, kept.values.with(changes));
  }

  #forget(bucket: number): void {
    const kept = this.#kept.get(bucket);
    if (kept === undefined) return;
    this.#kept.delete(bucket);
    this.#size -= 1 + kept.values.size;
  }
}

function textOf({ yieldsType }: Family, value: Value): string {
  return keyText(value, yieldsType ?? "json");
}

function add(counts: Counts, family: Family, value: Value, by: number): void {
  if (value === null) return;
  const text = textOf(family, value);
  const known = counts.get(text);
  if (known === undefined) counts.set(text, { value, count: by });
  else known.count += by;
}

/** The look-ups that one request needs. */
export class Lookups {
  readonly #loaded = new Map<string, ParamValues>();
  readonly #overlay = new Map<string, Counts>();
  #read: (readonly [BucketRecord, Values])[] = [];
  #version = 0;

  constructor(
    readonly book: RuleBook,
    readonly catalog: Catalog,
    readonly cache: LookupCache,
  ) {}

  /** Counts what was loaded or changed: what was found before may be another then. */
  get version(): number {
    return this.#version;
  }

  /** The stored ids of the buckets that were looked at. */
  get ids(): Iterable<string> {
    return this.#loaded.keys();
  }

  /** Reads what is loaded, with the changes of the commit under way laid over it. */
  readonly reader: LookupReader = (family, key) => {
    const id = bucketId(this.book.numberOf(family), key);
    const loaded = this.#loaded.get(id);
    const overlay = this.#overlay.get(id);
    if (loaded === undefined || overlay === undefined) return loaded;
    return overlaid(family, loaded, overlay);
  };

  /** Loads look-ups that were missing. */
  async load(
    view: ReadView,
    missing: readonly LookupKey[],
  ): Promise<void> {
    const wanted = missing.map(({ family, key }) => ({
      family,
      id: bucketId(this.book.numberOf(family), key),
    }));
    const records = await view.buckets(wanted.map(({ id }) => id));
    this.#version++;
    for (const [i, { family, id }] of wanted.entries()) {
      const record = records[i];
      this.#loaded.set(
        id,
        record === undefined ? NOTHING : await this.#values(view, family, record),
      );
    }
  }

  async #values(view: ReadView, family: Family, record: BucketRecord): Promise<ParamValues> {
    const kept = this.cache.get(record);
    if (kept !== undefined) return kept;
    const counts: Counts = new Map();
    let after = { seq: 0, tie: "" };
    for (;;) {
      const page = await view.scan({ bucket: record.bucket, gone: false, after, limit: PAGE });
      for (const row of page.rows) add(counts, family, this.#yieldOf(family, row), 1);
      const last = page.rows.at(-1);
      if (page.complete || last === undefined) break;
      after = last.position;
    }
    const values = new Values(counts);
    this.#read.push([record, values]);
    return values;
  }

  #yieldOf(family: Family, row: ScannedRow): Value {
    const table = this.catalog.tableById(row.table);
    if (table === undefined || family.yields === undefined) return null;
    return rowReader(table, row.rowId, readRecord(row.data).state)(family.yields);
  }

  /** Remembers what was read, once it is sure that it was one snapshot. */
  keep(): void {
    for (const [record, values] of this.#read) this.cache.put(record, values);
    this.#read = [];
  }

  /** Forgets what was read by a snapshot that was none. */
  drop(): void {
    this.#read = [];
  }

  /** Lets the cache follow a commit that succeeded. */
  committed(ledger: BucketLedger): void {
    for (const [id, changes] of this.#overlay) {
      const bucket = ledger.known(id);
      if (bucket === undefined || !bucket.dirty) continue;
      this.cache.fold(bucket.bucket, bucket.beforeSeq, bucket.seq, changes);
    }
  }

  /** Takes in that a row of the commit under way yields a value in a bucket, or no longer does. */
  change(id: string, family: Family, value: Value, by: 1 | -1): void {
    this.#version++;
    let counts = this.#overlay.get(id);
    if (counts === undefined) {
      counts = new Map();
      this.#overlay.set(id, counts);
    }
    add(counts, family, value, by);
  }
}

function overlaid(family: Family, loaded: ParamValues, overlay: Counts): ParamValues {
  const isThere = (text: string, more: number) =>
    more + (loaded instanceof Values ? loaded.count(text) : 0) > 0;
  return {
    has: (text) => {
      const more = overlay.get(text)?.count;
      return more === undefined ? loaded.has(text) : isThere(text, more);
    },
    *values() {
      for (const value of loaded.values()) {
        if (!overlay.has(textOf(family, value))) yield value;
      }
      for (const [text, { value, count }] of overlay) if (isThere(text, count)) yield value;
    },
  };
}

/** Parameters chain through two tables, so a third round finds nothing missing. */
const MAX_ROUNDS = 4;

/** What came of judging by rules, and the look-ups that it lacked. */
interface Asked<T> {
  readonly answer: T;
  readonly missing: readonly LookupKey[];
}

/**
 * Asks until no look-up is missing.
 *
 * @param view the snapshot
 * @param lookups loads what is missing
 * @param ask judges by what is loaded
 */
export async function askLoaded<T>(
  view: ReadView,
  lookups: Lookups,
  ask: () => Asked<T>,
): Promise<T> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const { answer, missing } = ask();
    if (missing.length === 0) return answer;
    await lookups.load(view, missing);
  }
  throw new LakeSyncError("INTERNAL_ERROR", "The parameters of the rules do not come to an end");
}
