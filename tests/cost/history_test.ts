/**
 * Cost does not grow with history: the same push and the same pull execute the same number of
 * statements and read the same number of rows, whatever is stored already.
 */

import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { createClock, type Delta, type HybridClock, type Shape } from "@lakesync/core";
import {
  openSqliteStores,
  type Store,
  type StoreCounters,
  type StoreFactory,
} from "@lakesync/server";
import { type Caller, type Gateway, openGateways } from "@lakesync/server/gateway";

const SMALL = 10_000;
const LARGE = Number(Deno.env.get("LAKESYNC_TEST_ROWS") ?? "1000000");
const CALLER: Caller = { sub: "alice", admin: false, claims: {} };
const COLUMNS = ["title", "body", "n", "x", "done"];
const INSERT: Shape = { op: "INSERT", table: "notes", columns: COLUMNS };
const UPDATE: Shape = { op: "UPDATE", table: "notes", columns: ["n"] };

interface Cost {
  readonly statements: number;
  readonly rowsRead: number;
}

/** Hands out the store that a gateway opens, so that its counters can be read. */
function watched(factory: StoreFactory): { factory: StoreFactory; store: () => Store } {
  let opened: Store | undefined;
  return {
    factory: {
      kind: factory.kind,
      list: () => factory.list(),
      open: async (gatewayId, create) => opened = await factory.open(gatewayId, create),
      close: () => factory.close(),
    },
    store: () => {
      if (opened === undefined) throw new Error("No store was opened");
      return opened;
    },
  };
}

class Writer {
  #mutationId = 0;
  #row = 0;

  constructor(readonly gateway: Gateway, readonly clock: HybridClock, readonly clientId: string) {}

  async insert(count: number): Promise<void> {
    await this.#push(Array.from({ length: count }, () => {
      const n = this.#row++;
      return this.#delta(INSERT, `row-${n}`, [`title ${n}`, "body", n, n / 3, n % 2 === 0]);
    }));
  }

  async update(rows: readonly number[]): Promise<void> {
    await this.#push(rows.map((row) => this.#delta(UPDATE, `row-${row}`, [-row])));
  }

  #delta(shape: Shape, rowId: string, values: Delta["values"]): Delta {
    return { shape, rowId, hlc: this.clock.tick(), values, deltaId: undefined };
  }

  async #push(deltas: readonly Delta[]): Promise<void> {
    const { clientId } = this;
    const transactions = [{ mutationId: ++this.#mutationId, deltas }];
    const { result } = await this.gateway.push(CALLER, {
      clientId,
      schemaVersion: 1,
      transactions,
    });
    assert.deepEqual(result?.rejected, []);
    assert.equal(result?.stopped, undefined);
  }
}

async function costOf(counters: () => StoreCounters, work: () => Promise<unknown>): Promise<Cost> {
  const before = { ...counters() };
  await work();
  const after = counters();
  return {
    statements: after.statements - before.statements,
    rowsRead: after.rowsRead - before.rowsRead,
  };
}

Deno.test(`a push and a pull of 100 changes cost the same at ${SMALL} and at ${LARGE} rows`, async () => {
  const data = await Deno.makeTempDir({ prefix: "lakesync-cost-" });
  const { factory, store } = watched(await openSqliteStores(data));
  const startMs = Date.now(); // stands still, so that no upkeep falls due in the middle
  const gateways = openGateways(factory, {
    now: () => startMs,
    nextTurn: () => new Promise((resolve) => setTimeout(resolve, 0)),
    setTimer: () => () => {},
    randomId: () => crypto.randomUUID(),
    hash: (text) => String(hash("sha256", text)),
    openAccess: true,
  });
  const gateway = await gateways.create("default");
  const columns = {
    id: "string",
    title: "string",
    body: "string",
    n: "integer",
    x: "number",
    done: "boolean",
  };
  await gateway.putSchema({ version: 1, tables: { notes: { primaryKey: ["id"], columns } } });
  const writer = new Writer(gateway, createClock(() => startMs), "writer");
  const counters = () => store().counters;

  const measure = async (rows: number) => {
    const spread = Array.from({ length: 100 }, (_, i) => Math.floor((i * rows) / 100));
    const cursor = await cursorOf(gateway);
    const insert = await costOf(counters, () => writer.insert(100));
    const update = await costOf(counters, () => writer.update(spread));
    const pull = await costOf(counters, async () => {
      const page = await gateway.pull(CALLER, { clientId: "reader", cursor, schemaVersion: 1 });
      assert.equal(page.changes.length, 200);
    });
    return { insert, update, pull };
  };

  for (let rows = 0; rows < SMALL; rows += 1_000) await writer.insert(1_000);
  const small = await measure(SMALL);
  for (let rows = SMALL + 100; rows < LARGE; rows += 1_000) await writer.insert(1_000);
  const large = await measure(LARGE);
  assert.deepEqual(large, small);
  await gateways.close();
  await Deno.remove(data, { recursive: true });
});

/** The cursor of a client that has everything there is. */
async function cursorOf(gateway: Gateway): Promise<string> {
  let cursor: string | undefined;
  for (;;) {
    const request = { clientId: "reader", limit: 10_000, schemaVersion: 1 };
    const page = await gateway.pull(
      CALLER,
      cursor === undefined ? request : { ...request, cursor },
    );
    cursor = page.cursor;
    if (page.complete) return cursor;
  }
}
