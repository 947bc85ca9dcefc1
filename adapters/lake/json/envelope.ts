/**
 * What an object of a lake of JSON holds: one write to the lake, with where it moved the lake to.
 * Read in their order, the objects say everything that was written.
 *
 * @module
 */

import type { Hlc, JsonValue, Op, Stamp, Value } from "@lakesync/core";
import { promisify } from "node:util";
import { gunzip, gunzipSync, gzip, gzipSync } from "node:zlib";
import type {
  Cell,
  Change,
  DestinationKey,
  FlushBatch,
  FlushPosition,
  Move,
  RowEffect,
} from "../../adapter.ts";
import { fromStoredValue, toStoredValue } from "../../database/stored_value.ts";

/** A row and what it became, as JSON. */
export interface RowJson {
  /** The table's number. */
  readonly table: number;
  /** The row's id. */
  readonly rowId: string;
  /** Whether readers see it. */
  readonly visible: boolean;
  /** Whether it has no other cells than these. */
  readonly replaces: boolean;
  /** Cells: the column's number, the value, and the stamp of its write where that is known. */
  readonly cells: readonly (readonly [number, JsonValue, (readonly [string, string])?])[];
}

/** A change, as JSON. */
export interface DeltaJson {
  /** Its identity. */
  readonly deltaId: string;
  /** What was done. */
  readonly op: Op;
  /** The table, by the name it has in `schemaVersion`. */
  readonly table: string;
  /** The row. */
  readonly rowId: string;
  /** Who wrote it. */
  readonly clientId: string;
  /** What was written. */
  readonly columns: Readonly<Record<string, JsonValue>>;
  /** The numbers of those columns, where they are known. */
  readonly columnIds?: readonly number[];
  /** When it was written, in decimal. */
  readonly hlc: string;
  /** In which of the client's transactions. */
  readonly mutationId: number;
  /** The commit. */
  readonly seq: number;
  /** Its slice. */
  readonly slice: number;
  /** When it was committed. */
  readonly committedAt: string;
  /** The schema version whose names it uses. */
  readonly schemaVersion: number;
  /** What its row became. */
  readonly effect?: RowJson;
  /** Its row, when only that is known. */
  readonly unsettles?: DestinationKey;
}

/** An object. */
export interface Envelope {
  /** The version of this form. */
  readonly version: 1;
  /**
   * `changes`: rows were set, then changes made; `rewind`: every change after the position was given
   * up; `refill`: all rows of before are void, and those that there are follow.
   */
  readonly kind: "changes" | "rewind" | "refill";
  /** When it was written. */
  readonly createdAt: string;
  /** Where the lake stands then. */
  readonly position: FlushPosition;
  /** The least and the greatest stamp of the changes, in decimal; none without changes. */
  readonly hlcRange?: { readonly min: string; readonly max: string };
  /** How many changes there are. */
  readonly deltaCount: number;
  /** The changes in their order. */
  readonly deltas: readonly DeltaJson[];
  /** Rows that were set, all their cells, before the changes. */
  readonly rows: readonly RowJson[];
  /** Rows that a rewind left with what is lost. */
  readonly unsettled: readonly DestinationKey[];
  /** The first object since which rows may be unsettled; 0 when none is. */
  readonly unsettledFrom: number;
}

/** What an envelope says besides what it is made from. */
export type EnvelopeFacts = Pick<Envelope, "createdAt" | "unsettledFrom">;

function rowJson({ key, isVisible, replaces, cells }: RowEffect): RowJson {
  return {
    table: key.table,
    rowId: key.rowId,
    visible: isVisible,
    replaces,
    cells: cells.map(([column, value, stamp]) =>
      stamp === undefined
        ? [column, toStoredValue(value)]
        : [column, toStoredValue(value), [String(stamp.hlc), stamp.clientId]]
    ),
  };
}

/** What a row became. */
export function rowOf({ table, rowId, visible, replaces, cells }: RowJson): RowEffect {
  return {
    key: { table, rowId },
    isVisible: visible,
    replaces,
    cells: cells.map(([column, value, stamp]): Cell =>
      stamp === undefined
        ? [column, fromStoredValue(value)]
        : [column, fromStoredValue(value), stampOf(stamp)]
    ),
  };
}

function stampOf([hlc, clientId]: readonly [string, string]): Stamp {
  return { hlc: BigInt(hlc) as Hlc, clientId };
}

function mapped<A, B>(
  record: Readonly<Record<string, A>>,
  change: (value: A) => B,
): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
}

function deltaJson({ columns, hlc, committedMs, effect, ...change }: Change): DeltaJson {
  return {
    ...change,
    columns: mapped<Value, JsonValue>(columns, toStoredValue),
    hlc: String(hlc),
    committedAt: new Date(committedMs).toISOString(),
    ...(effect === undefined ? {} : { effect: rowJson(effect) }),
  };
}

/** A change as it was written. */
export function changeOf({ columns, hlc, committedAt, effect, ...change }: DeltaJson): Change {
  return {
    ...change,
    columns: mapped<JsonValue, Value>(columns, fromStoredValue),
    hlc: BigInt(hlc) as Hlc,
    committedMs: Date.parse(committedAt),
    effect: effect === undefined ? undefined : rowOf(effect),
  };
}

/**
 * The envelope of a batch.
 *
 * @param batch the batch
 * @param facts what it says besides
 */
export function envelopeOf({ to, changes, rows }: FlushBatch, facts: EnvelopeFacts): Envelope {
  let [min, max] = [changes[0]?.hlc, changes[0]?.hlc];
  for (const { hlc } of changes) {
    if (min === undefined || hlc < min) min = hlc;
    if (max === undefined || hlc > max) max = hlc;
  }
  return {
    version: 1,
    kind: "changes",
    position: to,
    ...(min === undefined ? {} : { hlcRange: { min: String(min), max: String(max) } }),
    deltaCount: changes.length,
    deltas: changes.map(deltaJson),
    rows: rows.map(rowJson),
    unsettled: [],
    ...facts,
  };
}

/**
 * The envelope of a move that changes nothing by itself.
 *
 * @param kind what it is
 * @param move where to
 * @param unsettled the rows that it leaves with what is lost
 * @param facts what it says besides
 */
export function moveOf(
  kind: "rewind" | "refill",
  { to }: Move,
  unsettled: readonly DestinationKey[],
  facts: EnvelopeFacts,
): Envelope {
  return {
    version: 1,
    kind,
    position: to,
    deltaCount: 0,
    deltas: [],
    rows: [],
    unsettled,
    ...facts,
  };
}

/** What is smaller, in bytes, is done at once; the rest in a thread, so that nobody waits for it. */
const SMALL_BYTES = 128 * 1024;
const compressElsewhere = promisify(gzip);
const expandElsewhere = promisify(gunzip);
const FAST = { level: 3 };

async function compress(bytes: Uint8Array): Promise<Uint8Array> {
  return bytes.length < SMALL_BYTES ? gzipSync(bytes, FAST) : await compressElsewhere(bytes, FAST);
}

async function expand(bytes: Uint8Array): Promise<Uint8Array> {
  return bytes.length < SMALL_BYTES / 8 ? gunzipSync(bytes) : await expandElsewhere(bytes);
}

/** Writes an envelope as an object. */
export async function packEnvelope(envelope: Envelope): Promise<Uint8Array> {
  const bytes = await compress(new TextEncoder().encode(JSON.stringify(envelope)));
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Reads an object.
 *
 * @throws {Error} when it is none
 */
export async function unpackEnvelope(bytes: Uint8Array): Promise<Envelope> {
  const envelope: Envelope = JSON.parse(new TextDecoder().decode(await expand(bytes)));
  if (envelope.version !== 1) throw new Error("An object of the lake is of a later version");
  return envelope;
}
