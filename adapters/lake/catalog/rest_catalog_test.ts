import assert from "node:assert/strict";
import { newTableMetadata } from "../iceberg/new_table.ts";
import type { Snapshot } from "../iceberg/metadata.ts";
import type { TableUpdate } from "../iceberg/updates.ts";
import { type Catalog, CatalogError, type CatalogFailure, type LoadedTable } from "./catalog.ts";
import { restCatalog, type RestCatalogOptions } from "./rest_catalog.ts";
import { type Fault, type Heard, type RestServer, startRestServer } from "./testing_rest_server.ts";

const TABLE = { namespace: "app", name: "todos__changes" };
const METADATA = newTableMetadata({
  uuid: "9c12d441-03fe-4693-9a96-a0705ddf69c1",
  location: "file:///lake/app/todos__changes",
  schema: {
    fields: [
      { id: 5, name: "_seq", type: "long", required: false },
      { id: 9, name: "_committed_at", type: "timestamptz", required: false },
      { id: 1001, name: "id", type: "string", required: false },
    ],
  },
  partitionBy: [{ fieldId: 9, transform: "day", name: "_committed_at_day" }],
  properties: { "lakesync.position": "none" },
  nowMs: 1,
});

/** A number that a `number` cannot hold. */
const BIG = 9_223_372_036_854_775_807n;

function snapshotUpdates(id: number | bigint, sequence: number): TableUpdate[] {
  const snapshot: Snapshot = {
    "snapshot-id": id,
    "sequence-number": sequence,
    "timestamp-ms": sequence,
    "manifest-list": `file:///lake/app/snap-${id}.avro`,
    summary: { operation: "append" },
    "schema-id": 0,
  };
  return [
    { action: "add-snapshot", snapshot },
    { action: "set-snapshot-ref", "ref-name": "main", type: "branch", "snapshot-id": id },
  ];
}

async function withServer(
  run: (server: RestServer, open: (more?: Partial<RestCatalogOptions>) => Catalog) => Promise<void>,
  clock: { nowMs: number } = { nowMs: 0 },
): Promise<void> {
  await using server = await startRestServer();
  const opened: Catalog[] = [];
  try {
    await run(server, (more) => {
      const catalog = restCatalog({ uri: server.uri, ...more }, () => clock.nowMs);
      opened.push(catalog);
      return catalog;
    });
  } finally {
    for (const catalog of opened) await catalog.close();
  }
}

async function fails(failure: CatalogFailure, work: Promise<unknown>): Promise<CatalogError> {
  const error = await work.then(() => undefined, (error) => error);
  assert.ok(error instanceof CatalogError, `${error}`);
  assert.equal(error.failure, failure, error.message);
  return error;
}

/** Lets a fault happen to the first request that it is for. */
function once(server: RestServer, method: string, part: string, fault: Fault): void {
  server.fault = (heard: Heard) => {
    if (heard.method !== method || !heard.path.includes(part)) return undefined;
    server.fault = () => undefined;
    return fault;
  };
}

function idsOf({ metadata }: LoadedTable): (number | bigint)[] {
  return (metadata.snapshots ?? []).map((snapshot) => snapshot["snapshot-id"]);
}

Deno.test("restCatalog creates, loads, commits, lists and renames", () =>
  withServer(async (server, open) => {
    const catalog = open();
    assert.equal(await catalog.load(TABLE), undefined);
    assert.deepEqual(await catalog.list("app"), []);
    const created = await catalog.create(TABLE, METADATA);
    assert.deepEqual(created.metadata.schemas, METADATA.schemas);
    assert.equal(created.metadata["table-uuid"], METADATA["table-uuid"]);
    assert.equal(created.snapshot, undefined);
    assert.deepEqual([...server.namespaces], ["app"]);
    const first = await catalog.commit(created, snapshotUpdates(BIG, 1));
    assert.equal(first.snapshot?.["snapshot-id"], BIG);
    const second = await catalog.commit(first, snapshotUpdates(7, 2));
    assert.deepEqual(idsOf(second), [BIG, 7]);
    assert.deepEqual(await catalog.load(TABLE), second);
    assert.deepEqual(await catalog.list("app"), [TABLE]);
    const renamed = { namespace: "app", name: "notes__changes" };
    assert.deepEqual(await catalog.rename(TABLE, renamed), renamed);
    assert.deepEqual(await catalog.list("app"), [renamed]);
    await fails("conflict", catalog.rename(TABLE, renamed));
  }));

Deno.test("restCatalog asks for what a commit was made from", () =>
  withServer(async (server, open) => {
    const catalog = open();
    const base = await catalog.create(TABLE, METADATA);
    await catalog.commit(base, [
      ...snapshotUpdates(1, 1),
      { action: "set-snapshot-ref", "ref-name": "filling", type: "branch", "snapshot-id": 1 },
      { action: "set-properties", updates: { a: "b" } },
    ]);
    assert.deepEqual(JSON.parse(server.heard.at(-1)?.body ?? "").requirements, [
      { type: "assert-table-uuid", uuid: METADATA["table-uuid"] },
      { type: "assert-ref-snapshot-id", ref: "main", "snapshot-id": null },
      { type: "assert-ref-snapshot-id", ref: "filling", "snapshot-id": null },
      { type: "assert-current-schema-id", "current-schema-id": 0 },
    ]);
  }));

Deno.test("restCatalog tells a conflict when somebody else was first", () =>
  withServer(async (_, open) => {
    const catalog = open();
    const base = await catalog.create(TABLE, METADATA);
    await fails("conflict", catalog.create(TABLE, { ...METADATA, "table-uuid": "other" }));
    await catalog.commit(base, snapshotUpdates(1, 1));
    await fails("conflict", catalog.commit(base, snapshotUpdates(2, 2)));
    await fails(
      "conflict",
      catalog.commit(base, [{ action: "set-properties", updates: { a: "b" } }]),
    );
    const gone = { namespace: "app", name: "gone" };
    await fails("conflict", catalog.commit({ ...base, table: gone }, snapshotUpdates(3, 3)));
    const now = await catalog.load(TABLE);
    assert.deepEqual(now && idsOf(now), [1]);
    assert.equal(now?.metadata.properties?.a, undefined);
  }));

Deno.test("restCatalog tells a conflict of branches, and knows nothing of a refusal without a reason", () =>
  withServer(async (server, open) => {
    const catalog = open();
    const base = await catalog.create(TABLE, METADATA);
    const branch = (id: number): TableUpdate[] => [
      ...snapshotUpdates(id, id).slice(0, 1),
      { action: "set-snapshot-ref", "ref-name": "filling", type: "branch", "snapshot-id": id },
    ];
    await catalog.commit(base, branch(1));
    await fails("conflict", catalog.commit(base, branch(2)));
    once(server, "POST", "/tables/", { status: 409, body: '{"error":{"type":"Locked"}}' });
    await fails("unknown", catalog.commit(base, snapshotUpdates(3, 3)));
  }));

const LATE: readonly Fault[] = [
  "cut after",
  "done twice",
];
for (const fault of LATE) {
  Deno.test(`G10: restCatalog finds its commit when it was ${fault}`, () =>
    withServer(async (server, open) => {
      const catalog = open();
      once(server, "POST", "/tables/", fault);
      const base = await catalog.create(TABLE, METADATA);
      assert.equal(base.metadata["table-uuid"], METADATA["table-uuid"]);
      once(server, "POST", "/tables/", fault);
      const first = await catalog.commit(base, snapshotUpdates(1, 1));
      assert.deepEqual(idsOf(first), [1]);
      once(server, "POST", "/tables/", fault);
      const set = await catalog.commit(first, [{ action: "set-properties", updates: { a: "b" } }]);
      assert.equal(set.metadata.properties?.a, "b");
    }));
}

const UNSURE: readonly Fault[] = [
  "cut before",
  { status: 500 },
  { status: 502, body: "<html>" },
  { status: 503 },
  { status: 504 },
  { status: 200, body: "garbage" },
  { status: 200, body: '{"metadata":{"format-version":2}}' },
  { status: 200, body: "[]" },
];
for (const fault of UNSURE) {
  Deno.test(`G10: restCatalog does not know what became of a commit after ${JSON.stringify(fault)}`, () =>
    withServer(async (server, open) => {
      const catalog = open();
      // Not only once: a runtime sends again what was cut off on a connection it had before.
      const fail = ({ method, path }: Heard) =>
        method === "POST" && path.includes("/tables/") ? fault : undefined;
      server.fault = fail;
      await fails("unknown", catalog.create(TABLE, METADATA));
      server.fault = () => undefined;
      const base = await catalog.create(TABLE, METADATA);
      server.fault = fail;
      await fails("unknown", catalog.commit(base, snapshotUpdates(1, 1)));
      await fails(
        "unknown",
        catalog.commit(base, [{ action: "remove-properties", removals: ["lakesync.position"] }]),
      );
      server.fault = () => undefined;
      assert.deepEqual(idsOf(await catalog.commit(base, snapshotUpdates(1, 1))), [1]);
    }));
}

Deno.test("G10: restCatalog tells a conflict when a commit without an answer came too late", () =>
  withServer(async (server, open) => {
    const catalog = open();
    const base = await catalog.create(TABLE, METADATA);
    const other = open();
    server.fault = ({ method, body }) =>
      method === "POST" && body.includes("snap-2.avro") ? "cut before" : undefined;
    await other.commit(base, snapshotUpdates(1, 1));
    await fails("conflict", catalog.commit(base, snapshotUpdates(2, 2)));
  }));

Deno.test("G10: restCatalog does not know what became of a commit while it cannot look", () =>
  withServer(async (server, open) => {
    const catalog = open();
    const base = await catalog.create(TABLE, METADATA);
    server.fault = ({ method, path }) => {
      if (!path.includes("/tables/")) return undefined;
      return method === "POST" ? "cut after" : { status: 500 };
    };
    await fails("unknown", catalog.commit(base, snapshotUpdates(1, 1)));
    // A refusal may be the answer to the second of two.
    server.fault = ({ method, path }) => {
      if (!path.includes("/tables/")) return undefined;
      return method === "POST" ? "done twice" : "cut before";
    };
    const now = { ...base, metadata: { ...base.metadata, "current-snapshot-id": 1 } };
    await fails("unknown", catalog.commit(now, snapshotUpdates(2, 2)));
  }));

Deno.test("restCatalog leaves a busy catalog alone for as long as it asks", () => {
  const clock = { nowMs: 1_000_000 };
  return withServer(async (server, open) => {
    const catalog = open();
    const base = await catalog.create(TABLE, METADATA);
    for (const status of [429, 503]) {
      once(server, "POST", "/tables/", { status, headers: { "retry-after": "20" } });
      await fails("unreachable", catalog.commit(base, snapshotUpdates(1, 1)));
      const heard = server.heard.length;
      clock.nowMs += 19_000;
      await fails("unreachable", catalog.load(TABLE));
      assert.equal(server.heard.length, heard);
      clock.nowMs += 1_000;
      assert.deepEqual((await catalog.load(TABLE))?.metadata.snapshots ?? [], []);
    }
    once(server, "POST", "/tables/", { status: 429 });
    await fails("unreachable", catalog.commit(base, snapshotUpdates(1, 1)));
    assert.deepEqual(idsOf(await catalog.commit(base, snapshotUpdates(1, 1))), [1]);
  }, clock);
});

Deno.test("restCatalog asks for tokens, and for another before one expires", () => {
  const clock = { nowMs: 0 };
  return withServer(async (server, open) => {
    let given = 0;
    server.fault = ({ path }) =>
      path.endsWith("/oauth/tokens")
        ? {
          status: 200,
          body: JSON.stringify({ access_token: `token-${++given}`, expires_in: 3_600 }),
        }
        : undefined;
    const catalog = open({
      oauth2: { clientId: "gateway", clientSecret: "se&cret", scope: "all" },
    });
    await Promise.all([catalog.load(TABLE), catalog.load(TABLE), catalog.list("app")]);
    const [first] = server.heard;
    assert.equal(
      first?.body,
      "grant_type=client_credentials&client_id=gateway&client_secret=se%26cret&scope=all",
    );
    assert.equal(first?.authorization, undefined);
    clock.nowMs = 3_539_999;
    await catalog.load(TABLE);
    assert.equal(given, 1);
    clock.nowMs = 3_540_000;
    await catalog.load(TABLE);
    assert.equal(given, 2);
    assert.equal(server.heard.at(-1)?.authorization, "Bearer token-2");
  }, clock);
});

Deno.test("restCatalog asks for another token once when one is not taken", () =>
  withServer(async (server, open) => {
    let given = 0;
    let good = "token-2";
    server.fault = ({ path, authorization }) => {
      if (path.endsWith("/oauth/tokens")) {
        const body = JSON.stringify({ access_token: `token-${++given}` });
        return { status: 200, body };
      }
      const body = `{"error":{"type":"NotAuthorizedException","message":"Not ${authorization}"}}`;
      return authorization === `Bearer ${good}` ? undefined : { status: 401, body };
    };
    const catalog = open({ oauth2: { clientId: "gateway", clientSecret: "hush" } });
    const base = await catalog.create(TABLE, METADATA);
    assert.equal(given, 2);
    good = "token-4";
    const refused = await fails("refused", catalog.commit(base, snapshotUpdates(1, 1)));
    assert.equal(given, 3);
    assert.doesNotMatch(refused.message, /token-|hush/);
    assert.deepEqual(idsOf(await catalog.commit(base, snapshotUpdates(1, 1))), [1]);
  }));

Deno.test("restCatalog tells no secret", () =>
  withServer(async (server, open) => {
    server.fault = ({ path, body, authorization, header }) =>
      path.endsWith("/oauth/tokens")
        ? {
          status: 401,
          body: JSON.stringify({ error: "invalid_client", error_description: body }),
        }
        : {
          status: path.includes("config") ? 403 : 401,
          body: JSON.stringify({
            error: { message: `${authorization} ${header("x-key")}`, type: "No" },
          }),
        };
    const secrets = /hush|tok-en|k-e-y/;
    const asked = open({ oauth2: { clientId: "gateway", clientSecret: "hush" } });
    const first = await fails("refused", asked.load(TABLE));
    assert.match(first.message, /401 invalid_client/);
    assert.doesNotMatch(first.message, secrets);
    const given = open({ token: "tok-en", headers: { "x-key": "k-e-y" } });
    const second = await fails("refused", given.load(TABLE));
    assert.match(second.message, /403 No: Bearer … …/);
    assert.doesNotMatch(second.message, secrets);
    for (
      const options of [
        { uri: "ftp://catalog" },
        { uri: "http://hush@catalog" },
        { uri: "http://catalog", token: "hush", oauth2: { clientId: "a", clientSecret: "hush" } },
        { uri: "http://catalog", oauth2: { clientId: "", clientSecret: "hush" } },
      ]
    ) {
      assert.throws(
        () => restCatalog(options),
        (error) => error instanceof TypeError && !secrets.test(error.message),
      );
    }
  }));

Deno.test("restCatalog goes where the catalog's configuration says", () =>
  withServer(async (server, open) => {
    server.config = {
      defaults: { prefix: "from defaults" },
      overrides: { prefix: "arn%3Aaws/b c" },
    };
    const catalog = open({ warehouse: "de vices", prefix: "own", headers: { "x-key": "k" } });
    await catalog.create(TABLE, METADATA);
    assert.deepEqual(server.heard.map(({ method, path }) => `${method} ${path}`), [
      "GET /v1/config?warehouse=de%20vices",
      "GET /v1/arn%3Aaws/b%20c/namespaces/app",
      "POST /v1/arn%3Aaws/b%20c/namespaces",
      "POST /v1/arn%3Aaws/b%20c/namespaces/app/tables/todos__changes",
    ]);
    assert.ok(server.heard.every(({ header }) => header("x-key") === "k"));
    server.config = { defaults: { prefix: "usual" }, overrides: {} };
    await open({ uri: `${server.uri}/v1/` }).load(TABLE);
    assert.match(server.heard.at(-1)?.path ?? "", /^\/v1\/usual\/namespaces\/app\/tables\//);
  }));

Deno.test("restCatalog reads all pages of a list", () =>
  withServer(async (server, open) => {
    server.pageSize = 2;
    server.namespaces.add("app");
    for (const name of ["a", "b", "c", "d", "e"]) server.tables.set(`app.${name}`, METADATA);
    const names = (await open().list("app")).map(({ name }) => name);
    assert.deepEqual(names, ["a", "b", "c", "d", "e"]);
  }));

Deno.test("restCatalog tells a table that is not there from a catalog that is not", () =>
  withServer(async (server, open) => {
    const catalog = open();
    assert.equal(await catalog.load(TABLE), undefined);
    server.fault = () => ({ status: 404, body: "<html>Not found</html>" });
    await fails("refused", catalog.load(TABLE));
    await fails("refused", open().load(TABLE));
    server.fault = () => ({ status: 302, headers: { location: "/elsewhere" } });
    await fails("refused", catalog.load(TABLE));
    server.fault = () => ({ status: 200, body: "{" });
    await fails("unreachable", catalog.load(TABLE));
    server.fault = () => "cut before";
    await fails("unreachable", catalog.load(TABLE));
    server.fault = () => undefined;
    server.namespaces.add("app");
    server.tables.set("app.todos__changes", METADATA);
    const three = { ...METADATA, "format-version": 3 };
    server.fault = ({ path }) =>
      path.includes("/tables/")
        ? { status: 200, body: JSON.stringify({ metadata: three, "metadata-location": "x" }) }
        : undefined;
    assert.match((await fails("refused", catalog.load(TABLE))).message, /format version 3/);
  }));

Deno.test("restCatalog changes nothing while nobody listens, and gives up a silent catalog", async () => {
  let uri = "";
  await withServer(async (server, open) => {
    uri = server.uri;
    const catalog = open();
    const base = await catalog.create(TABLE, METADATA);
    const slow = open({ timeoutMs: 50 });
    await slow.load(TABLE);
    const { promise, resolve } = Promise.withResolvers<void>();
    const listening = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const silent = restCatalog({ uri: `http://127.0.0.1:${listening.addr.port}`, timeoutMs: 50 });
    const accepted = listening.accept().then(async (connection) => {
      await promise;
      connection.close();
    });
    await fails("unreachable", silent.load(TABLE));
    resolve();
    await accepted;
    listening.close();
    assert.equal(base.snapshot, undefined);
  });
  const nobody = restCatalog({ uri });
  const base = { table: TABLE, metadata: METADATA, metadataLocation: "", snapshot: undefined };
  await fails("unreachable", nobody.load(TABLE));
  await fails("unreachable", nobody.commit(base, snapshotUpdates(1, 1)));
});

Deno.test("restCatalog refuses a catalog that gives columns other numbers", () =>
  withServer(async (server, open) => {
    const catalog = open();
    server.fault = ({ method, path }) => {
      if (method !== "POST" || !path.includes("/tables/")) return undefined;
      const [schema] = METADATA.schemas;
      const fields = (schema?.fields ?? []).map((field, i) => ({ ...field, id: i + 1 }));
      const metadata = { ...METADATA, schemas: [{ ...schema, fields }] };
      return { status: 200, body: JSON.stringify({ metadata, "metadata-location": "x" }) };
    };
    const error = await fails("refused", catalog.create(TABLE, METADATA));
    assert.match(error.message, /other numbers/);
  }));
