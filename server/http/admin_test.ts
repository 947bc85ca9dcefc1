import { PROTOBUF_TYPE } from "@lakesync/core";
import assert from "node:assert/strict";
import { insert, SCHEMA, tokenFor, withServer } from "../testing_server.ts";

const schemaPath = (gatewayId: string) => `/v1/admin/schema/${gatewayId}`;

Deno.test("PUT schema makes a gateway, and GET gives the schema back", () =>
  withServer(async ({ json, admin }) => {
    const path = schemaPath("notes");
    assert.equal((await json(path, { token: admin })).status, 404);
    const put = await json(path, { method: "PUT", token: admin, body: SCHEMA });
    assert.deepEqual(put, { status: 200, body: SCHEMA });
    assert.deepEqual(await json(path, { token: admin }), put);
    const again = await json(path, { method: "PUT", token: admin, body: SCHEMA });
    assert.deepEqual(again, put);
    const { body } = await json("/v1/admin/gateways", { token: admin });
    assert.deepEqual(body, {
      gateways: [
        { gatewayId: "default", seq: "0", schemaVersion: 0 },
        { gatewayId: "notes", seq: "0", schemaVersion: 1 },
      ],
    });
  }, false));

Deno.test("PUT schema refuses what is no schema and makes no gateway of it", () =>
  withServer(async ({ json, admin, alice }) => {
    const path = schemaPath("notes");
    const put = (body: BodyInit | object, headers: Record<string, string> = {}) =>
      json(path, {
        method: "PUT",
        token: admin,
        body,
        headers: { "Content-Type": "application/json", ...headers },
      });
    const cases = [
      [await put("{"), 400, "VALIDATION_ERROR"],
      [await put({ version: 0 }), 422, "SCHEMA_ERROR"],
      [await put({ version: 1, tables: { a: {} } }), 422, "SCHEMA_ERROR"],
      [
        await put("x", { "Content-Type": PROTOBUF_TYPE, Accept: "application/json" }),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
      ],
      [await put(" ".repeat(17 * 1024 * 1024)), 413, "PAYLOAD_TOO_LARGE"],
      [
        await json(path, { method: "PUT", token: alice, body: SCHEMA }),
        403,
        "FORBIDDEN",
      ],
      [
        await json(path, {
          method: "PUT",
          token: await tokenFor("root", "notes", "client"),
          body: SCHEMA,
        }),
        403,
        "FORBIDDEN",
      ],
    ] as const;
    for (const [answer, status, code] of cases) {
      assert.equal(answer.status, status);
      assert.equal(answer.body["code"], code);
    }
    assert.equal((await json(path, { token: admin })).status, 404);
  }));

Deno.test("PUT schema refuses another content under the same version", () =>
  withServer(async ({ json, admin }) => {
    const tables = { lists: { primaryKey: ["id"], columns: { id: "string" } } };
    const { status, body } = await json(schemaPath("default"), {
      method: "PUT",
      token: admin,
      body: { version: 1, tables },
    });
    assert.equal(status, 409);
    assert.equal(body["code"], "SCHEMA_CONFLICT");
  }));

Deno.test("G12: PUT schema drops a table only with force, and then tells its clients to update", () =>
  withServer(async ({ json, admin }) => {
    const tables = { lists: { primaryKey: ["id"], columns: { id: "string" } } };
    const put = (query: string) =>
      json(`${schemaPath("default")}${query}`, {
        method: "PUT",
        token: admin,
        body: { version: 2, tables },
      });
    for (const query of ["", "?force=false", "?force"]) {
      const { status, body } = await put(query);
      assert.deepEqual([status, body["code"]], [422, "SCHEMA_ERROR"]);
      assert.match(String(body["error"]), /drops table todos/);
    }
    assert.equal((await put("?force=true")).status, 200);
    const push = { token: admin, body: insert("phone", 1, "t1") };
    const pull = "/v1/sync/default/pull?clientId=phone&schemaVersion=1";
    for (
      const answer of [
        await json("/v1/sync/default/push", push),
        await json(pull, { token: admin }),
      ]
    ) {
      assert.deepEqual([answer.status, answer.body["code"]], [409, "SCHEMA_CONFLICT"]);
      assert.match(String(answer.body["error"]), /version 1 is no longer served, update the app/);
    }
  }));

Deno.test("GET schema of default is 404 before there is one", () =>
  withServer(async ({ json, admin }) => {
    const { status, body } = await json(schemaPath("default"), { token: admin });
    assert.equal(status, 404);
    assert.equal(body["code"], "NOT_FOUND");
  }, false));

Deno.test("stats counts rows, clients, log and connections", () =>
  withServer(async ({ json, admin, alice }) => {
    await json("/v1/sync/default/push", {
      token: alice,
      body: insert("phone", 1, "t1"),
    });
    const { body } = await json("/v1/admin/stats/default", { token: admin });
    const { epoch, log, ...rest } = body;
    assert.deepEqual(rest, {
      gatewayId: "default",
      seq: "1",
      schemaVersion: 1,
      clients: 1,
      connections: 0,
      tables: { todos: { rows: 1 } },
      destinations: [],
    });
    assert.equal(typeof epoch, "string");
    assert.equal(typeof log, "object");
  }));

Deno.test("gateways shows a token only what it is for", () =>
  withServer(async ({ json, admin }) => {
    await json(schemaPath("notes"), { method: "PUT", token: admin, body: SCHEMA });
    const token = await tokenFor("root", "notes", "admin");
    const { body } = await json("/v1/admin/gateways", { token });
    assert.deepEqual(body, {
      gateways: [{ gatewayId: "notes", seq: "0", schemaVersion: 1 }],
    });
  }));

Deno.test("flush answers for the destinations there are", () =>
  withServer(async ({ json, admin, alice }) => {
    const flush = (gatewayId: string, token: string) =>
      json(`/v1/admin/flush/${gatewayId}`, { method: "POST", token });
    const none = { status: 200, body: { destinations: [] } };
    assert.deepEqual(await flush("default", admin), none);
    assert.equal((await flush("default", alice)).status, 403);
    assert.equal((await flush("nowhere", admin)).status, 404);
  }));
