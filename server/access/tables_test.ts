import assert from "node:assert/strict";
import { startServer } from "../server.ts";
import { memoryStores } from "../store/memory.ts";
import { LiveClient } from "../testing_live.ts";
import { insert, SCHEMA, SECRET, type TestServer, withServer } from "../testing_server.ts";

const deny = (server: TestServer, tables: string[], what = "deny") =>
  server.json("/v1/admin/access/default", { token: server.admin, body: { [what]: { tables } } });

const rowsOf = async (server: TestServer) => {
  const { body } = await server.json("/v1/sync/default/pull?clientId=reader", {
    token: server.alice,
  });
  return (body["changes"] as { rowId: string }[]).map(({ rowId }) => rowId);
};

const push = async (server: TestServer, mutationId: number) => {
  const { body } = await server.json("/v1/sync/default/push", {
    token: server.alice,
    body: insert("writer", mutationId, `t${mutationId}`),
  });
  return (body["rejected"] as { code: string }[]).map(({ code }) => code);
};

Deno.test("a denied table leaves live clients, is not pulled and not written, and comes back", () =>
  withServer(async (server) => {
    assert.deepEqual(await push(server, 1), []);
    const live = await LiveClient.open(server.url, "default", server.bob);
    live.send({ hello: { clientId: "live", schemaVersion: 1 } });
    await live.frame("welcome");
    const next = async () => {
      for (;;) {
        const { changes, cursor } = await live.frame("changes");
        live.send({ ack: { cursor } });
        if (changes.length === 0) continue;
        return (changes as { op: string; rowId: string }[]).map(({ op, rowId }) => [op, rowId]);
      }
    };
    assert.deepEqual(await next(), [["PUT", "t1"]]);
    const { status, body } = await deny(server, ["todos"]);
    assert.deepEqual([status, body["deny"]], [200, { users: [], clients: [], tables: ["todos"] }]);
    assert.deepEqual(await next(), [["REMOVE", "t1"]]);
    assert.deepEqual(await rowsOf(server), []);
    assert.deepEqual(await push(server, 2), ["FORBIDDEN_WRITE"]);
    assert.equal((await deny(server, ["todos"], "undeny")).status, 200);
    assert.deepEqual(await next(), [["PUT", "t1"]]);
    assert.deepEqual(await rowsOf(server), ["t1"]);
    assert.deepEqual(await push(server, 3), []);
    await live.close();
  }));

Deno.test("what no table is called cannot be denied, by request or by the configuration", () =>
  withServer(async (server) => {
    const { status, body } = await deny(server, ["todo"]);
    assert.deepEqual([status, body["code"]], [400, "VALIDATION_ERROR"]);
    for (const list of [{ deny: ["todo"] }, { allow: ["todos", "list"] }]) {
      const stores = memoryStores();
      const gateways = { default: { schema: SCHEMA, access: { tables: list } } };
      const start = startServer({ stores, trust: { secrets: [SECRET] }, port: 0, gateways });
      await assert.rejects(start, /access\.tables names "(todo|list)"/);
    }
  }));

Deno.test("a table that the configuration denies is closed before the first request", () =>
  withServer(
    async (server) => {
      assert.deepEqual(await push(server, 1), ["FORBIDDEN_WRITE"]);
      const { status, body } = await deny(server, ["todos"], "undeny");
      assert.deepEqual([status, body["code"]], [400, "VALIDATION_ERROR"]);
    },
    false,
    true,
    { gateways: { default: { schema: SCHEMA, access: { tables: { deny: ["todos"] } } } } },
  ));
