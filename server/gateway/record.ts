/**
 * A row's record: its cells with their stamps, and where it is and was in the bucket index. One
 * text, positional JSON:
 *
 * `[born, died, groups, memberships, checksum, orphanOf]` with stamps as `[hlc, clientId]` (born as
 * the index of the group with the same stamp where there is one, else 0-length), groups as
 * `[hlc, clientId, seq, columns, values]`, memberships as `[bucket, seq, entered, left, …]`, the
 * last span open when its `left` is missing.
 *
 * @module
 */

import {
  type CellGroup,
  decodeBase64,
  encodeBase64,
  type Hlc,
  type JsonValue,
  type RowState,
  type Stamp,
  type Value,
} from "@lakesync/core";

/** Where a row is and was in one bucket. */
export interface Membership {
  /** The bucket's number. */
  readonly bucket: number;
  /** The commit at which the row last changed in it: its place in the index. */
  readonly seq: number;
  /** Pairs of seqs `entered, left`; the last one is open when its `left` is missing. */
  readonly spans: readonly number[];
}

/** All that is stored of a row. */
export interface RowRecord {
  /** Cells and stamps. */
  readonly state: RowState;
  /** Its buckets. */
  readonly memberships: readonly Membership[];
  /** What it adds to a bucket's checksum while it is visible. */
  readonly checksum: number;
  /** The client whose UPDATE came before the row's INSERT. */
  readonly orphanOf: string | undefined;
}

type StoredValue = JsonValue;
type StoredStamp = readonly [hlc: string, clientId: string];
type StoredGroup = readonly [
  string,
  string,
  number,
  readonly number[],
  readonly StoredValue[],
];
type StoredRecord = readonly [
  born: number | StoredStamp | null,
  died: StoredStamp | null,
  groups: readonly StoredGroup[],
  memberships: readonly (readonly number[])[],
  checksum: number,
  orphanOf?: string,
];

/** Whether the row is in the bucket now. */
export function isMember(membership: Membership): boolean {
  return membership.spans.length % 2 === 1;
}

/** Whether the row was in the bucket at a commit; where old spans ran together, whether it may have been. */
export function wasMemberAt(membership: Membership, seq: number): boolean {
  const { spans } = membership;
  for (let i = 0; i < spans.length; i += 2) {
    const left = spans[i + 1];
    if ((spans[i] ?? 0) <= seq && (left === undefined || left > seq)) {
      return true;
    }
  }
  return false;
}

/** Whether the row was in the bucket at any time after a commit. */
export function wasMemberAfter(membership: Membership, seq: number): boolean {
  const left = membership.spans.at(-1);
  return isMember(membership) || (left !== undefined && left > seq);
}

function writeValue(value: Value): StoredValue {
  if (typeof value === "number") {
    return Object.is(value, -0) ? { $n: "-0" } : value;
  }
  if (typeof value === "bigint") return { $i: value.toString() };
  if (typeof value !== "object" || value === null) return value;
  return value instanceof Uint8Array ? { $b: encodeBase64(value) } : { $j: value };
}

function readValue(value: StoredValue): Value {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return value;
  }
  const tagged = value as { readonly [tag: string]: JsonValue };
  if (typeof tagged["$i"] === "string") return BigInt(tagged["$i"]);
  if (typeof tagged["$b"] === "string") {
    return decodeBase64(tagged["$b"]) ?? new Uint8Array();
  }
  if (typeof tagged["$n"] === "string") return -0;
  return tagged["$j"] ?? null;
}

const PLAIN_ONLY = new Set(["string", "boolean"]);

function writeValues(values: readonly Value[]): readonly StoredValue[] {
  for (const value of values) {
    if (value !== null && !PLAIN_ONLY.has(typeof value)) {
      return values.map(writeValue);
    }
  }
  return values as readonly StoredValue[];
}

function writeBorn(
  born: Stamp | undefined,
  cells: readonly CellGroup[],
): StoredRecord[0] {
  if (born === undefined) return null;
  const at = cells.findIndex((group) => group.hlc === born.hlc && group.clientId === born.clientId);
  return at >= 0 ? at : [born.hlc.toString(), born.clientId];
}

/** Writes a record as a text. */
export function writeRecord(record: RowRecord): string {
  const { born, died, cells } = record.state;
  const stored: StoredRecord = [
    writeBorn(born, cells),
    died === undefined ? null : [died.hlc.toString(), died.clientId],
    cells.map(({ hlc, clientId, seq, columns, values }) => [
      hlc.toString(),
      clientId,
      seq,
      columns,
      writeValues(values),
    ]),
    record.memberships.map(({ bucket, seq, spans }) => [bucket, seq, ...spans]),
    record.checksum,
  ];
  return JSON.stringify(
    record.orphanOf === undefined ? stored : [...stored, record.orphanOf],
  );
}

function readStamp(stamp: StoredStamp): Stamp {
  return { hlc: BigInt(stamp[0]) as Hlc, clientId: stamp[1] };
}

/** Reads a record from its text. */
export function readRecord(text: string): RowRecord {
  const [born, died, groups, memberships, checksum, orphanOf]: StoredRecord = JSON.parse(text);
  const cells = groups.map((
    [hlc, clientId, seq, columns, values],
  ): CellGroup => ({
    hlc: BigInt(hlc) as Hlc,
    clientId,
    seq,
    columns,
    values: values.map(readValue),
  }));
  const bornGroup = typeof born === "number" ? cells[born] : undefined;
  return {
    state: {
      born: bornGroup
        ? { hlc: bornGroup.hlc, clientId: bornGroup.clientId }
        : born === null || typeof born === "number"
        ? undefined
        : readStamp(born),
      died: died === null ? undefined : readStamp(died),
      cells,
    },
    memberships: memberships.map(([bucket = 0, seq = 0, ...spans]) => ({
      bucket,
      seq,
      spans,
    })),
    checksum,
    orphanOf,
  };
}
