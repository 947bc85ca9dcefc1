import {
  type Delta,
  ERROR_STATUS,
  type JsonValue,
  parseRules,
  parseSchema,
  pullFromJson,
  type PullRequest,
  pushFromJson,
  type PushRequest,
  type Transaction,
} from "@lakesync/core";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
import { withServer } from "../testing_server.ts";
import { describeApi, type OperationObject } from "./openapi.ts";
import { SCHEMAS } from "./openapi_schemas.ts";
import { METHODS, ROUTES } from "./routes.ts";

const DOCUMENT = describeApi();

function isOperation(value: unknown): value is OperationObject {
  return typeof value === "object" && value !== null && "operationId" in value;
}

const OPERATIONS: readonly (readonly [string, string, OperationObject])[] = Object
  .entries(DOCUMENT.paths)
  .flatMap(([path, item]) =>
    Object.entries(item).flatMap(([method, operation]) =>
      isOperation(operation) ? [[path, method.toUpperCase(), operation] as const] : []
    )
  );

function contentsOf(operation: OperationObject) {
  const { requestBody, responses } = operation;
  return [requestBody?.content, ...Object.values(responses).map(({ content }) => content)]
    .flatMap((content) => Object.values(content ?? {}));
}

Deno.test("the description is valid OpenAPI 3.1 and its references lead somewhere", async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(JSON.parse(JSON.stringify(DOCUMENT)));
  assert.ok(valid, JSON.stringify(errors));
  assert.equal(validator.version, "3.1");
  const text = JSON.stringify(DOCUMENT);
  for (const [, pointer = ""] of text.matchAll(/"\$ref":"#([^"]+)"/g)) {
    const found = pointer.slice(1).split("/").reduce<unknown>(
      (value, key) => typeof value === "object" && value !== null ? Reflect.get(value, key) : null,
      DOCUMENT,
    );
    assert.equal(typeof found, "object", pointer);
  }
  const broken = { ...DOCUMENT, paths: { "/x": { get: { responses: 7 } } } };
  assert.equal((await new Validator().validate(JSON.parse(JSON.stringify(broken)))).valid, false);
});

Deno.test("every schema compiles, and every example is of its schema", () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema({ ...DOCUMENT, $id: "api" });
  let examples = 0;
  for (const [path, method, operation] of OPERATIONS) {
    for (const { schema, example } of contentsOf(operation)) {
      if (schema === undefined) continue;
      const check = ajv.compile(JSON.parse(
        JSON.stringify(schema).replaceAll('"#/components', '"api#/components'),
      ));
      if (example === undefined) continue;
      examples++;
      assert.ok(check(example), `${method} ${path}: ${ajv.errorsText(check.errors)}`);
    }
  }
  assert.ok(examples >= 7);
});

Deno.test("the examples of bodies are accepted by what reads them", () => {
  const example = (path: string, method: string) => {
    const found = OPERATIONS.find(([p, m]) => p === path && m === method);
    const value = found?.[2].requestBody?.content?.["application/json"]?.example;
    assert.ok(value !== undefined, path);
    return value as JsonValue;
  };
  const schema = parseSchema(example("/v1/admin/schema/{gatewayId}", "PUT"));
  parseRules(example("/v1/admin/sync-rules/{gatewayId}", "PUT"), schema);
  pushFromJson(example("/v1/sync/{gatewayId}/push", "POST"), schema);
  pullFromJson(example("/v1/sync/{gatewayId}/pull", "POST"));
});

/** The fields of requests, as far as types know them; one that is added does not compile without. */
const FIELDS = {
  Push: {
    clientId: true,
    schemaVersion: true,
    transactions: true,
    refusalsSeen: true,
    origin: true,
  } satisfies Record<keyof PushRequest, true>,
  Transaction: {
    mutationId: true,
    deltas: true,
    part: true,
    parts: true,
    chain: true,
    refused: true,
  } satisfies Record<keyof Transaction, true>,
  Delta: {
    op: true,
    table: true,
    columns: true,
    clientId: true,
    rowId: true,
    hlc: true,
    deltaId: true,
    written: true,
  } satisfies
    & Record<"op" | "table" | "columns" | "clientId", true>
    & Record<Exclude<keyof Delta, "shape" | "values">, true>,
  Pull: {
    clientId: true,
    cursor: true,
    limit: true,
    schemaVersion: true,
    repair: true,
    wait: true,
  } satisfies Record<keyof PullRequest | "wait", true>,
};

Deno.test("every field of a request is described", () => {
  for (const [name, fields] of Object.entries(FIELDS)) {
    const { properties } = SCHEMAS[name] ?? {};
    assert.deepEqual(Object.keys(Object(properties)).toSorted(), Object.keys(fields).toSorted());
  }
});

Deno.test("every error code is an answer of some operation, each under its status", () => {
  const seen = new Set<string>();
  const answers = OPERATIONS.flatMap(([, , { responses }]) => Object.entries(responses));
  const shared = Object.values(DOCUMENT.components["responses"] ?? {});
  for (const [status, answer] of answers) {
    for (const [, code = ""] of answer.description.matchAll(/`([A-Z_]+)`/g)) {
      seen.add(code);
      assert.equal(String(Reflect.get(ERROR_STATUS, code)), status, code);
    }
  }
  assert.match(JSON.stringify(shared), /METHOD_NOT_ALLOWED/);
  const missing = Object.keys(ERROR_STATUS).filter((code) => !seen.has(code));
  assert.deepEqual(missing, ["METHOD_NOT_ALLOWED"]);
});

Deno.test("each route of the app is described once, and nothing else is", async () => {
  const described = OPERATIONS.map(([path, method]) => `${method} ${path}`);
  const routed = Object.entries(ROUTES)
    .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`));
  assert.deepEqual(described.toSorted(), routed.toSorted());
  const ids = OPERATIONS.map(([, , { operationId }]) => operationId);
  assert.equal(new Set(ids).size, ids.length);
  await withServer(async ({ request, admin }) => {
    for (const path of Object.keys(ROUTES)) {
      const here = path.replaceAll(/\{\w+\}/g, "default");
      for (const method of [...METHODS, "DELETE", "PATCH"]) {
        const { status, headers, body } = await request(here, { method, token: admin });
        await body?.cancel();
        const what = `${method} ${path}`;
        assert.equal(status !== 405, described.includes(what), what);
        if (status !== 405) continue;
        const allowed = headers.get("Allow")?.split(", ").map((name) => `${name} ${path}`);
        assert.deepEqual(allowed, described.filter((name) => name.endsWith(` ${path}`)));
      }
    }
  });
});

Deno.test("GET /openapi.json answers the description without a token", () =>
  withServer(async ({ request }) => {
    const answer = await request("/openapi.json");
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get("Content-Type"), "application/json");
    assert.deepEqual(await answer.json(), JSON.parse(JSON.stringify(DOCUMENT)));
  }));

/** The paths that a text names, with their values as the routes write them. */
function pathsIn(text: string): string[] {
  return [
    ...text.matchAll(/[\s`(](\/(?:v1|livez|health|startupz|ready|metrics|openapi)[^\s`)?…]*)/g),
  ]
    .map(([, path = ""]) => path.replaceAll(/:(\w+)/g, "{$1}").replace(/[.,/]+$/, ""));
}

Deno.test("docs/protocol.md names each path that is described, and no other", async () => {
  const text = await Deno.readTextFile(new URL("../../docs/protocol.md", import.meta.url));
  const named = new Set(pathsIn(text));
  const missing = Object.keys(ROUTES).filter((path) => !named.has(path));
  assert.deepEqual(missing, []);
  const routes = Object.keys(ROUTES);
  const unknown = [...named].filter((path) =>
    !routes.some((route) => `${route}/`.startsWith(`${path}/`))
  );
  assert.deepEqual(unknown, []);
  assert.deepEqual(pathsIn("a `GET /v1/x/:id?a=` (/v1/y/…), `/sync/…`"), ["/v1/x/{id}", "/v1/y"]);
});
