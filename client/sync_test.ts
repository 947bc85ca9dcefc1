/** The sync loop against an app and a network that misbehave. */

import assert from "node:assert/strict";
import {
  decodePush,
  encodePushResult,
  type Hlc,
  hlcMs,
  PROTOBUF_TYPE,
  type SchemaSpec,
} from "@lakesync/core";
import { type Client, type ClientOptions, createClient } from "./client.ts";
import type { SqliteConnection, SqliteDriver } from "./database/driver.ts";
import { loadDriver } from "./database/open.ts";
import type { ClientEnvironment } from "./environment.ts";
import type { SyncStatus } from "./status.ts";
import { errorAnswer } from "./testing_server.ts";

const schema: SchemaSpec = {
  version: 1,
  tables: { t: { primaryKey: ["id"], columns: { id: "string" } } },
};

async function withClient(
  options: {
    readonly getToken: ClientOptions["getToken"];
    readonly environment: Partial<ClientEnvironment>;
    readonly driver?: SqliteDriver;
  },
  work: (client: Client) => Promise<void>,
): Promise<void> {
  const client: Client = await createClient({
    url: "http://127.0.0.1:9",
    gateway: "default",
    database: ":memory:",
    schema,
    ...options,
    environment: { openSocket: undefined, ...options.environment },
  });
  try {
    await work(client);
  } finally {
    await client.close();
  }
}

function status(client: Client, fits: (status: SyncStatus) => boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  client.status.subscribe((value) => {
    if (fits(value)) resolve();
  });
  return promise;
}

/** A driver on a disk that is full at times: no UPDATE succeeds then. */
async function fillingDriver(isFull: () => boolean): Promise<SqliteDriver> {
  const { open } = await loadDriver();
  return {
    open: async (path) => {
      const connection = await open(path);
      const run: SqliteConnection["run"] = (sql, params) =>
        isFull() && sql.startsWith("UPDATE")
          ? Promise.reject(new Error("database or disk is full"))
          : connection.run(sql, params);
      return new Proxy(connection, {
        get: (target, name) => {
          if (name === "run") return run;
          const value: unknown = Reflect.get(target, name);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    },
  };
}

const forever = () => new Promise<string>(() => {});

Deno.test("G6: close and pause do not wait for a token that never comes", async () => {
  let hangs = true;
  const fetched = Promise.withResolvers<void>();
  const environment: Partial<ClientEnvironment> = {
    fetch: () => {
      fetched.resolve();
      return Promise.reject(new TypeError("No network"));
    },
  };
  await withClient({ getToken: () => hangs ? forever() : "good", environment }, async (client) => {
    await client.exec("INSERT INTO t VALUES ('a')");
    hangs = false;
    client.pause();
    client.resume();
    await fetched.promise;
    hangs = true;
    client.pause();
    client.resume();
  });
});

Deno.test("G6: a token that never comes becomes the typed state needs-token", async () => {
  const timers = new Map<() => void, number>();
  const environment: Partial<ClientEnvironment> = {
    openSocket: () => assert.fail("There is no token"),
    setTimer: (ms, callback) => {
      timers.set(callback, ms);
      return () => timers.delete(callback);
    },
  };
  await withClient({ getToken: forever, environment }, async (client) => {
    const needed = status(client, ({ state }) => state === "needs-token");
    while (timers.size === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    for (const [callback, ms] of timers) {
      if (ms === 60_000) callback();
    }
    await needed;
    assert.equal(client.status.value.lastError?.code, "AUTH_ERROR");
  });
  assert.equal(timers.size, 0);
});

Deno.test("G6: an app that gave no good token is asked again by itself", async () => {
  const timers = new Map<() => void, number>();
  let asked = 0;
  const environment: Partial<ClientEnvironment> = {
    openSocket: () => assert.fail("There is no token"),
    setTimer: (ms, callback) => {
      timers.set(callback, ms);
      return () => timers.delete(callback);
    },
  };
  const getToken = () => {
    asked++;
    return "no token";
  };
  await withClient({ getToken, environment }, async (client) => {
    for (let times = 1; times <= 3; times++) {
      await status(client, ({ state }) => state === "needs-token");
      assert.equal(asked, times);
      const again = status(client, ({ state }) => state === "connecting");
      for (const [callback, ms] of [...timers]) if (ms <= 60_000) callback();
      await again;
    }
  });
});

Deno.test("G6: an answer of something on the way is no gateway's, whatever its status", async () => {
  for (const body of ["", "<html>Please log in</html>"]) {
    let requests = 0;
    const environment: Partial<ClientEnvironment> = {
      fetch: () => {
        requests++;
        return Promise.resolve(new Response(body, { headers: { "content-type": "text/html" } }));
      },
    };
    await withClient({ getToken: () => "good", environment }, async (client) => {
      await client.exec("INSERT INTO t VALUES ('a')");
      await status(client, ({ state }) => state === "waiting");
      assert.equal(client.status.value.lastError?.code, "OFFLINE");
      assert.ok(requests <= 4, `${requests} requests`);
    });
  }
});

Deno.test("A listener of the app that throws stops no other and not the loop", async () => {
  const uncaught: unknown[] = [];
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    uncaught.push(event.error);
  };
  addEventListener("error", onError);
  try {
    const environment: Partial<ClientEnvironment> = {
      fetch: () => Promise.reject(new TypeError("No network")),
    };
    await withClient({ getToken: () => "good", environment }, async (client) => {
      let told = 0;
      client.status.subscribe(() => {
        if (told++ > 0) throw new Error("A mistake of the app");
      });
      const pending = status(client, ({ pending }) => pending === 1);
      await client.exec("INSERT INTO t VALUES ('a')");
      await pending;
      await status(client, ({ state }) => state === "waiting");
      assert.equal(client.status.value.lastError?.code, "OFFLINE");
    });
  } finally {
    removeEventListener("error", onError);
  }
  assert.ok(uncaught.length > 0);
});

Deno.test("G6: stamps are made anew as often as the gateway stops, also after a wait", async () => {
  const nowMs = 1_700_000_000_000;
  const stamps: bigint[] = [];
  const environment: Partial<ClientEnvironment> = {
    now: () => nowMs,
    // Nothing waits for long; the checkpoint stream and pulls find nobody.
    setTimer: (_ms, run) => {
      const timer = setTimeout(run, 0);
      return () => clearTimeout(timer);
    },
    fetch: async (input, init) => {
      if (!String(input).endsWith("/push")) throw new TypeError("No network");
      const { transactions } = decodePush(
        new Uint8Array(await new Response(init?.body).arrayBuffer()),
      );
      const [{ mutationId = 0, deltas = [] } = {}] = transactions;
      stamps.push(deltas[0]?.hlc ?? 0n);
      const taken = stamps.length > 12;
      const body = encodePushResult({
        lastMutationId: taken ? mutationId : 0,
        rejected: [],
        ...(taken ? {} : { stopped: { mutationId, code: "CLOCK_DRIFT", message: "Ahead" } }),
        seq: 0,
        serverTime: new Date(nowMs).toISOString(),
        // Each answer tells a greater stamp, which the next attempt must follow.
        serverHlc: (stamps.at(-1) ?? 0n) + 1_000n as Hlc,
      });
      return new Response(new Uint8Array(body), { headers: { "content-type": PROTOBUF_TYPE } });
    },
  };
  await withClient({ getToken: () => "good", environment }, async (client) => {
    await client.exec("INSERT INTO t VALUES ('a')");
    await status(client, () => stamps.length > 12);
  });
  const steps = stamps.slice(1, 13).map((stamp, i) => stamp - (stamps[i] ?? 0n));
  assert.deepEqual(steps, Array(12).fill(1_001n));
});

Deno.test("G6: uploads go on though what a refusal asks for failed on a full disk", async () => {
  let full = false;
  let pushes = 0;
  const again = Promise.withResolvers<void>();
  const environment: Partial<ClientEnvironment> = {
    fetch: (input) => {
      if (!String(input).endsWith("/push")) return Promise.reject(new TypeError("No network"));
      if (++pushes > 1) again.resolve();
      else full = true;
      return Promise.resolve(errorAnswer("CLIENT_FORKED"));
    },
  };
  const driver = await fillingDriver(() => full);
  await withClient({ getToken: () => "good", environment, driver }, async (client) => {
    await client.exec("INSERT INTO t VALUES ('a')");
    await status(client, ({ lastError }) => lastError?.code === "LOCAL");
    full = false;
    await again.promise;
  });
});

Deno.test("G6: the gateway's time is stored, though the disk was full when it was told first", async () => {
  const nowMs = 1_700_000_000_000;
  const serverMs = nowMs - 3_600_000;
  const stamps: number[] = [];
  let full = false;
  const environment: Partial<ClientEnvironment> = {
    now: () => nowMs,
    setTimer: (_ms, run) => {
      const timer = setTimeout(run, 0);
      return () => clearTimeout(timer);
    },
    fetch: async (input, init) => {
      if (!String(input).endsWith("/push")) throw new TypeError("No network");
      const { transactions } = decodePush(
        new Uint8Array(await new Response(init?.body).arrayBuffer()),
      );
      const { mutationId = 0, deltas = [] } = transactions[0] ?? {};
      const stampMs = hlcMs(deltas[0]?.hlc ?? 0n as Hlc);
      full = stamps.push(stampMs) === 1;
      const taken = stampMs <= serverMs;
      const body = encodePushResult({
        lastMutationId: taken ? mutationId : mutationId - 1,
        rejected: [],
        ...(taken ? {} : { stopped: { mutationId, code: "CLOCK_DRIFT", message: "Ahead" } }),
        seq: 0,
        serverTime: new Date(serverMs).toISOString(),
        serverHlc: 1n as Hlc,
      });
      return new Response(new Uint8Array(body), { headers: { "content-type": PROTOBUF_TYPE } });
    },
  };
  const driver = await fillingDriver(() => full);
  await withClient({ getToken: () => "good", environment, driver }, async (client) => {
    await client.exec("INSERT INTO t VALUES ('a')");
    await status(client, () => stamps.at(-1) === serverMs || stamps.length > 5);
  });
  assert.deepEqual(stamps, [nowMs, nowMs, serverMs]);
});
