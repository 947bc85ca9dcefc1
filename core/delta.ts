/**
 * Deltas: one change to one row, holding only what changed, and the hashes that identify them.
 *
 * @module
 */

import type { RejectionCode } from "./errors.ts";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Hlc } from "./clock.ts";
import { toPlainJson, type Value } from "./value.ts";

/** What a delta does to its row. */
export type Op = "INSERT" | "UPDATE" | "DELETE";

/**
 * What deltas of the same kind share: operation, table and the names of the columns they carry.
 * Deltas of one batch share one object, so whoever judges or translates names does it once.
 */
export interface Shape {
  /** What the deltas do. */
  readonly op: Op;
  /** The table's name. */
  readonly table: string;
  /** The names of the columns that the deltas carry, without doubles. */
  readonly columns: readonly string[];
}

/** One change to one row. */
export interface Delta {
  /** Operation, table and columns. */
  readonly shape: Shape;
  /** The key's value; for a key of several columns the JSON array of its values. */
  readonly rowId: string;
  /** When it was written; undefined asks the gateway to stamp it. */
  readonly hlc: Hlc | undefined;
  /** One value for each column of the shape. */
  readonly values: readonly Value[];
  /** SHA-256 in lower-case hex, if the sender gave it. */
  readonly deltaId: string | undefined;
  /**
   * The stamp that it was written with, where it has been stamped anew since (`CLOCK_DRIFT`). The
   * merge does not look at it; links of chains are taken over it, so that copies of a database that
   * stamp a change anew, each for itself, still have the same change.
   */
  readonly written?: Hlc;
}

/** What one local transaction changed, or one part of it. */
export interface Transaction {
  /** 1, 2, 3 … without gaps, per client. */
  readonly mutationId: number;
  /** The changes in order. */
  readonly deltas: readonly Delta[];
  /** Which part this is, from 1, when the transaction comes in several. */
  readonly part?: number;
  /** How many parts there are. */
  readonly parts?: number;
  /** SHA-256 over the previous chain and this transaction's deltaIds, in lower-case hex. */
  readonly chain?: string;
  /**
   * Given when the transaction was refused by a gateway that was put back since: it comes without its
   * changes, and stays refused.
   */
  readonly refused?: RefusedBefore;
}

/** The refusal of a transaction that is given back to a gateway that forgot it. */
export interface RefusedBefore {
  /** The chain before it, "" before the first; its own is taken as it was. */
  readonly previous: string;
  /** Why it was refused, for a program. */
  readonly code: RejectionCode;
  /** Why, for a person. */
  readonly message: string;
  /** The 0-based index of the delta that was refused. */
  readonly delta: number;
}

/**
 * Writes JSON as RFC 8785 has it: members sorted by UTF-16 code units, no white space, numbers
 * as ECMAScript writes them.
 *
 * @param value a value; bytes and large integers are written in their plain JSON form
 * @returns the text
 */
export function canonicalJson(value: Value): string {
  const plain = toPlainJson(value);
  if (plain === null || typeof plain !== "object") return JSON.stringify(plain);
  if (Array.isArray(plain)) return `[${plain.map(canonicalJson).join(",")}]`;
  const members = Object.entries(plain).sort((
    [a],
    [b],
  ) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${
    members.map(([k, v]) => `${JSON.stringify(k)}:${canonicalJson(v)}`).join(
      ",",
    )
  }}`;
}

const sortedColumns = new WeakMap<
  Shape,
  readonly (readonly [number, string])[]
>();

function columnOrder(shape: Shape): readonly (readonly [number, string])[] {
  let order = sortedColumns.get(shape);
  if (order === undefined) {
    order = shape.columns
      .map((name, i) => [i, name] as const)
      .sort(([, a], [, b]) => (a < b ? -1 : 1))
      .map(([i, name]) => [i, `${JSON.stringify(name)}:`] as const);
    sortedColumns.set(shape, order);
  }
  return order;
}

/**
 * The canonical JSON of a delta, over which its {@linkcode deltaIdOf} is taken.
 *
 * @param clientId the client that wrote it
 * @param delta the change
 * @param hlc its stamp
 * @returns the text
 */
export function canonicalDelta(
  clientId: string,
  delta: Delta,
  hlc: Hlc,
): string {
  let columns = "";
  for (const [i, name] of columnOrder(delta.shape)) {
    const text = canonicalJson(delta.values[i] ?? null);
    columns += columns === "" ? name + text : `,${name}${text}`;
  }
  return `{"clientId":${JSON.stringify(clientId)},"columns":{${columns}},"hlc":"${hlc}",` +
    `"op":"${delta.shape.op}","rowId":${JSON.stringify(delta.rowId)},"table":${
      JSON.stringify(delta.shape.table)
    }}`;
}

/** Hashes a text: UTF-8, SHA-256, lower-case hex. */
export type TextHash = (text: string) => string;

/**
 * {@linkcode TextHash} in plain JavaScript, for any runtime.
 *
 * @param text any text
 * @returns 64 lower-case hex digits
 */
export function sha256Hex(text: string): string {
  return bytesToHex(sha256(utf8ToBytes(text)));
}

/**
 * The identity of a delta: SHA-256 over the RFC 8785 JSON of
 * `{clientId, columns, hlc, op, rowId, table}`.
 *
 * @param clientId the client that wrote it
 * @param delta the change
 * @param hlc its stamp
 * @param hash how to hash; a runtime's own is faster than the default
 * @returns 64 lower-case hex digits
 */
export function deltaIdOf(
  clientId: string,
  delta: Delta,
  hlc: Hlc,
  hash: TextHash = sha256Hex,
): string {
  return hash(canonicalDelta(clientId, delta, hlc));
}

/**
 * What stands for a delta in its client's chain: its {@linkcode deltaIdOf}, taken over the stamp that
 * it was written with.
 *
 * @param clientId the client that wrote it
 * @param delta the change
 * @param hash how to hash; a runtime's own is faster than the default
 * @returns 64 lower-case hex digits; undefined when the delta has no stamp yet
 */
export function chainedIdOf(
  clientId: string,
  delta: Delta,
  hash: TextHash = sha256Hex,
): string | undefined {
  const { hlc, deltaId, written } = delta;
  if (hlc === undefined) return undefined;
  if (written === undefined && deltaId !== undefined) return deltaId;
  return deltaIdOf(clientId, delta, written ?? hlc, hash);
}

/**
 * The next link of a client's chain: SHA-256 over the previous chain and what stands for the
 * transaction's deltas ({@linkcode chainedIdOf}), all as hex text one after the other. The first link
 * follows the empty text.
 *
 * @param previous the chain after the transaction before, or ""
 * @param deltaIds what stands for the deltas of the transaction, in order
 * @param hash how to hash
 * @returns 64 lower-case hex digits
 */
export function chainOf(
  previous: string,
  deltaIds: readonly string[],
  hash: TextHash = sha256Hex,
): string {
  return hash(previous + deltaIds.join(""));
}

/** A link of a chain that is made piece by piece, for transactions too large to hold at once. */
export interface RunningChain {
  /** Adds the next deltaId. */
  add(deltaId: string): void;
  /** Ends it: what {@linkcode chainOf} gives for the same deltaIds. */
  end(): string;
}

/**
 * Begins a link of a client's chain.
 *
 * @param previous the chain after the transaction before, or ""
 * @returns takes the deltaIds one by one
 */
export function beginChain(previous: string): RunningChain {
  const hash = sha256.create().update(utf8ToBytes(previous));
  return {
    add: (deltaId) => void hash.update(utf8ToBytes(deltaId)),
    end: () => bytesToHex(hash.digest()),
  };
}
