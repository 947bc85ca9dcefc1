import assert from "node:assert/strict";
import { LiveClient } from "../../server/testing_live.ts";
import { type CollectedSpan, Collector } from "./otlp.ts";
import { WatchedServer } from "./testing_process.ts";

const SECRET = "a secret of at least thirty-two characters";
const VALUE = "geheim-row-value";

const SCHEMA = {
  version: 1,
  tables: { todos: { primaryKey: ["id"], columns: { id: "string", title: "string" } } },
};

function insert(clientId: string, mutationId: number, rowId: string) {
  const delta = { op: "INSERT", table: "todos", rowId, columns: { title: VALUE } };
  return { clientId, schemaVersion: 1, transactions: [{ mutationId, deltas: [delta] }] };
}

function told(span: CollectedSpan, name: string): unknown {
  return new Map(span.attributes).get(name);
}

Deno.test("pushes, pulls and flushes have spans with what they are about, without values and tokens", async () => {
  await using collector = new Collector();
  await using server = await WatchedServer.start({
    secret: SECRET,
    args: ["--to", "lake"],
    env: collector.env,
  });
  const admin = await server.token("root", "admin");
  const token = await server.token("alice");
  await server.send("/v1/admin/schema/default", { token: admin, method: "PUT", body: SCHEMA });
  const headers = { "X-Request-Id": "request-1" };
  await server.send("/v1/sync/default/push", { token, body: insert("a", 1, "t1"), headers });
  await server.send(`/v1/sync/default/pull?clientId=a&token=${token}`, { token });
  await server.send("/v1/sync/default/pull?clientId=a", { token });
  const live = await LiveClient.open(server.url, "default", token);
  live.send({ hello: { clientId: "live", schemaVersion: 1 } });
  live.send({ push: insert("live", 1, "t2") });
  await server.send("/v1/admin/flush/default", { token: admin, body: {} });

  const push = await collector.span(({ name }) => name === "POST /v1/sync/{gatewayId}/push");
  assert.deepEqual(
    ["lakesync.request_id", "lakesync.gateway", "lakesync.client", "http.route"]
      .map((name) => told(push, name)),
    ["request-1", "default", "a", "/v1/sync/{gatewayId}/push"],
  );
  const commit = await collector.span(({ name, parentSpanId }) =>
    name === "lakesync.push" && parentSpanId === push.spanId
  );
  assert.deepEqual([commit.traceId, told(commit, "lakesync.client")], [push.traceId, "a"]);
  const refused = await collector.span((span) => told(span, "error.type") === "AUTH_ERROR");
  assert.equal(refused.name, "GET /v1/sync/{gatewayId}/pull");
  await collector.span((span) =>
    span.name === "lakesync.pull" && told(span, "lakesync.client") === "a"
  );
  await collector.span((span) =>
    span.name === "lakesync.push" && told(span, "lakesync.client") === "live"
  );
  const flush = await collector.span(({ name }) => name === "lakesync.flush");
  assert.equal(told(flush, "lakesync.destination"), "lake");
  assert.equal(flush.parentSpanId, "");
  await live.close();
  for (const text of [VALUE, ...token.split(".").slice(1), SECRET, "token="]) {
    const at = collector.received.indexOf(text);
    assert.equal(at, -1, collector.received.slice(Math.max(0, at - 300), at + 100));
  }
});

Deno.test("nothing is sent to a collector that nobody asked for", async () => {
  await using collector = new Collector();
  const { OTEL_DENO: _, ...env } = collector.env;
  await using server = await WatchedServer.start({ secret: SECRET, env });
  await server.send("/livez");
  await server.stop();
  assert.equal(collector.received, "");
});
