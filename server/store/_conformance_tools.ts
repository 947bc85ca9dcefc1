/**
 * Small makers of what the conformance suite writes.
 *
 * @module
 */

import assert from "node:assert/strict";
import { LakeSyncError } from "@lakesync/core";
import { readSnapshot } from "./snapshot.ts";
import type {
  BucketEntry,
  BucketRecord,
  ClientRecord,
  CommitBatch,
  Head,
  LogEntry,
  ReadView,
  RowKey,
  RowWrite,
  ScannedRow,
  ScanPosition,
  Store,
  StoreFactory,
  Writes,
} from "./store.ts";

/** Opens a gateway that need not be there. */
export async function openStore(
  stores: StoreFactory,
  gatewayId = "default",
): Promise<Store> {
  const store = await stores.open(gatewayId, true);
  assert(store);
  return store;
}

/** A batch that moves the head by one. */
export function next(expectedSeq: number, writes: Writes = {}): CommitBatch {
  const seq = expectedSeq + 1;
  return { ...writes, expectedSeq, head: { seq, hlc: String(seq * 1_000) } };
}

/** A place in a bucket, not gone. */
export function at(seq: number, bucket = 1): BucketEntry {
  return { bucket, gone: false, seq };
}

/** A place of a row that left a bucket. */
export function goneAt(seq: number, bucket = 1): BucketEntry {
  return { bucket, gone: true, seq };
}

/** A row of table 1 that was not there. */
export function newRow(
  rowId: string,
  seq: number,
  data = `{"at":${seq}}`,
): RowWrite {
  return { table: 1, rowId, data, ref: undefined, drop: [], add: [at(seq)] };
}

/** New rows `<prefix>0`, `<prefix>1` and so on. */
export function newRows(
  prefix: string,
  count: number,
  seq: number,
): readonly RowWrite[] {
  return Array.from(
    { length: count },
    (_, index) => newRow(`${prefix}${index}`, seq),
  );
}

/** Reads the handle of a row of table 1 that must be there. */
export async function refOf(store: Store, rowId: string): Promise<unknown> {
  const [row] = await store.readRows([{ table: 1, rowId }]);
  assert(row, `${rowId} is there`);
  return row.ref;
}

/** A client. */
export function client(clientId: string, lastMutationId = 1): ClientRecord {
  return {
    clientId,
    sub: "alice",
    lastMutationId,
    refusals: [],
    chain: [],
    orphans: 0,
    seenMs: 1_700_000_000_000,
  };
}

/** A bucket named `all` unless it is told otherwise. */
export function bucket(parts: Partial<BucketRecord> = {}): BucketRecord {
  return { bucket: 1, id: "all", seq: 1, rows: 1, data: "[7]", ...parts };
}

/** A log entry with as many bytes as its payload is to have. */
export function logEntry(seq: number, slice = 0, bytes = 10): LogEntry {
  return {
    seq,
    slice,
    clientId: "phone-1",
    mutationId: seq,
    committedMs: 1_700_000_000_000 + seq,
    payload: new Uint8Array(bytes).fill(seq % 256),
  };
}

/** What a scan of both sides of a bucket is about. */
export interface BucketScan {
  readonly bucket: number;
  readonly after: ScanPosition;
  readonly clientId: string;
  readonly limit: number;
}

/** What it finds, in one snapshot. */
export interface BucketPage {
  readonly head: Head;
  readonly client: ClientRecord | undefined;
  readonly bucket: BucketRecord | undefined;
  readonly rows: readonly ScannedRow[];
  readonly complete: boolean;
}

/** Scans both sides from the start of bucket 1, with the parts that a test is about. */
export function scan(
  store: Store,
  parts: Partial<BucketScan> = {},
): Promise<BucketPage> {
  const { bucket = 1, after = { seq: 0, tie: "" }, clientId = "phone-1", limit = 1_000 } = parts;
  return readSnapshot(store, async (view) => {
    const present = await view.scan({ bucket, gone: false, after, limit });
    const gone = await view.scan({ bucket, gone: true, after, limit });
    const [client] = await view.clients([clientId]);
    const [record] = await view.buckets([bucket]);
    const ends = [present, gone].flatMap(({ complete, rows }) =>
      complete ? [] : rows.at(-1)?.position ?? []
    );
    const found = [...present.rows, ...gone.rows]
      .sort((a, b) => byPosition(a.position, b.position))
      .filter(({ position }) => ends.every((end) => byPosition(position, end) <= 0));
    const complete = ends.length === 0 && found.length <= limit;
    return { head: view.head, client, bucket: record, rows: found.slice(0, limit), complete };
  });
}

function byPosition(a: ScanPosition, b: ScanPosition): number {
  return a.seq - b.seq || Number(a.tie) - Number(b.tie);
}

/** Scans page by page to the end. */
export async function scanAll(
  store: Store,
  parts: Partial<BucketScan> = {},
): Promise<readonly ScannedRow[]> {
  const rows: ScannedRow[] = [];
  let after = parts.after ?? { seq: 0, tie: "" };
  while (true) {
    const page = await scan(store, { ...parts, after });
    rows.push(...page.rows);
    if (page.complete) return rows;
    const last = page.rows.at(-1)?.position;
    assert(last, "a page that is not complete has rows");
    assert(
      last.seq > after.seq ||
        last.seq === after.seq && Number(last.tie) > Number(after.tie),
      "a page comes after the one before",
    );
    after = last;
  }
}

/** Reads one side of a bucket page by page to the end. */
export async function scanSide(
  view: ReadView,
  side: Omit<BucketEntry, "seq">,
  limit: number,
  after: ScanPosition = { seq: 0, tie: "" },
): Promise<readonly ScannedRow[]> {
  const { rows, complete } = await view.scan({ ...side, after, limit });
  assert(rows.length <= limit, "a page is not larger than its limit");
  const last = rows.at(-1);
  if (complete || last === undefined) {
    assert(complete, "a page that is not complete has rows");
    return rows;
  }
  return [...rows, ...await scanSide(view, side, limit, last.position)];
}

/** The rowIds of rows. */
export function ids(rows: readonly RowKey[]): readonly string[] {
  return rows.map(({ rowId }) => rowId);
}

/** Fails unless a promise fails with the code. */
export async function assertCode(
  promise: Promise<unknown>,
  code: string,
): Promise<void> {
  await assert.rejects(
    promise,
    (error: unknown) => error instanceof LakeSyncError && error.code === code,
  );
}

/** After every slice of a seq. */
export const MAX_SLICE: number = 1_000_000;
