/** The client's loop around drift, against a gateway in memory: over HTTP and over sockets. */

import type { SchemaSpec } from "@lakesync/core";
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type Client, createClient } from "./client.ts";
import type { ClientEnvironment } from "./environment.ts";
import type { SyncStatus } from "./status.ts";
import { BucketGateway } from "./testing_buckets.ts";
import { withFolder } from "./testing_local.ts";
import { BucketServer } from "./testing_server.ts";

const schema: SchemaSpec = {
  version: 1,
  tables: { todos: { primaryKey: ["id"], columns: { id: "string", title: "string" } } },
};

/** Time runs faster here. */
const SPEED = 100;

interface World {
  readonly server: BucketServer;
  readonly client: Client;
  /** Changes rows behind the client's back. */
  drift(sql: string): void;
  /** Resolves when the status fits. */
  until(fits: (status: SyncStatus) => boolean): Promise<void>;
}

async function withClient(
  sockets: boolean,
  work: (world: World) => Promise<void>,
  options: {
    readonly prepare?: (server: BucketServer) => void;
    readonly verifyEveryMs?: number;
  } = {},
): Promise<void> {
  await withFolder(async (folder) => {
    const server = new BucketServer(new BucketGateway());
    for (const id of ["a", "b"]) server.gateway.granted.add(id);
    server.gateway.put("todos", "t", { title: "x" }, ["a"]);
    server.gateway.put("todos", "u", { title: "y" }, ["b"]);
    options.prepare?.(server);
    const environment: Partial<ClientEnvironment> = {
      fetch: server.fetch,
      openSocket: sockets ? server.openSocket : undefined,
      setTimer: (ms, callback) => {
        const timer = setTimeout(callback, ms / SPEED);
        return () => clearTimeout(timer);
      },
    };
    const client: Client = await createClient({
      url: "http://127.0.0.1:9",
      gateway: "default",
      database: `${folder}/a.db`,
      schema,
      getToken: () => "good",
      environment,
      ...(options.verifyEveryMs === undefined ? {} : { verifyEveryMs: options.verifyEveryMs }),
    });
    const drift = (sql: string) => {
      const other = new DatabaseSync(`${folder}/a.db`);
      other.exec(`BEGIN IMMEDIATE; UPDATE _lakesync_clock SET applying = 1; ${sql};
        UPDATE _lakesync_clock SET applying = 0; COMMIT`);
      other.close();
    };
    const until = (fits: (status: SyncStatus) => boolean) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const stop = client.status.subscribe((value) => {
        if (fits(value)) resolve();
      });
      return promise.finally(stop);
    };
    try {
      await work({ server, client, drift, until });
    } finally {
      await client.close();
    }
  });
}

async function titles(client: Client): Promise<unknown> {
  const rows = await client.query("SELECT id, title FROM todos ORDER BY id");
  return rows.map(({ id, title }) => [id, title]);
}

for (const [way, sockets] of [["HTTP", false], ["a socket", true]] as const) {
  Deno.test(`G9: a bucket that differs comes again over ${way}, alone, and the status tells`, async () => {
    await withClient(sockets, async ({ server, client, drift, until }) => {
      await until(({ lastCheckpoint }) => lastCheckpoint !== undefined);
      assert.deepEqual((await client.verify())?.drifts, []);
      drift("UPDATE todos SET title = 'wrong' WHERE id = 'u'");
      const before = Date.now();
      const found = await client.verify();
      assert.deepEqual(found?.drifts, [{ bucket: "b", rows: 1, rowsHere: 1, remedy: "repair" }]);
      assert.equal(client.status.value.lastError?.code, "DRIFT");
      assert.match(client.status.value.lastError?.message ?? "", /Bucket b differs/);
      await until(({ lastError }) => lastError === undefined);
      assert.deepEqual(await titles(client), [["t", "x"], ["u", "y"]]);
      const { repairs, lastRepair } = client.status.value;
      assert.equal(repairs, 1);
      assert.ok((lastRepair?.atMs ?? 0) >= before);
      assert.equal(lastRepair?.bucket, "b");
      assert.equal(lastRepair?.remedy, "repair");
      const repair = server.asked.flatMap(({ repair = [] }) => [...repair]);
      assert.deepEqual(repair, ["b"]);
      server.gateway.put("todos", "t", { title: "z" }, ["a"]);
      const { lastCheckpoint } = client.status.value;
      server.commit();
      await until((status) => status.lastCheckpoint !== lastCheckpoint);
      assert.deepEqual(await titles(client), [["t", "z"], ["u", "y"]]);
    });
  });

  Deno.test(`G9: a bucket that always differs ends in a typed status over ${way}, not in a loop`, async () => {
    const prepare = (server: BucketServer) => {
      server.edit = (page) => ({
        ...page,
        ...(page.checkpoint === undefined ? {} : {
          checkpoint: {
            ...page.checkpoint,
            buckets: page.checkpoint.buckets.map((told) => ({ ...told, checksum: 1 })),
          },
        }),
      });
      server.gateway.granted.delete("b");
    };
    await withClient(sockets, async ({ server, client, until }) => {
      await until(({ lastError }) => /do not help/.test(lastError?.message ?? ""));
      assert.equal(client.status.value.repairs, 4);
      assert.equal(client.status.value.lastRepair?.remedy, "resync");
      const asked = () => server.asked.filter(({ repair }) => repair !== undefined).length;
      const begun = () => server.asked.filter(({ cursor }) => cursor === undefined).length;
      assert.deepEqual([asked(), begun()], [3, 2]);
      for (let i = 0; i < 3; i++) {
        server.gateway.put("todos", "t", { title: `${i}` }, ["a"]);
        const { lastCheckpoint } = client.status.value;
        server.commit();
        await until((status) => status.lastCheckpoint !== lastCheckpoint);
        assert.equal((await client.verify())?.drifts[0]?.remedy, "given-up");
      }
      assert.deepEqual([asked(), begun()], [3, 2]);
      assert.deepEqual(await titles(client), [["t", "2"]]);
    }, { prepare });
  });

  Deno.test(`G6: a gateway that refuses is told as FORBIDDEN over ${way}, and allows again by itself`, async () => {
    const prepare = (server: BucketServer) => {
      server.forbidden = true;
    };
    await withClient(sockets, async ({ server, client, until }) => {
      await client.exec("INSERT INTO todos VALUES ('mine', 'm')");
      await until(({ state }) => state === "refused");
      assert.equal(client.status.value.lastError?.code, "FORBIDDEN");
      server.gateway.put("todos", "mine", { title: "m" }, ["a"]);
      server.forbidden = false;
      await until(({ state, lastError }) =>
        (state === "live" || state === "polling") && lastError === undefined
      );
      await until(({ pending }) => pending === 0 && server.pushed === 1);
      assert.deepEqual(await titles(client), [["mine", "m"], ["t", "x"], ["u", "y"]]);
    }, { prepare });
  });
}

Deno.test("G9: what changed is compared now and then, and what a gateway does not repair is asked once", async () => {
  const prepare = (server: BucketServer) => {
    for (let i = 0; i < 2_000; i++) server.gateway.put("todos", `r${i}`, { title: "x" }, ["a"]);
    server.ignoresRepair = true;
  };
  await withClient(false, async ({ server, client, drift, until }) => {
    await until(({ lastCheckpoint }) => lastCheckpoint !== undefined);
    await client.verify();
    drift("DELETE FROM todos WHERE id IN ('r7', 'r8')");
    server.gateway.put("todos", "r9", { title: "other" }, ["a"]);
    server.commit();
    await until(({ repairs }) => repairs === 1);
    assert.equal(client.status.value.lastRepair?.rows, 2_001);
    assert.equal(client.status.value.lastRepair?.rowsHere, 1_999);
    await until(({ state }) => state === "polling");
    assert.deepEqual((await client.verify())?.drifts[0]?.remedy, "asked");
    assert.equal(client.status.value.repairs, 1);
    server.ignoresRepair = false;
    server.commit();
    await until(({ lastError }) => lastError === undefined);
    assert.deepEqual((await client.verify())?.drifts, []);
  }, { prepare, verifyEveryMs: 20_000 });
});
