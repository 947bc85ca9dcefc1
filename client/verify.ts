/**
 * Finding drift: the base is compared with the checksums that the gateway told, and what differs is
 * marked to be asked for again. A bucket that differs is repaired alone, three times in a row; then
 * the whole base is, once; then it is given up, and the status says so.
 *
 * @module
 */

import { readBuckets } from "./buckets.ts";
import { forgetCheckpoint } from "./checkpoint.ts";
import type { SqliteConnection } from "./database/driver.ts";
import type { Measured, MeasuredBucket } from "./measure.ts";

/** Repairs of one bucket in a row that may fail. */
const MAX_REPAIRS = 3;

/** What is done about a bucket that differs. */
export type DriftRemedy =
  /** It was asked for before, and has not come yet. */
  | "asked"
  /** It is asked for again. */
  | "repair"
  /** Everything is. */
  | "resync"
  /** Nothing has helped; somebody must look at it. */
  | "given-up";

/** A bucket that differs from what the gateway told. */
export interface Drift {
  /** Its id. */
  readonly bucket: string;
  /** Rows in it, as the gateway told. */
  readonly rows: number;
  /** Rows in it here. */
  readonly rowsHere: number;
  /** What is done about it. */
  readonly remedy: DriftRemedy;
}

/** What a comparison found. */
export interface Verified {
  /** Buckets that were compared; those without a checksum are not. */
  readonly buckets: number;
  /** Rows that were looked at. */
  readonly rows: number;
  /** Those that differ. */
  readonly drifts: readonly Drift[];
}

function agrees({ told, rows, checksum }: MeasuredBucket): boolean {
  return told.rows === rows && told.checksum === checksum;
}

/**
 * Stores what a comparison found, as far as no checkpoint has overtaken it.
 *
 * @param db the writer, in a transaction
 * @param measured what was measured
 * @returns what was found
 */
export async function storeMeasured(db: SqliteConnection, measured: Measured): Promise<Verified> {
  const now = await readBuckets(db);
  const drifts: Drift[] = [];
  for (const bucket of measured.buckets) {
    const { told } = bucket;
    const stored = now.get(told.id);
    if (stored === undefined || stored.n !== told.n) continue;
    if (!agrees(bucket)) {
      if (stored.sent !== told.sent) continue;
      const { id, rows } = told;
      const remedy = await mark(db, stored.n, stored.repair, stored.tries);
      drifts.push({ bucket: id, rows, rowsHere: bucket.rows, remedy });
    } else if (stored.told === told.told && (stored.due || stored.repair || stored.tries > 0)) {
      await db.run(
        "UPDATE _lakesync_bucket SET due = 0, repair = 0, tries = 0 WHERE n = ?",
        [stored.n],
      );
    }
  }
  if (drifts.some(({ remedy }) => remedy === "resync")) await forgetCheckpoint(db);
  return { buckets: measured.buckets.length, rows: measured.rows, drifts };
}

/** Decides what is done about a bucket, by how often something was done before. */
async function mark(
  db: SqliteConnection,
  n: number,
  asked: boolean,
  tries: number,
): Promise<DriftRemedy> {
  if (asked) return "asked";
  const repair = tries < MAX_REPAIRS;
  const remedy = repair ? "repair" : tries === MAX_REPAIRS ? "resync" : "given-up";
  await db.run(
    "UPDATE _lakesync_bucket SET repair = ?, due = ?, tries = min(tries + 1, ?) WHERE n = ?",
    [repair, remedy !== "given-up", MAX_REPAIRS + 2, n],
  );
  return remedy;
}
