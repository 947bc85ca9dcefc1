/**
 * The audit log over the records of a server. An entry's key is its time, a number for those of
 * the same millisecond, and the process, so that several processes write one log. Entries are
 * never changed; they expire.
 *
 * @module
 */

import type { RecordStore, RecordWrite, ServerRecord } from "../store/records.ts";
import { isAuditAction } from "./actions.ts";
import type { Audit, AuditEntry, AuditEvent, AuditPage, AuditQuery } from "./audit.ts";
import { decodeEvent, encodeEvent } from "./record.ts";
import { RefusalCounter } from "./refusals.ts";

/** What the log needs. */
export interface AuditLogOptions {
  /** Where entries are kept. */
  readonly records: RecordStore;
  /** How long they are kept, in milliseconds. */
  readonly keepMs: number;
  /** The clock, in milliseconds since 1970. */
  readonly now: () => number;
  /** Tells this process from others that write the same records. */
  readonly processId: string;
}

const PREFIX = "audit/";

/** Digits of a time in milliseconds since 1970; enough for the next 300 centuries. */
const TIME_DIGITS = 15;
const LAST_TIME_MS = 10 ** TIME_DIGITS - 1;
/** Digits of the number among the entries of one millisecond. */
const NUMBER_DIGITS = 5;

/** Records that are read at once, and for one page. */
const READ_AT_ONCE = 200;
const MAX_READ = 2_000;

/** What the id of an entry looks like. */
const ID = /^(\d{15})-\d{5}-[\w-]{1,64}$/;

/** Tells whether a text is a place in the log. */
export function isAuditCursor(text: string): boolean {
  return ID.test(text);
}

function timeText(ms: number): string {
  const whole = Math.min(Math.max(Math.ceil(ms), 0), LAST_TIME_MS);
  return String(whole).padStart(TIME_DIGITS, "0");
}

/** The audit log of a server. */
export class AuditLog implements Audit {
  readonly #options: AuditLogOptions;
  readonly #refusals: RefusalCounter;
  #lastMs = 0;
  #number = 0;

  /** @param options where to, how long, and who writes */
  constructor(options: AuditLogOptions) {
    this.#options = options;
    this.#refusals = new RefusalCounter(options.now);
  }

  entry(event: AuditEvent): RecordWrite {
    const { key, atMs } = this.#nextKey();
    return { key, value: encodeEvent(event), expiresMs: atMs + this.#options.keepMs };
  }

  async write(event: AuditEvent): Promise<void> {
    const told = this.#refusals.count(event);
    for (const each of told) await this.#append(each);
  }

  async list(query: AuditQuery): Promise<AuditPage> {
    const { fromMs = 0, toMs = LAST_TIME_MS, cursor, limit } = query;
    const from = `${PREFIX}${timeText(fromMs)}`;
    const end = `${PREFIX}${timeText(toMs)}`;
    let to = cursor === undefined || PREFIX + cursor > end ? end : PREFIX + cursor;
    const entries: AuditEntry[] = [];
    for (let read = 0; read < MAX_READ;) {
      const some = Math.min(READ_AT_ONCE, MAX_READ - read);
      const records = await this.#options.records.list({ from, to, limit: some, reverse: true });
      for (const record of records) {
        const entry = entryOf(record);
        to = record.key;
        if (entry === undefined || !matches(entry, query)) continue;
        entries.push(entry);
        if (entries.length >= limit) return { entries, cursor: to.slice(PREFIX.length) };
      }
      if (records.length < some) return { entries };
      read += records.length;
    }
    return { entries, cursor: to.slice(PREFIX.length) };
  }

  /** Writes how many refusals were not told one by one. */
  async close(): Promise<void> {
    for (const event of this.#refusals.rest()) await this.#append(event);
  }

  async #append(event: AuditEvent): Promise<void> {
    for (;;) {
      const entry = this.entry(event);
      const checks = [{ key: entry.key, version: null }];
      if (await this.#options.records.commit({ checks, set: [entry] })) return;
    }
  }

  #nextKey(): { readonly key: string; readonly atMs: number } {
    const nowMs = Math.floor(this.#options.now());
    if (nowMs > this.#lastMs) [this.#lastMs, this.#number] = [nowMs, 0];
    else if (++this.#number >= 10 ** NUMBER_DIGITS) {
      [this.#lastMs, this.#number] = [this.#lastMs + 1, 0];
    }
    const number = String(this.#number).padStart(NUMBER_DIGITS, "0");
    const key = `${PREFIX}${timeText(this.#lastMs)}-${number}-${this.#options.processId}`;
    return { key, atMs: this.#lastMs };
  }
}

function entryOf({ key, value }: ServerRecord): AuditEntry | undefined {
  const id = key.slice(PREFIX.length);
  const time = ID.exec(id)?.[1];
  const event = decodeEvent(value);
  if (time === undefined || event === undefined || !isAuditAction(event.what)) return undefined;
  return { ...event, id, atMs: Number(time) };
}

function matches(entry: AuditEntry, { gatewayId, sub, what }: AuditQuery): boolean {
  return (gatewayId === undefined || entry.gatewayId === gatewayId) &&
    (sub === undefined || entry.sub === sub) &&
    (what === undefined || entry.what === what);
}
