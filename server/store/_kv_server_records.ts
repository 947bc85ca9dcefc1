/**
 * Records of a server in Deno KV, each under its key after a prefix of their own. KV forgets
 * expired records some time later, so each says itself when it expires.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { storeClosed, writeFailed } from "./_errors.ts";
import { RECORDS } from "./_kv_keys.ts";
import { checkRecordBatch } from "./_record_bounds.ts";
import type { RecordBatch, RecordRange, RecordStore, ServerRecord } from "./records.ts";

/** How records are kept. */
export interface KvRecordsOptions {
  /** Whether other processes may write too. */
  readonly shared: boolean;
  /** The clock that records expire by, in milliseconds since 1970; the system's unless given. */
  readonly now?: () => number;
}

/** A record as KV has it. */
interface Kept {
  readonly value: string;
  readonly expiresMs?: number;
}

type Found = Pick<Deno.KvEntryMaybe<unknown>, "value" | "versionstamp">;

/** Keys of one `getMany`. */
const KEYS_PER_GET = 10;

/** Entries read at once by a list. */
const LIST_BATCH = 100;

/** How often a commit is tried that others, or the end of expired records, got in the way of. */
const COMMIT_TRIES = 100;

/** How long a commit waits at most for another handle of the same file, in milliseconds. */
const BUSY_WAIT_MS = 20;

/** Records in one KV database. */
export class KvRecords implements RecordStore {
  readonly shared: boolean;
  readonly #kv: Deno.Kv;
  readonly #now: () => number;
  #open = true;

  /**
   * @param kv the database, which stays open
   * @param options whether it is shared, and the clock
   */
  constructor(kv: Deno.Kv, { shared, now = Date.now }: KvRecordsOptions) {
    this.shared = shared;
    this.#kv = kv;
    this.#now = now;
  }

  async get(key: string): Promise<ServerRecord | undefined> {
    this.#assertOpen();
    return this.#recordOf(key, await this.#kv.get<unknown>(fullKey(key)));
  }

  async list(
    { from, to, limit, reverse = false }: RecordRange,
  ): Promise<readonly ServerRecord[]> {
    this.#assertOpen();
    const found: ServerRecord[] = [];
    if (isEmpty(from, to)) return found;
    const selector = { start: fullKey(from), end: fullKey(to) };
    const batchSize = Math.min(limit, LIST_BATCH);
    for await (const entry of this.#kv.list<unknown>(selector, { reverse, batchSize })) {
      const record = this.#recordOf(String(entry.key.at(-1)), entry);
      if (record === undefined) continue;
      found.push(record);
      if (found.length >= limit) break;
    }
    return found;
  }

  async commit(batch: RecordBatch): Promise<boolean> {
    checkRecordBatch(batch);
    this.#assertOpen();
    try {
      for (let tries = 0; tries < COMMIT_TRIES; tries++) {
        const checks = await this.#physicalChecks(batch);
        if (checks === undefined) return false;
        if (await this.#write(batch, checks)) return true;
      }
    } catch (cause) {
      throw writeFailed(cause);
    }
    throw new LakeSyncError(
      "BACKPRESSURE",
      "The records of the server are written by too many at once, try again",
      { retryAfterSeconds: 1 },
    );
  }

  /** Ends its use; the database is its owner's. */
  close(): void {
    this.#open = false;
  }

  #assertOpen(): void {
    if (!this.#open) throw storeClosed();
  }

  #recordOf(key: string, { value, versionstamp }: Found): ServerRecord | undefined {
    if (versionstamp === null) return undefined;
    if (!isKept(value)) throw notARecord();
    const { expiresMs = Infinity } = value;
    return expiresMs > this.#now() ? { key, value: value.value, version: versionstamp } : undefined;
  }

  /**
   * What KV is to check: a record that has expired is there for KV, perhaps.
   *
   * @returns undefined when a check of the batch does not hold
   */
  async #physicalChecks(
    { checks = [] }: RecordBatch,
  ): Promise<readonly Deno.AtomicCheck[] | undefined> {
    const physical: Deno.AtomicCheck[] = [];
    for (let start = 0; start < checks.length; start += KEYS_PER_GET) {
      const some = checks.slice(start, start + KEYS_PER_GET);
      const entries = await this.#kv.getMany<unknown[]>(some.map(({ key }) => fullKey(key)));
      for (const [index, { key, version }] of some.entries()) {
        const entry = entries[index] ?? { key: fullKey(key), value: null, versionstamp: null };
        if ((this.#recordOf(key, entry)?.version ?? null) !== version) return undefined;
        physical.push({ key: fullKey(key), versionstamp: entry.versionstamp });
      }
    }
    return physical;
  }

  async #write(
    { set = [], remove = [] }: RecordBatch,
    checks: readonly Deno.AtomicCheck[],
  ): Promise<boolean> {
    const atomic = this.#kv.atomic().check(...checks);
    const nowMs = this.#now();
    for (const key of remove) atomic.delete(fullKey(key));
    for (const { key, value, expiresMs } of set) {
      if (expiresMs === undefined || expiresMs === Infinity) atomic.set(fullKey(key), { value });
      else if (expiresMs <= nowMs) atomic.delete(fullKey(key));
      else {
        const kept: Kept = { value, expiresMs };
        atomic.set(fullKey(key), kept, { expireIn: Math.ceil(expiresMs - nowMs) });
      }
    }
    try {
      return (await atomic.commit()).ok;
    } catch (error) {
      if (!isBusy(error)) throw error;
      const { promise, resolve } = Promise.withResolvers<void>();
      setTimeout(resolve, Math.random() * BUSY_WAIT_MS);
      await promise;
      return false;
    }
  }
}

/** Whether another handle was writing the same file, so that nothing was written here. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && error.message.includes("database is locked");
}

function fullKey(key: string): Deno.KvKey {
  return [...RECORDS, key];
}

/** Whether nothing is between two keys, in the order of UTF-8 bytes, which is that of KV. */
function isEmpty(from: string, to: string): boolean {
  const [a, b] = [new TextEncoder().encode(from), new TextEncoder().encode(to)];
  const at = b.findIndex((byte, index) => byte !== a[index]);
  return at < 0 || (b[at] ?? 0) < (a[at] ?? -1);
}

function isKept(value: unknown): value is Kept {
  return typeof value === "object" && value !== null &&
    "value" in value && typeof value.value === "string" &&
    (!("expiresMs" in value) || typeof value.expiresMs === "number");
}

function notARecord(): LakeSyncError {
  return new LakeSyncError(
    "INTERNAL_ERROR",
    "A record of the server cannot be read, the database is damaged or of another program",
  );
}
