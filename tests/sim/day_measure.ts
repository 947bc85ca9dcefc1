/**
 * What a simulated day has left behind at a moment: the gateway's data by kind, the devices'
 * databases by table, and the memory of all that.
 *
 * @module
 */

import { isVisible } from "@lakesync/core";
import { DatabaseSync } from "node:sqlite";
import type { MemoryState } from "../../server/store/_memory_state.ts";
import { readRecord } from "../../server/gateway/record.ts";
import type { Held, HeldRow } from "./day_model.ts";
import type { SimDisk } from "./disk.ts";
import { encodeFrame } from "./disk_frames.ts";
import { DiskLog } from "./disk_log.ts";

/** Records of one kind: how many, and their bytes as they are written. */
export interface Amount {
  readonly count: number;
  readonly bytes: number;
}

/** A gateway's data. */
export interface ServerSize {
  readonly visible: Amount;
  /** Deleted rows. */
  readonly tombstones: Amount;
  /** The keys of deleted rows, `table rowId`. */
  readonly deleted: ReadonlySet<string>;
  /** Rows that are neither: UPDATEs whose INSERT has not come. */
  readonly orphans: Amount;
  /** Entries of the bucket index, on all sides. */
  readonly entries: number;
  /** Those of deleted rows. */
  readonly deadEntries: number;
  readonly log: Amount;
  readonly clients: Amount;
  /** Refusals that wait to be seen. */
  readonly refusals: number;
  readonly buckets: Amount;
  /** The pages of older links of clients' chains; a ring for each client. */
  readonly links: Amount;
  /** All other small records. */
  readonly meta: Amount;
  /** Kept answers, and parts of transactions. */
  readonly others: number;
  /** All of it as one file. */
  readonly fileBytes: number;
  /** How much memory it takes as the model store has it, in bytes. */
  readonly heapBytes: number;
}

/** A device's database. */
export interface DeviceSize {
  /** Its pages, after all that is in the WAL was moved to them. */
  readonly bytes: number;
  /** Those of them that hold nothing. */
  readonly freeBytes: number;
  /** The WAL before that. */
  readonly walBytes: number;
  /** Rows that the app sees. */
  readonly visible: number;
  /** Rows by sidecar table. */
  readonly sidecars: Readonly<Record<string, number>>;
}

/** Frees all memory that nothing reaches, and gives how much is in use, in bytes. */
export function heapBytes(): number {
  const gc: unknown = Reflect.get(globalThis, "gc");
  if (typeof gc !== "function") throw new Error("Run with --v8-flags=--expose-gc");
  for (let i = 0; i < 3; i++) gc();
  return Deno.memoryUsage().heapUsed;
}

function amount(records: readonly unknown[]): Amount {
  return { count: records.length, bytes: jsonBytes(records) };
}

const encoder = new TextEncoder();

function jsonBytes(records: readonly unknown[]): number {
  return records.reduce<number>((sum, one) => sum + encoder.encode(JSON.stringify(one)).length, 0);
}

/**
 * Measures how much memory something takes, by making it once more.
 *
 * @param make makes it, sharing nothing
 * @returns it, and its bytes
 */
export function heapOf<T>(make: () => T): { readonly made: T; readonly bytes: number } {
  const before = heapBytes();
  const made = make();
  return { made, bytes: heapBytes() - before };
}

function readState(disk: SimDisk, gatewayId: string): MemoryState {
  const mount = disk.mount();
  try {
    const log = DiskLog.recover(mount, gatewayId, { compactBytes: Infinity });
    if (log === undefined) throw new Error(`There is no gateway ${gatewayId}`);
    return log.state;
  } finally {
    mount.kill();
  }
}

/**
 * Measures a gateway's data, as a process would find them that begins now.
 *
 * @param disk the server's disk; nothing may be being written
 * @param gatewayId the gateway
 */
export function measureServer(disk: SimDisk, gatewayId: string): ServerSize {
  const { made, bytes: heap } = heapOf(() => readState(disk, gatewayId));
  const content = made.content();
  const { rows, index, log, clients, buckets, meta } = content;
  const states = rows.map((row) => ({ row, state: readRecord(row.data).state }));
  const visible = states.filter(({ state }) => isVisible(state));
  const hidden = states.filter(({ state }) => !isVisible(state));
  const dead = hidden.filter(({ state }) => state.died !== undefined);
  const deadRids = new Set(dead.map(({ row }) => row.rid));
  const isLink = ([name]: readonly [string, string]) => name.startsWith("links ");
  const stored = (some: typeof states) => amount(some.map(({ row }) => row));
  return {
    visible: stored(visible),
    tombstones: stored(dead),
    deleted: new Set(dead.map(({ row }) => row.rowId)),
    orphans: stored(hidden.filter(({ state }) => state.died === undefined)),
    entries: index.reduce((sum, [, entries]) => sum + entries.length, 0),
    deadEntries: index.flatMap(([, entries]) => entries)
      .filter(({ rid }) => deadRids.has(rid)).length,
    log: { count: log.length, bytes: log.reduce((sum, { payload }) => sum + payload.length, 0) },
    clients: amount(clients),
    refusals: clients.reduce((sum, { refusals }) => sum + refusals.length, 0),
    buckets: amount(buckets),
    links: amount(meta.filter(isLink)),
    meta: amount(meta.filter((one) => !isLink(one))),
    others: content.answers.length + content.parts.length,
    fileBytes: encodeFrame({ kind: "base", content }).length,
    heapBytes: heap,
  };
}

function numberOf(db: DatabaseSync, sql: string): number {
  return Number(Object.values(db.prepare(sql).get() ?? {})[0]);
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

const SYNCED = ["marks", "twins", "regs", "tallies", "bags", "items", "lists", "members"];

/**
 * Measures a device's database, beside the app that has it open.
 *
 * @param path the file
 */
export function measureDevice(path: string): DeviceSize {
  const walBytes = sizeOf(`${path}-wal`);
  using db = new DatabaseSync(path);
  db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
  const page = numberOf(db, "PRAGMA page_size");
  const names = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all()
    .map(({ name }) => String(name)).filter((name) => name.startsWith("_lakesync_"));
  const count = (table: string) => numberOf(db, `SELECT count(*) FROM ${table}`);
  return {
    bytes: page * numberOf(db, "PRAGMA page_count"),
    freeBytes: page * numberOf(db, "PRAGMA freelist_count"),
    walBytes,
    visible: SYNCED.reduce((sum, table) => sum + count(table), 0),
    sidecars: Object.fromEntries(names.map((name) => [name, count(name)])),
  };
}

/** Reads why transactions of a device were refused, beside its app. */
export function readRefusals(path: string): readonly string[] {
  using db = new DatabaseSync(path);
  return db.prepare("SELECT mutation_id, code, message FROM _lakesync_dead").all()
    .map(({ mutation_id, code, message }) => `${mutation_id} ${code}: ${message}`);
}

/** Reads what a device's app sees, beside the app. */
export function readHeld(path: string): Held {
  using db = new DatabaseSync(path);
  const rows = db.prepare("SELECT id, list, a, b FROM regs").all().map((row): HeldRow => ({
    id: String(row["id"]),
    list: String(row["list"]),
    a: String(row["a"]),
    b: row["b"] === null ? null : String(row["b"]),
  }));
  const sums = db.prepare("SELECT list, n FROM tallies").all()
    .map(({ list, n }) => [String(list), Number(n)] as const);
  const elements = db.prepare("SELECT list, tags FROM bags").all()
    .map(({ list, tags }) => [String(list), JSON.parse(String(tags)) as string[]] as const);
  return { rows, sums: new Map(sums), elements: new Map(elements) };
}
