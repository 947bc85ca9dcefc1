/**
 * Everything that is read of a gateway in Deno KV. Nothing here is one snapshot by itself: the
 * store calls it while no writer is in, and again when another process has written meanwhile.
 *
 * @module
 */

import { readBytes, readText } from "./_kv_content.ts";
import { answerAt, bucketAt, bucketIdAt, type GatewayKey, partAt, rowAt } from "./_kv_keys.ts";
import { KvRef } from "./_kv_plan.ts";
import {
  asAnswer,
  asBucket,
  asContent,
  asLog,
  asNumber,
  asPart,
  asRow,
  asString,
  bytesOf,
} from "./_kv_records.ts";
import type { KvFound, KvListed, KvSession } from "./_kv_session.ts";
import { MAX_PAGE_BYTES } from "./_page.ts";
import { parseTie } from "./_position.ts";
import { decodeAnswer, decodeClient, decodeText } from "./_records.ts";
import type {
  BucketRecord,
  ClientRecord,
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
} from "./store.ts";

/** Rows whose records are read at once while a page is filled. */
const ROWS_AT_ONCE = 100;

/** Parts of one transaction, far above what its limits allow. */
const MAX_PARTS = 1_000_000;

/** An entry of a bucket as its key and value tell it. */
interface IndexEntry extends RowKey {
  readonly seq: number;
  readonly rid: number;
  readonly gone: boolean;
}

/** Reads rows by what was found at their keys. */
export function toRows(
  session: KvSession,
  keys: readonly RowKey[],
  found: readonly KvFound[],
): Promise<readonly (StoredRow | undefined)[]> {
  return Promise.all(keys.map(async ({ table, rowId }, index) => {
    const value = found[index]?.value ?? undefined;
    if (value === undefined) return undefined;
    const { rid, data } = asRow(value);
    const text = await readText(session, data);
    return { table, rowId, data: text, ref: new KvRef(rid, data) };
  }));
}

/** Rows by key. */
export async function readRows(
  session: KvSession,
  keys: readonly RowKey[],
): Promise<readonly (StoredRow | undefined)[]> {
  return toRows(session, keys, await session.getMany(keys.map(rowAt)));
}

/** Clients by id. */
export async function readClients(
  session: KvSession,
  ids: readonly string[],
): Promise<readonly (ClientRecord | undefined)[]> {
  const found = await session.getMany(ids.map((id) => ["client", id]));
  return Promise.all(ids.map(async (id, index) => {
    const value = found[index]?.value ?? undefined;
    if (value === undefined) return undefined;
    return decodeClient(id, await readText(session, asContent(value)));
  }));
}

/** Buckets by name or number. */
export async function readBuckets(
  session: KvSession,
  names: readonly (string | number)[],
): Promise<readonly (BucketRecord | undefined)[]> {
  const ids = names.filter((name) => typeof name === "string");
  const byId = (await session.getMany(ids.map(bucketIdAt))).values();
  const numbers = names.map((name) => {
    if (typeof name === "number") return name;
    const value = byId.next().value?.value ?? undefined;
    return value === undefined ? undefined : asNumber(value);
  });
  const known = numbers.filter((bucket) => bucket !== undefined);
  const records = (await session.getMany(known.map(bucketAt))).values();
  return await Promise.all(numbers.map(async (bucket) => {
    if (bucket === undefined) return undefined;
    const value = records.next().value?.value ?? undefined;
    if (value === undefined) return undefined;
    const { data, ...fields } = asBucket(value);
    return { ...fields, bucket, data: await readText(session, data) };
  }));
}

/** A small record. */
export async function readMeta(
  session: KvSession,
  name: string,
): Promise<string | undefined> {
  const { value } = await session.get(["meta", name]);
  if (value === null) return undefined;
  return decodeText(await readText(session, asContent(value)));
}

/** A kept answer. */
export async function readAnswer(
  session: KvSession,
  key: string,
): Promise<KeptAnswer | undefined> {
  const { value } = await session.get(answerAt(key));
  if (value === null) return undefined;
  return decodeAnswer(key, await readText(session, asAnswer(value).json));
}

/** A page of one side of a bucket. */
export async function scanSide(session: KvSession, scan: IndexScan): Promise<IndexPage> {
  const entries = await readSide(session, scan);
  const rows = await fillPage(session, entries.slice(0, scan.limit));
  return { rows, complete: rows.length === entries.length };
}

/** A page of all rows, in the order of their keys. */
export async function scanRows(
  session: KvSession,
  { after, limit }: RowScan,
): Promise<RowPage> {
  const rows: RowPage["rows"][number][] = [];
  let bytes = 0;
  while (true) {
    const start = startAfter(rows.at(-1)?.position ?? after);
    const asked = Math.min(limit - rows.length + 1, ROWS_AT_ONCE);
    const found = await session.list({
      prefix: ["row"],
      ...start && { start },
      limit: asked,
    });
    for (const { key, value } of found) {
      if (rows.length >= limit || bytes >= MAX_PAGE_BYTES) return { rows, complete: false };
      const [table, rowId] = [asNumber(key[1]), asString(key[2])];
      const { rid, data } = asRow(value);
      bytes += bytesOf(data);
      rows.push({
        table,
        rowId,
        data: await readText(session, data),
        ref: new KvRef(rid, data),
        position: `${table}:${rowId}`,
      });
    }
    if (found.length < asked) return { rows, complete: true };
  }
}

/** Log entries after a seq. */
export async function readLog(
  session: KvSession,
  after: LogPosition,
  limit: number,
): Promise<readonly LogEntry[]> {
  const found = await session.list({
    prefix: ["log"],
    start: ["log", after.seq, after.slice + 1],
    limit,
  });
  return Promise.all(found.map(async ({ key, value }) => {
    const { clientId, mutationId, committedMs, payload } = asLog(value);
    return {
      seq: asNumber(key[1]),
      slice: asNumber(key[2]),
      clientId,
      mutationId,
      committedMs,
      payload: await readBytes(session, payload),
    };
  }));
}

/** What parts of a transaction are there. */
export async function stagedSummary(
  session: KvSession,
  clientId: string,
  mutationId: number,
): Promise<StagedSummary | undefined> {
  const found = await session.list({
    prefix: ["part", clientId, mutationId],
    limit: MAX_PARTS,
  });
  const parts = found.map(({ value }) => asPart(value));
  const last = parts.at(-1);
  return last && {
    present: found.map(({ key }) => asNumber(key[3])),
    parts: last.parts,
    deltas: parts.reduce((sum, part) => sum + part.deltas, 0),
    bytes: parts.reduce((sum, part) => sum + bytesOf(part.payload), 0),
  };
}

/** One part. */
export async function readPart(
  session: KvSession,
  clientId: string,
  mutationId: number,
  part: number,
): Promise<StagedPart | undefined> {
  const { value } = await session.get(partAt({ clientId, mutationId, part }));
  if (value === null) return undefined;
  const { parts, deltas, stagedMs, payload } = asPart(value);
  return {
    clientId,
    mutationId,
    part,
    parts,
    deltas,
    stagedMs,
    payload: await readBytes(session, payload),
  };
}

/** The entries of one side of a bucket: one more than the limit. */
async function readSide(
  session: KvSession,
  { bucket, gone, after: { seq, tie }, limit }: IndexScan,
): Promise<readonly IndexEntry[]> {
  const prefix: GatewayKey = ["in", bucket, gone];
  const start: GatewayKey = [...prefix, seq, parseTie(tie) + 1];
  const found = await session.list({ prefix, start, limit: limit + 1 });
  return found.map(toEntry);
}

/** The first key that is greater than that of a row; none for a position that is no row's. */
function startAfter(position: string): GatewayKey | undefined {
  const [, table, rowId] = /^(\d{1,15}):(.*)$/s.exec(position) ?? [];
  return rowId === undefined ? undefined : rowAt({ table: Number(table), rowId: `${rowId}\0` });
}

function toEntry({ key, value }: KvListed): IndexEntry {
  const [table, rowId] = Array.isArray(value) ? value : [];
  return {
    table: asNumber(table),
    rowId: asString(rowId),
    seq: asNumber(key[3]),
    rid: asNumber(key[4]),
    gone: key[2] === true,
  };
}

/** Reads the rows of entries until the page has its bytes. */
async function fillPage(
  session: KvSession,
  entries: readonly IndexEntry[],
): Promise<readonly ScannedRow[]> {
  const rows: ScannedRow[] = [];
  let bytes = 0;
  for (let start = 0; start < entries.length; start += ROWS_AT_ONCE) {
    const some = entries.slice(start, start + ROWS_AT_ONCE);
    const found = await session.getMany(some.map(rowAt));
    for (const [index, { table, rowId, gone, seq, rid }] of some.entries()) {
      if (bytes >= MAX_PAGE_BYTES) return rows;
      const { data } = asRow(found[index]?.value);
      bytes += bytesOf(data);
      rows.push({
        table,
        rowId,
        data: await readText(session, data),
        position: { seq, tie: String(rid) },
        gone,
      });
    }
  }
  return rows;
}
