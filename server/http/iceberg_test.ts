import { DEFAULT_SERVER_LIMITS } from "../limits.ts";
import { MemoryRecords } from "../store/_memory_server_records.ts";
import type { Catalog, LoadedTable } from "@lakesync/adapters/lake/catalog";
import assert from "node:assert/strict";
import type { Gateways } from "../gateway/gateway.ts";
import { createAuthenticator } from "../auth/verify.ts";
import { Lakes } from "../destinations/lakes.ts";
import { SECRET, tokenFor } from "../testing_server.ts";
import { createApp } from "./app.ts";
import type { Phase } from "./context.ts";

const READING = { "s3.endpoint": "http://127.0.0.1:9000", "s3.path-style-access": "true" };

function snapshot(id: number) {
  return {
    "snapshot-id": id,
    "sequence-number": id,
    "timestamp-ms": id,
    "manifest-list": `s3://lake/${id}.avro`,
    summary: { operation: "append" },
  };
}

function loaded(namespace: string, name: string): LoadedTable {
  return {
    table: { namespace, name },
    metadataLocation: `s3://lake/${namespace}/${name}/metadata/v3.metadata.json`,
    snapshot: snapshot(2),
    metadata: {
      "format-version": 2,
      "table-uuid": "6bb1eb3e-4d0f-4a63-8f1b-6a3f2d3c9c11",
      location: `s3://lake/${namespace}/${name}`,
      "last-sequence-number": 2,
      "last-updated-ms": 2,
      "last-column-id": 1,
      schemas: [],
      "current-schema-id": 0,
      "partition-specs": [],
      "default-spec-id": 0,
      "last-partition-id": 999,
      "current-snapshot-id": 2,
      snapshots: [snapshot(1), snapshot(2)],
      "sort-orders": [],
      "default-sort-order-id": 0,
      refs: { main: { "snapshot-id": 2, type: "branch" } },
    },
  };
}

type Reads = Pick<Catalog, "list" | "load">;

function catalogOf(...names: string[]): Reads {
  return {
    list: (namespace) => Promise.resolve(names.map((name) => ({ namespace, name }))),
    load: ({ namespace, name }) =>
      Promise.resolve(names.includes(name) ? loaded(namespace, name) : undefined),
  };
}

const broken: Reads = {
  list: () => Promise.reject(new Error("geheim")),
  load: () => Promise.reject(new Error("geheim")),
};

const lakes = new Lakes();
for (
  const [name, gatewayId, catalog] of [
    ["lake", "notes", catalogOf("todos", "todos__changes", "lists", "lakesync_position")],
    ["lake", "shop", catalogOf("orders")],
    ["archive", "shop", catalogOf("old")],
    ["archive", "down", broken],
  ] as const
) {
  const namespace = `app_${gatewayId}`;
  const reading = gatewayId === "down" ? { ...READING, "s3.endpoint": "http://b" } : READING;
  const status = () => assert.fail();
  lakes.add({ name, gatewayId, namespace, catalog, reading, status, write: JSON.stringify });
}

let phase: Phase = "ready";
const gateways: Gateways = new Proxy({} as Gateways, {
  get: () => assert.fail("The catalog asks no gateway"),
});
const app = createApp({
  gateways,
  lakes,
  authenticator: createAuthenticator({ secrets: [SECRET] }),
  live: { count: () => 0, accept: () => assert.fail() },
  phase: () => phase,
  limits: DEFAULT_SERVER_LIMITS,
  records: new MemoryRecords(),
  audit: new ServerAudit(new MemoryRecords()),
  stopping: new AbortController().signal,
});

const ROOT = await tokenFor("root", "*", "admin");

interface Asked {
  readonly token?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
}

function ask(path: string, { token = ROOT, method = "GET", headers = {} }: Asked = {}) {
  return app(
    new Request(`http://127.0.0.1/v1/iceberg/v1/${path}`, {
      method,
      headers: { ...headers, ...(token === "" ? {} : { Authorization: `Bearer ${token}` }) },
    }),
  );
}

async function json(path: string, asked?: Asked) {
  const response = await ask(path, asked);
  return { status: response.status, body: await response.json() };
}

async function errorOf(path: string, asked?: Asked) {
  const { status, body: { error } } = await json(path, asked);
  assert.equal(error.code, status);
  assert.equal(typeof error.message, "string");
  return [status, error.type];
}

Deno.test("config names the warehouse when there is one, and else asks for it", async () => {
  const token = await tokenFor("root", "notes", "admin");
  const { status, body } = await json("config", { token });
  assert.equal(status, 200);
  assert.equal(body.overrides.prefix, "lake");
  assert.deepEqual(body.defaults, { "token-refresh-enabled": "false", ...READING });
  assert.ok(body.endpoints.includes("GET /v1/{prefix}/namespaces/{namespace}/tables/{table}"));
  assert.ok(body.endpoints.every((endpoint: string) => /^(GET|HEAD) /.test(endpoint)));
  const named = await json("config?warehouse=archive");
  assert.equal(named.body.overrides.prefix, "archive");
  // Its lakes are not at the same place.
  assert.deepEqual(named.body.defaults, {
    "token-refresh-enabled": "false",
    "s3.path-style-access": "true",
  });
  assert.deepEqual(await errorOf("config"), [400, "BadRequestException"]);
  assert.deepEqual(await errorOf("config?warehouse="), [400, "BadRequestException"]);
  assert.deepEqual(await errorOf("config?warehouse=x"), [404, "NotFoundException"]);
  assert.deepEqual(
    await errorOf("config?warehouse=archive", { token }),
    [404, "NotFoundException"],
  );
  const other = await tokenFor("root", "other", "admin");
  assert.deepEqual(await errorOf("config", { token: other }), [404, "NotFoundException"]);
});

Deno.test("a token sees the gateways that it is for, and needs the role admin", async () => {
  const namespaces = async (token: string) => {
    const { body } = await json("lake/namespaces", { token });
    return body;
  };
  assert.deepEqual(await namespaces(ROOT), {
    namespaces: [["notes"], ["shop"]],
    "next-page-token": null,
  });
  const notes = await tokenFor("root", "notes", "admin");
  assert.deepEqual((await namespaces(notes)).namespaces, [["notes"]]);
  const client = await tokenFor("alice", "notes");
  const paths = [
    "config",
    "lake/namespaces",
    "lake/namespaces/notes",
    "lake/namespaces/notes/tables",
    "lake/namespaces/notes/tables/todos",
  ];
  for (const path of paths) {
    assert.deepEqual(await errorOf(path, { token: client }), [403, "ForbiddenException"], path);
    assert.deepEqual(await errorOf(path, { token: "" }), [401, "NotAuthorizedException"], path);
    if (!path.includes("notes")) continue;
    const shop = await tokenFor("root", "shop", "admin");
    assert.deepEqual(await errorOf(path, { token: shop }), [403, "ForbiddenException"], path);
  }
  const inQuery = `config?access_token=${ROOT}`;
  assert.deepEqual(await errorOf(inQuery), [401, "NotAuthorizedException"]);
});

Deno.test("namespaces are flat, and one is there or not", async () => {
  assert.deepEqual((await json("lake/namespaces?parent=notes")).body.namespaces, []);
  assert.deepEqual((await json("lake/namespaces?parent=")).body.namespaces.length, 2);
  for (const path of ["lake/namespaces?parent=x", "lake/namespaces/x", "lake/namespaces/a%1Fb"]) {
    assert.deepEqual(await errorOf(path), [404, "NoSuchNamespaceException"], path);
  }
  assert.deepEqual(await errorOf("x/namespaces"), [404, "NotFoundException"]);
  assert.deepEqual((await json("lake/namespaces/notes")).body, {
    namespace: ["notes"],
    properties: {},
  });
  assert.equal((await ask("lake/namespaces/notes", { method: "HEAD" })).status, 204);
  assert.equal((await ask("lake/namespaces/x", { method: "HEAD" })).status, 404);
});

Deno.test("tables are listed, by pages where they are asked for", async () => {
  const list = async (query: string) =>
    (await json(`lake/namespaces/notes/tables${query}`)).body as {
      identifiers: { namespace: string[]; name: string }[];
      "next-page-token": string | null;
    };
  const all = await list("");
  assert.deepEqual(all.identifiers[0], { namespace: ["notes"], name: "lakesync_position" });
  assert.equal(all["next-page-token"], null);
  // A size without a token asks for no page.
  assert.deepEqual(await list("?pageSize=1"), all);
  const names: string[] = [];
  let pages = 0;
  for (let token: string | null = ""; token !== null; pages++) {
    const page = await list(`?pageToken=${token}&pageSize=3`);
    names.push(...page.identifiers.map(({ name }) => name));
    token = page["next-page-token"];
  }
  assert.equal(pages, 2);
  assert.deepEqual(names, all.identifiers.map(({ name }) => name));
  const wrong = "lake/namespaces/notes/tables?pageToken=&pageSize=0";
  assert.deepEqual(await errorOf(wrong), [400, "BadRequestException"]);
});

Deno.test("a table is loaded as the catalog has it", async () => {
  const path = "lake/namespaces/notes/tables/todos";
  const { metadata, metadataLocation } = loaded("app_notes", "todos");
  const { status, body } = await json(path);
  assert.equal(status, 200);
  assert.deepEqual(body, {
    "metadata-location": metadataLocation,
    metadata: JSON.parse(JSON.stringify(metadata)),
  });
  const refs = await json(`${path}?snapshots=refs`);
  assert.deepEqual(
    refs.body.metadata.snapshots.map((one: Record<string, unknown>) => one["snapshot-id"]),
    [2],
  );
  assert.equal((await ask(path, { method: "HEAD" })).status, 204);
  assert.deepEqual(
    await errorOf("lake/namespaces/notes/tables/x"),
    [404, "NoSuchTableException"],
  );
  assert.deepEqual(
    await errorOf("lake/namespaces/x/tables/todos"),
    [404, "NoSuchNamespaceException"],
  );
});

Deno.test("a table that the caller has as it is now is not sent again", async () => {
  const path = "lake/namespaces/notes/tables/todos";
  const first = await ask(path);
  await first.body?.cancel();
  const etag = first.headers.get("ETag") ?? "";
  const asked = { headers: { "If-None-Match": etag } };
  assert.equal((await ask(path, asked)).status, 304);
  const other = await ask(`${path}?snapshots=refs`, asked);
  assert.equal(other.status, 200);
  assert.notEqual(other.headers.get("ETag"), etag);
});

Deno.test("whatever writes is refused in the catalog's form", async () => {
  const writes: [string, string][] = [
    ["POST", "lake/namespaces"],
    ["DELETE", "lake/namespaces/notes"],
    ["POST", "lake/namespaces/notes/properties"],
    ["POST", "lake/namespaces/notes/tables"],
    ["POST", "lake/namespaces/notes/tables/todos"],
    ["DELETE", "lake/namespaces/notes/tables/todos"],
    ["POST", "lake/namespaces/notes/register"],
    ["POST", "lake/namespaces/notes/tables/todos/metrics"],
    ["POST", "lake/tables/rename"],
    ["POST", "lake/transactions/commit"],
  ];
  for (const [method, path] of writes) {
    const answer = await errorOf(path, { method });
    assert.deepEqual(answer, [405, "UnsupportedOperationException"], `${method} ${path}`);
  }
  assert.deepEqual(
    await errorOf("lake/namespaces/notes/views"),
    [404, "NotFoundException"],
  );
});

Deno.test("a lake that cannot be read is no fault of the caller, who learns no detail", async () => {
  for (const path of ["tables", "tables/todos"]) {
    const response = await ask(`archive/namespaces/down/${path}`);
    const text = await response.text();
    assert.equal(response.status, 502);
    assert.equal(JSON.parse(text).error.type, "ServiceFailureException");
    assert.doesNotMatch(text, /geheim/);
  }
  phase = "draining";
  assert.deepEqual(await errorOf("config"), [503, "ServiceUnavailableException"]);
  phase = "ready";
});

Deno.test("a client that wants a token for a credential is told what to do", async () => {
  const { status, body } = await json("oauth/tokens", { method: "POST", token: "" });
  assert.equal(status, 400);
  assert.equal(body.error, "unsupported_grant_type");
  assert.match(body.error_description, /lakesync token --role admin/);
});
import { ServerAudit } from "../audit/server_audit.ts";
