import assert from "node:assert/strict";
import { METRICS } from "../../server/observe/metric_table.ts";
import { LiveClient } from "../../server/testing_live.ts";
import { findPromtool, runPromtool } from "./promtool.ts";
import { WatchedServer } from "./testing_process.ts";

const SECRET = "a secret of at least thirty-two characters";

const SCHEMA = {
  version: 1,
  tables: { todos: { primaryKey: ["id"], columns: { id: "string", title: "string" } } },
};

/** Names that are a contract, and that Prometheus' own style would have end in seconds. */
const IN_MILLISECONDS = ["lakesync_flush_duration_ms", "lakesync_push_latency_ms"];

function write(
  op: string,
  clientId: string,
  mutationId: number,
  rowId: string,
  title: string,
  more: object = {},
) {
  const delta = { op, table: "todos", rowId, columns: { title }, ...more };
  return { clientId, schemaVersion: 1, transactions: [{ mutationId, deltas: [delta] }] };
}

function configText(): string {
  const adapters = new URL("../../adapters/mod.ts", import.meta.url).href;
  return `
import { memoryAdapter } from "${adapters}";
const flush = { everyMs: 1, maxRetryMs: 20 };
const down = memoryAdapter("down");
down.position = () => Promise.reject(new Error("down"));
let calls = 0;
const shaky = memoryAdapter("shaky");
const position = shaky.position.bind(shaky);
shaky.position = () => ++calls < 6 ? Promise.reject(new Error("shaky")) : position();
export default {
  destinations: {
    up: { type: "memory", flush },
    down: { type: "custom", open: () => down, flush },
    shaky: { type: "custom", open: () => shaky, flush },
  },
};
`;
}

async function withWatched(
  test: (server: WatchedServer) => Promise<void>,
  args: readonly string[] = [],
): Promise<void> {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/config.ts`, configText());
  try {
    await using server = await WatchedServer.start({
      secret: SECRET,
      args: ["--config", `${folder}/config.ts`, "--log-format", "json", ...args],
    });
    const token = await server.token("root", "admin");
    await server.send("/v1/admin/schema/default", { token, method: "PUT", body: SCHEMA });
    await test(server);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function until(
  server: WatchedServer,
  isSo: (metrics: ReadonlyMap<string, number>) => boolean,
): Promise<ReadonlyMap<string, number>> {
  for (let look = 0; look < 500; look++) {
    const metrics = await server.metrics();
    if (isSo(metrics)) return metrics;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`It did not come to that: ${(await server.send("/metrics")).text}`);
}

Deno.test("metrics count what pushes and pulls came to, over HTTP and WebSocket alike", async () => {
  await withWatched(async (server) => {
    const token = await server.token("alice");
    const push = (body: unknown, sent: string | undefined = token) =>
      server.send("/v1/sync/default/push", { ...(sent === "" ? {} : { token: sent }), body });
    const first = write("INSERT", "a", 1, "t1", "one", { hlc: "117000000000000000" });
    await push(first);
    await push(first);
    await push(write("UPDATE", "b", 1, "t1", "older", { hlc: "116000000000000000" }));
    await push(
      write("INSERT", "b", 2, "t2", "two", { deltaId: "0".repeat(64), hlc: "117000000000000000" }),
    );
    await server.until(/1 transactions of client b to gateway default were refused: CHECKSUM_MIS/);
    await push({ ...write("INSERT", "b", 3, "t3", "ahead"), schemaVersion: 9 });
    await server.until(/client b to gateway default stopped at 3: SCHEMA_AHEAD/);
    await push(write("INSERT", "b", 9, "t3", "gap"));
    await push(write("INSERT", "b", 3, "t3", "no token"), "");
    await push("no json");
    await server.send("/v1/sync/default/pull?clientId=a", { token });
    await server.send("/v1/sync/default/pull?clientId=a&limit=1", { token });
    await server.send("/v1/sync/default/pull?clientId=a&cursor=none", { token });

    const live = await LiveClient.open(server.url, "default", token);
    live.send({ hello: { clientId: "live", schemaVersion: 1 } });
    live.send({ push: write("INSERT", "live", 1, "t4", "four") });
    while (!String(await live.data()).startsWith('{"pushResult"'));
    const open = await server.metrics();
    assert.equal(open.get("lakesync_ws_connections"), 1);
    live.send({ nothing: {} });
    assert.equal(await live.closed, 4400);

    const metrics = await until(server, (now) => now.get("lakesync_ws_connections") === 0);
    await server.until(/3 frames from it and \d+ to it, .*, client live: malformed/);
    const values = (...names: string[]) => names.map((name) => metrics.get(`lakesync_${name}`));
    assert.deepEqual(
      values('push_total{status="ok"}', 'push_total{status="refused"}'),
      [6, 3],
    );
    assert.equal(metrics.get('lakesync_stopped_total{code="SCHEMA_AHEAD"}'), 1);
    assert.equal(metrics.get("lakesync_push_latency_ms_count"), 6);
    assert.deepEqual(
      values("applied_total", "conflict_total", "duplicate_total"),
      [3, 1, 1],
    );
    assert.deepEqual(
      values(
        'rejected_total{code="CHECKSUM_MISMATCH"}',
        'checksum_mismatch_total{source="delta"}',
      ),
      [1, 1],
    );
    const pulls = metrics.get('lakesync_pull_total{status="ok"}') ?? 0;
    assert.ok(pulls >= 3, `${pulls} pulls`);
    assert.equal(metrics.get('lakesync_pull_total{status="refused"}'), 1);
    assert.deepEqual(
      values('ws_closed_total{reason="malformed"}', "ws_opened_total"),
      [1, 1],
    );
    assert.deepEqual(
      values('errors_total{code="MUTATION_GAP"}', 'errors_total{code="AUTH_ERROR"}'),
      [1, 1],
    );
    assert.equal(
      metrics.get('lakesync_requests_total{route="/v1/sync/{gatewayId}/push",status="401"}'),
      1,
    );
    assert.equal(metrics.get("lakesync_active_requests"), 1);
    assert.equal(metrics.get("lakesync_ready"), 0);
  });
});

Deno.test("metrics tell what waits for the destination furthest behind, and log tells of recovery", async () => {
  await withWatched(async (server) => {
    const token = await server.token("alice");
    const push = (mutationId: number) => {
      const body = write("INSERT", "a", mutationId, `t${mutationId}`, "title");
      return server.send("/v1/sync/default/push", { token, body });
    };
    for (let i = 1; i <= 5; i++) await push(i);
    const metrics = await until(
      server,
      (now) =>
        now.get('lakesync_destination_lag_commits{gateway="default",destination="up"}') === 0 &&
        now.get('lakesync_destination_lag_commits{gateway="default",destination="shaky"}') === 0,
    );
    assert.equal(metrics.get("lakesync_buffer_deltas"), 5);
    const bytes = metrics.get("lakesync_buffer_bytes") ?? 0;
    assert.ok(bytes > 5 * 20 && bytes < 5 * 1_000, `${bytes} bytes`);
    assert.equal(
      metrics.get('lakesync_destination_lag_changes{gateway="default",destination="down"}'),
      5,
    );
    assert.ok((metrics.get('lakesync_flush_total{status="ok"}') ?? 0) >= 2);
    assert.ok((metrics.get('lakesync_flush_total{status="failed"}') ?? 0) >= 3);
    assert.equal(
      metrics.get("lakesync_flush_duration_ms_count"),
      metrics.get('lakesync_flush_total{status="ok"}'),
    );
    await push(6);
    const later = await until(server, (now) => now.get("lakesync_buffer_deltas") === 6);
    assert.ok((later.get("lakesync_buffer_bytes") ?? 0) > bytes);
    await server.until(/Flushing to shaky works again after \d+ failures/);
    assert.doesNotMatch(server.output, /Flushing to (up|down) works again/);
  });
});

Deno.test("log records of a request carry its requestId, and those of a flush none", async () => {
  await withWatched(async (server) => {
    const token = await server.token("alice");
    const headers = { "X-Request-Id": "request-1" };
    const body = write("INSERT", "a", 1, "t1", "title");
    await server.send("/v1/sync/default/push", { token, body, headers });
    await server.until(/"requestId":"request-1"[^\n]*"client":"a"/);
    const lines = server.output.trimEnd().split("\n").map((line) => JSON.parse(line));
    const { properties } = lines.find(({ properties }) => properties.requestId === "request-1");
    assert.deepEqual({ ...properties, ms: typeof properties.ms }, {
      requestId: "request-1",
      method: "POST",
      route: "/v1/sync/{gatewayId}/push",
      status: 200,
      outcome: "ok",
      gateway: "default",
      client: "a",
      ms: "number",
    });
    const flushes = lines.filter(({ logger }) => logger === "lakesync.flush");
    assert.ok(flushes.length > 0);
    assert.ok(flushes.every(({ properties }) => !("requestId" in properties)));
  });
});

Deno.test("metrics of a server are those of the table, and no others", async () => {
  await withWatched(async (server) => {
    const { text } = await server.send("/metrics");
    const told = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]);
    assert.deepEqual(told, METRICS.map(({ name, type }) => [name, type]));
    for (const { name, help } of METRICS) {
      assert.ok(text.includes(`# HELP ${name} ${help}\n`), name);
    }
  });
});

const promtool = await findPromtool();

Deno.test({
  name: "promtool check metrics finds nothing but names that are a contract (promtool)",
  ignore: promtool === undefined,
  fn: async () => {
    await withWatched(async (server) => {
      const token = await server.token("alice");
      const body = write("INSERT", "a", 1, "t1", "title");
      await server.send("/v1/sync/default/push", { token, body });
      const { text } = await server.send("/metrics");
      const { lines } = await runPromtool(promtool ?? "", ["check", "metrics"], text);
      const expected = IN_MILLISECONDS.map((name) =>
        `${name} metric names should not contain abbreviated units`
      );
      assert.deepEqual(lines.toSorted(), expected);
      const broken = await runPromtool(promtool ?? "", ["check", "metrics"], `${text}x{ 1\n`);
      assert.notDeepEqual(broken.lines.toSorted(), expected);
    });
  },
});
