/**
 * Engines find a gateway's tables with one URL: the catalog that it serves, over a folder and over a
 * bucket.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  type DestinationSpec,
  memoryStores,
  type RunningServer,
  signToken,
  startServer,
} from "@lakesync/server";
import { until } from "../e2e/wait.ts";
import { startRestCatalog } from "../servers/rest_catalog.ts";
import { startS3 } from "../servers/s3.ts";
import type { Question } from "./readers.ts";
import { lakeTest, useReaders } from "./tests.ts";

const readers = useReaders();

const SECRET = "a secret of at least thirty-two characters";
const TITLES = ["Buy milk", "é 😀", ""];

function start(lake: DestinationSpec): Promise<RunningServer> {
  return startServer({
    stores: memoryStores(),
    trust: { secrets: [SECRET] },
    port: 0,
    openAccess: true,
    gateways: {
      shop: {
        schema: {
          version: 1,
          tables: { todos: { primaryKey: ["id"], columns: { id: "string", title: "string" } } },
        },
      },
    },
    destinations: { lake },
  });
}

// deno-lint-ignore no-explicit-any -- answers of several shapes
async function call(server: RunningServer, path: string, body?: object): Promise<any> {
  const token = await signToken({ secret: SECRET, sub: "root", gw: "shop", role: "admin" });
  const response = await fetch(`${server.url}/v1/${path}`, {
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
  });
  const text = await response.text();
  assert.ok(response.ok, text);
  return JSON.parse(text);
}

/** Commits a row for each title, and flushes. */
async function fill(server: RunningServer): Promise<void> {
  const deltas = TITLES.map((title, i) => ({
    op: "INSERT",
    table: "todos",
    rowId: `t${i}`,
    columns: { title },
  }));
  const transactions = [{ mutationId: 1, deltas }];
  await call(server, "sync/shop/push", { clientId: "phone", schemaVersion: 1, transactions });
  const answer = await call(server, "admin/flush/shop", {});
  assert.match(JSON.stringify(answer), /"flushed":true/);
  await until("the changes are merged into rows", async () => {
    const { lakes } = await call(server, "admin/destinations/shop");
    return lakes[0].mergedChanges === TITLES.length;
  });
}

async function assertServed(lake: DestinationSpec, s3?: Question["s3"]): Promise<void> {
  const server = await start(lake);
  try {
    await fill(server);
    const token = await signToken({ secret: SECRET, sub: "bi", gw: "shop", role: "admin" });
    const uri = `${server.url}/v1/iceberg`;
    const place = { kind: "rest", uri, token, namespace: "shop" } as const;
    for (const name of ["todos", "todos__changes"]) {
      const table = { ...place, name };
      for (const reader of readers.all()) {
        // It takes a catalog's tables from buckets alone.
        if (reader.name === "clickhouse" && s3 === undefined) continue;
        const { rows } = await reader.read({ table, ...(s3 === undefined ? {} : { s3 }) });
        const titles = rows.map((row) => JSON.parse(row)).map(({ title }) => title);
        assert.deepEqual(titles.sort(), TITLES.toSorted(), `${name} by ${reader.name}`);
      }
    }
    const table = { ...place, name: "todos__changes" };
    const spark = readers.get("spark");
    const write = "DELETE FROM {catalog}.shop.todos__changes";
    await assert.rejects(
      spark.run({ table, ...(s3 === undefined ? {} : { s3 }) }, [write]),
      /Server does not support endpoint/,
    );
  } finally {
    await server.close();
  }
}

lakeTest("readers find a gateway's tables in a folder by its catalog", {}, async () => {
  const folder = await Deno.makeTempDir();
  try {
    await assertServed({ type: "lake", store: { type: "fs", folder }, mergeEveryMs: 50 });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

lakeTest("readers find a gateway's tables in a bucket by its catalog", { s3: true }, async () => {
  await using server = await startS3();
  const { access } = server;
  const bucket = await server.createBucket();
  const store = { type: "s3", bucket, prefix: "apps/{gateway}", ...access } as const;
  await assertServed({ type: "lake", store, mergeEveryMs: 50 }, access);
});

lakeTest("readers find tables that a REST catalog keeps by a gateway's too", {}, async (tools) => {
  await using catalog = await startRestCatalog(tools);
  const folder = await Deno.makeTempDir();
  try {
    await assertServed({
      type: "lake",
      store: { type: "fs", folder },
      catalog: { type: "rest", uri: catalog.uri },
      namespace: "app_{gateway}",
      mergeEveryMs: 50,
    });
    const table = { kind: "rest", uri: catalog.uri, namespace: "app_shop", name: "todos" } as const;
    assert.equal(await readers.get("pyiceberg").count({ table }), TITLES.length);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
