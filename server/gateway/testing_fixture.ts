/**
 * A gateway on a memory store with a clock of the test's own, and short ways to talk to it.
 *
 * @module
 */

import { hash } from "node:crypto";
import {
  type Delta,
  type Hlc,
  makeHlc,
  type Op,
  type PullResult,
  type PushRequest,
  type PushResult,
  type Transaction,
  type Value,
} from "@lakesync/core";
import { memoryStores } from "../store/memory.ts";
import type { StoreFactory } from "../store/store.ts";
import type { GatewayEnvironment } from "./environment.ts";
import type { Caller, Gateway, Gateways } from "./gateway.ts";
import { openGateways } from "./open.ts";

/** The schema of these tests. */
export const TODOS = {
  version: 1,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: { id: "string", title: "string", done: "boolean", n: "integer" },
    },
    lists: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
  },
} as const;

/** Who calls in these tests. */
export const ALICE: Caller = { sub: "alice", admin: false, claims: {} };
/** Another user. */
export const BOB: Caller = { sub: "bob", admin: false, claims: {} };

/** The time at which these tests begin. */
export const START_MS: number = Date.UTC(2026, 0, 1);

/** A gateway under test. */
export interface Fixture extends AsyncDisposable {
  /** All gateways of the store. */
  readonly gateways: Gateways;
  /** The gateway `default`, with the schema put. */
  readonly gateway: Gateway;
  /** The clock; tests set it. */
  readonly clock: { ms: number };
}

/** Opens a gateway under test. */
export async function openFixture(
  factory: StoreFactory = memoryStores(),
  settings: Partial<GatewayEnvironment> = {},
): Promise<Fixture> {
  const clock = { ms: START_MS };
  const gateways = openGateways(factory, {
    now: () => clock.ms,
    nextTurn: () => new Promise((resolve) => setTimeout(resolve, 0)),
    setTimer: (ms, callback) => {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    },
    randomId: () => crypto.randomUUID(),
    hash: (text) => String(hash("sha256", text)),
    openAccess: true,
    ...settings,
  });
  const gateway = await gateways.create("default");
  await gateway.putSchema(TODOS);
  return { gateways, gateway, clock, [Symbol.asyncDispose]: () => gateways.close() };
}

/** A stamp, so many milliseconds after the start. */
export function at(ms: number, counter = 0): Hlc {
  return makeHlc(START_MS + ms, counter);
}

/** A delta. */
export function delta(
  op: Op,
  rowId: string,
  hlc: Hlc | undefined,
  columns: Readonly<Record<string, Value>> = {},
  table = "todos",
): Delta {
  return {
    shape: { op, table, columns: Object.keys(columns) },
    rowId,
    hlc,
    values: Object.values(columns),
    deltaId: undefined,
  };
}

/** A transaction. */
export function tx(mutationId: number, ...deltas: Delta[]): Transaction {
  return { mutationId, deltas };
}

/** Pushes, and gives the answer. */
export async function push(
  gateway: Gateway,
  clientId: string,
  transactions: readonly Transaction[],
  more: Partial<PushRequest> = {},
  caller: Caller = ALICE,
): Promise<PushResult> {
  const request = { clientId, schemaVersion: 1, transactions, ...more };
  const { result } = await gateway.push(caller, request);
  if (result === undefined) throw new Error("The push was replayed");
  return result;
}

/** A client's tables as its pulls make them. */
export class Puller {
  /** Rows by table and rowId. */
  readonly rows: Map<string, Record<string, Value>> = new Map();
  /** Every row named so far. */
  readonly named: Set<string> = new Set();
  /** Where the next pull goes on from. */
  cursor: string | undefined;
  /** The last complete page. */
  last: PullResult | undefined;

  constructor(
    public gateway: Gateway,
    readonly clientId: string,
    readonly limit = 1_000,
    readonly schemaVersion = 1,
    public caller: Caller = ALICE,
  ) {}

  /** Pulls one page. */
  async page(): Promise<PullResult> {
    const { clientId, limit, schemaVersion, cursor } = this;
    const request = { clientId, limit, schemaVersion };
    const page = await this.gateway.pull(
      this.caller,
      cursor === undefined ? request : { ...request, cursor },
    );
    for (const { shape, rowId, values } of page.changes) {
      const key = `${shape.table}/${rowId}`;
      this.named.add(key);
      if (shape.op === "REMOVE") this.rows.delete(key);
      else {
        const row = { ...this.rows.get(key) };
        shape.columns.forEach((column, i) => row[column] = values[i] ?? null);
        for (const column of shape.unset ?? []) row[column] = null;
        this.rows.set(key, row);
      }
    }
    this.cursor = page.cursor;
    if (page.complete) this.last = page;
    return page;
  }

  /** Pulls to the next checkpoint; gives what the pages named. */
  async pull(): Promise<PullResult["changes"]> {
    const changes = [];
    for (;;) {
      const page = await this.page();
      changes.push(...page.changes);
      if (page.complete) return changes;
    }
  }

  /** Rows without the cells that are null, for comparison. */
  table(): Record<string, Record<string, Value>> {
    const table: Record<string, Record<string, Value>> = {};
    for (const key of [...this.rows.keys()].sort()) {
      const cells = Object.entries(this.rows.get(key) ?? {}).filter(([, value]) => value !== null);
      table[key] = Object.fromEntries(cells.sort());
    }
    return table;
  }
}
