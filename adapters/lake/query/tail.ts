/**
 * What a gateway has committed and not flushed yet, as JSON over HTTP: whole entries of its log with
 * the effects that changes had, and the schema by which they are read. Numbers of commits are text,
 * values as `stored_value.ts` writes them. Pure functions, but for the reading over HTTP.
 *
 * @module
 */

import { type Hlc, type JsonValue, type Op, parseSchema, type Value } from "@lakesync/core";
import type { Change, DestinationSchema, Place, PositionLife, RowEffect } from "../../adapter.ts";
import { decodeCells, encodeCells, portCells } from "../../database/stored_cells.ts";
import { fromStoredValue, toStoredValue } from "../../database/stored_value.ts";
import type { SourceEntry } from "../../flush/source.ts";

/** A part of a gateway's log. */
export interface TailPage {
  /** The tables of now; a version of 0 when the gateway has none. */
  readonly schema: DestinationSchema;
  /** The last commit. */
  readonly headSeq: number;
  /** The lives of the history, oldest first. */
  readonly lives: readonly PositionLife[];
  /** Entries in order; none at the end. */
  readonly entries: readonly SourceEntry[];
  /** Whether the gateway no longer has everything after the place. */
  readonly isTrimmed: boolean;
}

/** Tells what a gateway has committed after a place. */
export interface QueryTail {
  /**
   * Reads on.
   *
   * @param after entries after this place
   * @returns some of them, or none when there are no more
   */
  read(after: Place): Promise<TailPage>;
}

/**
 * Writes a page.
 *
 * @param page the page
 * @param spec the schema of now as it was put; undefined when the gateway has none
 * @returns JSON
 */
export function encodeTailPage(page: TailPage, spec: object | undefined): object {
  const { schema, headSeq, lives, entries, isTrimmed } = page;
  return {
    ...(spec === undefined ? {} : { schema: spec }),
    tables: Object.fromEntries(schema.tables.map(({ id, table, columnIds }) => [
      table.name,
      { id, columns: Object.fromEntries(table.columns.map(({ name }, i) => [name, columnIds[i]])) },
    ])),
    headSeq: String(headSeq),
    lives: lives.map(({ id, fromSeq }) => ({ id, fromSeq: String(fromSeq) })),
    trimmed: isTrimmed,
    entries: entries.map(({ seq, slice, last, bytes, committedMs, changes }) => ({
      seq: String(seq),
      slice,
      last,
      bytes,
      committedMs,
      changes: changes.map(changeJson),
    })),
  };
}

function changeJson(change: Change): JsonValue {
  const { deltaId, op, table, rowId, columns, hlc, clientId, mutationId } = change;
  const { schemaVersion, effect, unsettles, columnIds } = change;
  return {
    deltaId,
    op,
    table,
    rowId,
    columns: Object.entries(columns).map(([name, value]) => [name, toStoredValue(value)]),
    hlc: String(hlc),
    clientId,
    mutationId,
    schemaVersion,
    ...(columnIds === undefined ? {} : { columnIds }),
    ...(effect === undefined ? {} : { effect: effectJson(effect) }),
    ...(unsettles === undefined ? {} : { unsettles: unsettles.table }),
  };
}

function effectJson({ key, isVisible, replaces, cells }: RowEffect): JsonValue {
  const kept = cells.map(([column, value, stamp]) => [column, { value, stamp }] as const);
  return { table: key.table, isVisible, replaces, cells: JSON.parse(encodeCells(new Map(kept))) };
}

/** The members that {@linkcode encodeTailPage} writes. */
interface PageJson {
  readonly schema?: unknown;
  readonly tables: Readonly<Record<string, TableJson>>;
  readonly headSeq: string;
  readonly lives: readonly { readonly id: string; readonly fromSeq: string }[];
  readonly trimmed: boolean;
  readonly entries: readonly EntryJson[];
}

interface TableJson {
  readonly id: number;
  readonly columns: Readonly<Record<string, number>>;
}

interface EntryJson extends Omit<SourceEntry, "seq" | "changes"> {
  readonly seq: string;
  readonly changes: readonly ChangeJson[];
}

interface ChangeJson {
  readonly deltaId: string;
  readonly op: Op;
  readonly table: string;
  readonly rowId: string;
  readonly columns: readonly (readonly [string, JsonValue])[];
  readonly hlc: string;
  readonly clientId: string;
  readonly mutationId: number;
  readonly schemaVersion: number;
  readonly columnIds?: readonly number[];
  readonly effect?: {
    readonly table: number;
    readonly isVisible: boolean;
    readonly replaces: boolean;
    readonly cells: JsonValue;
  };
  readonly unsettles?: number;
}

/**
 * Reads a page.
 *
 * @param json what {@linkcode encodeTailPage} wrote
 * @throws {LakeSyncError} when its schema is none
 */
export function decodeTailPage(json: object): TailPage {
  const { schema, tables, headSeq, lives, trimmed, entries } = json as PageJson;
  return {
    schema: decodeSchema(schema, tables),
    headSeq: Number(headSeq),
    lives: lives.map(({ id, fromSeq }) => ({ id, fromSeq: Number(fromSeq) })),
    isTrimmed: trimmed,
    entries: entries.map((entry) => ({
      ...entry,
      seq: Number(entry.seq),
      changes: entry.changes.map((change) => decodeChange(entry, change)),
    })),
  };
}

function decodeSchema(
  spec: unknown,
  numbers: Readonly<Record<string, TableJson>>,
): DestinationSchema {
  if (spec === undefined) return { version: 0, tables: [] };
  const { version, tables } = parseSchema(spec);
  return {
    version,
    tables: [...tables.values()].map((table) => {
      const { id = 0, columns = {} } = numbers[table.name] ?? {};
      return { id, table, columnIds: table.columns.map(({ name }) => columns[name] ?? 0) };
    }),
  };
}

function decodeChange(
  { seq, slice, committedMs }: EntryJson,
  { columns, hlc, effect, unsettles, ...change }: ChangeJson,
): Change {
  const { rowId } = change;
  const values: Record<string, Value> = {};
  for (const [name, value] of columns) values[name] = fromStoredValue(value);
  return {
    ...change,
    columns: values,
    hlc: BigInt(hlc) as Hlc,
    seq: Number(seq),
    slice,
    committedMs,
    effect: effect && {
      key: { table: effect.table, rowId },
      isVisible: effect.isVisible,
      replaces: effect.replaces,
      cells: portCells(decodeCells(JSON.stringify(effect.cells))),
    },
    ...(unsettles === undefined ? {} : { unsettles: { table: unsettles, rowId } }),
  };
}

/** A gateway that is asked over HTTP. */
export interface GatewayTailOptions {
  /** The server, such as `http://127.0.0.1:8787`. */
  readonly url: string;
  /** The gateway. */
  readonly gatewayId: string;
  /** A token of role admin. */
  readonly token: string;
}

/** Past this a request has failed, in milliseconds. */
const TIMEOUT_MS = 30_000;

/**
 * Reads what a gateway has not flushed from a server that runs.
 *
 * @param options which
 */
export function gatewayTail({ url, gatewayId, token }: GatewayTailOptions): QueryTail {
  return {
    async read(after) {
      const response = await fetch(`${url}/v1/admin/tail/${gatewayId}?${tailQuery(after)}`, {
        headers: { Authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const body: unknown = await response.json().catch(() => undefined);
      if (response.ok && typeof body === "object" && body !== null) return decodeTailPage(body);
      throw new Error(`${url} answers with status ${response.status} to what it has not flushed`);
    },
  };
}

/** The query of a request for what comes after a place. */
export function tailQuery({ seq, slice }: Place): string {
  return `after=${seq}${slice === undefined ? "" : `&slice=${slice}`}`;
}
