/**
 * Everything that is read from a gateway's SQLite file, over one connection.
 *
 * @module
 */

import {
  asBytes,
  asNumber,
  asText,
  type Connection,
  type SqlRow,
  type Statement,
} from "./_sqlite.ts";
import { parseTie } from "./_position.ts";
import { decodeAnswer, decodeClient, decodeText } from "./_records.ts";
import { fitPage } from "./_page.ts";
import type {
  BucketPage,
  BucketRecord,
  BucketScan,
  ClientRecord,
  Head,
  KeptAnswer,
  LogEntry,
  LogPosition,
  RowKey,
  ScannedRow,
  StagedPart,
  StagedSummary,
  StoredRow,
  StoreStats,
} from "./store.ts";

/** Row data above this many bytes is fetched row by row, so that a page stays within its bytes. */
const INLINE_BYTES = 4_096;

const entries = (gone: 0 | 1, seq: string, rid: string) => `
  SELECT e.seq, e.rid, ${gone}, r.tbl, r.row_id,
    CASE WHEN octet_length(r.data) <= ${INLINE_BYTES} THEN r.data END,
    octet_length(r.data)
  FROM bucket_rows e JOIN rows r ON r.rid = e.rid
  WHERE e.bucket = ?1 AND e.gone = ${gone} AND (e.seq, e.rid) > (${seq}, ${rid})`;

/** Merges the rows that are in a bucket and those that left it, both in the order of the index. */
export const SCAN_SQL: string = `${entries(0, "?2", "?3")}
  UNION ALL ${entries(1, "?4", "?5")}
  ORDER BY 1, 2 LIMIT ?6`;

const LOG_COLUMNS = "seq, slice, client_id, mutation_id, committed_ms, payload";

/** Reads over one connection; each method is one snapshot. */
export class SqliteReads {
  readonly #db: Connection;
  readonly #head: Statement;
  readonly #row: Statement;
  readonly #data: Statement;
  readonly #client: Statement;
  readonly #bucketById: Statement;
  readonly #bucket: Statement;
  readonly #meta: Statement;
  readonly #answer: Statement;
  readonly #scan: Statement;
  readonly #log: Statement;
  readonly #staged: Statement;
  readonly #part: Statement;
  readonly #stats: Statement;

  /** @param db the connection to read by */
  constructor(db: Connection) {
    this.#db = db;
    this.#head = db.prepare("SELECT epoch, seq, hlc FROM head");
    this.#row = db.prepare(
      "SELECT rid, data FROM rows WHERE tbl = ? AND row_id = ?",
    );
    this.#data = db.prepare("SELECT data FROM rows WHERE rid = ?");
    this.#client = db.prepare("SELECT record FROM clients WHERE client_id = ?");
    const bucket = "SELECT bucket, id, row_count, checksum FROM buckets";
    this.#bucketById = db.prepare(`${bucket} WHERE id = ?`);
    this.#bucket = db.prepare(`${bucket} WHERE bucket = ?`);
    this.#meta = db.prepare("SELECT value FROM meta WHERE name = ?");
    this.#answer = db.prepare("SELECT record FROM answers WHERE key = ?");
    this.#scan = db.prepare(SCAN_SQL);
    this.#log = db.prepare(
      `SELECT ${LOG_COLUMNS} FROM log WHERE (seq, slice) > (?, ?) ORDER BY seq, slice LIMIT ?`,
    );
    this.#staged = db.prepare(
      `SELECT part, parts, deltas, bytes FROM parts
       WHERE client_id = ? AND mutation_id = ? ORDER BY part`,
    );
    this.#part = db.prepare(
      `SELECT part, parts, deltas, staged_ms, payload FROM parts
       WHERE client_id = ? AND mutation_id = ? AND part = ?`,
    );
    this.#stats = db.prepare("SELECT log_entries, log_bytes, clients FROM head");
  }

  /** The head. */
  head(): Head {
    const row = this.#head.get();
    return {
      epoch: asText(row?.[0]),
      seq: asNumber(row?.[1]),
      hlc: asText(row?.[2]),
    };
  }

  /** Rows by key; inside a transaction that is open already when there is one. */
  rows(keys: readonly RowKey[]): readonly (StoredRow | undefined)[] {
    const read = () =>
      keys.map(({ table, rowId }) => {
        const row = this.#row.get(table, rowId);
        return row &&
          { table, rowId, data: asText(row[1]), ref: asNumber(row[0]) };
      });
    return this.#db.inTransaction ? read() : this.#snapshot(read);
  }

  /** Clients by id. */
  clients(ids: readonly string[]): readonly (ClientRecord | undefined)[] {
    return this.#snapshot(() => ids.map((id) => this.#clientOf(id)));
  }

  /** Buckets by name. */
  buckets(ids: readonly string[]): readonly (BucketRecord | undefined)[] {
    return this.#snapshot(() => ids.map((id) => toBucket(this.#bucketById.get(id))));
  }

  /** A small record. */
  meta(name: string): string | undefined {
    const row = this.#meta.get(name);
    return row && decodeText(asText(row[0]));
  }

  /** A kept answer. */
  answer(key: string): KeptAnswer | undefined {
    const row = this.#answer.get(key);
    return row && decodeAnswer(key, asText(row[0]));
  }

  /** A page of a bucket. */
  scan(scan: BucketScan): BucketPage {
    return this.#snapshot(() => {
      const { seq } = scan.after;
      const tie = parseTie(scan.after.tie);
      const after = scan.goneAfterSeq < seq
        ? [seq, tie] as const
        : [scan.goneAfterSeq, Number.MAX_SAFE_INTEGER] as const;
      const found = this.#scan.all(
        scan.bucket,
        seq,
        tie,
        ...after,
        scan.limit + 1,
      );
      const fitting = fitPage(found, scan.limit, (row) => asNumber(row[6]));
      return {
        head: this.head(),
        client: this.#clientOf(scan.clientId),
        bucket: toBucket(this.#bucket.get(scan.bucket)),
        rows: fitting.map((row) => this.#toScanned(row)),
        complete: fitting.length === found.length,
      };
    });
  }

  /** Log entries after a seq. */
  log(after: LogPosition, limit: number): readonly LogEntry[] {
    return this.#log.all(after.seq, after.slice, limit).map((row) => ({
      seq: asNumber(row[0]),
      slice: asNumber(row[1]),
      clientId: asText(row[2]),
      mutationId: asNumber(row[3]),
      committedMs: asNumber(row[4]),
      payload: asBytes(row[5]),
    }));
  }

  /** What parts of a transaction are there. */
  staged(clientId: string, mutationId: number): StagedSummary | undefined {
    const rows = this.#staged.all(clientId, mutationId);
    const last = rows.at(-1);
    return last && {
      present: rows.map((row) => asNumber(row[0])),
      parts: asNumber(last[1]),
      deltas: rows.reduce((sum, row) => sum + asNumber(row[2]), 0),
      bytes: rows.reduce((sum, row) => sum + asNumber(row[3]), 0),
    };
  }

  /** One part. */
  part(
    clientId: string,
    mutationId: number,
    part: number,
  ): StagedPart | undefined {
    const row = this.#part.get(clientId, mutationId, part);
    return row && {
      clientId,
      mutationId,
      part: asNumber(row[0]),
      parts: asNumber(row[1]),
      deltas: asNumber(row[2]),
      stagedMs: asNumber(row[3]),
      payload: asBytes(row[4]),
    };
  }

  /** The counts kept beside the head. */
  stats(): StoreStats {
    const row = this.#stats.get();
    return {
      logEntries: asNumber(row?.[0]),
      logBytes: asNumber(row?.[1]),
      clients: asNumber(row?.[2]),
    };
  }

  #snapshot<T>(read: () => T): T {
    return this.#db.transaction("DEFERRED", read);
  }

  #clientOf(clientId: string): ClientRecord | undefined {
    const row = this.#client.get(clientId);
    return row && decodeClient(clientId, asText(row[0]));
  }

  #toScanned(row: SqlRow): ScannedRow {
    const rid = asNumber(row[1]);
    return {
      table: asNumber(row[3]),
      rowId: asText(row[4]),
      data: asText(row[5] ?? this.#data.get(rid)?.[0]),
      position: { seq: asNumber(row[0]), tie: String(rid) },
      gone: row[2] === 1,
    };
  }
}

function toBucket(row: SqlRow | undefined): BucketRecord | undefined {
  return row && {
    bucket: asNumber(row[0]),
    id: asText(row[1]),
    rows: asNumber(row[2]),
    checksum: asNumber(row[3]),
  };
}
