/**
 * A row's record: its cells with their stamps, and where it is and was in the bucket index. One
 * text, positional JSON:
 *
 * `[born, died, groups, memberships, cutSeq, orphanOf, merged, waiting]` with stamps as `[hlc, clientId]` (born
 * as the index of the group with the same stamp where there is one, else null), groups as
 * `[hlc, clientId, seq, columns, values]`, memberships as `[bucket, seq, entered, left, …, values]`,
 * the last span open when its `left` is missing and the values only there where each span has some.
 * What stands at the end and is 0 or null is left out.
 *
 * @module
 */

import type { CellGroup, Hlc, JsonValue, RowState, Stamp, Value } from "@lakesync/core";
import { readMerged, type StoredCell, writeMerged } from "./record_merged.ts";
import { readValue, type StoredValue, writeValues } from "./record_value.ts";

/** Where a row is and was in one bucket. */
export interface Membership {
  /** The bucket's number. */
  readonly bucket: number;
  /** The commit at which the row last changed in it: its place in the index. */
  readonly seq: number;
  /** Pairs of seqs `entered, left`; the last one is open when its `left` is missing. */
  readonly spans: readonly number[];
  /**
   * For each span the values that the bucket's residual conditions read; not there for buckets
   * without such conditions.
   */
  readonly values?: readonly (readonly Value[])[];
}

/** All that is stored of a row. */
export interface RowRecord {
  /** Cells and stamps. */
  readonly state: RowState;
  /** Its buckets. */
  readonly memberships: readonly Membership[];
  /**
   * The last commit at which a DELETE took away cells or ended that the row was visible; 0 if none
   * did.
   */
  readonly cutSeq: number;
  /** The client whose UPDATE came before the row's INSERT. */
  readonly orphanOf: string | undefined;
  /**
   * Whose cells wait in a row that is not visible, where write rules judge them: they count only if
   * that caller might have written them to the row that an INSERT makes.
   */
  readonly waiting?: {
    /** The client. */
    readonly clientId: string;
    /** The claims its writes were judged by. */
    readonly claims: JsonValue;
  };
}

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
  memberships: readonly StoredMembership[],
  cutSeq?: number | null,
  orphanOf?: string | null,
  merged?: readonly StoredCell[] | null,
  waiting?: readonly [clientId: string, claims: JsonValue] | null,
];
type StoredMembership = readonly (number | readonly (readonly StoredValue[])[])[];

/** Whether the row is in the bucket now. */
export function isMember(membership: Membership): boolean {
  return membership.spans.length % 2 === 1;
}

/**
 * Finds the span in which a row was in the bucket at a commit; where old spans ran together, in which
 * it may have been.
 *
 * @returns the span's place, from 0, or -1
 */
export function spanAt({ spans }: Membership, seq: number): number {
  for (let i = 0; i < spans.length; i += 2) {
    const left = spans[i + 1];
    if ((spans[i] ?? 0) <= seq && (left === undefined || left > seq)) return i / 2;
  }
  return -1;
}

function writeBorn(
  born: Stamp | undefined,
  cells: readonly CellGroup[],
): StoredRecord[0] {
  if (born === undefined) return null;
  const at = cells.findIndex((group) => group.hlc === born.hlc && group.clientId === born.clientId);
  return at >= 0 ? at : [born.hlc.toString(), born.clientId];
}

function writeMembership({ bucket, seq, spans, values }: Membership): StoredMembership {
  return values === undefined
    ? [bucket, seq, ...spans]
    : [bucket, seq, ...spans, values.map(writeValues)];
}

function readMembership(stored: StoredMembership): Membership {
  const numbers: number[] = [];
  let values: readonly (readonly StoredValue[])[] | undefined;
  for (const item of stored) {
    if (typeof item === "number") numbers.push(item);
    else values = item;
  }
  const [bucket = 0, seq = 0, ...spans] = numbers;
  return values === undefined
    ? { bucket, seq, spans }
    : { bucket, seq, spans, values: values.map((span) => span.map(readValue)) };
}

/** Writes a record as a text. */
export function writeRecord(record: RowRecord): string {
  const { born, died, cells, merged } = record.state;
  const stored: [...StoredRecord] = [
    writeBorn(born, cells),
    died === undefined ? null : [died.hlc.toString(), died.clientId],
    cells.map(({ hlc, clientId, seq, columns, values }) => [
      hlc.toString(),
      clientId,
      seq,
      columns,
      writeValues(values),
    ]),
    record.memberships.map(writeMembership),
    record.cutSeq,
    record.orphanOf ?? null,
    merged === undefined ? null : writeMerged(merged, born),
    record.waiting === undefined ? null : [record.waiting.clientId, record.waiting.claims],
  ];
  while (stored.length > 4 && (stored.at(-1) === null || stored.at(-1) === 0)) stored.pop();
  return JSON.stringify(stored);
}

function readStamp(stamp: StoredStamp): Stamp {
  return { hlc: BigInt(stamp[0]) as Hlc, clientId: stamp[1] };
}

function readBorn(stored: StoredRecord[0], cells: readonly CellGroup[]): Stamp | undefined {
  if (stored === null) return undefined;
  if (typeof stored !== "number") return readStamp(stored);
  const group = cells[stored];
  return group && { hlc: group.hlc, clientId: group.clientId };
}

/** Reads a record from its text. */
export function readRecord(text: string): RowRecord {
  const [born, died, groups, memberships, cutSeq, orphanOf, merged, waiting]: StoredRecord = JSON
    .parse(text);
  const cells = groups.map((
    [hlc, clientId, seq, columns, values],
  ): CellGroup => ({
    hlc: BigInt(hlc) as Hlc,
    clientId,
    seq,
    columns,
    values: values.map(readValue),
  }));
  const bornAt = readBorn(born, cells);
  const state: RowState = {
    born: bornAt,
    died: died === null ? undefined : readStamp(died),
    cells,
    ...(merged ? { merged: readMerged(merged, bornAt) } : {}),
  };
  return {
    state,
    memberships: memberships.map(readMembership),
    cutSeq: cutSeq ?? 0,
    orphanOf: orphanOf ?? undefined,
    ...(waiting ? { waiting: { clientId: waiting[0], claims: waiting[1] } } : {}),
  };
}
