import { DEFAULT_SERVER_LIMITS } from "../limits.ts";
import { MemoryRecords } from "../store/_memory_server_records.ts";
import { PROTOBUF_TYPE } from "@lakesync/core";
import assert from "node:assert/strict";
import { createAuthenticator } from "../auth/verify.ts";
import { DENO_ENVIRONMENT } from "../environment.ts";
import type { Gateways } from "../gateway/gateway.ts";
import { openGateways } from "../gateway/open.ts";
import { delta, push, tx } from "../gateway/testing_fixture.ts";
import { memoryStores } from "../store/memory.ts";
import { insert, SCHEMA, SECRET, tokenFor, withServer } from "../testing_server.ts";
import { createApp } from "./app.ts";

const RULES = {
  buckets: [{
    name: "titled",
    tables: ["todos"],
    filters: [{ column: "title", op: "eq", value: "jwt:sub" }],
  }],
  write: [{
    tables: ["todos"],
    ops: ["INSERT", "UPDATE"],
    filters: [{ column: "title", op: "eq", value: "jwt:sub" }],
  }],
} as const;

const rulesPath = (gatewayId: string) => `/v1/admin/sync-rules/${gatewayId}`;
const EXPLAIN = "/v1/admin/sync-rules/default/explain";

Deno.test("G7: a gateway without rules is closed to clients and open to admins", () =>
  withServer(
    async ({ json, alice, admin }) => {
      const push = { body: insert("phone", 1, "t1") };
      const pull = "/v1/sync/default/pull?clientId=phone";
      for (
        const answer of [
          await json("/v1/sync/default/push", { token: alice, ...push }),
          await json(pull, { token: alice }),
        ]
      ) {
        assert.deepEqual([answer.status, answer.body["code"]], [403, "FORBIDDEN"]);
        assert.match(String(answer.body["error"]), /no sync rules/);
      }
      assert.equal((await json("/v1/sync/default/push", { token: admin, ...push })).status, 200);
      assert.equal((await json(pull, { token: admin })).status, 200);
    },
    true,
    false,
  ));

Deno.test("PUT sync-rules answers 200 once they hold, and GET gives them back", () =>
  withServer(
    async ({ request, json, admin, alice, bob }) => {
      const missing = await json(rulesPath("default"), { token: admin });
      assert.deepEqual([missing.status, missing.body["code"]], [404, "NOT_FOUND"]);
      for (const rowId of ["alice", "bob"]) {
        const mutationId = rowId === "alice" ? 1 : 2;
        const body = insert("root", mutationId, rowId, rowId);
        assert.equal((await json("/v1/sync/default/push", { token: admin, body })).status, 200);
      }
      for (const method of ["PUT", "GET"]) {
        const body = method === "PUT" ? { body: RULES } : {};
        const answer = await request(rulesPath("default"), { method, token: admin, ...body });
        assert.equal(answer.status, 200);
        assert.equal(answer.headers.get("X-LakeSync-Rules"), "active");
        assert.equal(answer.headers.get("Content-Type"), "application/json");
        assert.deepEqual(await answer.json(), RULES);
      }
      for (const [sub, token] of [["alice", alice], ["bob", bob]] as const) {
        const pull = await json(`/v1/sync/default/pull?clientId=${sub}`, { token });
        assert.equal(pull.status, 200);
        assert.deepEqual(JSON.stringify(pull.body).match(/"rowId":"\w+"/g), [`"rowId":"${sub}"`]);
      }
    },
    true,
    false,
  ));

Deno.test("PUT sync-rules refuses what are no rules, with the place, and keeps those before", () =>
  withServer(async ({ json, admin, alice }) => {
    const put = (body: BodyInit | object, token = admin, headers: Record<string, string> = {}) =>
      json(rulesPath("default"), {
        method: "PUT",
        token,
        body,
        headers: { "Content-Type": "application/json", ...headers },
      });
    assert.equal((await put(RULES)).status, 200);
    const protobuf = { "Content-Type": PROTOBUF_TYPE, Accept: "application/json" };
    const cases = [
      [await put("{"), 400, "VALIDATION_ERROR", /JSON/],
      [
        await put({ buckets: [{ name: "a", tables: ["lists"] }] }),
        400,
        "VALIDATION_ERROR",
        /\$\.buckets\[0\]\.tables\[0\]/,
      ],
      [await put({ ...RULES, colour: 1 }), 400, "VALIDATION_ERROR", /colour/],
      [await put("x", admin, protobuf), 415, "UNSUPPORTED_MEDIA_TYPE", /application\/json/],
      [await put(" ".repeat(17 * 1024 * 1024)), 413, "PAYLOAD_TOO_LARGE", /larger/],
      [await put(RULES, alice), 403, "FORBIDDEN", /admin/],
      [await put(RULES, await tokenFor("root", "notes", "admin")), 403, "FORBIDDEN", /another/],
    ] as const;
    for (const [answer, status, code, text] of cases) {
      assert.deepEqual([answer.status, answer.body["code"]], [status, code]);
      assert.match(String(answer.body["error"]), text);
    }
    assert.deepEqual((await json(rulesPath("default"), { token: admin })).body, RULES);
  }));

Deno.test("sync-rules needs a gateway, a schema and a method that is there", () =>
  withServer(async ({ request, json, admin }) => {
    const put = (gatewayId: string) =>
      json(rulesPath(gatewayId), { method: "PUT", token: admin, body: RULES });
    const unknown = await put("notes");
    assert.deepEqual([unknown.status, unknown.body["code"]], [404, "NOT_FOUND"]);
    const bare = await put("default");
    assert.deepEqual([bare.status, bare.body["code"]], [422, "SCHEMA_ERROR"]);
    for (const path of ["-", "a/b", "a/b/explain"]) {
      const { status, body } = await json(rulesPath(path), { token: admin });
      assert.deepEqual([status, body["code"]], [400, "VALIDATION_ERROR"], path);
    }
    const post = await request(rulesPath("default"), { token: admin, method: "POST" });
    assert.deepEqual([post.status, post.headers.get("Allow")], [405, "GET, PUT"]);
    await post.body?.cancel();
    const get = await request(EXPLAIN, { token: admin });
    assert.deepEqual([get.status, get.headers.get("Allow")], [405, "POST"]);
    await get.body?.cancel();
  }, false));

Deno.test("POST explain says who sees and writes a row", () =>
  withServer(async ({ json, admin, alice }) => {
    const path = rulesPath("default");
    assert.equal((await json(path, { method: "PUT", token: admin, body: RULES })).status, 200);
    const push = { token: alice, body: insert("phone", 1, "t1", "alice") };
    assert.equal((await json("/v1/sync/default/push", push)).status, 200);
    const explain = async (sub: string) => {
      const body = { claims: { sub }, table: "todos", rowId: "t1" };
      const answer = await json(EXPLAIN, { token: admin, body });
      assert.equal(answer.status, 200);
      const { lines, ...rest } = answer.body;
      assert.match(JSON.stringify(lines), /titled/);
      return rest;
    };
    assert.deepEqual(await explain("alice"), {
      exists: true,
      visible: true,
      writable: { INSERT: true, UPDATE: true, DELETE: false },
    });
    assert.deepEqual(await explain("bob"), {
      exists: true,
      visible: false,
      writable: { INSERT: false, UPDATE: false, DELETE: false },
    });
    for (
      const body of [
        [],
        { table: "todos", rowId: "t1" },
        { claims: [], table: "todos", rowId: "t1" },
        { claims: {}, table: 1, rowId: "t1" },
        { claims: {}, table: "todos" },
        { claims: {}, table: "todos", rowId: "t1", more: 1 },
        { claims: {}, table: "lists", rowId: "t1" },
      ]
    ) {
      const answer = await json(EXPLAIN, { token: admin, body });
      assert.deepEqual([answer.status, answer.body["code"]], [400, "VALIDATION_ERROR"]);
    }
    const body = { claims: { sub: "bob" }, table: "todos", rowId: "t1" };
    assert.equal((await json(EXPLAIN, { token: alice, body })).status, 403);
  }));

Deno.test("PUT sync-rules answers 202 while rows are placed, and the rules before hold", async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const gateways: Gateways = openGateways(memoryStores(), {
    ...DENO_ENVIRONMENT,
    setTimer: (_ms, callback) => DENO_ENVIRONMENT.setTimer(0, callback),
    nextTurn: async () => {
      const { building } = await (await gateways.create("default")).rules();
      if (building !== undefined) await released;
    },
  });
  const app = createApp({
    gateways,
    authenticator: createAuthenticator({ secrets: [SECRET] }),
    live: { count: () => 0, accept: () => Promise.reject(new Error("not here")) },
    phase: () => "ready",
    limits: DEFAULT_SERVER_LIMITS,
    records: new MemoryRecords(),
    audit: new ServerAudit(new MemoryRecords()),
    stopping: new AbortController().signal,
  });
  const token = await tokenFor("root", "*", "admin");
  const ask = async (method: string, spec?: object) => {
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const body = spec === undefined ? {} : { body: JSON.stringify(spec) };
    const request = new Request(`http://host${rulesPath("default")}`, { method, headers, ...body });
    const response = await app(request);
    const state = response.headers.get("X-LakeSync-Rules");
    return [response.status, state, await response.json()];
  };
  const gateway = await gateways.create("default");
  await gateway.putSchema(SCHEMA);
  const caller = { sub: "root", admin: true, claims: {} };
  const deltas = Array.from({ length: 1_200 }, (_, i) => delta("INSERT", `t${i}`, undefined));
  await push(gateway, "root", [tx(1, ...deltas)], {}, caller);

  assert.deepEqual(await ask("PUT", RULES), [202, "building", RULES]);
  const [status, state, { error }] = await ask("GET");
  assert.deepEqual([status, state], [404, null]);
  assert.match(error, /still being built/);
  release();
  while ((await gateway.rules()).building !== undefined) await DENO_ENVIRONMENT.nextTurn();
  assert.deepEqual(await ask("GET"), [200, "active", RULES]);
  await gateways.close();
});
import { ServerAudit } from "../audit/server_audit.ts";
