/**
 * What everybody is to see at the end: the gateway's log, merged once more from the start by reference
 * code, under the rules as plain SQL. Nothing of the gateway's rows, buckets or cursors is used.
 *
 * @module
 */

import { hash } from "node:crypto";
import {
  type Delta,
  deltaIdOf,
  type Hlc,
  hlcCounter,
  hlcMs,
  type SchemaSpec,
  type Value,
} from "@lakesync/core";
import { readLogPayload } from "../../server/gateway/log.ts";
import {
  LOG_START,
  type LogEntry,
  type LogPosition,
  type Store,
} from "../../server/store/store.ts";
import type { Mirror } from "../oracle/mirror.ts";
import type { ColumnPlan, DeltaPlan, Plan, TablePlan } from "../oracle/plan.ts";
import { Reference, type ShownTables, WORLD_START_MS } from "../oracle/reference.ts";
import type { LoggedTx, TableRows } from "./history.ts";
import { isBoss, RULES, SCHEMAS } from "./workload.ts";

const PAGE = 1_000;

function columnsOf(spec: SchemaSpec["tables"][string], known: ReadonlySet<string>): ColumnPlan[] {
  return Object.entries(spec.columns).map(([name, column]) => ({
    name,
    since: known.has(name) ? 1 : 2,
    ...(typeof column === "string"
      ? { type: column }
      : { type: column.type, ...(column.merge === undefined ? {} : { merge: column.merge }) }),
  }));
}

const TABLES: readonly TablePlan[] = Object.entries(SCHEMAS[1].tables).map(([name, spec]) => ({
  name,
  primaryKey: spec.primaryKey,
  columns: columnsOf(spec, new Set(Object.keys(SCHEMAS[0].tables[name]?.columns ?? {}))),
  since: 1,
  rowIds: [],
}));

const PLAN: Plan = { seed: 0, store: "memory", tables: TABLES, clients: [], steps: [] };

/** A transaction as the log has it. */
export interface Logged extends Omit<LoggedTx, "deltaIds"> {
  readonly sub: string;
  readonly deltas: readonly Delta[];
}

function stampOf({ hlc }: Delta): Hlc {
  if (hlc === undefined) throw new Error("A delta in the log has no stamp");
  return hlc;
}

function deltaId(delta: Delta, clientId: string): string {
  return delta.deltaId ??
    deltaIdOf(clientId, delta, stampOf(delta), (text) => hash("sha256", text, "hex"));
}

/**
 * Reads a gateway's whole log, each transaction once, also those in several slices.
 *
 * @param store keeps it
 * @param after reads what comes after this seq
 * @param peek runs each read
 */
export async function readLog(
  store: Store,
  after = 0,
  peek: <T>(read: () => T) => T = (read) => read(),
): Promise<readonly Logged[]> {
  const entries: LogEntry[] = [];
  for (let at: LogPosition = { ...LOG_START, seq: after, slice: after === 0 ? 0 : Infinity };;) {
    const from = at;
    const page = await peek(() => store.readLog(from, PAGE));
    entries.push(...page);
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) break;
    at = last;
  }
  const ids = [...new Set(entries.map(({ clientId }) => clientId))];
  const clients = await peek(() => store.readClients(ids));
  const subs = new Map(clients.map((client, i) => [ids[i], client?.sub ?? ""]));
  const logged: { -readonly [K in keyof Logged]: Logged[K] }[] = [];
  for (const { seq, slice, clientId, mutationId, payload } of entries) {
    const deltas = readLogPayload(payload).map(({ delta }) => delta);
    const last = logged.at(-1);
    if (slice > 0 && last !== undefined && last.seq === seq) {
      last.deltas = [...last.deltas, ...deltas];
      continue;
    }
    const sub = subs.get(clientId) ?? "";
    logged.push({ tx: "", sub, seq, clientId, mutationId, deltas });
  }
  for (const one of logged) {
    one.tx = one.deltas.find(({ shape }) => shape.table === "marks")?.rowId ??
      `${one.clientId}#${one.mutationId}`;
  }
  return logged;
}

/** The log as histories have it. */
export function withDeltaIds(log: readonly Logged[]): readonly LoggedTx[] {
  return log.map(({ tx, seq, clientId, mutationId, deltas }) => ({
    tx,
    seq,
    clientId,
    mutationId,
    deltaIds: deltas.map((delta) => deltaId(delta, clientId)),
  }));
}

function asPlan(delta: Delta): DeltaPlan {
  const { shape, rowId, values } = delta;
  const hlc = stampOf(delta);
  return {
    op: shape.op,
    table: shape.table,
    rowId,
    stamp: [hlcMs(hlc) - WORLD_START_MS, hlcCounter(hlc)],
    columns: Object.fromEntries(shape.columns.map((name, i) => [name, values[i] ?? null])),
  };
}

function claimsOf(sub: string) {
  return { sub, boss: isBoss(sub) };
}

function plain(value: Value): unknown {
  if (typeof value === "bigint") return Number(value);
  return Array.isArray(value) ? [...value].sort() : value;
}

function asRows(shown: ShownTables): TableRows {
  return Object.fromEntries(
    [...shown].map(([table, rows]) => [
      table,
      Object.fromEntries(
        [...rows].sort(([a], [b]) => a < b ? -1 : 1).map(([rowId, cells]) => [
          rowId,
          Object.fromEntries([...cells].map(([name, value]) => [name, plain(value)])),
        ]),
      ),
    ]),
  );
}

/** What is expected of a gateway's log. */
export interface Expected {
  /** The tables of each viewer. */
  readonly tables: Readonly<Record<string, TableRows>>;
  /** Transactions that the rules do not allow and that are in the log nevertheless. */
  readonly forbidden: readonly string[];
}

/** Someone who looks: a user by a version of the schema. */
export interface Viewer {
  /** What it is called in the result. */
  readonly name: string;
  readonly user: string;
  readonly version: number;
}

/**
 * Works out what everybody is to see.
 *
 * @param log the gateway's log
 * @param version the version of the gateway's schema
 * @param rules the place of its rules among {@linkcode RULES}
 * @param viewers who looks
 * @param mirror is begun anew
 */
export function expectedOf(
  log: readonly Logged[],
  version: number,
  rules: number,
  viewers: readonly Viewer[],
  mirror: Mirror,
): Expected {
  const reference = new Reference(PLAN, mirror);
  reference.putSchema(version);
  reference.putRules(RULES[rules] ?? { buckets: [] });
  const forbidden: string[] = [];
  for (const { tx, sub, clientId, deltas } of log) {
    const who = { clientId, sub, admin: false, claims: claimsOf(sub) };
    const refusal = reference.write(who, deltas.map(asPlan));
    if (refusal !== undefined) {
      forbidden.push(
        `${tx} of ${sub} is in the log, its delta ${refusal.delta} is ${refusal.code}`,
      );
    }
  }
  const tables: Record<string, TableRows> = { "*": asRows(reference.everything()) };
  for (const { name, user, version } of viewers) {
    const who = { clientId: "", sub: user, admin: false, claims: claimsOf(user) };
    tables[name] = asRows(reference.expected(who, version));
  }
  return { tables, forbidden };
}
