/**
 * Asks every route in every way that it describes an answer for. Each answer is held to its
 * description, and each status that is described must have been seen.
 */

import { DEFAULT_LIMITS } from "@lakesync/core";
import assert from "node:assert/strict";
import { insert, SCHEMA, type TestServer, tokenFor, withServer } from "../testing_server.ts";
import { describeApi } from "./openapi.ts";
import { OPERATIONS } from "./openapi_operations.ts";
import { type OperationId, ROUTES } from "./routes.ts";

const RULES = {
  buckets: [{
    name: "mine",
    tables: ["todos"],
    filters: [{ column: "title", op: "eq", value: "jwt:sub" }],
  }],
};

/** What is a good request, beside its path and method. */
const GOOD: Readonly<Partial<Record<OperationId, { query?: string; body?: object }>>> = {
  push: { body: insert("phone-1", 1, "t1") },
  pull: { query: "?clientId=phone-1" },
  pullByPost: { body: { clientId: "phone-1" } },
  checkpoint: { query: "?clientId=phone-1" },
  putSchema: { body: SCHEMA },
  putRules: { body: RULES },
  explain: { body: { claims: { sub: "alice" }, table: "todos", rowId: "t1" } },
  changeAccess: { body: { deny: { clients: ["phone-9"] } } },
  resetCursor: { body: { name: "source" } },
};

/** Statuses that no caller can bring about here; tests of their own do. */
const NOT_HERE: Readonly<Partial<Record<OperationId | "any", readonly number[]>>> = {
  // Failures, a server that starts, stops or has too much to do, and time that is over.
  any: [500, 502, 503, 504],
  // Only a Host that is none is wrong with them, and fetch sends none of that: app_test.ts.
  listGateways: [400],
  getLivez: [400],
  getHealth: [400],
  getStartupz: [400],
  getReady: [400],
  getHealthReady: [400],
  getMetrics: [400],
  getDescription: [400],
  // An upgrade cannot be asked for by fetch, rules that take longer than ten seconds are slow.
  connect: [101],
  putRules: [202],
  // Chunks that are ready: checkpoint_test.ts.
  checkpoint: [206, 304],
  // A source has no cursor yet.
  resetCursor: [200],
};

/** Catalogs are asked in iceberg_test.ts: this server has none. */
const isCatalog = (id: OperationId) => id.startsWith("iceberg");

interface Route {
  readonly path: string;
  readonly method: string;
  readonly id: OperationId;
}

const EVERY_ROUTE: readonly Route[] = Object.entries(ROUTES).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, id]) => ({ path, method, id }))
);

/** Remembers which statuses each operation answered. */
class Walk {
  readonly seen = new Map<OperationId, Set<number>>();

  async ask(
    { request }: TestServer,
    { path, method, id }: Route,
    options: {
      readonly gateway?: string;
      readonly token?: string;
      readonly query?: string;
      readonly body?: BodyInit | object;
      readonly headers?: Record<string, string>;
    },
  ): Promise<number> {
    const { gateway = "default", query = "", ...others } = options;
    const response = await request(path.replaceAll(/\{\w+\}/g, gateway) + query, {
      method,
      ...others,
    });
    await response.body?.cancel();
    const statuses = this.seen.get(id) ?? new Set();
    this.seen.set(id, statuses.add(response.status));
    return response.status;
  }
}

/** Asks a route in all ways that are wrong for any route of its kind. */
async function askWrongly(walk: Walk, server: TestServer, route: Route): Promise<void> {
  const { path, id } = route;
  const { access, body: takesBody } = OPERATIONS[id];
  const { admin: token } = server;
  const good = GOOD[id] ?? {};
  const hasGateway = path.includes("{gatewayId}");
  const expect = async (status: number, options: Parameters<Walk["ask"]>[2]) => {
    const answered = await walk.ask(server, route, { ...good, token, ...options });
    assert.equal(answered, status, `${id} with ${JSON.stringify(options)}`);
  };
  await expect(401, { token: "" });
  await expect(401, { token: "none" });
  if (access === "admin") await expect(403, { token: server.alice });
  if (hasGateway) {
    await expect(403, { token: await tokenFor("eve", "other", "admin") });
    await expect(400, { gateway: "-wrong" });
    if (id !== "putSchema") await expect(404, { gateway: "nowhere" });
  }
  if (takesBody !== undefined) {
    await expect(400, { body: "{", headers: { "Content-Type": "application/json" } });
    await expect(415, { body: "x", headers: { "Content-Type": "text/plain" } });
  }
  if (takesBody !== undefined || id === "flush") {
    await expect(415, { body: "x", headers: { "Content-Encoding": "x" } });
    const large = "x".repeat(DEFAULT_LIMITS.maxBodyBytes + 1);
    await expect(413, { body: large, headers: { "Content-Type": "application/json" } });
  }
}

Deno.test("every answer of every route is as described, and every described status is one", async () => {
  const walk = new Walk();
  const routes = EVERY_ROUTE.filter(({ id }) => !isCatalog(id));
  const byId = (id: OperationId) => {
    const found = EVERY_ROUTE.find((route) => route.id === id);
    assert(found);
    return found;
  };
  let foreign = "";
  await withServer(
    async (server) => {
      const { alice: token, json } = server;
      const push = { ...GOOD.push, token };
      assert.equal(await walk.ask(server, byId("push"), push), 422);
      await server.request("/v1/admin/schema/default", {
        method: "PUT",
        token: server.admin,
        body: SCHEMA,
      }).then((response) => response.body?.cancel());
      const { body } = await json("/v1/sync/default/pull?clientId=phone-1", { token });
      foreign = String(body["cursor"]);
    },
    false,
  );
  await withServer(
    async (server) => {
      const { admin: token, alice } = server;
      const ask = (id: OperationId, options: Parameters<Walk["ask"]>[2] = {}) =>
        walk.ask(server, byId(id), { ...GOOD[id], token, ...options });
      // What refuses a push, a pull and a schema for what they say.
      assert.equal(await ask("push", { token: alice }), 200);
      assert.equal(await ask("push"), 403);
      assert.equal(await ask("push", { token: alice, body: insert("phone-1", 9, "t9") }), 409);
      await ask("putSchema", { gateway: "empty", body: { version: 1, tables: {} } });
      const key = { "Idempotency-Key": "k1" };
      for (const { id, method } of routes) {
        if (method === "GET" || id === "pullByPost") continue;
        await ask(id, { headers: key, ...(id === "push" ? { token: alice } : {}) });
        const query = id === "push" ? "" : "?other";
        const other = id === "push" ? { token: alice, body: insert("phone-1", 2, "t2") } : {};
        assert.equal(await ask(id, { headers: key, query, ...other }), 422, id);
      }
      await ask("putSchema", { body: { ...SCHEMA, version: 2 } });
      await ask("putSchema", { body: { version: 3, tables: {} } });
      assert.equal(
        await ask("putSchema", {
          body: { version: 2, tables: { a: { primaryKey: ["id"], columns: { id: "string" } } } },
        }),
        409,
      );
      assert.equal(await ask("getAudit", { query: "?limit=0" }), 400);
      const pulls = async (status: number, query: string, body: object) => {
        assert.equal(
          await ask("pull", { token: alice, query: `?clientId=phone-1&${query}` }),
          status,
        );
        const whole = { clientId: "phone-1", ...body };
        assert.equal(await ask("pullByPost", { token: alice, body: whole }), status);
      };
      await pulls(410, `cursor=${foreign}`, { cursor: foreign });
      for (const route of routes) {
        const { access } = OPERATIONS[route.id];
        if (access !== "none") await askWrongly(walk, server, route);
        const answered = await ask(route.id, access === "client" ? { token: alice } : {});
        assert.ok(answered < 500, `${route.id}: ${answered}`);
      }
      // A version that knows what is gone is served no more.
      const gone = { primaryKey: ["id"], columns: { id: "string", title: "string" } };
      const schema = { version: 3, tables: { todos: gone } };
      assert.equal(await ask("putSchema", { query: "?force=true", body: schema }), 200);
      await pulls(409, "schemaVersion=1", { schemaVersion: 1 });
      const query = "?clientId=phone-1&schemaVersion=1";
      assert.equal(await ask("checkpoint", { token: alice, query }), 409);
    },
    true,
    true,
  );
  // One request of an address, and the next is too much.
  const limits = { rateIpPerSecond: 1, rateIpBurst: 1 };
  await withServer(
    async (server) => {
      await walk.ask(server, byId("getStats"), {});
      for (const route of routes.filter(({ id }) => OPERATIONS[id].access !== "none")) {
        assert.equal(await walk.ask(server, route, { token: server.admin }), 429, route.id);
      }
    },
    false,
    true,
    { limits },
  );
  const missing: string[] = [];
  for (const { path, method, id } of routes) {
    const operation = describeApi().paths[path]?.[method.toLowerCase()];
    assert(operation !== undefined && "responses" in operation);
    for (const status of Object.keys(operation.responses).map(Number)) {
      const isElsewhere = [...NOT_HERE.any ?? [], ...NOT_HERE[id] ?? []].includes(status);
      if (!isElsewhere && !walk.seen.get(id)?.has(status)) missing.push(`${id} ${status}`);
    }
  }
  assert.deepEqual(missing, []);
});
