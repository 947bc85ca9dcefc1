import assert from "node:assert/strict";
import { LiveClient } from "../../server/testing_live.ts";
import { runLakesync, WatchedServer } from "./testing_process.ts";

/** In all that must never be seen. */
const MARK = "geheim";
const SECRET = `${MARK}-secret-of-more-than-thirty-two-characters`;
const VALUE = `${MARK}-row-value`;

/** A destination whose failures quote what they were given; a row named so ends the process. */
function configText(): string {
  const adapters = new URL("../../adapters/mod.ts", import.meta.url).href;
  return `
import { memoryAdapter } from "${adapters}";
const adapter = memoryAdapter("quoting");
const insert = adapter.insertDeltas.bind(adapter);
adapter.insertDeltas = (batch) => {
  const [change] = batch.changes;
  if (change === undefined) return insert(batch);
  if (batch.changes.some(({ rowId }) => rowId === "crash")) {
    setTimeout(() => Promise.reject(new RangeError(\`No "\${change.columns.title}" here\`)));
  }
  const cause = new Error("Duplicate entry '" + change.columns.title + "' for key 'PRIMARY'");
  throw new Error(\`invalid input syntax for type integer: "\${change.columns.title}"\`, { cause });
};
export default {
  destinations: {
    quoting: { type: "custom", open: () => adapter, flush: { everyMs: 1, maxRetryMs: 20 } },
    away: {
      type: "postgres",
      url: "postgres://shop:${MARK}-password@127.0.0.1:1/shop",
      flush: { everyMs: 1, maxRetryMs: 20 },
    },
    bucket: {
      type: "lake",
      store: {
        type: "s3", bucket: "bucket", endpoint: "http://127.0.0.1:1", region: "r",
        accessKeyId: "${MARK}-access", secretAccessKey: "${MARK}-secret-key",
      },
      flush: { everyMs: 1, maxRetryMs: 20 },
    },
  },
};
`;
}

const SCHEMA = {
  version: 1,
  tables: {
    todos: { primaryKey: ["id"], columns: { id: "string", title: "string", n: "integer" } },
  },
};

function insert(clientId: string, mutationId: number, rowId: string, columns: object) {
  const delta = { op: "INSERT", table: "todos", rowId, columns };
  return { clientId, schemaVersion: 1, transactions: [{ mutationId, deltas: [delta] }] };
}

async function feedHttp(server: WatchedServer, token: string): Promise<void> {
  const push = "/v1/sync/default/push";
  const bodies: readonly unknown[] = [
    insert("c1", 1, "t1", { title: VALUE }),
    insert("c1", 2, "t2", { title: VALUE, n: VALUE }),
    insert("c1", 3, VALUE, { [VALUE]: VALUE }),
    insert("c1", 9, "gap", { title: VALUE }),
    insert(`${MARK} client`, 1, "t3", { title: VALUE }),
    { ...insert("c1", 3, "t4", { title: VALUE }), [VALUE]: VALUE },
    `{"clientId": "${VALUE}`,
    `${VALUE}`,
    [VALUE],
  ];
  for (const body of bodies) await server.send(push, { token, body });
  await server.send(push, { body: insert("c1", 1, "t1", { title: VALUE }) });
  await server.send(push, { token: `${token}x`, body: {} });
  const headers = {
    "Cookie": `session=${MARK}-cookie`,
    "X-Api-Key": `${MARK}-api-key`,
    "X-Request-Id": token,
    "Idempotency-Key": `${MARK}-key`,
    "Content-Encoding": `${MARK}`,
  };
  await server.send(push, { token, body: insert("c1", 1, "t1", { title: VALUE }), headers });
  for (
    const path of [
      `/v1/sync/default/pull?clientId=c1&token=${token}`,
      `/v1/sync/default/pull?clientId=${MARK}%20client`,
      `/v1/sync/default/pull?clientId=c1&cursor=${MARK}`,
      `/v1/sync/${MARK}.${token}/pull?clientId=c1`,
      `/v1/${token}/${VALUE}?password=${MARK}`,
    ]
  ) await server.send(path, { token });
  await server.send(`/v1/iceberg/v1/oauth/tokens`, { body: { client_secret: `${MARK}-client` } });
}

async function feedAdmin(server: WatchedServer, admin: string): Promise<void> {
  const put = (path: string, body: unknown) =>
    server.send(path, { token: admin, method: "PUT", body });
  await put("/v1/admin/schema/default", { version: VALUE, tables: { [VALUE]: VALUE } });
  await put("/v1/admin/sync-rules/default", { buckets: [{ name: VALUE, filters: [VALUE] }] });
  await put("/v1/admin/sync-rules/default", `{"buckets": "${VALUE}`);
  const row = { claims: { sub: VALUE }, table: VALUE, rowId: VALUE };
  await server.send("/v1/admin/sync-rules/default/explain", { token: admin, body: row });
}

async function feedLive(server: WatchedServer, token: string): Promise<void> {
  const frames: readonly object[] = [
    { push: insert("live", 1, "t9", { title: VALUE, n: VALUE }) },
    { token: { jwt: `${token}${MARK}` } },
    { [VALUE]: VALUE },
    { push: VALUE },
  ];
  for (const frame of frames) {
    const client = await LiveClient.open(server.url, "default", token);
    client.send({ hello: { clientId: "live", schemaVersion: 1 } });
    client.send(frame);
    client.send({ nothing: VALUE });
    await client.closed;
  }
}

for (const format of ["json", "pretty"]) {
  Deno.test(`no secret and no row value reaches the log, whatever is sent and fails (${format})`, async () => {
    const folder = await Deno.makeTempDir();
    const path = `${folder}/config.ts`;
    await Deno.writeTextFile(path, configText());
    const seen: string[] = [];
    {
      await using server = await WatchedServer.start({
        secret: SECRET,
        args: ["--config", path, "--log-level", "debug", "--log-format", format],
        env: { AWS_SESSION_TOKEN: `${MARK}-session-token` },
      });
      const token = await server.token("alice");
      const admin = await server.token("root", "admin");
      seen.push(token, admin);
      await server.send("/v1/admin/schema/default", { token: admin, method: "PUT", body: SCHEMA });
      await feedHttp(server, token);
      await feedAdmin(server, admin);
      await feedLive(server, token);
      await server.until(/Flushing to away failed/);
      await server.until(/Flushing to quoting failed/);
      await server.until(/Flushing to bucket failed/);
      const crash = insert("c2", 1, "crash", { title: VALUE });
      await server.send("/v1/sync/default/push", { token, body: crash });
      const { code, output } = await Promise.race([
        server.ended(),
        server.until(/nobody expected/).then(() => server.ended()),
      ]);
      assert.equal(code, 1);
      assert.match(output, /nobody expected this: RangeError/);
      assert.match(output, /\/v1\/sync\/\{gatewayId\}\/push/);
      for (const text of [MARK, ...seen, ...seen.flatMap((jwt) => jwt.split(".").slice(1))]) {
        const at = output.indexOf(text);
        assert.equal(at, -1, `…${output.slice(Math.max(0, at - 300), at + 100)}…`);
      }
      if (format === "json") {
        for (const line of output.trimEnd().split("\n")) JSON.parse(line);
      }
    }
    await Deno.remove(folder, { recursive: true });
  });
}

Deno.test("no secret reaches the output of a start that is refused", async () => {
  const folder = await Deno.makeTempDir();
  const file = async (name: string, text: string) => {
    await Deno.writeTextFile(`${folder}/${name}`, text);
    return `${folder}/${name}`;
  };
  const password = `postgres://shop:${MARK}-password@db`;
  const starts: readonly (readonly string[])[] = [
    ["--secret", MARK],
    ["--secret", SECRET, "--to", `${password}:port/x`],
    ["--secret", SECRET, "--to", `ftp://shop:${MARK}-password@db/x`],
    ["--secret", SECRET, "--config", await file("a.json", `{"secret": "${SECRET}", `)],
    ["--config", await file("b.json", `{"secret": ["${SECRET}"]}`)],
    [
      "--config",
      await file("c.json", `{"destinations": {"a": {"type": "postgres", "url": "${password}:x"}}}`),
    ],
    ["--config", await file("d.ts", `throw new Error("password=${MARK}-thrown");`)],
  ];
  for (const args of starts) {
    const { code, output } = await runLakesync(["serve", "--data", `${folder}/data`, ...args]);
    assert.notEqual(code, 0, args.join(" "));
    assert.ok(!output.includes(MARK), output);
  }
  await Deno.remove(folder, { recursive: true });
});
