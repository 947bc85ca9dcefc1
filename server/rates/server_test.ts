import assert from "node:assert/strict";
import { type TestServer, tokenFor, withServer } from "../testing_server.ts";
import { parseTrustedProxies } from "./trusted_proxy.ts";

const PULL = "/v1/sync/default/pull?clientId=phone-1";
const WITHOUT = { rateUserPerSecond: 0, rateIpPerSecond: 0 };

/** Sends a request and gives what is told of the rate. */
async function ask(
  server: TestServer,
  token: string | undefined,
  headers: Record<string, string> = {},
  path = PULL,
): Promise<{ readonly status: number; readonly code: unknown; readonly headers: Headers }> {
  const response = await server.request(path, {
    headers,
    ...(token === undefined ? {} : { token }),
  });
  const body = await response.json();
  return { status: response.status, code: body.code, headers: response.headers };
}

Deno.test("G11: a server answers 429 to a user who asks too often, and says when to come back", () =>
  withServer(
    async (server) => {
      const token = await tokenFor("eager");
      for (let left = 3; left >= 0; left--) {
        const { status, headers } = await ask(server, token);
        assert.equal(status, 200);
        assert.equal(headers.get("RateLimit-Limit"), "4");
        assert.equal(headers.get("RateLimit-Remaining"), String(left));
        assert.equal(headers.get("RateLimit-Policy"), '"user";q=4;w=400');
        assert.match(headers.get("RateLimit") ?? "", /^"user";r=\d;t=\d+$/);
      }
      const { status, code, headers } = await ask(server, token);
      assert.deepEqual([status, code], [429, "RATE_LIMITED"]);
      assert.equal(headers.get("RateLimit-Remaining"), "0");
      const retrySeconds = Number(headers.get("Retry-After"));
      assert.ok(retrySeconds >= 99 && retrySeconds <= 200, String(retrySeconds));
      assert.equal((await ask(server, await tokenFor("calm"))).status, 200);
    },
    true,
    true,
    { limits: { ...WITHOUT, rateUserPerSecond: 0.01, rateUserBurst: 4 } },
  ));

Deno.test("G11: a server holds an address to its rate before it looks at tokens", () =>
  withServer(
    async (server) => {
      const token = await tokenFor("alice");
      assert.equal((await ask(server, token)).status, 200);
      assert.equal((await ask(server, "not a token")).status, 401);
      assert.equal((await ask(server, undefined)).status, 401);
      for (const bearer of [token, "not a token", undefined]) {
        const { status, headers } = await ask(server, bearer);
        assert.equal(status, 429);
        assert.equal(headers.get("RateLimit-Policy"), '"address";q=3;w=300');
      }
      for (const path of ["/livez", "/ready", "/metrics", "/openapi.json"]) {
        const response = await server.request(path);
        await response.body?.cancel();
        assert.equal(response.status, 200, path);
      }
    },
    false,
    true,
    { limits: { ...WITHOUT, rateIpPerSecond: 0.01, rateIpBurst: 3 } },
  ));

Deno.test("G11: a server believes trusted proxies about addresses, and nobody else", async () => {
  const limits = { ...WITHOUT, rateIpPerSecond: 0.01, rateIpBurst: 1 };
  const statuses = async (server: TestServer, addresses: readonly string[]) => {
    const found = [];
    for (const address of addresses) {
      found.push((await ask(server, "none", { "X-Forwarded-For": address })).status);
    }
    return found;
  };
  const two = ["192.0.2.1", "192.0.2.2"];
  await withServer(
    async (server) => assert.deepEqual(await statuses(server, two), [401, 429]),
    false,
    true,
    { limits },
  );
  const proxies = parseTrustedProxies("127.0.0.0/8");
  assert.ok(proxies !== undefined);
  await withServer(
    async (server) => {
      const spoofed = "198.51.100.7, 192.0.2.2";
      assert.deepEqual(await statuses(server, [...two, spoofed]), [401, 401, 429]);
      const subscriber = ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:3::1"];
      assert.deepEqual(await statuses(server, subscriber), [401, 429, 401]);
    },
    false,
    true,
    { limits, proxies },
  );
});

Deno.test("G11: a handshake counts as a request of its user", () =>
  withServer(
    async (server) => {
      const token = await tokenFor("eager");
      const path = "/v1/sync/default";
      const statuses = [];
      for (let n = 0; n < 3; n++) statuses.push((await ask(server, token, {}, path)).status);
      assert.deepEqual(statuses, [400, 400, 429]);
    },
    true,
    true,
    { limits: { ...WITHOUT, rateUserPerSecond: 0.01, rateUserBurst: 2 } },
  ));
