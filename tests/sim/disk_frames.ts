/**
 * The records of the model store's log as bytes: length, checksum, JSON. What a power loss has torn
 * does not have its checksum.
 *
 * @module
 */

import type { MemoryChange, MemoryContent } from "../../server/store/_memory_change.ts";
import type { CommitBatch, LogEntry, StagedPart, Writes } from "../../server/store/store.ts";

/** A record: everything at its time, or a change since. */
export type LogRecord = MemoryChange | { readonly kind: "base"; readonly content: MemoryContent };

/** A record that was found, and where it ends. */
export interface FoundRecord {
  readonly record: LogRecord;
  /** The place of the first byte after it. */
  readonly end: number;
}

const KINDS: readonly string[] = [
  "base",
  "commit",
  "stage",
  "trimLog",
  "sweepAnswers",
  "sweepParts",
];
const HEADER_BYTES = 8;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What has a payload, with the payload as text. */
type Packed<T> = Omit<T, "payload"> & { readonly payload: string };
type PackedWrites<T extends Writes> = Omit<T, "log"> & {
  readonly log: readonly Packed<LogEntry>[];
};
type PackedContent = Omit<MemoryContent, "log" | "parts"> & {
  readonly log: readonly Packed<LogEntry>[];
  readonly parts: readonly Packed<StagedPart>[];
};

/** A record whose payloads are text. */
type PackedRecord =
  | { readonly kind: "base"; readonly content: PackedContent }
  | {
    readonly kind: "commit";
    readonly batch: PackedWrites<CommitBatch>;
    readonly slices: readonly PackedWrites<Writes>[];
  }
  | { readonly kind: "stage"; readonly part: Packed<StagedPart> }
  | Exclude<MemoryChange, { readonly kind: "commit" | "stage" }>;

/**
 * Writes a record.
 *
 * @param record the record
 * @returns its bytes
 */
export function encodeFrame(record: LogRecord): Uint8Array {
  const json = encoder.encode(JSON.stringify(packRecord(record)));
  const frame = new Uint8Array(HEADER_BYTES + json.length);
  const header = new DataView(frame.buffer);
  header.setUint32(0, json.length);
  frame.set(json, HEADER_BYTES);
  header.setUint32(4, checksum(json));
  return frame;
}

/**
 * Reads the records of a file, up to the first that is not whole.
 *
 * @param bytes the file
 * @returns the records in order
 */
export function* decodeFrames(bytes: Uint8Array): Generator<FoundRecord> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  while (at + HEADER_BYTES <= bytes.length) {
    const end = at + HEADER_BYTES + view.getUint32(at);
    const json = bytes.subarray(at + HEADER_BYTES, end);
    if (end > bytes.length || view.getUint32(at + 4) !== checksum(json)) return;
    const record: unknown = JSON.parse(decoder.decode(json));
    if (!isPacked(record)) throw new Error("The log holds a record of no known kind");
    yield { record: unpackRecord(record), end };
    at = end;
  }
}

/** FNV-1a over the bytes, begun with their number. */
function checksum(bytes: Uint8Array): number {
  let sum = 0x811c9dc5 ^ bytes.length;
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x01000193);
  return sum >>> 0;
}

function isPacked(value: unknown): value is PackedRecord {
  return typeof value === "object" && value !== null && "kind" in value &&
    typeof value.kind === "string" && KINDS.includes(value.kind);
}

function packRecord(record: LogRecord): PackedRecord {
  switch (record.kind) {
    case "base": {
      const { content } = record;
      const { log, parts } = content;
      return { ...record, content: { ...content, log: log.map(pack), parts: parts.map(pack) } };
    }
    case "commit": {
      const { batch, slices } = record;
      return { ...record, batch: packLog(batch), slices: slices.map(packLog) };
    }
    case "stage":
      return { ...record, part: pack(record.part) };
    default:
      return record;
  }
}

function unpackRecord(record: PackedRecord): LogRecord {
  switch (record.kind) {
    case "base": {
      const { content } = record;
      const { log, parts } = content;
      return { ...record, content: { ...content, log: log.map(unpack), parts: parts.map(unpack) } };
    }
    case "commit": {
      const { batch, slices } = record;
      return { ...record, batch: unpackLog(batch), slices: slices.map(unpackLog) };
    }
    case "stage":
      return { ...record, part: unpack(record.part) };
    default:
      return record;
  }
}

function packLog<T extends Writes>(writes: T): PackedWrites<T> {
  return { ...writes, log: (writes.log ?? []).map(pack) };
}

function unpackLog<T extends { readonly log: readonly Packed<LogEntry>[] }>(
  writes: T,
): Omit<T, "log"> & { readonly log: readonly LogEntry[] } {
  return { ...writes, log: writes.log.map(unpack) };
}

function pack<T extends { readonly payload: Uint8Array }>(item: T): Packed<T> {
  return { ...item, payload: item.payload.toBase64() };
}

function unpack<T extends { readonly payload: string }>(
  item: T,
): Omit<T, "payload"> & { readonly payload: Uint8Array } {
  return { ...item, payload: Uint8Array.fromBase64(item.payload) };
}
