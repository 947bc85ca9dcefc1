import type { RulesSpec } from "@lakesync/core";
import assert from "node:assert/strict";
import { MemoryRecords } from "../store/_memory_server_records.ts";
import type { RecordBatch } from "../store/records.ts";
import { memoryStores } from "../store/memory.ts";
import { SCHEMA, type TestServer, tokenFor, withServer } from "../testing_server.ts";
import { AUDIT_ACTION_OF } from "./audited.ts";
import { OPERATIONS } from "./openapi_operations.ts";
import { ROUTES } from "./routes.ts";

const RULES: RulesSpec = {
  buckets: [{
    name: "mine",
    tables: ["todos"],
    filters: [{ column: "title", op: "eq", value: "jwt:sub" }],
  }],
};

/** All routes as path, method and operation. */
const EVERY_ROUTE = Object.entries(ROUTES).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation }))
);

type Entry = Readonly<Record<string, unknown>> & { readonly who: { readonly sub?: string } };

async function read({ json, admin }: TestServer, query = "", token = admin): Promise<Entry[]> {
  const { status, body } = await json(`/v1/admin/audit?${query}`, { token });
  assert.equal(status, 200, JSON.stringify(body));
  return body["entries"] as Entry[];
}

Deno.test("every operation of an admin is an action of the audit log, and no other is", () => {
  for (const { method, operation } of EVERY_ROUTE) {
    const action = AUDIT_ACTION_OF[operation];
    assert.equal(action !== null, OPERATIONS[operation].access === "admin", operation);
    if (action === "admin.read") assert.equal(method, "GET", `${operation} changes something`);
  }
});

Deno.test("the audit log is told of every admin route that is refused to a client", () =>
  withServer(async (server) => {
    const { request, alice } = server;
    for (const { path, method, operation } of EVERY_ROUTE) {
      if (AUDIT_ACTION_OF[operation] === null) continue;
      const requestId = `try-${operation}`;
      const response = await request(path.replaceAll(/\{\w+\}/g, "default"), {
        method,
        token: alice,
        headers: { "X-Request-Id": requestId },
      });
      await response.body?.cancel();
      assert.equal(response.status, 403, operation);
      const [entry] = await read(server, "limit=1");
      assert.equal(entry?.["requestId"], requestId, operation);
      assert.equal(entry["what"], AUDIT_ACTION_OF[operation]);
      assert.equal(entry["outcome"], "refused");
      assert.equal(entry["code"], "FORBIDDEN");
      assert.deepEqual(entry.who, { sub: "alice", role: "client" });
      if (path.includes("gatewayId")) assert.equal(entry["gatewayId"], "default");
    }
  }));

Deno.test("the audit log says who changed what, and nothing of tokens and values", async () => {
  const stores = memoryStores();
  await withServer(
    async (server) => {
      const { request, json, admin } = server;
      const put = async (path: string, method: string, body?: object) => {
        const headers = { "X-Request-Id": `${method}${path}` };
        const response = await request(path, {
          method,
          token: admin,
          headers,
          ...(body && { body }),
        });
        await response.body?.cancel();
        return response.status;
      };
      await json("/v1/sync/default/push", {
        token: admin,
        body: {
          clientId: "phone-1",
          transactions: [{
            mutationId: 1,
            deltas: [{
              op: "INSERT",
              table: "todos",
              rowId: "secret-row",
              columns: { title: "secret-value" },
            }],
          }],
        },
      });
      const wider = structuredClone({ ...SCHEMA, version: 2 });
      Object.assign(wider.tables.todos.columns, { due: "date" });
      assert.equal(await put("/v1/admin/schema/default", "PUT", wider), 200);
      assert.equal(await put("/v1/admin/schema/default", "PUT", { ...SCHEMA, version: 3 }), 422);
      assert.equal(await put("/v1/admin/sync-rules/default", "PUT", RULES), 200);
      const others = { buckets: [{ name: "mine", tables: ["todos"], filters: [] }] };
      assert.equal(await put("/v1/admin/sync-rules/default", "PUT", others), 200);
      assert.equal(await put("/v1/admin/flush/default", "POST"), 200);
      assert.equal(
        await put("/v1/admin/sync-rules/default/explain", "POST", {
          claims: { sub: "bob", secret: "secret-claim" },
          table: "todos",
          rowId: "secret-row",
        }),
        200,
      );
      assert.equal(await put("/v1/admin/flush/nowhere", "POST"), 404);

      const entries = await read(server);
      assert.deepEqual(entries.map(({ what, outcome }) => `${what} ${outcome}`), [
        "flush.force refused",
        "rules.explain done",
        "flush.force done",
        "rules.put done",
        "rules.put done",
        "schema.put refused",
        "schema.put done",
        "schema.put done",
        "server.start done",
      ]);
      for (const entry of entries.slice(0, -1)) {
        assert.deepEqual(entry.who, { sub: "root", role: "admin" });
        assert.equal(entry["ip"], "127.0.0.1");
        assert.match(String(entry["at"]), /^20\d\d-\d\d-\d\dT[\d:.]+Z$/);
      }
      assert.equal(entries[0]?.["gatewayId"], "nowhere");
      assert.equal(entries[0]?.["code"], "NOT_FOUND");
      assert.deepEqual(entries[1]?.["details"], { table: "todos", user: "bob" });
      const rules = entries[3]?.["details"] as Record<string, unknown>;
      assert.deepEqual(rules["changed"], ["mine"]);
      assert.equal(rules["writeRulesChanged"], false);
      const first = entries[4]?.["details"] as Record<string, unknown>;
      assert.equal(rules["before"], first["hash"]);
      assert.deepEqual([first["added"], first["before"]], [["mine"], undefined]);
      const schema = entries[6]?.["details"] as Record<string, unknown>;
      assert.deepEqual([schema["before"], schema["version"]], [1, 2]);

      const kept = await stores.records.list({ from: "", to: "\u{10ffff}", limit: 1_000 });
      const text = JSON.stringify(kept);
      assert.doesNotMatch(text, /secret-(row|value|claim)|eyJ|jwt:sub/);
    },
    true,
    true,
    { stores },
  );
});

Deno.test("GET /v1/admin/audit tells an admin of one gateway of that one only", () =>
  withServer(async (server) => {
    const { request, json, admin } = server;
    for (const id of ["notes", "other", "notes"]) {
      await (await request(`/v1/admin/schema/${id}`, { method: "PUT", token: admin, body: SCHEMA }))
        .body?.cancel();
    }
    const own = await tokenFor("ann", "notes", "admin");
    const gateways = (entries: Entry[]) => entries.map(({ gatewayId }) => gatewayId);
    assert.deepEqual(gateways(await read(server, "", own)), ["notes", "notes"]);
    assert.deepEqual(gateways(await read(server, "gateway=notes", own)), ["notes", "notes"]);
    assert.deepEqual(gateways(await read(server, "gateway=other")), ["other"]);
    const { status, body } = await json("/v1/admin/audit?gateway=other", { token: own });
    assert.deepEqual([status, body["code"]], [403, "FORBIDDEN"]);
  }));

Deno.test("GET /v1/admin/audit is filtered, paged and refused as it says", () =>
  withServer(async (server) => {
    const { request, json, admin, alice } = server;
    for (let i = 0; i < 3; i++) {
      await (await request("/v1/admin/flush/default", { token: admin, method: "POST" })).body
        ?.cancel();
    }
    const all = await read(server);
    assert.equal(all.length, 5);
    assert.equal((await read(server, "what=flush.force")).length, 3);
    assert.equal((await read(server, "who=server")).length, 1);
    assert.deepEqual(await read(server, "who=nobody"), []);
    const third = String(all[2]?.["at"]);
    assert.deepEqual(
      await read(server, `from=${third}`),
      all.filter(({ at }) => String(at) >= third),
    );
    assert.deepEqual(
      await read(server, `to=${third.replace("Z", "%2B00:00")}`),
      all.filter(({ at }) => String(at) < third),
    );
    const pages: Entry[] = [];
    let cursor = "";
    for (let page = 0; page < 5 && cursor !== "end"; page++) {
      const { body } = await json(`/v1/admin/audit?limit=2${cursor}`, { token: admin });
      pages.push(...body["entries"] as Entry[]);
      cursor = body["cursor"] === undefined ? "end" : `&cursor=${body["cursor"]}`;
    }
    assert.deepEqual(pages, all);

    const wrong = ["limit=0", "limit=x", "from=yesterday", "to=2026-01-31", "what=x", "cursor=x"];
    for (const query of [...wrong, "gateway=/", "from=2026-13-01T00:00:00Z"]) {
      const { status, body } = await json(`/v1/admin/audit?${query}`, { token: admin });
      assert.deepEqual([status, body["code"]], [400, "VALIDATION_ERROR"], query);
    }
    assert.equal((await json("/v1/admin/audit", { token: alice })).status, 403);
    assert.equal((await json("/v1/admin/audit")).status, 401);
    for (const method of ["DELETE", "PUT", "POST", "PATCH"]) {
      const response = await request("/v1/admin/audit", { method, token: admin });
      await response.body?.cancel();
      assert.equal(response.status, 405, method);
    }
  }));

Deno.test("what the configuration file changes is in the audit log, once", async () => {
  const stores = memoryStores();
  const more = { stores, gateways: { notes: { schema: SCHEMA, rules: RULES } } } as const;
  for (const expected of [2, 2]) {
    await withServer(
      async (server) => {
        const entries = await read(server, "who=configuration&gateway=notes");
        assert.deepEqual(entries.map(({ what }) => what), ["rules.put", "schema.put"]);
        assert.equal(entries.length, expected);
      },
      false,
      true,
      more,
    );
  }
  const keys = await stores.records.list({ from: "audit/", to: "audit0", limit: 100 });
  const acts = keys.map(({ value }) => JSON.parse(value).what);
  assert.deepEqual(acts, [
    "schema.put",
    "rules.put",
    "server.start",
    "server.stop",
    "server.start",
    "server.stop",
  ]);
});

/** Records that fail as a full disk does. */
class FullRecords extends MemoryRecords {
  /** What begins with this cannot be written. */
  full: string | undefined;

  override async commit(batch: RecordBatch): Promise<boolean> {
    const { full } = this;
    if (full !== undefined && batch.set?.some(({ key }) => key.startsWith(full))) {
      throw new Error("The disk is gone");
    }
    return await super.commit(batch);
  }
}

Deno.test("an admin's answer waits for the audit log, clients go on without it", async () => {
  const records = new FullRecords();
  const stores = Object.assign(memoryStores(), { records });
  await withServer(
    async ({ request, json, admin, alice }) => {
      records.full = "";
      const flush = await json("/v1/admin/flush/default", { token: admin, method: "POST" });
      assert.deepEqual([flush.status, flush.body["code"]], [500, "INTERNAL_ERROR"]);
      const refused = await json("/v1/admin/flush/default", { token: alice, method: "POST" });
      assert.equal(refused.status, 403);
      const pull = await request("/v1/sync/default/pull?clientId=phone-1", { token: alice });
      await pull.body?.cancel();
      assert.equal(pull.status, 200);
    },
    true,
    true,
    { stores },
  );
});

Deno.test("an answer that is given again is no new entry, and is of one that is there", () =>
  withServer(async (server) => {
    const { request, admin } = server;
    const post = async (path: string, key: string) => {
      const response = await request(path, {
        method: "POST",
        token: admin,
        headers: { "Idempotency-Key": key },
      });
      await response.body?.cancel();
      return [response.status, response.headers.get("Idempotency-Replayed")];
    };
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => post("/v1/admin/flush/default", "k1")),
    );
    assert.deepEqual(answers.toSorted(), [
      [200, null],
      ...Array.from({ length: 4 }, () => [200, "true"]),
    ]);
    assert.deepEqual(await post("/v1/admin/flush/nowhere", "k2"), [404, null]);
    assert.deepEqual(await post("/v1/admin/flush/nowhere", "k2"), [404, "true"]);
    const entries = await read(server, "what=flush.force");
    assert.deepEqual(entries.map(({ outcome }) => outcome), ["refused", "done"]);
  }));

Deno.test("no answer is kept of what could not be written to the audit log", async () => {
  const records = new FullRecords();
  const stores = Object.assign(memoryStores(), { records });
  await withServer(
    async ({ json, admin }) => {
      const flush = () =>
        json("/v1/admin/flush/default", {
          token: admin,
          method: "POST",
          headers: { "Idempotency-Key": "k1" },
        });
      records.full = "audit/";
      assert.equal((await flush()).status, 500);
      records.full = undefined;
      assert.equal((await flush()).status, 200);
      const entries = await records.list({ from: "audit/", to: "audit0", limit: 100 });
      const events = entries.map(({ value }) => JSON.parse(value));
      const flushes = events.filter(({ what }) => what === "flush.force");
      assert.deepEqual(flushes.map(({ outcome }) => outcome), ["done"]);
    },
    true,
    true,
    { stores },
  );
});
