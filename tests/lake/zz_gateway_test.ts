import assert from "node:assert/strict";
import { formatJson, parseJson } from "../../adapters/lake/iceberg/json.ts";
import type { LoadedTable } from "../../adapters/lake/catalog/catalog.ts";
import { createAuthenticator } from "../../server/auth/verify.ts";
import { Lakes } from "../../server/destinations/lakes.ts";
import { createApp } from "../../server/http/app.ts";
import { SECRET, tokenFor } from "../../server/testing_server.ts";
import { lakeTest, useReaders } from "./tests.ts";
import type { TableMetadata } from "../../adapters/lake/iceberg/metadata.ts";

const readers = useReaders(["pyiceberg", "duckdb", "spark"]);

lakeTest("readers find tables by the gateway's catalog", {}, async () => {
  const folder = await Deno.makeTempDir();
  const lakes = new Lakes();
  async function load(name: string): Promise<LoadedTable | undefined> {
    const dir = `${folder}/app/${name}/metadata`;
    const names = [...Deno.readDirSync(dir)].map((e) => /^v(\d+)\.metadata\.json$/.exec(e.name)?.[1]).filter((n) => n).map(Number);
    const n = Math.max(...names);
    const text = await Deno.readTextFile(`${dir}/v${n}.metadata.json`);
    return { table: { namespace: "app", name }, metadata: parseJson(text) as TableMetadata, metadataLocation: `file://${dir}/v${n}.metadata.json`, snapshot: undefined };
  }
  lakes.add({ name: "lake", gatewayId: "default", namespace: "app", reading: {}, write: formatJson,
    catalog: { list: () => Promise.resolve([...Deno.readDirSync(`${folder}/app`)].map(({ name }) => ({ namespace: "app", name }))),
      load: async ({ name }) => { try { return await load(name); } catch { return undefined; } } } });
  const app = createApp({ gateways: undefined as never, lakes, authenticator: createAuthenticator({ secrets: [SECRET] }),
    live: { count: () => 0, accept: () => assert.fail() }, phase: () => "ready", stopping: new AbortController().signal });
  const log: string[] = [];
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (r) => { const a = await app(r); log.push(`${r.method} ${new URL(r.url).pathname}${new URL(r.url).search} ${a.status}`); return a; });
  try {
    const files = { table: { kind: "files", warehouse: `file://${folder}`, namespace: "app", name: "t" } } as const;
    const spark = readers.get("spark");
    await spark.run(files, ["CREATE NAMESPACE IF NOT EXISTS {catalog}.app", "CREATE TABLE {catalog}.app.t (id STRING, n BIGINT) USING iceberg", "INSERT INTO {catalog}.app.t VALUES ('a', 9223372036854775807), ('b', null)"]);
    const expected = await spark.read(files);
    const token = await tokenFor("bi", "default", "admin");
    const rest = { table: { kind: "rest", uri: `http://127.0.0.1:${server.addr.port}/v1/iceberg`, namespace: "default", name: "t", token } } as const;
    for (const reader of readers.all()) {
      log.length = 0;
      try {
      assert.deepEqual(await reader.read(rest), expected, reader.name);
      } catch (e) { console.log(reader.name, e); }
      console.log(reader.name, log);
    }
    console.log(await spark.run(rest, ["INSERT INTO {catalog}.default.t VALUES ('c', 1)"]).catch((e) => String(e).slice(0, 500)));
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
});
