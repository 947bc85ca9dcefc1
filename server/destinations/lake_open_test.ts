import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { insert, type TestServer, withServer } from "../testing_server.ts";
import type { LakeSpec } from "./spec.ts";

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-lake-" });
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function withLake(spec: LakeSpec, run: (server: TestServer) => Promise<void>): Promise<void> {
  return withServer(run, true, true, { destinations: { big: spec } });
}

async function flush({ json, admin }: TestServer): Promise<Record<string, unknown> | undefined> {
  const { body } = await json("/v1/admin/flush/default", { method: "POST", token: admin });
  const [status] = body["destinations"] as Record<string, unknown>[];
  return status;
}

Deno.test("G10: a server flushes into a lake, and serves its tables to engines", () =>
  withFolder(async (folder) => {
    const spec: LakeSpec = { type: "lake", store: { type: "fs", folder: `${folder}/{gateway}` } };
    await withLake(spec, async (server) => {
      const { json, admin, alice } = server;
      await json("/v1/sync/default/push", { token: alice, body: insert("a", 1, "t1") });
      const status = await flush(server);
      assert.deepEqual([status?.["name"], status?.["seq"], status?.["flushed"]], [
        "big",
        "1",
        true,
      ]);
      const get = async (path: string) =>
        (await json(`/v1/iceberg/v1/${path}`, { token: admin })).body;
      assert.equal(Reflect.get(Object(await get("config"))["overrides"], "prefix"), "big");
      const { identifiers } = await get("big/namespaces/default/tables");
      assert.deepEqual(identifiers, [
        { namespace: ["default"], name: "lakesync_position" },
        { namespace: ["default"], name: "todos" },
        { namespace: ["default"], name: "todos__changes" },
      ]);
      const table = await get("big/namespaces/default/tables/todos__changes");
      const location = String(table["metadata-location"]);
      assert.ok(location.startsWith(`file://${folder}/default/`), location);
      const written = JSON.parse(await Deno.readTextFile(new URL(location)));
      assert.deepEqual(table["metadata"], written);
      assert.equal(written.snapshots.at(-1).summary["added-records"], "1");
    });
    // The next gateway is in memory and begins anew, so the lake is that of another one.
    await withLake(spec, async (server) => {
      await server.json("/v1/sync/default/push", {
        token: server.alice,
        body: insert("a", 1, "t1"),
      });
      const status = await flush(server);
      assert.equal(status?.["flushed"], false);
      assert.match(JSON.stringify(status), /holds the changes of another gateway/);
    });
  }));

/** A turn of the event loop with its timers. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

Deno.test("a server merges changes into rows, and says how far it is", () =>
  withFolder(async (folder) => {
    const store = { type: "fs", folder } as const;
    // The first rows do not wait for that.
    await withLake({ type: "lake", store, mergeEveryMs: 3_600_000 }, async (server) => {
      const { json, admin, alice, request } = server;
      await json("/v1/sync/default/push", { token: alice, body: insert("a", 1, "t1") });
      await flush(server);
      const get = async (path: string) => (await json(`/v1/${path}`, { token: admin })).body;
      const rows = async () => {
        const { metadata } = await get("iceberg/v1/big/namespaces/default/tables/todos");
        return Object(metadata).snapshots?.at(-1)?.summary["total-records"];
      };
      while (await rows() !== "1") await turn();
      interface Report {
        readonly name: string;
        readonly mergeLagCommits: number;
        readonly mergedChanges: number;
        readonly failures: number;
        readonly tables: readonly { readonly table: string; readonly rows: number }[];
      }
      const report = async () => {
        const [lake] = (await get("admin/destinations/default"))["lakes"] as Report[];
        return lake;
      };
      while ((await report())?.mergedChanges !== 1) await turn();
      const lake = await report();
      assert.deepEqual([lake?.name, lake?.failures], ["big", 0]);
      const changes = lake?.tables.find(({ table }) => table === "todos__changes");
      assert.equal(changes?.rows, 1);
      const metrics = await (await request("/metrics")).text();
      const labels = 'gateway="default",destination="big"';
      assert.ok(metrics.includes(`\nlakesync_lake_merge_lag_commits{${labels}} 0\n`), metrics);
      assert.match(metrics, /^lakesync_lake_merge_lag_seconds\{.*\} 0$/m);
      const files = `\nlakesync_lake_files{${labels},table="todos__changes"} 1\n`;
      assert.ok(metrics.includes(files), metrics);
    });
  }));

Deno.test("a lake of JSON has no tables that a catalog shows", () =>
  withFolder(async (folder) => {
    const spec = { type: "lake", store: { type: "fs", folder }, flushFormat: "json" } as const;
    await withLake(spec, async (server) => {
      const { json, admin, alice } = server;
      await json("/v1/sync/default/push", { token: alice, body: insert("a", 1, "t1") });
      assert.equal((await flush(server))?.["flushed"], true);
      assert.equal((await json("/v1/iceberg/v1/config", { token: admin })).status, 404);
    });
    const names = [...Deno.readDirSync(`${folder}/default/changes`)].map(({ name }) => name).sort();
    assert.deepEqual(names, ["000000000001.json.gz", "000000000002.json.gz"]);
    const bytes = await Deno.readFile(`${folder}/default/changes/000000000002.json.gz`);
    const { deltas, position } = JSON.parse(new TextDecoder().decode(gunzipSync(bytes)));
    assert.deepEqual([deltas[0].rowId, deltas[0].columns.title, position.seq], [
      "t1",
      "Buy milk",
      1,
    ]);
  }));

Deno.test("a lake that cannot be opened is told as any destination that is down", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/file`, "");
    const spec: LakeSpec = { type: "lake", store: { type: "fs", folder: `${folder}/file/lake` } };
    await withLake(spec, async ({ json, admin, alice }) => {
      const push = await json("/v1/sync/default/push", {
        token: alice,
        body: insert("a", 1, "t1"),
      });
      assert.equal(push.status, 200);
      const tables = "/v1/iceberg/v1/big/namespaces/default/tables";
      assert.equal((await json(tables, { token: admin })).status, 502);
      const { body } = await json("/v1/admin/destinations/default", { token: admin });
      const [status] = body["destinations"] as Record<string, unknown>[];
      assert.notEqual(status?.["state"], "idle");
      const [lake] = body["lakes"] as Record<string, unknown>[];
      assert.ok(Number(lake?.["failures"]) > 0);
      const ready = await json("/ready");
      assert.equal(ready.status, 503);
      assert.deepEqual(ready.body["checks"], {
        store: "ok",
        records: "ok",
        "destination default/big": "failed",
      });
      assert.equal((await json("/ready?exclude=destinations")).status, 200);
    });
  }));
