import assert from "node:assert/strict";
import { type DatabaseAdapter, DestinationError, memoryAdapter } from "@lakesync/adapters";
import { signToken } from "../auth/token.ts";
import { startServer } from "../server.ts";
import { memoryStores } from "../store/memory.ts";
import { insert, SCHEMA } from "../testing_server.ts";
import type { DestinationSpecs } from "./spec.ts";

const SECRET = "a secret of at least thirty-two characters";

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly text: string;
}

type Call = (path: string, init?: { method?: string; body?: object }) => Promise<Answer>;

async function serving(
  destinations: DestinationSpecs,
  run: (call: Call) => Promise<void>,
): Promise<void> {
  const server = await startServer({
    stores: memoryStores(),
    trust: { secrets: [SECRET] },
    port: 0,
    openAccess: true,
    gateways: { default: { schema: SCHEMA } },
    destinations,
  });
  const token = await signToken({ secret: SECRET, sub: "root", gw: "*", role: "admin" });
  try {
    await run(async (path, { method, body } = {}) => {
      const response = await fetch(`${server.url}${path}`, {
        method: method ?? (body === undefined ? "GET" : "POST"),
        headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
      return { status: response.status, body: isJson ? JSON.parse(text) : {}, text };
    });
  } finally {
    await server.close();
  }
}

/** An adapter that fails to do some things while it is told to; to write unless given. */
function failing(
  adapter: DatabaseAdapter,
  isDown: () => boolean,
  fails: readonly (string | symbol)[] = ["insertDeltas"],
): DatabaseAdapter {
  return new Proxy(adapter, {
    get(target, name) {
      const member = Reflect.get(target, name);
      if (!fails.includes(name) || !isDown()) return member;
      return () => Promise.reject(new DestinationError("later", "The database is not there"));
    },
  });
}

Deno.test("G10: a server flushes to its destinations, on demand and when it stops", async () => {
  const adapters = new Map<string, DatabaseAdapter>();
  const open = ({ gatewayId, name }: { gatewayId: string; name: string }) => {
    const adapter = memoryAdapter(name);
    adapters.set(`${gatewayId}/${name}`, { ...adapter, close: () => Promise.resolve() });
    return adapter;
  };
  const spec = { type: "custom", open } as const;
  await serving({ one: spec, two: spec }, async (call) => {
    assert.equal((await call("/v1/sync/default/push", { body: insert("a", 1, "t1") })).status, 200);
    const { status, body } = await call("/v1/admin/flush/default", { method: "POST" });
    assert.equal(status, 200);
    const flushed = body["destinations"] as Record<string, unknown>[];
    assert.deepEqual(
      flushed.map(({ name, seq, lagCommits, flushed }) => [
        name,
        seq,
        lagCommits,
        flushed,
      ]),
      [["one", "1", 0, true], ["two", "1", 0, true]],
    );
    const [row] = await adapters.get("default/one")?.getLatestState([{ table: 1, rowId: "t1" }]) ??
      [];
    assert.equal(row?.isVisible, true);
    assert.deepEqual((await call("/v1/admin/stats/default")).body["destinations"], [
      {
        name: "one",
        state: "idle",
        seq: "1",
        lagCommits: 0,
        lagChanges: 0,
        lagSeconds: 0,
        failures: 0,
      },
      {
        name: "two",
        state: "idle",
        seq: "1",
        lagCommits: 0,
        lagChanges: 0,
        lagSeconds: 0,
        failures: 0,
      },
    ]);
    await call("/v1/sync/default/push", { body: insert("a", 2, "t2") });
    const { text } = await call("/metrics");
    assert.match(
      text,
      /^lakesync_destination_lag_commits\{gateway="default",destination="one"\} 1$/m,
    );
  });
  for (const adapter of adapters.values()) {
    await assert.rejects(adapter.position(), /closed/);
  }
});

Deno.test("a destination that is down delays nothing, and is told by ready once it is late", async () => {
  let isDown = true;
  const adapter = memoryAdapter("db");
  const destinations: DestinationSpecs = {
    db: {
      type: "custom",
      open: () => failing(adapter, () => isDown),
      flush: { everyMs: 1, maxLagMs: 50, maxRetryMs: 20 },
    },
  };
  await serving(destinations, async (call) => {
    assert.equal((await call("/ready")).status, 200);
    assert.equal((await call("/v1/sync/default/push", { body: insert("a", 1, "t1") })).status, 200);
    let ready = await call("/ready");
    for (; ready.status === 200; ready = await call("/ready")) await turn();
    assert.deepEqual(ready.body["reason"], "destinations");
    assert.deepEqual(ready.body["checks"], {
      store: "ok",
      records: "ok",
      "destination default/db": "late",
    });
    assert.equal((await call("/ready?exclude=destinations")).status, 200);
    const { body } = await call("/v1/admin/destinations/default");
    const [db] = body["destinations"] as Record<string, Record<string, unknown>>[];
    assert.match(String(db?.["lastError"]?.["message"]), /not there/);
    assert.deepEqual(db?.["problems"], []);
    assert.equal((await call("/v1/sync/default/push", { body: insert("a", 2, "t2") })).status, 200);
    isDown = false;
    while ((await call("/ready")).status !== 200) await turn();
    assert.equal((await adapter.position())?.seq, 2);
  });
});

Deno.test("a destination that does not answer is named by ready, and does not keep the server from starting", async () => {
  let isDown = true;
  const adapter = memoryAdapter("db");
  const destinations: DestinationSpecs = {
    db: {
      type: "custom",
      open: () => failing(adapter, () => isDown, ["position", "insertDeltas"]),
      flush: { everyMs: 1, maxRetryMs: 20 },
    },
    other: { type: "memory" },
  };
  await serving(destinations, async (call) => {
    while ((await call("/startupz")).status !== 200) await turn();
    const down = await call("/ready");
    assert.equal(down.status, 503);
    assert.deepEqual(down.body, {
      status: "not_ready",
      reason: "destinations",
      checks: {
        store: "ok",
        records: "ok",
        "destination default/db": "failed",
        "destination default/other": "ok",
      },
    });
    const serving = await call("/ready?exclude=destinations");
    assert.deepEqual([serving.status, serving.body["checks"]], [200, down.body["checks"]]);
    isDown = false;
    while ((await call("/ready")).status !== 200) await turn();
  });
});

Deno.test("a destination that hangs keeps nobody from seeing how destinations stand", async () => {
  const adapter = memoryAdapter("db");
  const hangs: DatabaseAdapter = { ...adapter, problems: () => new Promise(() => {}) };
  const destinations: DestinationSpecs = { db: { type: "custom", open: () => hangs } };
  await serving(destinations, async (call) => {
    const { status, body } = await call("/v1/admin/destinations/default");
    const [db] = body["destinations"] as Record<string, unknown>[];
    assert.deepEqual([status, db?.["name"], db?.["problems"]], [200, "db", undefined]);
  });
});

/** A turn of the event loop with its timers. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

Deno.test("what follows a destination is told beside it, from configuration as from code", async () => {
  const memory = { type: "memory" } as const;
  const destinations: DestinationSpecs = {
    all: {
      type: "composite",
      routes: { todos: { type: "fanout", primary: memory, secondaries: [memory, memory] } },
      default: { type: "lifecycle", hot: memory, cold: memory, hotDays: 30 },
      flush: { everyMs: 1 },
    },
  };
  await serving(destinations, async (call) => {
    await call("/v1/sync/default/push", { body: insert("a", 1, "t1") });
    const names = ["all", "all.todos.secondaries.0", "all.todos.secondaries.1", "all.default.cold"];
    for (let arrived = false; !arrived; await turn()) {
      const { body } = await call("/v1/admin/destinations/default");
      const told = body["destinations"] as Record<string, unknown>[];
      assert.deepEqual(told.map(({ name }) => name), names);
      arrived = told.every(({ lagCommits }) => lagCommits === 0);
    }
  });
});
