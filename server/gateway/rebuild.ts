/**
 * Places the rows that are there already by new rules, a bounded piece at a time between commits, and
 * puts the rules in force when all are placed. Rows that are written meanwhile are placed with their
 * commit, so the walk may be interrupted at any place and goes on from there.
 *
 * @module
 */

import { isVisible } from "@lakesync/core";
import type { RowWrite, StoredRow } from "../store/store.ts";
import { sumsOf } from "./bucket_sums.ts";
import type { Catalog } from "./catalog.ts";
import type { Committer } from "./committer.ts";
import { BucketLedger } from "./ledger.ts";
import { entryOf, type Placement, placementsOf, rowReader } from "./placement.ts";
import { type Membership, readRecord, type RowRecord, writeRecord } from "./record.ts";
import type { RuleBook } from "./rule_book.ts";

/** Rows placed in one commit. */
const PIECE = 200;

/** Of its time a build rests so much for each part it works, so that requests do not wait for it. */
const REST = 0.5;

/** A row and where it belongs by the families that are built. */
interface Walked {
  readonly row: StoredRow;
  readonly record: RowRecord;
  readonly placements: readonly Placement[];
}

/**
 * Builds the rules that are stored beside those that hold.
 *
 * @param committer the gateway's writer
 */
export async function buildRules(committer: Committer): Promise<void> {
  const { env } = committer;
  for (;;) {
    let workedMs = 0;
    const more = await committer.alone(async () => {
      const startedMs = env.now();
      const more = await step(committer);
      workedMs = env.now() - startedMs;
      return more;
    });
    if (!more) return;
    const restMs = Math.ceil(workedMs * REST);
    if (restMs > 0) await new Promise<void>((resolve) => env.setTimer(restMs, resolve));
    else await env.nextTurn();
  }
}

/** Does one piece; gives whether there is more. */
async function step(committer: Committer): Promise<boolean> {
  const base = await committer.base();
  const { catalog } = committer;
  const { book } = base;
  if (catalog === undefined || book?.buildingSpec === undefined) return false;
  const page = await committer.store.scanRows({ after: book.walked, limit: PIECE });
  const walked = page.rows.flatMap((row) => walk(row, catalog, book) ?? []);
  const ledger = new BucketLedger(book, base.nextBucket);
  await ledger.load(
    walked.flatMap(({ record, placements }) => [
      ...placements.map(({ id }) => id),
      ...record.memberships.map(({ bucket }) => bucket),
    ]),
    (names) => committer.store.readBuckets(names),
  );
  const rows = walked.flatMap((row) => write(row, ledger, base.head.seq) ?? []);
  const position = page.rows.at(-1)?.position ?? book.walked;
  const next = { ...base, nextBucket: ledger.next, book: book.walkedTo(position) };
  await committer.replaceBook(next, rows, ledger.writes());
  if (!page.complete) return true;
  await committer.switchRules(await committer.base());
  return false;
}

function walk(row: StoredRow, catalog: Catalog, book: RuleBook): Walked | undefined {
  const table = catalog.tableById(row.table);
  if (table === undefined) return undefined;
  const { name } = table.table;
  const building = book.placing(name).filter(({ liveSeq }) => liveSeq === undefined);
  const record = readRecord(row.data);
  const placements = building.length > 0 && isVisible(record.state)
    ? placementsOf(building, name, rowReader(table, row.rowId, record.state))
    : [];
  return { row, record, placements };
}

/** Adds the memberships that a commit meanwhile has not made, and drops those of forgotten families. */
function write(
  { row, record, placements }: Walked,
  ledger: BucketLedger,
  seq: number,
): RowWrite | undefined {
  const forgotten = record.memberships.filter(({ bucket }) =>
    ledger.byNumber(bucket)?.placed === undefined
  );
  const known = new Set(record.memberships.map(({ bucket }) => bucket));
  const added: Membership[] = [];
  let sums: ReturnType<typeof sumsOf> | undefined;
  for (const { id, values } of placements) {
    const bucket = ledger.byId(id);
    if (known.has(bucket.bucket)) continue;
    sums ??= sumsOf(row.rowId, record.state);
    ledger.change(bucket, seq, row.table, undefined, sums);
    added.push({
      bucket: bucket.bucket,
      seq,
      spans: [seq],
      ...(values === undefined ? {} : { values: [values] }),
    });
  }
  if (added.length === 0 && forgotten.length === 0) return undefined;
  const kept = record.memberships.filter(({ bucket }) =>
    ledger.byNumber(bucket)?.placed !== undefined
  );
  return {
    table: row.table,
    rowId: row.rowId,
    data: writeRecord({ ...record, memberships: [...kept, ...added] }),
    ref: row.ref,
    drop: forgotten.map(entryOf),
    add: added.map(entryOf),
  };
}
