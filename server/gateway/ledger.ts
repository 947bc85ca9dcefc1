/**
 * The buckets that one commit touches: their numbers, rows and sums as the commit leaves them.
 *
 * @module
 */

import type { BucketRecord } from "../store/store.ts";
import { BucketSums, type RowSums } from "./bucket_sums.ts";
import { familyOfBucket, type PlacedFamily, type RuleBook } from "./rule_book.ts";

/** A bucket while a commit is put together. */
export interface LedgerBucket {
  /** Its number. */
  readonly bucket: number;
  /** Its stored id. */
  readonly id: string;
  /** Its family; undefined when it is forgotten. */
  readonly placed: PlacedFamily | undefined;
  /** The commit of its last change before this one. */
  readonly beforeSeq: number;
  seq: number;
  rows: number;
  data: string;
  sums: BucketSums | undefined;
  dirty: boolean;
}

/** Reads bucket records by id or number. */
export type BucketReader = (
  names: readonly (string | number)[],
) => Promise<readonly (BucketRecord | undefined)[]>;

/** The buckets of one commit. */
export class BucketLedger {
  readonly #byNumber = new Map<number, LedgerBucket>();
  readonly #byId = new Map<string, LedgerBucket>();
  readonly #missing = new Set<number>();
  /** The buckets whose sums are at hand. */
  readonly #summed: LedgerBucket[] = [];
  #next: number;

  /**
   * @param book the rules
   * @param next the number that the next new bucket gets
   */
  constructor(readonly book: RuleBook, next: number) {
    this.#next = next;
  }

  /** The number that the next new bucket gets. */
  get next(): number {
    return this.#next;
  }

  /** Takes in the records of buckets that are not known yet. */
  async load(names: Iterable<string | number>, read: BucketReader): Promise<void> {
    const wanted = [...new Set(names)].filter((name) =>
      typeof name === "string"
        ? !this.#byId.has(name)
        : !this.#byNumber.has(name) && !this.#missing.has(name)
    );
    if (wanted.length === 0) return;
    for (const [i, record] of (await read(wanted)).entries()) {
      const name = wanted[i];
      if (record !== undefined) this.#add({ ...record, sums: undefined, dirty: false });
      else if (typeof name === "number") this.#missing.add(name);
    }
  }

  #add(bucket: Omit<LedgerBucket, "placed" | "beforeSeq">): LedgerBucket {
    const known = this.#byNumber.get(bucket.bucket);
    if (known !== undefined) return known;
    const placed = this.book.family(familyOfBucket(bucket.id));
    const entry = { ...bucket, placed, beforeSeq: bucket.seq };
    this.#byNumber.set(entry.bucket, entry);
    this.#byId.set(entry.id, entry);
    return entry;
  }

  /** A bucket by its number; undefined when there is no record of it. */
  byNumber(bucket: number): LedgerBucket | undefined {
    return this.#byNumber.get(bucket);
  }

  /** A bucket by its id, when it was taken in. */
  known(id: string): LedgerBucket | undefined {
    return this.#byId.get(id);
  }

  /** A bucket by its id, made when it is new. */
  byId(id: string): LedgerBucket {
    return this.#byId.get(id) ?? this.#add({
      bucket: this.#next++,
      id,
      seq: 0,
      rows: 0,
      data: "",
      sums: undefined,
      dirty: false,
    });
  }

  /** Takes in what a row was and is in a bucket. */
  change(
    bucket: LedgerBucket,
    seq: number,
    table: number,
    before: RowSums | undefined,
    after: RowSums | undefined,
  ): void {
    bucket.dirty = true;
    bucket.seq = Math.max(bucket.seq, seq);
    bucket.rows += (after === undefined ? 0 : 1) - (before === undefined ? 0 : 1);
    if (bucket.placed?.family.kind !== "bucket") return;
    if (bucket.sums === undefined) {
      bucket.sums = new BucketSums(bucket.data);
      this.#summed.push(bucket);
    }
    bucket.sums.change(table, before, after);
  }

  /** Gives up what is only quicker to change again, between the slices of a large transaction. */
  rest(): void {
    for (const entry of this.#summed) {
      if (entry.sums === undefined) continue;
      entry.data = entry.sums.text();
      entry.sums = undefined;
    }
    this.#summed.length = 0;
  }

  /** The stored ids of the buckets that were changed. */
  *changed(): Iterable<string> {
    for (const { id, dirty } of this.#byNumber.values()) if (dirty) yield id;
  }

  /** What to write of the buckets that were changed. */
  writes(): readonly BucketRecord[] {
    const records: BucketRecord[] = [];
    for (const entry of this.#byNumber.values()) {
      if (!entry.dirty) continue;
      const { bucket, id, seq, rows, sums } = entry;
      records.push({ bucket, id, seq, rows, data: sums?.text() ?? entry.data });
    }
    return records;
  }
}
