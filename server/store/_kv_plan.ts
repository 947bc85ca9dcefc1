/**
 * Turns the writes of the port into changes of keys.
 *
 * @module
 */

import { wrongRef } from "./_errors.ts";
import { type KvDraft, trashOf } from "./_kv_content.ts";
import {
  answerAt,
  bucketAt,
  bucketIdAt,
  entryAt,
  expiryAt,
  type GatewayKey,
  partAgeAt,
  rowAt,
} from "./_kv_keys.ts";
import {
  asAnswer,
  asBucket,
  asContent,
  asNumber,
  asPart,
  type Content,
  type HeadRecord,
} from "./_kv_records.ts";
import type { KvFound, KvSession, KvWrite } from "./_kv_session.ts";
import { encodeAnswer, encodeClient, encodeText } from "./_records.ts";
import type {
  BucketRecord,
  ClientRecord,
  KeptAnswer,
  LogEntry,
  RowWrite,
  StoredRow,
  Writes,
} from "./store.ts";

/** The handle of a row: its number, and where its data was. */
export class KvRef {
  /**
   * @param rid the row's number
   * @param data its data
   */
  constructor(readonly rid: number, readonly data: Content) {}
}

/** The counts that are kept in the head, and how a write changes them. */
export interface Counts {
  /** The greatest number a row was given. */
  lastRid: number;
  /** Log entries added. */
  logEntries: number;
  /** Bytes of their payloads. */
  logBytes: number;
  /** Clients added. */
  clients: number;
}

/** Reads what is at keys, as the write has left them so far. */
export type ReadKeys = (
  keys: readonly GatewayKey[],
) => Promise<readonly KvFound[]>;

/**
 * The counts before anything is written.
 *
 * @param head the head to start from
 * @returns nothing added
 */
export function countsFrom({ lastRid }: HeadRecord): Counts {
  return { lastRid, logEntries: 0, logBytes: 0, clients: 0 };
}

/** Plans writes; the last change of a key is the one that counts. */
export class KvPlan {
  readonly #session: KvSession;
  readonly #read: ReadKeys;
  readonly #draft: KvDraft;
  readonly #counts: Counts;
  readonly #writes = new Map<string, KvWrite>();

  /**
   * @param session for lists
   * @param read reads single keys
   * @param draft keeps large values
   * @param counts is changed with each write
   */
  constructor(
    session: KvSession,
    read: ReadKeys,
    draft: KvDraft,
    counts: Counts,
  ) {
    this.#session = session;
    this.#read = read;
    this.#draft = draft;
    this.#counts = counts;
  }

  /** The changes planned, each key once. */
  get writes(): readonly KvWrite[] {
    return [...this.#writes.values()];
  }

  /** Plans writes. */
  async add(writes: Writes): Promise<void> {
    for (const row of writes.rows ?? []) await this.#row(row);
    for (const entry of writes.log ?? []) await this.#log(entry);
    await this.#each(
      writes.clients ?? [],
      ({ clientId }) => ["client", clientId],
      (client, old) => this.#client(client, old),
    );
    await this.#buckets(writes.dropBuckets ?? [], writes.buckets ?? []);
    await this.#each(
      writes.meta ?? [],
      ([name]) => ["meta", name],
      ([name, value], old) => this.#meta(name, value, old),
    );
    for (const { clientId, mutationId } of writes.dropParts ?? []) {
      await this.#dropParts(clientId, mutationId);
    }
    await this.#each(
      writes.answers ?? [],
      ({ key }) => answerAt(key),
      (answer, old) => this.#answer(answer, old),
    );
  }

  #set(key: GatewayKey, value: unknown): void {
    this.#writes.set(JSON.stringify(key), { key, value });
  }

  #discard(content: Content | undefined): void {
    for (const key of trashOf(content)) this.#set(key, Date.now());
  }

  /** Plans records with what is at their keys now. */
  async #each<T>(
    records: readonly T[],
    keyOf: (record: T) => GatewayKey,
    plan: (record: T, old: unknown) => Promise<void> | void,
  ): Promise<void> {
    if (records.length === 0) return;
    const found = await this.#read(records.map(keyOf));
    for (const [index, record] of records.entries()) {
      await plan(record, found[index]?.value ?? undefined);
    }
  }

  async #row({ table, rowId, data, ref, drop, add }: RowWrite): Promise<void> {
    const old = toRef(ref);
    if (data === undefined && !old) return;
    const rid = old?.rid ?? ++this.#counts.lastRid;
    this.#discard(old?.data);
    for (const entry of drop) this.#set(entryAt(entry, rid), null);
    if (data === undefined) {
      this.#set(rowAt({ table, rowId }), null);
      return;
    }
    const record = { rid, data: await this.#draft.keepText(data) };
    this.#set(rowAt({ table, rowId }), record);
    for (const entry of add) this.#set(entryAt(entry, rid), [table, rowId]);
  }

  async #log({ seq, slice, payload, ...entry }: LogEntry): Promise<void> {
    const record = { ...entry, payload: await this.#draft.keep(payload) };
    this.#set(["log", seq, slice], record);
    this.#counts.logEntries++;
    this.#counts.logBytes += payload.length;
  }

  async #client(client: ClientRecord, old: unknown): Promise<void> {
    if (old === undefined) this.#counts.clients++;
    else this.#discard(asContent(old));
    const content = await this.#draft.keepText(encodeClient(client));
    this.#set(["client", client.clientId], content);
  }

  /** Forgets what was at all of them before any is written, since a name may go to another. */
  async #buckets(drop: readonly number[], records: readonly BucketRecord[]): Promise<void> {
    const numbers = new Set([...drop, ...records.map(({ bucket }) => bucket)]);
    await this.#each([...numbers], bucketAt, (bucket, old) => this.#dropBucket(bucket, old));
    for (const { bucket, id, seq, rows, data } of records) {
      const content = await this.#draft.keepText(data);
      this.#set(bucketAt(bucket), { id, seq, rows, data: content });
      this.#set(bucketIdAt(id), bucket);
    }
  }

  #dropBucket(bucket: number, old: unknown): void {
    if (old === undefined) return;
    const { id, data } = asBucket(old);
    this.#discard(data);
    this.#set(bucketIdAt(id), null);
    this.#set(bucketAt(bucket), null);
  }

  async #meta(name: string, value: string | null, old: unknown): Promise<void> {
    if (old !== undefined) this.#discard(asContent(old));
    const content = value === null ? null : await this.#draft.keepText(encodeText(value));
    this.#set(["meta", name], content);
  }

  async #dropParts(clientId: string, mutationId: number): Promise<void> {
    const prefix: GatewayKey = ["part", clientId, mutationId];
    const parts = await this.#session.list({ prefix, limit: 1_000_000 });
    for (const { key, value } of parts) {
      const { payload, stagedMs } = asPart(value);
      this.#discard(payload);
      this.#set(key, null);
      const part = asNumber(key[3]);
      this.#set(partAgeAt(stagedMs, { clientId, mutationId, part }), null);
    }
  }

  async #answer(answer: KeptAnswer, old: unknown): Promise<void> {
    if (old !== undefined) {
      const { expiresMs, json } = asAnswer(old);
      this.#discard(json);
      this.#set(expiryAt(expiresMs, answer.key), null);
    }
    const { key, expiresMs } = answer;
    const json = await this.#draft.keepText(encodeAnswer(answer));
    this.#set(answerAt(key), { expiresMs, json });
    this.#set(expiryAt(expiresMs, key), true);
  }
}

function toRef(ref: StoredRow["ref"]): KvRef | undefined {
  if (ref === undefined || ref instanceof KvRef) return ref;
  throw wrongRef();
}
