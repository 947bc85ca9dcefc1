import { PROTOBUF_TYPE } from "@lakesync/core";
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { insert, SCHEMA, type TestServer, withServer } from "../testing_server.ts";

const PUSH = "/v1/sync/default/push";
const PULL = "/v1/sync/default/pull";

async function refusesAll(
  server: TestServer,
  cases: readonly (readonly [
    what: string,
    status: number,
    code: string,
    options: Parameters<TestServer["request"]>[1],
  ])[],
): Promise<void> {
  for (const [what, status, code, options] of cases) {
    const { body, ...answer } = await server.json(PUSH, {
      token: server.alice,
      ...options,
    });
    assert.equal(answer.status, status, what);
    assert.equal(body["code"], code, what);
  }
  const { body } = await server.json(`/v1/admin/stats/default`, {
    token: server.admin,
  });
  assert.equal(body["seq"], "0");
  assert.equal(body["clients"], 0);
}

const JSON_TYPE = { "Content-Type": "application/json" };

Deno.test("push refuses bodies that are damaged, of another kind or too large, and stores nothing", () =>
  withServer(async (server) => {
    const good = JSON.stringify(insert("phone", 1, "t1"));
    const bomb = gzipSync(new Uint8Array(64 * 1024 * 1024));
    const invalid = "VALIDATION_ERROR";
    await refusesAll(server, [
      ["no JSON", 400, invalid, { headers: JSON_TYPE, body: "{" }],
      ["empty", 400, invalid, { headers: JSON_TYPE, body: "" }],
      ["null", 400, invalid, { headers: JSON_TYPE, body: "null" }],
      ["list", 400, invalid, { headers: JSON_TYPE, body: "[]" }],
      ["not UTF-8", 400, invalid, { headers: JSON_TYPE, body: new Uint8Array([0x22, 0xff, 0x22]) }],
      ["deep", 400, invalid, { headers: JSON_TYPE, body: "[".repeat(100) + "]".repeat(100) }],
      ["no clientId", 400, invalid, { body: { transactions: [] } }],
      ["bad clientId", 400, invalid, { body: insert("a b", 1, "t1") }],
      ["no protobuf", 400, invalid, {
        headers: { "Content-Type": PROTOBUF_TYPE, Accept: "application/json" },
        body: new Uint8Array([0xff, 0xff, 0xff]),
      }],
      ["no gzip", 400, invalid, {
        headers: { ...JSON_TYPE, "Content-Encoding": "gzip" },
        body: good,
      }],
      ["cut gzip", 400, invalid, {
        headers: { ...JSON_TYPE, "Content-Encoding": "gzip" },
        body: new Uint8Array(gzipSync(good).subarray(0, 40)),
      }],
      ["text", 415, "UNSUPPORTED_MEDIA_TYPE", {
        headers: { "Content-Type": "text/plain" },
        body: good,
      }],
      ["form", 415, "UNSUPPORTED_MEDIA_TYPE", {
        headers: { "Content-Type": "application/x-www-form-urlencoded" },
        body: good,
      }],
      ["compress", 415, "UNSUPPORTED_MEDIA_TYPE", {
        headers: { ...JSON_TYPE, "Content-Encoding": "compress" },
        body: good,
      }],
      ["inherited name", 415, "UNSUPPORTED_MEDIA_TYPE", {
        headers: { ...JSON_TYPE, "Content-Encoding": "constructor" },
        body: good,
      }],
      ["bomb", 413, "PAYLOAD_TOO_LARGE", {
        headers: { ...JSON_TYPE, "Content-Encoding": "gzip" },
        body: new Uint8Array(bomb),
      }],
      ["gap", 409, "MUTATION_GAP", { body: insert("phone", 2, "t1") }],
    ]);
  }));

Deno.test("push refuses a body by the bytes it reads, with and without a length", () =>
  withServer(async (server) => {
    const chunk = new Uint8Array(1024 * 1024).fill(0x20);
    const endless = () => {
      let left = 20;
      return new ReadableStream<Uint8Array>({
        pull(controller) {
          if (left-- > 0) controller.enqueue(chunk);
          else controller.close();
        },
      });
    };
    await refusesAll(server, [
      ["with a length", 413, "PAYLOAD_TOO_LARGE", {
        headers: JSON_TYPE,
        body: new Uint8Array(17 * 1024 * 1024),
      }],
      ["without a length", 413, "PAYLOAD_TOO_LARGE", {
        headers: JSON_TYPE,
        body: endless(),
      }],
    ]);
  }));

Deno.test("push refuses another user's clientId, and default before a schema", () =>
  withServer(async ({ json, alice, bob, admin }) => {
    const early = await json(PUSH, { token: alice, body: insert("phone", 1, "t1") });
    assert.equal(early.status, 422);
    assert.equal(early.body["code"], "SCHEMA_ERROR");
    await json("/v1/admin/schema/default", { method: "PUT", token: admin, body: SCHEMA });
    await json(PUSH, { token: alice, body: insert("phone", 1, "t1") });
    for (
      const [path, body] of [[PUSH, insert("phone", 2, "t2")], [PULL, {
        clientId: "phone",
      }]] as const
    ) {
      const refused = await json(path, { token: bob, body });
      assert.equal(refused.status, 403);
      assert.equal(refused.body["code"], "CLIENT_NOT_YOURS");
    }
  }, false));
