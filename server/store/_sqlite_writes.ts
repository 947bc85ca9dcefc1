/**
 * Everything that is written to a gateway's SQLite file, over one connection and inside a
 * transaction that the caller opens and ends.
 *
 * @module
 */

import { asNumber, type Connection, type Statement, text } from "./_sqlite.ts";
import { encodeAnswer, encodeClient, encodeText } from "./_records.ts";
import { headMoved, wrongRef } from "./_errors.ts";
import type {
  BucketEntry,
  ClientRecord,
  CommitBatch,
  LogEntry,
  RowWrite,
  StagedPart,
  Writes,
} from "./store.ts";

/** Writes over one connection. */
export class SqliteWrites {
  readonly #insertRow: Statement;
  readonly #updateRow: Statement;
  readonly #deleteRow: Statement;
  readonly #addEntry: Statement;
  readonly #dropEntry: Statement;
  readonly #insertLog: Statement;
  readonly #insertClient: Statement;
  readonly #updateClient: Statement;
  readonly #bucket: Statement;
  readonly #dropBucket: Statement;
  readonly #meta: Statement;
  readonly #deleteMeta: Statement;
  readonly #dropParts: Statement;
  readonly #answer: Statement;
  readonly #head: Statement;
  readonly #part: Statement;
  readonly #trimmed: Statement;
  readonly #trim: Statement;
  readonly #sweep: Statement;
  readonly #sweepParts: Statement;
  readonly #lastRid: Statement;
  readonly #count: Statement;

  /** @param db the connection to write by */
  constructor(db: Connection) {
    this.#insertRow = db.prepare(
      "INSERT INTO rows (rid, tbl, row_id, data) VALUES (?, ?, ?, ?)",
    );
    this.#updateRow = db.prepare("UPDATE rows SET data = ? WHERE rid = ?");
    this.#deleteRow = db.prepare("DELETE FROM rows WHERE rid = ?");
    this.#addEntry = db.prepare(
      "INSERT INTO bucket_rows VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    );
    this.#dropEntry = db.prepare(
      `DELETE FROM bucket_rows
       WHERE bucket = ? AND gone = ? AND seq = ? AND rid = ?`,
    );
    this.#insertLog = db.prepare("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)");
    this.#insertClient = db.prepare("INSERT INTO clients VALUES (?, ?)");
    this.#updateClient = db.prepare(
      "UPDATE clients SET record = ?2 WHERE client_id = ?1",
    );
    this.#bucket = db.prepare(
      `INSERT INTO buckets VALUES (?, ?, ?, ?, ?) ON CONFLICT (bucket)
       DO UPDATE SET id = excluded.id, seq = excluded.seq, row_count = excluded.row_count,
       data = excluded.data`,
    );
    this.#dropBucket = db.prepare("DELETE FROM buckets WHERE bucket = ?");
    this.#meta = db.prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)");
    this.#deleteMeta = db.prepare("DELETE FROM meta WHERE name = ?");
    this.#dropParts = db.prepare(
      "DELETE FROM parts WHERE client_id = ? AND mutation_id = ?",
    );
    this.#answer = db.prepare("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)");
    this.#head = db.prepare("UPDATE head SET seq = ?, hlc = ? WHERE seq = ?");
    this.#part = db.prepare(
      "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    );
    const oldest = `FROM log WHERE seq <= ?1 ORDER BY seq, slice LIMIT ?2`;
    this.#trimmed = db.prepare(
      `SELECT count(*), coalesce(sum(bytes), 0)
       FROM (SELECT length(payload) AS bytes ${oldest})`,
    );
    this.#trim = db.prepare(
      `DELETE FROM log WHERE rowid IN (SELECT rowid ${oldest})`,
    );
    this.#sweep = db.prepare(
      `DELETE FROM answers WHERE rowid IN
       (SELECT rowid FROM answers WHERE expires_ms < ? ORDER BY expires_ms LIMIT ?)`,
    );
    this.#sweepParts = db.prepare(
      `DELETE FROM parts WHERE rowid IN
       (SELECT rowid FROM parts WHERE staged_ms < ? ORDER BY staged_ms LIMIT ?)`,
    );
    this.#lastRid = db.prepare("SELECT coalesce(max(rid), 0) FROM rows");
    this.#count = db.prepare(
      `UPDATE head SET log_entries = log_entries + ?,
       log_bytes = log_bytes + ?, clients = clients + ?`,
    );
  }

  /** Moves the head, if it is where the batch expects it. */
  moveHead({ head, expectedSeq }: CommitBatch): void {
    if (this.#head.run(head.seq, head.hlc, expectedSeq) === 0) {
      throw headMoved();
    }
  }

  /** Writes changes and keeps the counts. */
  apply(writes: Writes): void {
    if (writes.rows?.length) this.#rows(writes.rows);
    const log = writes.log ?? [];
    for (const entry of log) this.#logEntry(entry);
    let newClients = 0;
    for (const client of writes.clients ?? []) {
      if (this.#client(client)) newClients++;
    }
    for (const bucket of writes.dropBuckets ?? []) this.#dropBucket.run(bucket);
    for (const { bucket, id, seq, rows, data } of writes.buckets ?? []) {
      this.#bucket.run(bucket, text(id), seq, rows, text(data));
    }
    for (const [name, value] of writes.meta ?? []) {
      if (value === null) this.#deleteMeta.run(name);
      else this.#meta.run(name, encodeText(value));
    }
    for (const { clientId, mutationId } of writes.dropParts ?? []) {
      this.#dropParts.run(clientId, mutationId);
    }
    for (const answer of writes.answers ?? []) {
      this.#answer.run(answer.key, encodeAnswer(answer), answer.expiresMs);
    }
    if (log.length > 0 || newClients > 0) {
      const bytes = log.reduce((sum, entry) => sum + entry.payload.length, 0);
      this.#count.run(log.length, bytes, newClients);
    }
  }

  /** Keeps a part. */
  stage(part: StagedPart): void {
    this.#part.run(
      text(part.clientId),
      part.mutationId,
      part.part,
      part.parts,
      part.deltas,
      part.payload.length,
      part.stagedMs,
      part.payload,
    );
  }

  /** Removes the oldest log entries through a seq. */
  trimLog(throughSeq: number, limit: number): number {
    const row = this.#trimmed.get(throughSeq, limit);
    const entries = asNumber(row?.[0]);
    if (entries > 0) {
      this.#trim.run(throughSeq, limit);
      this.#count.run(-entries, -asNumber(row?.[1]), 0);
    }
    return entries;
  }

  /** Removes kept answers that have expired. */
  sweepAnswers(beforeMs: number, limit: number): number {
    return this.#sweep.run(beforeMs, limit);
  }

  /** Removes staged parts that came before a time. */
  sweepParts(beforeMs: number, limit: number): number {
    return this.#sweepParts.run(beforeMs, limit);
  }

  #rows(rows: readonly RowWrite[]): void {
    let lastRid = asNumber(this.#lastRid.get()?.[0]);
    for (const row of rows) {
      const old = ridOf(row.ref);
      if (row.data === undefined) {
        if (old === undefined) continue;
        this.#deleteRow.run(old);
        this.#dropEntries(row.drop, old);
        continue;
      }
      const rid = old ?? ++lastRid;
      if (old === undefined) {
        this.#insertRow.run(rid, row.table, text(row.rowId), text(row.data));
      } else {
        this.#updateRow.run(text(row.data), rid);
        this.#dropEntries(row.drop, rid);
      }
      for (const { bucket, gone, seq } of row.add) {
        this.#addEntry.run(bucket, gone ? 1 : 0, seq, rid);
      }
    }
  }

  #dropEntries(entries: readonly BucketEntry[], rid: number): void {
    for (const { bucket, gone, seq } of entries) {
      this.#dropEntry.run(bucket, gone ? 1 : 0, seq, rid);
    }
  }

  #logEntry(entry: LogEntry): void {
    this.#insertLog.run(
      entry.seq,
      entry.slice,
      text(entry.clientId),
      entry.mutationId,
      entry.committedMs,
      entry.payload,
    );
  }

  #client(client: ClientRecord): boolean {
    const json = encodeClient(client);
    if (this.#updateClient.run(client.clientId, json) > 0) return false;
    this.#insertClient.run(text(client.clientId), json);
    return true;
  }
}

function ridOf(ref: unknown): number | undefined {
  if (ref === undefined || typeof ref === "number") return ref;
  throw wrongRef();
}
