/**
 * What the views of one snapshot have read. After a commit all live clients of a bucket read the
 * same rows of it, mostly from the same place, so what one has read serves the others. It lives as
 * long as its snapshot, so nothing in it can be out of date.
 *
 * @module
 */

import type { BucketRecord, IndexPage, IndexScan } from "./store.ts";

/** What is kept for one snapshot, in bytes; what has no room is read anew. */
const MAX_BYTES = 1024 * 1024;
/** A larger page is not kept: it is a first pull's, which others seldom read from the same place. */
const MAX_PAGE_BYTES = 64 * 1024;
/** What an entry costs beside its texts, in bytes. */
const ENTRY_BYTES = 200;
/** What a row costs beside its texts, in bytes. */
const ROW_BYTES = 200;

type Bucket = BucketRecord | undefined;

/** Remembers reads of one snapshot. */
export class ViewMemo {
  readonly #pages = new Map<string, IndexPage>();
  readonly #buckets = new Map<string | number, Bucket>();
  #left = MAX_BYTES;

  /**
   * A page of one side of a bucket.
   *
   * @param scan what is read
   * @param read reads it
   */
  scan(scan: IndexScan, read: (scan: IndexScan) => IndexPage): IndexPage {
    const { bucket, gone, after, limit } = scan;
    const key = `${bucket} ${gone} ${limit} ${after.seq} ${after.tie}`;
    const known = this.#pages.get(key);
    if (known !== undefined) return known;
    const page = read(scan);
    const bytes = page.rows.reduce(
      (sum, { rowId, data }) => sum + rowId.length + data.length + ROW_BYTES,
      0,
    );
    if (bytes <= MAX_PAGE_BYTES && this.#takes(bytes + key.length)) this.#pages.set(key, page);
    return page;
  }

  /**
   * Buckets by name or number.
   *
   * @param names which
   * @param read reads them
   */
  buckets(
    names: readonly (string | number)[],
    read: (names: readonly (string | number)[]) => readonly Bucket[],
  ): readonly Bucket[] {
    const unknown = names.filter((name) => !this.#buckets.has(name));
    if (unknown.length === 0) return names.map((name) => this.#buckets.get(name));
    const found = read(names);
    names.forEach((name, i) => {
      const record = found[i];
      const bytes = String(name).length + (record === undefined ? 0 : record.id.length +
        record.data.length);
      if (!this.#buckets.has(name) && this.#takes(bytes)) this.#buckets.set(name, record);
    });
    return found;
  }

  #takes(bytes: number): boolean {
    if (bytes + ENTRY_BYTES > this.#left) return false;
    this.#left -= bytes + ENTRY_BYTES;
    return true;
  }
}
