import assert from "node:assert/strict";
import { type TestServer, tokenFor, withServer } from "../testing_server.ts";
import { WITHOUT_KEPT_ANSWER } from "./idempotency.ts";
import { OPERATIONS } from "./openapi_operations.ts";
import { METHODS, ROUTES } from "./routes.ts";

const FLUSH = "/v1/admin/flush/default";
const SCHEMA_PATH = "/v1/admin/schema/default";

/** The text of a body that the route of an operation takes. */
function exampleOf(operation: keyof typeof OPERATIONS): string {
  const body = OPERATIONS[operation].body?.["application/json"];
  return body?.example === undefined ? "{}" : JSON.stringify(body.example);
}

interface Answered {
  readonly status: number;
  readonly replayed: boolean;
  readonly text: string;
}

async function send(
  { request, admin }: TestServer,
  method: string,
  path: string,
  key: string,
  body?: string,
  token: string = admin,
): Promise<Answered> {
  const response = await request(path, {
    method,
    token,
    headers: { "Idempotency-Key": key, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body }),
  });
  const replayed = response.headers.get("Idempotency-Replayed") === "true";
  // An error is told anew, under the id of each request.
  const text = (await response.text()).replace(/,"requestId":"[^"]*"/, "");
  return { status: response.status, replayed, text };
}

Deno.test("G2: 5 equal requests at once to any route that changes something have one effect", () =>
  withServer(async (server) => {
    let tried = 0;
    for (const [template, operations] of Object.entries(ROUTES)) {
      for (const method of METHODS) {
        const operation = operations[method];
        if (method === "GET" || operation === undefined) continue;
        if (WITHOUT_KEPT_ANSWER[operation] !== undefined) continue;
        tried++;
        const path = template.replaceAll("{gatewayId}", "default").replaceAll(/\{\w+\}/g, "a");
        const body = exampleOf(operation);
        const answers = await Promise.all(
          Array.from({ length: 5 }, () => send(server, method, path, `five-${operation}`, body)),
        );
        assert.equal(answers.filter(({ replayed }) => replayed).length, 4, operation);
        const [first] = answers;
        for (const { status, text } of answers) {
          assert.deepEqual([status, text], [first?.status, first?.text], operation);
        }
        assert.ok(first !== undefined && first.status < 500, `${operation} ${first?.text}`);
        const other = await send(server, method, path, `five-${operation}`, `${body} `);
        assert.equal(other.status, 422, operation);
        assert.equal(JSON.parse(other.text).code, "IDEMPOTENCY_MISMATCH");
      }
    }
    assert.ok(tried >= 4);
  }, false));

Deno.test("every operation that is kept out of Idempotency-Key is one", () => {
  const operations = Object.values(ROUTES).flatMap((methods) => [methods.POST, methods.PUT]);
  for (const operation of Object.keys(WITHOUT_KEPT_ANSWER)) {
    assert.ok(operations.some((known) => known === operation), operation);
  }
});

Deno.test("G2: an Idempotency-Key is one of its user, gateway and path", () =>
  withServer(async (server) => {
    const other = await tokenFor("other", "*", "admin");
    const answers = [
      await send(server, "POST", FLUSH, "k"),
      await send(server, "POST", FLUSH, "k", undefined, other),
      await send(server, "PUT", SCHEMA_PATH, "k", exampleOf("putSchema")),
      await send(server, "POST", FLUSH, "k"),
    ];
    assert.deepEqual(answers.map(({ replayed }) => replayed), [false, false, false, true]);
  }, false));

Deno.test("G2: only final outcomes are kept by an Idempotency-Key", () =>
  withServer(async (server) => {
    const put = (version: number, tables: string[]) =>
      JSON.stringify({
        version,
        tables: Object.fromEntries(
          tables.map((name) => [name, { primaryKey: ["id"], columns: { id: "string" } }]),
        ),
      });
    assert.equal((await send(server, "PUT", SCHEMA_PATH, "a", put(1, ["t"]))).status, 200);
    // 403 and 409 may be otherwise later.
    const client = await send(server, "POST", FLUSH, "b", undefined, server.alice);
    assert.deepEqual([client.status, client.replayed], [403, false]);
    for (let n = 0; n < 2; n++) {
      const { status, replayed } = await send(server, "PUT", SCHEMA_PATH, "c", put(1, ["u"]));
      assert.deepEqual([status, replayed], [409, false]);
    }
    // 400 and 422 are the same for ever, with the error that was told.
    for (const replayed of [false, true]) {
      const invalid = await send(server, "PUT", SCHEMA_PATH, "d", "{");
      assert.deepEqual([invalid.status, invalid.replayed], [400, replayed]);
      assert.equal(JSON.parse(invalid.text).code, "VALIDATION_ERROR");
    }
    const key = await send(server, "POST", FLUSH, "x".repeat(256));
    assert.equal(key.status, 400);
  }, false));

Deno.test("a kept answer is compressed as each caller accepts it", () =>
  withServer(async (server) => {
    const columns = Object.fromEntries(
      Array.from({ length: 300 }, (_, n) => [`column_${n}`, "string"]),
    );
    const tables = { wide: { primaryKey: ["id"], columns: { id: "string", ...columns } } };
    const body = JSON.stringify({ version: 1, tables });
    const texts = [];
    for (const encoding of ["identity", "gzip", "br"]) {
      const response = await server.request(SCHEMA_PATH, {
        method: "PUT",
        token: server.admin,
        headers: {
          "Idempotency-Key": "k",
          "Content-Type": "application/json",
          "Accept-Encoding": encoding,
        },
        body,
      });
      assert.equal(response.status, 200);
      texts.push(await response.text());
    }
    assert.equal(new Set(texts).size, 1);
    assert.equal(JSON.parse(texts[0] ?? "").tables.wide.columns.column_299, "string");
  }, false));
