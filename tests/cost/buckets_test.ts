/**
 * Cost does not grow with the users: a write finds its buckets, and a pull reads its own, by the same
 * statements and rows whether there are ten users' buckets or a hundred thousand.
 */

import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { createClock, type Delta, type RulesSpec, type Shape } from "@lakesync/core";
import { openSqliteStores, type Store, type StoreCounters } from "@lakesync/server";
import { type Caller, type Gateway, openGateways } from "@lakesync/server/gateway";

const FEW = 10;
const MANY = Number(Deno.env.get("LAKESYNC_TEST_USERS") ?? "100000");
const ADMIN: Caller = { sub: "root", admin: true, claims: {} };
const ALICE: Caller = { sub: "alice", admin: false, claims: { sub: "alice" } };

const SCHEMA = {
  version: 1,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: { id: "string", owner: "string", list_id: "string", title: "string" },
    },
    members: {
      primaryKey: ["id"],
      columns: { id: "string", user_id: "string", list_id: "string" },
    },
  },
};

const RULES: RulesSpec = {
  buckets: [
    { name: "mine", tables: ["todos"], filters: [{ column: "owner", op: "eq", value: "jwt:sub" }] },
    {
      name: "by_list",
      parameters: {
        list: {
          from: "members",
          column: "list_id",
          filters: [{ column: "user_id", op: "eq", value: "jwt:sub" }],
        },
      },
      tables: [{ table: "todos", key: "list_id" }],
    },
  ],
  write: [
    {
      tables: ["todos"],
      ops: ["INSERT", "UPDATE"],
      filters: [{
        any: [
          { column: "owner", op: "eq", value: "jwt:sub" },
          { column: "list_id", op: "in", value: "param:list" },
        ],
      }],
    },
  ],
  exempt: ["admin"],
};

const TODO: Shape = { op: "INSERT", table: "todos", columns: ["owner", "list_id", "title"] };
const TITLE: Shape = { op: "UPDATE", table: "todos", columns: ["title"] };
const MEMBER: Shape = { op: "INSERT", table: "members", columns: ["user_id", "list_id"] };

interface Cost {
  readonly statements: number;
  readonly rowsRead: number;
}

/** One gateway with so many users, each with a list and a row of her own. */
class World implements AsyncDisposable {
  readonly clock = createClock(() => this.ms);
  readonly ms = Date.now(); // stands still, so that no upkeep falls due in the middle
  #mutationIds = new Map<string, number>();

  constructor(
    readonly gateway: Gateway,
    readonly store: Store,
    readonly end: () => Promise<void>,
  ) {}

  static async open(): Promise<World> {
    const data = await Deno.makeTempDir({ prefix: "lakesync-cost-" });
    const factory = await openSqliteStores(data);
    let store: Store | undefined;
    const ms = Date.now();
    const gateways = openGateways({
      kind: factory.kind,
      list: () => factory.list(),
      open: async (id, create) => store = await factory.open(id, create),
      close: () => factory.close(),
    }, {
      now: () => ms,
      nextTurn: () => new Promise((resolve) => setTimeout(resolve, 0)),
      setTimer: () => () => {},
      randomId: () => crypto.randomUUID(),
      hash: (text) => String(hash("sha256", text)),
    });
    const gateway = await gateways.create("default");
    await gateway.putSchema(SCHEMA);
    await gateway.putRules(RULES);
    if (store === undefined) throw new Error("No store was opened");
    return new World(gateway, store, async () => {
      await gateways.close();
      await Deno.remove(data, { recursive: true });
    });
  }

  delta(shape: Shape, rowId: string, values: Delta["values"]): Delta {
    return { shape, rowId, hlc: this.clock.tick(), values, deltaId: undefined };
  }

  async push(caller: Caller, deltas: readonly Delta[]): Promise<void> {
    const clientId = `writer-${caller.sub}`;
    const mutationId = (this.#mutationIds.get(clientId) ?? 0) + 1;
    this.#mutationIds.set(clientId, mutationId);
    const { result } = await this.gateway.push(caller, {
      clientId,
      schemaVersion: 1,
      transactions: [{ mutationId, deltas }],
    });
    assert.deepEqual(result?.rejected, []);
    assert.equal(result?.stopped, undefined);
  }

  async users(from: number, to: number): Promise<void> {
    for (let user = from; user < to; user += 500) {
      const deltas: Delta[] = [];
      for (let n = user; n < Math.min(user + 500, to); n++) {
        deltas.push(this.delta(MEMBER, `m${n}`, [`user${n}`, `list${n}`]));
        deltas.push(this.delta(TODO, `u${n}`, [`user${n}`, `list${n}`, "x"]));
      }
      await this.push(ADMIN, deltas);
    }
  }

  async touchUsers(count: number): Promise<void> {
    for (let user = 0; user < count; user += 1_000) {
      const rows = Array.from({ length: Math.min(1_000, count - user) }, (_, i) => user + i);
      await this.push(ADMIN, rows.map((n) => this.delta(TITLE, `u${n}`, ["touched"])));
    }
  }

  async cost(work: () => Promise<unknown>): Promise<Cost> {
    const counters = (): StoreCounters => ({ ...this.store.counters });
    const before = counters();
    await work();
    const after = counters();
    return {
      statements: after.statements - before.statements,
      rowsRead: after.rowsRead - before.rowsRead,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

Deno.test(`a write and a pull cost the same with ${FEW} and with ${MANY} users' buckets`, async () => {
  await using world = await World.open();
  await world.push(ADMIN, [world.delta(MEMBER, "ma", ["alice", "list-a"])]);
  const own = Array.from({ length: 100 }, (_, n) => `a${n}`);
  await world.push(ALICE, own.map((id) => world.delta(TODO, id, ["alice", "list-a", "x"])));
  let round = 0;
  const measure = async (users: number) => {
    const reader = { clientId: "reader", schemaVersion: 1, limit: 1_000 };
    const { cursor } = await world.gateway.pull(ALICE, reader);
    await world.touchUsers(users);
    const fresh = own.map((id) => `${id}-${round}`);
    round++;
    // The look-ups of a caller are remembered; both measurements begin with them.
    await world.push(ALICE, [world.delta(TITLE, "a0", [`warm ${round}`])]);
    const insert = await world.cost(() =>
      world.push(ALICE, fresh.map((id) => world.delta(TODO, id, ["alice", "list-a", "y"])))
    );
    const update = await world.cost(() =>
      world.push(ALICE, fresh.map((id) => world.delta(TITLE, id, ["z"])))
    );
    const pull = await world.cost(async () => {
      const page = await world.gateway.pull(ALICE, { ...reader, cursor });
      assert.equal(page.changes.length, 101);
      assert.equal(page.complete, true);
    });
    return { insert, update, pull };
  };
  await world.users(0, FEW);
  const few = await measure(FEW);
  await world.users(FEW, MANY);
  const many = await measure(MANY);
  assert.deepEqual(many, few);
});
