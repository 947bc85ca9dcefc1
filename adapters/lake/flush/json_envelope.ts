/**
 * What a lake of JSON has in each of its objects: gzipped JSON that says where the lake stands after
 * it, and what brought it there. Values are as `stored_value.ts` writes them, stamps are text.
 *
 * @module
 */

import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import type { Hlc, JsonValue, Value } from "@lakesync/core";
import type { Change, DestinationKey, FlushPosition, RowEffect } from "../../adapter.ts";
import { decodeCells, encodeCells, type KeptCell, portCells } from "../../database/stored_cells.ts";
import type { StoredSchema } from "../../database/stored_schema.ts";
import { fromStoredValue, toStoredValue } from "../../database/stored_value.ts";

/** The form of envelopes. */
const FORMAT = 1;

/** A row's name: its table's number and its id. */
type Name = readonly [table: number, rowId: string];

interface EffectJson {
  readonly table: number;
  readonly rowId: string;
  readonly visible: boolean;
  readonly replaces: boolean;
  readonly cells: JsonValue;
}

interface ChangeJson extends
  Omit<
    Change,
    "hlc" | "columns" | "effect" | "unsettles" | "columnIds"
  > {
  readonly hlc: string;
  readonly columns: Readonly<Record<string, JsonValue>>;
  readonly effect: EffectJson | null;
  readonly unsettles?: Name;
}

/** An object of a lake of JSON. */
export interface Envelope {
  /** The form. */
  readonly format: typeof FORMAT;
  /**
   * What it is: changes and rows; changes after `position` are given up; rows are filled anew from
   * then on; the tables have another schema.
   */
  readonly kind: "flush" | "rewind" | "refill" | "schema";
  /** When it was written, in milliseconds since 1970. */
  readonly atMs: number;
  /** Where the lake stood before it. */
  readonly from: FlushPosition | null;
  /** Where it stands. */
  readonly position: FlushPosition | null;
  /** The number of the last object with a schema, this one among them; 0 when there is none. */
  readonly schemaAt: number;
  /** Rows may be unsettled by objects from this number on; 0 when none are. */
  readonly unsettledFrom: number;
  /** Rows that are set, before the changes. */
  readonly rows?: readonly EffectJson[];
  /** Changes in order. */
  readonly changes?: readonly ChangeJson[];
  /** Rows that a rewind leaves unsettled. */
  readonly unsettled?: readonly Name[];
  /** The schema. */
  readonly schema?: StoredSchema;
}

const [pack, unpack] = [promisify(gzip), promisify(gunzip)];

/** Writes an envelope as the bytes of an object. */
export async function writeEnvelope(envelope: Omit<Envelope, "format">): Promise<Uint8Array> {
  return new Uint8Array(await pack(JSON.stringify({ format: FORMAT, ...envelope })));
}

/**
 * Reads an envelope.
 *
 * @param bytes the bytes of an object
 * @throws {TypeError} when it has another form
 */
export async function readEnvelope(bytes: Uint8Array): Promise<Envelope> {
  const envelope: Envelope = JSON.parse(new TextDecoder().decode(await unpack(bytes)));
  if (envelope.format === FORMAT) return envelope;
  throw new TypeError(
    `The lake has objects of form ${envelope.format}, which this version does not know`,
  );
}

/** A row's effect as JSON. */
export function effectJson({ key, isVisible, replaces, cells }: RowEffect): EffectJson {
  const kept = new Map(
    cells.map(([column, value, stamp]): [number, KeptCell] => [column, { value, stamp }]),
  );
  return {
    ...key,
    visible: isVisible,
    replaces,
    cells: JSON.parse(encodeCells(kept)),
  };
}

/** Reads a row's effect. */
export function effectOf({ table, rowId, visible, replaces, cells }: EffectJson): RowEffect {
  return {
    key: { table, rowId },
    isVisible: visible,
    replaces,
    cells: portCells(decodeCells(JSON.stringify(cells))),
  };
}

/** A change as JSON. */
export function changeJson(
  { hlc, columns, effect, unsettles, columnIds: _, ...change }: Change,
): ChangeJson {
  const values = Object.entries(columns).map(([name, value]) => [name, toStoredValue(value)]);
  return {
    ...change,
    hlc: String(hlc),
    columns: Object.fromEntries(values),
    effect: effect === undefined ? null : effectJson(effect),
    ...(unsettles === undefined ? {} : { unsettles: [unsettles.table, unsettles.rowId] as const }),
  };
}

/** Reads a change. */
export function changeOf({ hlc, columns, effect, unsettles, ...change }: ChangeJson): Change {
  const values = Object.entries(columns).map(([name, value]): [string, Value] => [
    name,
    fromStoredValue(value),
  ]);
  return {
    ...change,
    hlc: BigInt(hlc) as Hlc,
    columns: Object.fromEntries(values),
    effect: effect === null ? undefined : effectOf(effect),
    ...(unsettles === undefined ? {} : { unsettles: keyOfName(unsettles) }),
  };
}

/** A row's name. */
export function nameOf({ table, rowId }: DestinationKey): Name {
  return [table, rowId];
}

/** The row of a name. */
export function keyOfName([table, rowId]: Name): DestinationKey {
  return { table, rowId };
}
