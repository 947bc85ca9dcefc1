/**
 * What a gateway knows of itself between commits: head, schema, sums and marks in time. Read from
 * the store when it is not known, replaced when a commit has succeeded, forgotten when one failed.
 *
 * @module
 */

import { readSnapshot } from "../store/snapshot.ts";
import type { Head, ReadView, Store, Writes } from "../store/store.ts";
import { Catalog } from "./catalog.ts";
import { type Census, readCensus, VERSIONS_META, writeCensus } from "./census.ts";
import { type Life, readLives, writeLives } from "./lives.ts";
import { RuleBook } from "./rule_book.ts";
import type { TableCounts } from "./working.ts";

const SCHEMA_META = "schema";
const COUNTS_META = "counts";
const BUCKETS_META = "buckets";
const PURGED_META = "purged";
const RULES_META = "rules";
const MARKS_META = "marks";
const HORIZON_META = "horizon";
const LIVES_META = "lives";
const TRIMMED_META = "trimmed";

const DAY_MS = 24 * 60 * 60 * 1000;

/** A gateway's own records at a head. */
export interface Base {
  /** The head. */
  readonly head: Head;
  /** How far the walk over deleted rows has come. */
  readonly purged: string;
  /** The number that the next new bucket gets. */
  readonly nextBucket: number;
  /** The schema with its numbers, once there is one. */
  readonly catalog: Catalog | undefined;
  /** The rules, once there is a schema. */
  readonly book: RuleBook | undefined;
  /** Which schema versions clients still use. */
  readonly census: Census;
  /** Visible rows by the table's number. */
  readonly counts: TableCounts;
  /** For each day with a commit, its first moment in milliseconds and the seq before it. */
  readonly marks: readonly (readonly [ms: number, seq: number])[];
  /** History at or before this seq is forgotten. */
  readonly horizonSeq: number;
  /** The lives of this data; cursors of others are not ours. */
  readonly lives: readonly Life[];
  /** The log may lack entries at or before this seq. */
  readonly trimmedSeq: number;
}

const texts = new WeakMap<Catalog | RuleBook, string>();

/** What is stored of a schema or of rules; worked out once. */
function textOf(content: Catalog | RuleBook): string {
  let text = texts.get(content);
  if (text === undefined) texts.set(content, text = content.store());
  return text;
}

/** The schema of a gateway, by what is stored of it. */
function loadCatalog(text: string | undefined, known: Base | undefined): Catalog | undefined {
  if (text === undefined) return undefined;
  const { catalog } = known ?? {};
  return catalog !== undefined && textOf(catalog) === text ? catalog : Catalog.load(text);
}

/** The rules of a gateway, by what is stored of them. */
function loadBook(
  text: string | undefined,
  catalog: Catalog | undefined,
  known: Base | undefined,
): RuleBook | undefined {
  if (catalog === undefined) return undefined;
  if (text === undefined) return RuleBook.open(catalog);
  const { book } = known ?? {};
  const isSame = book !== undefined && known?.catalog === catalog && textOf(book) === text;
  return isSame ? book : RuleBook.load(text, catalog);
}

/**
 * Reads a gateway's own records.
 *
 * @param store its data
 * @param known what they were before: a schema and rules that are still the same are kept
 */
export async function loadBase(store: Store, known?: Base): Promise<Base> {
  return await readSnapshot(store, (view) => readBase(view, known));
}

/**
 * Reads a gateway's own records as they are in a snapshot.
 *
 * @param view the snapshot
 * @param known what they were before: a schema and rules that are still the same are kept
 */
export async function readBase(
  view: Pick<ReadView, "head" | "meta">,
  known?: Base,
): Promise<Base> {
  const { head } = view;
  const catalog = loadCatalog(await view.meta(SCHEMA_META), known);
  const nextBucket = Number((await view.meta(BUCKETS_META)) ?? "1");
  const book = loadBook(await view.meta(RULES_META), catalog, known);
  const counts: [number, number][] = JSON.parse((await view.meta(COUNTS_META)) ?? "[]");
  const marks: [number, number][] = JSON.parse((await view.meta(MARKS_META)) ?? "[]");
  const horizonSeq = Number((await view.meta(HORIZON_META)) ?? "0");
  const lives = readLives(await view.meta(LIVES_META), head.epoch);
  return {
    head,
    purged: (await view.meta(PURGED_META)) ?? "",
    nextBucket,
    catalog,
    book,
    census: readCensus(await view.meta(VERSIONS_META)),
    counts: new Map(counts),
    marks,
    horizonSeq,
    lives,
    trimmedSeq: Number((await view.meta(TRIMMED_META)) ?? "0"),
  };
}

/** Adds a mark when a day begins. */
export function markDay(base: Base, nowMs: number): Base["marks"] {
  const last = base.marks.at(-1)?.[0] ?? 0;
  return nowMs - last < DAY_MS ? base.marks : [...base.marks, [nowMs, base.head.seq]];
}

/** What to write for a base to be what the next opening reads. */
export function baseWrites(
  before: Base,
  after: Base,
): Pick<Writes, "meta"> {
  const meta: [string, string][] = [];
  if (after.counts !== before.counts) {
    meta.push([COUNTS_META, JSON.stringify([...after.counts])]);
  }
  if (after.marks !== before.marks) {
    meta.push([MARKS_META, JSON.stringify(after.marks)]);
  }
  if (after.horizonSeq !== before.horizonSeq) {
    meta.push([HORIZON_META, String(after.horizonSeq)]);
  }
  if (after.lives !== before.lives) {
    meta.push([LIVES_META, writeLives(after.lives)]);
  }
  if (after.trimmedSeq !== before.trimmedSeq) {
    meta.push([TRIMMED_META, String(after.trimmedSeq)]);
  }
  if (after.purged !== before.purged) meta.push([PURGED_META, after.purged]);
  if (after.census !== before.census) {
    meta.push([VERSIONS_META, writeCensus(after.census)]);
  }
  if (after.nextBucket !== before.nextBucket) {
    meta.push([BUCKETS_META, String(after.nextBucket)]);
  }
  if (after.catalog !== before.catalog && after.catalog !== undefined) {
    meta.push([SCHEMA_META, after.catalog.store()]);
  }
  if (after.book !== before.book && after.book !== undefined) {
    meta.push([RULES_META, after.book.store()]);
  }
  return { meta };
}
