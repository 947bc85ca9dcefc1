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
  type SqlValue,
  type Statement,
} from "./_sqlite.ts";
import { parseTie } from "./_position.ts";
import { decodeAnswer, decodeClient, decodeText } from "./_records.ts";
import { fitPage } from "./_page.ts";
import type {
  BucketRecord,
  ClientRecord,
  Head,
  IndexPage,
  IndexScan,
  KeptAnswer,
  LogEntry,
  LogPosition,
  RowKey,
  RowPage,
  RowScan,
  ScannedRow,
  StagedPart,
  StagedSummary,
  StoredRow,
  StoreStats,
} from "./store.ts";

/** Row data above this many bytes is fetched row by row, so that a page stays within its bytes. */
const INLINE_BYTES = 4_096;

const DATA_COLUMNS =
  `CASE WHEN octet_length(r.data) <= ${INLINE_BYTES} THEN r.data END, octet_length(r.data)`;

const side = (gone: 0 | 1) => `
  SELECT e.seq, e.rid, ${gone}, r.tbl, r.row_id, ${DATA_COLUMNS}
  FROM bucket_rows e JOIN rows r ON r.rid = e.rid
  WHERE e.bucket = ?1 AND e.gone = ${gone} AND (e.seq, e.rid) > (?2, ?3)
  ORDER BY e.seq, e.rid LIMIT ?4`;

/** Reads the rows that are in a bucket, in the order of the index. */
export const PRESENT_SQL: string = side(0);

/** Reads the rows that left a bucket, in the order of the index. */
export const GONE_SQL: string = side(1);

/** Reads all rows in the order of their numbers. */
export const ROWS_SQL: string = `SELECT r.rid, r.tbl, r.row_id, ${DATA_COLUMNS} FROM rows r
  WHERE r.rid > ? ORDER BY r.rid LIMIT ?`;

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
  readonly #present: Statement;
  readonly #gone: Statement;
  readonly #rows: Statement;
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
    const bucket = "SELECT bucket, id, seq, row_count, data FROM buckets";
    this.#bucketById = db.prepare(`${bucket} WHERE id = ?`);
    this.#bucket = db.prepare(`${bucket} WHERE bucket = ?`);
    this.#meta = db.prepare("SELECT value FROM meta WHERE name = ?");
    this.#answer = db.prepare("SELECT record FROM answers WHERE key = ?");
    this.#present = db.prepare(PRESENT_SQL);
    this.#gone = db.prepare(GONE_SQL);
    this.#rows = db.prepare(ROWS_SQL);
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

  /** Rows by key. */
  rows(keys: readonly RowKey[]): readonly (StoredRow | undefined)[] {
    return this.#each(keys, ({ table, rowId }) => {
      const row = this.#row.get(table, rowId);
      return row &&
        { table, rowId, data: asText(row[1]), ref: asNumber(row[0]) };
    });
  }

  /** Clients by id. */
  clients(ids: readonly string[]): readonly (ClientRecord | undefined)[] {
    return this.#each(ids, (id) => this.#clientOf(id));
  }

  /** Buckets by name or number. */
  buckets(names: readonly (string | number)[]): readonly (BucketRecord | undefined)[] {
    return this.#each(
      names,
      (name) => toBucket((typeof name === "number" ? this.#bucket : this.#bucketById).get(name)),
    );
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

  /** A page of one side of a bucket. */
  scanSide({ bucket, gone, after, limit }: IndexScan): IndexPage {
    return this.#snapshot(() => {
      const scan = gone ? this.#gone : this.#present;
      const found = scan.all(bucket, after.seq, parseTie(after.tie), limit + 1);
      const fitting = fitPage(found, limit, (row) => asNumber(row[6]));
      return {
        rows: fitting.map((row) => this.#toScanned(row)),
        complete: fitting.length === found.length,
      };
    });
  }

  /** A page of all rows. */
  scanRows({ after, limit }: RowScan): RowPage {
    return this.#snapshot(() => {
      const found = this.#rows.all(parseTie(after), limit + 1);
      const fitting = fitPage(found, limit, (row) => asNumber(row[4]));
      return {
        rows: fitting.map((row) => {
          const rid = asNumber(row[0]);
          return {
            table: asNumber(row[1]),
            rowId: asText(row[2]),
            data: this.#dataOf(row[3], rid),
            ref: rid,
            position: String(rid),
          };
        }),
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

  /** One read is one snapshot by itself. */
  #each<K, T>(keys: readonly K[], read: (key: K) => T): readonly T[] {
    const all = () => keys.map(read);
    return keys.length < 2 ? all() : this.#snapshot(all);
  }

  /** Runs in a transaction: the one that is open, if there is one. */
  #snapshot<T>(read: () => T): T {
    return this.#db.inTransaction ? read() : this.#db.transaction("DEFERRED", read);
  }

  #dataOf(inline: SqlValue | undefined, rid: number): string {
    return asText(inline ?? this.#data.get(rid)?.[0]);
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
      data: this.#dataOf(row[5], rid),
      position: { seq: asNumber(row[0]), tie: String(rid) },
      gone: row[2] === 1,
    };
  }
}

function toBucket(row: SqlRow | undefined): BucketRecord | undefined {
  return row && {
    bucket: asNumber(row[0]),
    id: asText(row[1]),
    seq: asNumber(row[2]),
    rows: asNumber(row[3]),
    data: asText(row[4]),
  };
}
