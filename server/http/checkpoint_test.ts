import { DEFAULT_SERVER_LIMITS } from "../limits.ts";
import { MemoryRecords } from "../store/_memory_server_records.ts";
import assert from "node:assert/strict";
import { memoryObjects } from "@lakesync/adapters";
import { createAuthenticator } from "../auth/verify.ts";
import { DENO_ENVIRONMENT } from "../environment.ts";
import { checkpointSettings } from "../gateway/checkpoint_settings.ts";
import { openGateways } from "../gateway/open.ts";
import { type Frame, readFrame } from "../gateway/testing_checkpoint.ts";
import { memoryStores } from "../store/memory.ts";
import { SCHEMA, SECRET, type TestServer, tokenFor, withServer } from "../testing_server.ts";
import { createApp } from "./app.ts";

const PATH = "/v1/sync/default/checkpoint?clientId=phone&schemaVersion=1";

function inserts(count: number): object {
  const deltas = Array.from({ length: count }, (_, i) => ({
    op: "INSERT",
    table: "todos",
    rowId: `t${i}`,
    columns: { title: `Row ${i}`, done: false },
  }));
  const transactions = Array.from({ length: Math.ceil(count / 1_000) }, (_, i) => ({
    mutationId: i + 1,
    deltas: deltas.slice(i * 1_000, (i + 1) * 1_000),
  }));
  return { clientId: "writer", schemaVersion: 1, transactions };
}

async function framesOf(response: Response): Promise<Frame[]> {
  const bytes = new Uint8Array(await response.arrayBuffer());
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 5 + new DataView(bytes.buffer, at).getUint32(0);
    frames.push(await readFrame(bytes.slice(at, end)));
    at = end;
  }
  return frames;
}

function withRows(test: (server: TestServer) => Promise<void>): Promise<void> {
  return withServer(
    async (server) => {
      const { body } = await server.json("/v1/sync/default/push", {
        token: server.bob,
        body: inserts(9_000),
      });
      assert.equal(body["lastMutationId"], 9);
      await test(server);
    },
    true,
    true,
    { checkpointMinRows: 100 },
  );
}

Deno.test("checkpoint streams header, chunks and end, and pull goes on from its cursor", () =>
  withRows(async ({ request, json, alice }) => {
    const response = await request(PATH, { token: alice });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("Content-Type"), "application/vnd.lakesync.checkpoint");
    assert.equal(response.headers.get("Cache-Control"), "private, no-cache");
    assert.equal(response.headers.get("Accept-Ranges"), "chunks");
    const [header, ...rest] = await framesOf(response);
    const end = rest.pop();
    assert(header?.kind === "header" && end?.kind === "end");
    assert.equal(header.header.etag, response.headers.get("ETag"));
    assert.equal(header.header.totalRows, 9_000);
    assert.deepEqual(header.header.buckets, ["all"]);
    assert.match(header.header.seq, /^\d+$/);
    const rows = rest.flatMap((frame) => frame.kind === "chunk" ? frame.changes : []);
    assert.equal(rest.length, 2);
    assert.equal(new Set(rows.map(({ rowId }) => rowId)).size, 9_000);
    const tail = await json("/v1/sync/default/pull", {
      token: alice,
      body: { clientId: "phone", schemaVersion: 1, cursor: end.cursor },
    });
    assert.deepEqual(tail.body["changes"], []);
    assert.equal(tail.body["complete"], true);
  }));

Deno.test("checkpoint goes on at a chunk, and says 304 to who has it", () =>
  withRows(async ({ request, alice }) => {
    const whole = await request(PATH, { token: alice });
    const etag = whole.headers.get("ETag") ?? "";
    const frames = await framesOf(whole);
    const range = { "Range": "chunks=1-", "If-Range": etag };
    const part = await request(PATH, { token: alice, headers: range });
    assert.equal(part.status, 206);
    assert.equal(part.headers.get("Content-Range"), "chunks 1-/*");
    const [header, ...rest] = await framesOf(part);
    assert.equal(header?.kind, "header");
    assert.deepEqual(rest, frames.slice(2));
    for (
      const headers of [
        { "Range": "chunks=1-" },
        { "Range": "bytes=1-", "If-Range": etag },
        { "Range": "chunks=1-", "If-Range": '"other"' },
      ] as Record<string, string>[]
    ) {
      const again = await request(PATH, { token: alice, headers });
      assert.equal(again.status, 200);
      assert.equal((await framesOf(again)).length, frames.length);
    }
    const known = await request(PATH, { token: alice, headers: { "If-None-Match": etag } });
    assert.equal(known.status, 304);
    assert.equal(await known.text(), "");
  }));

Deno.test("checkpoint refuses with typed errors, other methods with 405, and answers HEAD", () =>
  withServer(async ({ request, json, alice }) => {
    const refusals: [string, string | undefined, string][] = [
      [PATH, undefined, "AUTH_ERROR"],
      ["/v1/sync/default/checkpoint", alice, "VALIDATION_ERROR"],
      [`${PATH}x`, alice, "VALIDATION_ERROR"],
      ["/v1/sync/none/checkpoint?clientId=a", alice, "FORBIDDEN"],
      ["/v1/sync/a%20b/checkpoint?clientId=a", alice, "VALIDATION_ERROR"],
    ];
    for (const [path, token, code] of refusals) {
      const { body } = await json(path, token === undefined ? {} : { token });
      assert.equal(body["code"], code, path);
    }
    const post = await request(PATH, { token: alice, method: "POST" });
    assert.equal(post.status, 405);
    assert.equal(post.headers.get("Allow"), "GET");
    await post.body?.cancel();
    const head = await request(PATH, { token: alice, method: "HEAD" });
    assert.equal(head.status, 200);
    assert(head.headers.has("ETag"));
    await head.body?.cancel();
  }));

Deno.test("G11: a chunk is read when the one before was taken, and none after the reader has gone", async () => {
  const objects = memoryObjects();
  const { getObject } = objects;
  let reads = 0;
  objects.getObject = (key) => {
    if (key.endsWith(".gz")) reads++;
    return getObject.call(objects, key);
  };
  const checkpoints = checkpointSettings(objects, { minRows: 2, chunkRows: 2 });
  const gateways = openGateways(memoryStores(), {
    ...DENO_ENVIRONMENT,
    openAccess: true,
    checkpoints,
  });
  const gateway = await gateways.create("default");
  await gateway.putSchema(SCHEMA);
  const stopping = new AbortController();
  const timers = new Set<() => void>();
  const setTimer = (_ms: number, expire: () => void) => {
    timers.add(expire);
    return () => void timers.delete(expire);
  };
  const app = createApp({
    clock: { now: () => 0, setTimer },
    gateways,
    authenticator: createAuthenticator({ secrets: [SECRET] }),
    live: { count: () => 0, accept: () => Promise.reject(new Error("No live connections")) },
    phase: () => "ready",
    limits: DEFAULT_SERVER_LIMITS,
    records: new MemoryRecords(),
    audit: new ServerAudit(new MemoryRecords()),
    stopping: stopping.signal,
  });
  const headers = {
    "Authorization": `Bearer ${await tokenFor("alice")}`,
    "Content-Type": "application/json",
  };
  const url = "http://localhost/v1/sync/default";
  const body = JSON.stringify(inserts(20));
  await app(new Request(`${url}/push`, { method: "POST", headers, body }));
  const sent = Promise.withResolvers<void>();
  const open = async () => {
    const request = new Request(`${url}/checkpoint?clientId=c`, { headers });
    const response = await app(request, { ip: "", completed: sent.promise });
    return response.body?.getReader() ?? assert.fail("There is no body");
  };
  const reader = await open();
  for (let frame = 0; frame < 4; frame++) {
    assert.equal((await reader.read()).done, false);
    await new Promise((resolve) => setTimeout(resolve, 1));
    assert.equal(reads, frame);
  }
  await reader.cancel();
  assert.equal(reads, 3);
  sent.resolve();
  await app.requests.underWay().ended;
  const another = Promise.withResolvers<void>();
  sent.promise = another.promise;
  const other = await open();
  await other.read();
  stopping.abort();
  assert.equal((await other.read()).done, false, "what is under way goes on");
  assert.equal(app.requests.active, 1);
  for (const expire of timers) expire();
  await assert.rejects(other.read(), { code: "TIMEOUT" });
  await app.requests.underWay().ended;
  await gateways.close();
});
import { ServerAudit } from "../audit/server_audit.ts";
