import { Hono } from "@hono/hono";
import { LakeSyncError } from "@lakesync/core";
import assert from "node:assert/strict";
import { ServerAudit } from "../audit/server_audit.ts";
import { DEFAULT_SERVER_LIMITS } from "../limits.ts";
import { MemoryRecords } from "../store/_memory_server_records.ts";
import type { RecordBatch, RecordStore } from "../store/records.ts";
import { ByteBudget } from "./budget.ts";
import type { Env, Handler, ServerContext } from "./context.ts";
import { Deadline } from "./deadline.ts";
import { commitWithAnswer, idempotent } from "./idempotency.ts";
import { replyError } from "./reply.ts";
import { RequestScope } from "./request_scope.ts";

const fail = () => Promise.reject(new Error("There is none"));

function contextOf(records: RecordStore): ServerContext {
  return {
    gateways: { get: fail, create: fail, list: fail, close: fail },
    authenticator: {
      verify: () =>
        Promise.resolve({ sub: "root", gw: "*", role: "admin", endsMs: Infinity, claims: {} }),
    },
    live: { count: () => 0, accept: fail },
    limits: DEFAULT_SERVER_LIMITS,
    records,
    audit: new ServerAudit(new MemoryRecords()),
    phase: () => "ready",
    stopping: new AbortController().signal,
  };
}

/** Sends a POST with a key to a handler, as a server does. */
function sender(context: ServerContext, handler: Handler): (key: string) => Promise<Response> {
  const app = new Hono<Env>();
  app.post("/x", idempotent(context, "POST", "flush", handler));
  app.onError((error, c) => replyError(c.req.raw, error, "r"));
  return async (key) => {
    const headers = { Authorization: "Bearer x", "Idempotency-Key": key };
    const request = new Request("http://host/x", { method: "POST", headers });
    const deadline = new Deadline(60_000);
    const scope = new RequestScope({ id: "r", request, ip: "", deadline });
    try {
      return await app.fetch(request, { scope, lease: new ByteBudget().lease() });
    } finally {
      deadline.end();
    }
  };
}

/** Counts in the records, and answers with the count; tries again when somebody else counted. */
function counting(context: ServerContext): Handler {
  return async (c) => {
    for (;;) {
      const record = await context.records.get("count");
      const count = Number(record?.value ?? 0) + 1;
      const batch: RecordBatch = {
        checks: [{ key: "count", version: record?.version ?? null }],
        set: [{ key: "count", value: String(count) }],
      };
      const done = await commitWithAnswer(context, c, batch, Response.json({ count }));
      if (done !== undefined) return done;
    }
  };
}

Deno.test("G2: commitWithAnswer has an effect and its answer in one commit, or neither", async () => {
  const records = new MemoryRecords();
  let dies = true;
  const dying: RecordStore = {
    shared: false,
    get: (key) => records.get(key),
    list: (range) => records.list(range),
    commit: async (batch) => {
      const committed = await records.commit(batch);
      if (!batch.set?.some(({ key }) => key === "count") || !dies) return committed;
      dies = false;
      throw new Error("The process is gone");
    },
  };
  const first = contextOf(dying);
  const lost = await sender(first, counting(first))("k");
  assert.equal(lost.status, 500);
  // Another process finds both: what was done is not done again.
  const next = contextOf(records);
  const send = sender(next, counting(next));
  const again = await send("k");
  assert.equal(again.headers.get("Idempotency-Replayed"), "true");
  assert.deepEqual(await again.json(), { count: 1 });
  assert.equal((await records.get("count"))?.value, "1");
  // Keys of their own count on, also all at once.
  const counts = await Promise.all(
    ["a", "b", "a", "b"].map(async (key) => (await (await send(key)).json()).count),
  );
  assert.equal(counts[0], counts[2]);
  assert.equal(counts[1], counts[3]);
  assert.equal((await records.get("count"))?.value, "3");
});

Deno.test("a handler that fails lets go of the key, also when the records fail", async () => {
  const records = new MemoryRecords();
  const context = contextOf(records);
  let calls = 0;
  const send = sender(context, () => {
    if (++calls === 1) throw new LakeSyncError("BACKPRESSURE", "Not now");
    return Response.json({ calls });
  });
  assert.equal((await send("k")).status, 503);
  assert.deepEqual(await (await send("k")).json(), { calls: 2 });
  const commit = records.commit.bind(records);
  const failing = sender(context, () => {
    records.commit = () => Promise.reject(new Error("The disk is full"));
    return Response.json({});
  });
  assert.equal((await failing("l")).status, 500);
  records.commit = commit;
  assert.deepEqual(await (await send("l")).json(), { calls: 3 });
});
