import {
  decodeError,
  DEFAULT_LIMITS,
  LakeSyncError,
  PROTOBUF_TYPE,
  ZERO_HLC,
} from "@lakesync/core";
import assert from "node:assert/strict";
import { ServerAudit } from "../audit/server_audit.ts";
import { insert, SECRET, type TestServer, tokenFor, withServer } from "../testing_server.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { DEFAULT_SERVER_LIMITS } from "../limits.ts";
import { MemoryRecords } from "../store/_memory_server_records.ts";
import { createApp } from "./app.ts";
import type { Phase, ServerContext } from "./context.ts";
import { dependenciesOf } from "./health.ts";
import type { RequestEnd } from "./lifecycle.ts";
import { Readiness } from "./readiness.ts";

const PUSH = "/v1/sync/default/push";
const PULL = "/v1/sync/default/pull?clientId=laptop";

/** The status and code of a path sent as it is, which `fetch` would tidy up first. */
async function asIs(
  { url }: TestServer,
  path: string,
  token: string,
  method = "POST",
): Promise<string> {
  const { stdout } = await new Deno.Command("curl", {
    args: [
      ...["--silent", "--path-as-is", "--request", method],
      ...["--header", `Authorization: Bearer ${token}`],
      ...["--write-out", "\n%{http_code}", url + path],
    ],
  }).output();
  const [body = "", status = ""] = new TextDecoder().decode(stdout).split("\n");
  return `${status} ${JSON.parse(body).code}`;
}

Deno.test("a gatewayId that is none is refused, whatever the path looks like", () =>
  withServer(async (server) => {
    const paths = [
      "/v1/sync/%2e%2e/push",
      "/v1/sync/../push",
      "/v1/sync/../../etc/passwd/push",
      "/v1/sync/a%2fb/push",
      "/v1/sync/a%5cb/push",
      "/v1/sync/a/b/push",
      "/v1/sync//push",
      "/v1/sync/default%00/push",
      "/v1/sync/default%0a/push",
      "/v1/sync/%zz/push",
      "/v1/sync/%c0%ae/push",
      "/v1/sync/_hidden/push",
      "/v1/sync/default./push",
      `/v1/sync/${"a".repeat(65)}/push`,
      "/v1/sync/d%C3%A9faut/push",
    ];
    for (const path of paths) {
      assert.equal(
        await asIs(server, path, server.admin),
        "400 VALIDATION_ERROR",
        path,
      );
    }
    for (
      const path of [
        "/v1/admin/schema/..",
        "/v1/admin/schema/%2e%2e%2fsecret",
        "/v1/admin/stats/",
        "/v1/sync/..",
      ]
    ) {
      assert.equal(
        await asIs(server, path, server.admin, "GET"),
        "400 VALIDATION_ERROR",
        path,
      );
    }
  }));

Deno.test("a gatewayId may be written in percent encoding", () =>
  withServer(async (server) => {
    const { status } = await server.json("/v1/sync/d%65fault/push", {
      token: server.alice,
      body: insert("phone", 1, "t1"),
    });
    assert.equal(status, 200);
  }));

Deno.test("every path answers errors in one shape, with the version and a requestId", () =>
  withServer(async ({ request, alice, admin }) => {
    const cases: [string, string, string | undefined, number, string][] = [
      ["GET", "/", undefined, 404, "NOT_FOUND"],
      ["GET", "/v1", undefined, 404, "NOT_FOUND"],
      ["GET", "/metrics/all", undefined, 404, "NOT_FOUND"],
      ["GET", "/v1/sync/default/nothing", alice, 404, "NOT_FOUND"],
      ["GET", "/v1/admin/sync-rules/default", admin, 404, "NOT_FOUND"],
      ["GET", PUSH, alice, 405, "METHOD_NOT_ALLOWED"],
      ["PUT", PUSH, alice, 405, "METHOD_NOT_ALLOWED"],
      ["DELETE", PULL, alice, 405, "METHOD_NOT_ALLOWED"],
      ["POST", "/v1/sync/default", alice, 405, "METHOD_NOT_ALLOWED"],
      ["POST", "/livez", undefined, 405, "METHOD_NOT_ALLOWED"],
      ["OPTIONS", "/v1/admin/gateways", undefined, 405, "METHOD_NOT_ALLOWED"],
      ["POST", PUSH, undefined, 401, "AUTH_ERROR"],
      ["GET", PULL, "a.b.c", 401, "AUTH_ERROR"],
      ["GET", "/v1/sync/default", undefined, 401, "AUTH_ERROR"],
      ["GET", "/v1/sync/default", alice, 400, "VALIDATION_ERROR"],
      ["GET", "/v1/sync/nowhere/pull?clientId=a", alice, 403, "FORBIDDEN"],
      ["GET", "/v1/sync/nowhere/pull?clientId=a", admin, 404, "NOT_FOUND"],
      ["GET", "/v1/admin/gateways", alice, 403, "FORBIDDEN"],
    ];
    for (const [method, path, token, status, code] of cases) {
      const what = `${method} ${path}`;
      const answer = await request(path, {
        method,
        ...(token === undefined ? {} : { token }),
      });
      const body = await answer.json();
      assert.equal(answer.status, status, what);
      assert.equal(body.code, code, what);
      assert.equal(typeof body.error, "string", what);
      assert.equal(body.requestId, answer.headers.get("X-Request-Id"), what);
      assert.equal(answer.headers.get("API-Version"), "v1", what);
      assert.equal(answer.headers.get("Content-Type"), "application/json");
      if (status === 401) assert.ok(answer.headers.has("WWW-Authenticate"));
      assert.equal(answer.headers.has("Allow"), status === 405, what);
    }
    const wrong = await request(PUSH, { method: "GET", token: alice });
    assert.equal(wrong.headers.get("Allow"), "POST");
    await wrong.body?.cancel();
  }));

Deno.test("an error comes in protobuf to who accepts only that", () =>
  withServer(async ({ request }) => {
    for (const path of [PUSH, "/nothing"]) {
      const answer = await request(path, { headers: { Accept: PROTOBUF_TYPE } });
      assert.equal(answer.headers.get("Content-Type"), PROTOBUF_TYPE);
      const error = decodeError(await answer.bytes());
      assert.equal(error.requestId, answer.headers.get("X-Request-Id"));
    }
  }));

Deno.test("a sane X-Request-Id is kept and no other", () =>
  withServer(async ({ request }) => {
    const send = async (id: string) => {
      const answer = await request("/livez", { headers: { "X-Request-Id": id } });
      await answer.body?.cancel();
      return answer.headers.get("X-Request-Id");
    };
    assert.equal(await send("abc-1:2/3"), "abc-1:2/3");
    for (const id of ["", "a b", "é", "x".repeat(129)]) {
      const kept = await send(id);
      assert.match(kept ?? "", /^[0-9a-f-]{36}$/, JSON.stringify(id));
    }
  }));

Deno.test("a token in the query is refused, also beside a good one", () =>
  withServer(async ({ json, alice }) => {
    for (const query of [`token=${alice}`, `access_token=${alice}`, `x=${alice}`, "jwt=x"]) {
      for (const path of [`${PULL}&${query}`, `/v1/sync/default?${query}`]) {
        const { status, body } = await json(path, { token: alice });
        assert.equal(status, 401, query);
        assert.equal(body["code"], "AUTH_ERROR");
        assert.ok(!JSON.stringify(body).includes(alice));
      }
    }
  }));

Deno.test("a token for one gateway is refused on others, whether they exist or not", () =>
  withServer(async ({ json, admin }) => {
    const notes = await tokenFor("alice", "notes", "admin");
    for (const path of ["/v1/admin/schema/default", "/v1/admin/schema/nowhere"]) {
      const { status, body } = await json(path, { token: notes });
      assert.equal(status, 403);
      assert.equal(body["code"], "FORBIDDEN");
    }
    assert.equal((await json(PULL, { token: admin })).status, 200);
  }));

Deno.test("unversioned paths lead to v1 and say that they end", () =>
  withServer(async ({ request, alice }) => {
    const cases = [
      ["/sync/default/pull?clientId=a&limit=5", "/v1/sync/default/pull?clientId=a&limit=5"],
      ["/admin/gateways", "/v1/admin/gateways"],
      ["/sync//evil.example/x", "/v1/sync//evil.example/x"],
    ] as const;
    for (const [path, location] of cases) {
      const answer = await request(path, { method: "POST", token: alice });
      assert.equal(answer.status, 308);
      assert.equal(answer.headers.get("Location"), location);
      assert.match(answer.headers.get("Deprecation") ?? "", /^@\d+$/);
      assert.ok(Date.parse(answer.headers.get("Sunset") ?? "") > 0);
      assert.equal(answer.headers.get("API-Version"), "v1");
      await answer.body?.cancel();
    }
  }));

Deno.test("probes answer without a token", () =>
  withServer(async ({ json }) => {
    assert.deepEqual(await json("/livez"), { status: 200, body: { status: "ok" } });
    assert.equal((await json("/health")).status, 200);
    while ((await json("/startupz")).status !== 200) {
      await new Promise((done) => setTimeout(done, 1));
    }
    const ready = {
      status: 200,
      body: { status: "ready", checks: { store: "ok", records: "ok" } },
    };
    assert.deepEqual(await json("/ready"), ready);
    assert.deepEqual(await json("/health/ready"), ready);
  }));

function brokenContext(more: Partial<ServerContext>): ServerContext {
  const fail = () => Promise.reject(new Error(`no such table in ${SECRET}`));
  return {
    gateways: { get: fail, create: fail, list: fail, close: fail },
    authenticator: {
      verify: () =>
        Promise.resolve({
          sub: "alice",
          gw: "*",
          role: "admin",
          endsMs: Infinity,
          claims: {},
        }),
    },
    live: { count: () => 0, accept: fail },
    limits: DEFAULT_SERVER_LIMITS,
    records: new MemoryRecords(),
    audit: new ServerAudit(new MemoryRecords()),
    phase: () => "ready",
    stopping: new AbortController().signal,
    ...more,
  };
}

const AUTHORIZED = { headers: { Authorization: "Bearer x" } };

Deno.test("an unexpected error is 500 and tells no detail", async () => {
  const app = createApp(brokenContext({}));
  const answer = await app(new Request(`http://host${PULL}`, AUTHORIZED));
  const text = await answer.text();
  assert.equal(answer.status, 500);
  assert.equal(JSON.parse(text).code, "INTERNAL_ERROR");
  assert.ok(!text.includes("table") && !text.includes(SECRET));
});

Deno.test("what is turned away for want of memory has its route, and is told apart", async () => {
  const ends: unknown[] = [];
  const app = createApp(brokenContext({
    pressure: {
      isHigh: true,
      freeBytes: 0,
      check: () => {
        throw new LakeSyncError("BACKPRESSURE", "The gateway is short of memory");
      },
    },
    observer: {
      begin: () => {},
      run: (_scope, work) => work(),
      end: ({ route, gatewayId }, { outcome }) => void ends.push([route, gatewayId, outcome]),
    },
  }));
  for (
    const path of [PUSH, PULL, "/v1/sync/.no/pull", "/v1/none", "/livez", "/v1/admin/gateways"]
  ) {
    await app(new Request(`http://host${path}`, AUTHORIZED));
  }
  await app.requests.underWay().ended;
  assert.deepEqual(ends, [
    ["/v1/sync/{gatewayId}/push", "default", "shed"],
    ["/v1/sync/{gatewayId}/pull", "default", "shed"],
    ["/v1/sync/{gatewayId}/pull", undefined, "shed"],
    [undefined, undefined, "shed"],
    ["/livez", undefined, "ok"],
    ["/v1/admin/gateways", undefined, "failed"],
  ]);
});

Deno.test("a server that starts or stops says so", async () => {
  const starting = createApp(brokenContext({ phase: () => "starting" }));
  assert.equal((await starting(new Request("http://host/startupz"))).status, 503);
  assert.equal((await starting(new Request("http://host/livez"))).status, 200);
  const early = await starting(new Request(`http://host${PULL}`, AUTHORIZED));
  assert.deepEqual([early.status, (await early.json()).code], [503, "BACKPRESSURE"]);
  let phase: Phase = "starting";
  const { promise: started, resolve: start } = Promise.withResolvers<void>();
  const waiting = createApp(brokenContext({ phase: () => phase, started }));
  const waits = waiting(new Request("http://host/nowhere", AUTHORIZED));
  phase = "ready";
  start();
  assert.equal((await waits).status, 404);
  const stopping = createApp(brokenContext({ phase: () => "draining" }));
  const ready = await stopping(new Request("http://host/ready"));
  assert.equal(ready.status, 503);
  assert.equal((await ready.json()).reason, "draining");
  const paths = [
    ["GET", PULL],
    ["PUT", "/v1/admin/schema/default"],
    ["GET", "/v1/admin/gateways"],
  ] as const;
  for (const [method, path] of paths) {
    const request = new Request(`http://host${path}`, { method, ...AUTHORIZED });
    const answer = await stopping(request);
    assert.equal(answer.status, 503, path);
    assert.match(answer.headers.get("Retry-After") ?? "", /^[12]$/);
    assert.equal((await answer.json()).code, "DRAINING");
  }
  const { gateways, records } = brokenContext({});
  const dependencies = () => dependenciesOf({ gateways, records });
  const broken = createApp(brokenContext({ readiness: new Readiness({ dependencies }) }));
  const notReady = await broken(new Request("http://host/ready"));
  assert.equal((await notReady.json()).reason, "store");
});

/** A context whose gateway holds every pull until its signal aborts. */
function holdingContext(stopping: AbortSignal): {
  context: ServerContext;
  held: Promise<void>;
} {
  const { promise: held, resolve: hold } = Promise.withResolvers<void>();
  const fail = () => Promise.reject(new Error("not here"));
  const gateway: Gateway = {
    id: "default",
    schema: undefined,
    limits: DEFAULT_LIMITS,
    history: {
      schema: { version: 0, tables: [] },
      head: fail,
      read: fail,
      rows: fail,
      walk: fail,
      keepAfter: () => () => {},
    },
    cursors: {
      saveCursor: fail,
      loadCursor: fail,
      list: fail,
      reset: fail,
    },
    now: Date.now,
    push: fail,
    pull: async (_caller, _request, stopping, signal) => {
      hold();
      await new Promise((resolve) => {
        stopping?.addEventListener("abort", resolve, { once: true });
        signal?.addEventListener("abort", resolve, { once: true });
      });
      return {
        changes: [],
        cursor: "c",
        complete: true,
        lastMutationId: 0,
        serverHlc: ZERO_HLC,
      };
    },
    pullScoped: fail,
    checkpoint: fail,
    refusalsSeen: fail,
    refreshTables: fail,
    probe: fail,
    putSchema: fail,
    rules: fail,
    putRules: fail,
    explain: fail,
    stats: fail,
    onCommit: () => () => {},
    follow: () => ({ awaits: () => {}, stop: () => {} }),
    close: fail,
  };
  const gateways = {
    get: () => Promise.resolve(gateway),
    create: fail,
    list: fail,
    close: fail,
  };
  return { context: brokenContext({ gateways, stopping }), held };
}

Deno.test("a held pull is answered when the server stops or its caller goes", async () => {
  for (const who of ["server", "caller"]) {
    const stop = new AbortController();
    const { context, held } = holdingContext(
      who === "server" ? stop.signal : new AbortController().signal,
    );
    const request = new Request(`http://host${PULL}&wait=30`, {
      ...AUTHORIZED,
      ...(who === "caller" ? { signal: stop.signal } : {}),
    });
    const answer = createApp(context)(request);
    await held;
    stop.abort();
    assert.equal((await answer).status, 200, who);
  }
});

Deno.test("a caller that goes is no failure, and nothing is logged as one", async () => {
  const gone = new AbortController();
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  const ends: RequestEnd[] = [];
  const app = createApp(brokenContext({
    authenticator: {
      verify: async () => {
        ask();
        await new Promise((resolve) => gone.signal.addEventListener("abort", resolve));
        throw new Error("Whatever comes of it");
      },
    },
    observer: {
      begin: () => {},
      run: (_scope, work) => work(),
      end: (_scope, end) => void ends.push(end),
    },
  }));
  const answer = app(new Request(`http://host${PULL}`, AUTHORIZED), {
    ip: "",
    signal: gone.signal,
  });
  await asked;
  gone.abort();
  assert.equal((await answer).status, 499);
  await app.requests.underWay().ended;
  assert.deepEqual(ends.map(({ status, code, outcome }) => [status, code, outcome]), [
    [499, undefined, "aborted"],
  ]);
});
