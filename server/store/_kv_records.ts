/**
 * The records of the KV store and the guards that read them.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";

/** Bytes too large for one value, in chunks under the id of the write that made them. */
export interface Blob {
  /** The write. */
  readonly writeId: string;
  /** Which of its blobs. */
  readonly blob: number;
  /** How many bytes. */
  readonly bytes: number;
}

/** Bytes, or where they are. */
export type Content = Uint8Array | Blob;

/** The head, the counts, and what is still to be done. */
export interface HeadRecord {
  /** One unbroken life of the data. */
  readonly epoch: string;
  /** The last commit number. */
  readonly seq: number;
  /** The greatest stamp, as decimal text. */
  readonly hlc: string;
  /** The greatest number a row was given. */
  readonly lastRid: number;
  /** Entries in the log. */
  readonly logEntries: number;
  /** Bytes of their payloads. */
  readonly logBytes: number;
  /** Clients known. */
  readonly clients: number;
  /** A published write whose staged values are not yet where they belong; "" when there is none. */
  readonly pending: string;
}

/** A row. */
export interface RowRecord {
  /** The row's number. */
  readonly rid: number;
  /** Its record, UTF-8. */
  readonly data: Content;
}

/** A bucket without its key. */
export interface BucketFields {
  /** Its name. */
  readonly id: string;
  /** The commit at which a row last changed in it. */
  readonly seq: number;
  /** Rows in it. */
  readonly rows: number;
  /** Its sums, UTF-8. */
  readonly data: Content;
}

/** A log entry without its key. */
export interface LogRecord {
  /** Who sent it. */
  readonly clientId: string;
  /** Which of its transactions. */
  readonly mutationId: number;
  /** When, in milliseconds since 1970. */
  readonly committedMs: number;
  /** Its payload. */
  readonly payload: Content;
}

/** A part of a large transaction without its key. */
export interface PartRecord {
  /** How many parts there will be. */
  readonly parts: number;
  /** How many deltas it holds. */
  readonly deltas: number;
  /** When it came, in milliseconds since 1970. */
  readonly stagedMs: number;
  /** The part. */
  readonly payload: Content;
}

/** A kept answer without its key. */
export interface AnswerRecord {
  /** When it may be forgotten. */
  readonly expiresMs: number;
  /** The answer as JSON, UTF-8. */
  readonly json: Content;
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null;
}

function isBlob(value: unknown): value is Blob {
  return isFields(value) && typeof value.writeId === "string" &&
    typeof value.blob === "number" && typeof value.bytes === "number";
}

function isContent(value: unknown): value is Content {
  return value instanceof Uint8Array || isBlob(value);
}

function isHead(value: unknown): value is HeadRecord {
  return isFields(value) && typeof value.epoch === "string" &&
    typeof value.hlc === "string" && typeof value.pending === "string" &&
    [value.seq, value.lastRid, value.logEntries, value.logBytes, value.clients]
      .every((count) => typeof count === "number");
}

function isRow(value: unknown): value is RowRecord {
  return isFields(value) && typeof value.rid === "number" &&
    isContent(value.data);
}

function isLog(value: unknown): value is LogRecord {
  return isFields(value) && typeof value.clientId === "string" &&
    typeof value.mutationId === "number" &&
    typeof value.committedMs === "number" && isContent(value.payload);
}

function isPart(value: unknown): value is PartRecord {
  return isFields(value) && typeof value.parts === "number" &&
    typeof value.deltas === "number" && typeof value.stagedMs === "number" &&
    isContent(value.payload);
}

function isAnswer(value: unknown): value is AnswerRecord {
  return isFields(value) && typeof value.expiresMs === "number" &&
    isContent(value.json);
}

function isBucket(value: unknown): value is BucketFields {
  return isFields(value) && typeof value.id === "string" &&
    typeof value.seq === "number" && typeof value.rows === "number" &&
    isContent(value.data);
}

function reader<T>(is: (value: unknown) => value is T): (value: unknown) => T {
  return (value) => {
    if (is(value)) return value;
    throw new LakeSyncError(
      "INTERNAL_ERROR",
      "A record in Deno KV is damaged or of another program, restore it from a backup",
    );
  };
}

/** Reads the head. */
export const asHead: (value: unknown) => HeadRecord = reader(isHead);
/** Reads a row. */
export const asRow: (value: unknown) => RowRecord = reader(isRow);
/** Reads a log entry. */
export const asLog: (value: unknown) => LogRecord = reader(isLog);
/** Reads a part. */
export const asPart: (value: unknown) => PartRecord = reader(isPart);
/** Reads a kept answer. */
export const asAnswer: (value: unknown) => AnswerRecord = reader(isAnswer);
/** Reads a bucket. */
export const asBucket: (value: unknown) => BucketFields = reader(isBucket);
/** Reads bytes or where they are. */
export const asContent: (value: unknown) => Content = reader(isContent);
/** Reads a number. */
export const asNumber: (value: unknown) => number = reader((value) => typeof value === "number");
/** Reads a text. */
export const asString: (value: unknown) => string = reader((value) => typeof value === "string");

/**
 * How many bytes a content has.
 *
 * @param content bytes or where they are
 * @returns their number
 */
export function bytesOf(content: Content): number {
  return content instanceof Uint8Array ? content.length : content.bytes;
}
