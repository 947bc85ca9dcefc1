/**
 * The buckets this database was granted, as the last checkpoint told them, and how far each is
 * known to agree with what is here.
 *
 * @module
 */

import { type BucketState, MAX_REPAIR_BUCKETS } from "@lakesync/core";
import type { SqliteConnection } from "./database/driver.ts";

/** For each table of which a bucket does not show all columns, the names of those it shows. */
export type ShownColumns = NonNullable<BucketState["columns"]>;

/** A bucket as it is stored. */
export interface StoredBucket {
  /** Its number in this database, never used again. */
  readonly n: number;
  /** Its id at the gateway. */
  readonly id: string;
  /** Rows in it, as the gateway said last. */
  readonly rows: number;
  /** Their checksum, as the gateway said last; undefined: it has none. */
  readonly checksum: number | undefined;
  /** The columns it shows. */
  readonly columns: ShownColumns;
  /** Whether all that was said by the schema that the database has now, so under its names. */
  readonly current: boolean;
  /** Whether it changed since it was found to agree. */
  readonly due: boolean;
  /** Counts what the gateway said of it. */
  readonly told: number;
  /** Counts how often it came whole. */
  readonly sent: number;
  /** Whether it is to be asked for again. */
  readonly repair: boolean;
  /** How often in a row something was done because it differed. */
  readonly tries: number;
}

/** Buckets of up to so many rows in all are verified with each checkpoint. */
const SMALL_ROWS = 1_000;

const VERSION = "(SELECT json_extract(schema, '$.version') FROM _lakesync_state)";

/** Reads the buckets by id. */
export async function readBuckets(db: SqliteConnection): Promise<Map<string, StoredBucket>> {
  const rows = await db.values(
    `SELECT n, id, rows, checksum, columns, version = ${VERSION}, due, told, sent, repair, tries
     FROM _lakesync_bucket ORDER BY n`,
  );
  return new Map(rows.map((row) => {
    const [n, id, rows, checksum, columns, current, due, told, sent, repair, tries] = row;
    return [String(id), {
      n: Number(n),
      id: String(id),
      rows: Number(rows),
      checksum: checksum === null ? undefined : Number(checksum),
      columns: JSON.parse(String(columns)),
      current: current === 1,
      due: due === 1,
      told: Number(told),
      sent: Number(sent),
      repair: repair === 1,
      tries: Number(tries),
    }];
  }));
}

/** As SQL: a JSON array of the ids of buckets to be asked for again, as many as one request names. */
export const REPAIRS: string = `(SELECT json_group_array(id) FROM
  (SELECT id FROM _lakesync_bucket WHERE repair = 1 ORDER BY n LIMIT ${MAX_REPAIR_BUCKETS}))`;

/** What is to be done about the buckets after a checkpoint. */
export interface BucketDues {
  /** Whether any is to be asked for again. */
  readonly repair: boolean;
  /** Whether any is to be verified. */
  readonly due: boolean;
  /** Whether all are known to be so small that they are verified at once. */
  readonly small: boolean;
}

/** Tells what is to be done about the buckets. */
export async function readDues(db: SqliteConnection): Promise<BucketDues> {
  const [row] = await db.values(
    `SELECT coalesce(max(repair), 0), coalesce(max(due AND checksum IS NOT NULL), 0),
      coalesce(sum(rows), 0) <= ${SMALL_ROWS} AND count(checksum) = count(*) FROM _lakesync_bucket`,
  );
  const [repair, due, small] = row ?? [];
  return { repair: repair === 1, due: due === 1, small: small === 1 };
}

/** Makes a new bucket; gives its number. */
export async function addBucket(db: SqliteConnection, id: string): Promise<number> {
  const { lastInsertRowid } = await db.run("INSERT INTO _lakesync_bucket (id) VALUES (?)", [id]);
  return Number(lastInsertRowid);
}

/** Forgets buckets. */
export async function forgetBuckets(
  db: SqliteConnection,
  numbers: readonly number[],
): Promise<void> {
  if (numbers.length === 0) return;
  await db.runMany("DELETE FROM _lakesync_bucket WHERE n = ?", numbers.map((n) => [n]));
}

/**
 * Stores what a checkpoint said of a bucket, where it is another than before.
 *
 * @param db the writer, in a transaction
 * @param stored the bucket as it is stored; undefined: it is new
 * @param n its number
 * @param told what was said
 * @param whole whether it came whole
 */
export async function storeBucket(
  db: SqliteConnection,
  stored: StoredBucket | undefined,
  n: number,
  told: BucketState,
  whole: boolean,
): Promise<void> {
  const columns = JSON.stringify(told.columns ?? {});
  const same = stored?.current && !whole && stored.rows === told.rows &&
    stored.checksum === told.checksum && JSON.stringify(stored.columns) === columns;
  if (same) return;
  await db.run(
    `UPDATE _lakesync_bucket SET rows = ?, checksum = ?, columns = ?, version = ${VERSION},
      due = 1, told = told + 1, sent = sent + ?, repair = CASE WHEN ? THEN 0 ELSE repair END WHERE n = ?`,
    [told.rows, told.checksum ?? null, columns, whole ? 1 : 0, whole, n],
  );
}
