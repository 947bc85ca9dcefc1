import { DEFAULT_SERVER_LIMITS } from "../limits.ts";
import { MemoryRecords } from "../store/_memory_server_records.ts";
import { LakeSyncError } from "@lakesync/core";
import assert from "node:assert/strict";
import { createAuthenticator } from "../auth/verify.ts";
import { DENO_ENVIRONMENT } from "../environment.ts";
import { openGateways } from "../gateway/open.ts";
import { replyError } from "../http/reply.ts";
import { RequestScope } from "../http/request_scope.ts";
import { memoryStores } from "../store/memory.ts";
import { LiveClient } from "../testing_live.ts";
import { SECRET, tokenFor } from "../testing_server.ts";
import { LiveHub } from "./hub.ts";

Deno.test("G11 LiveHub refuses a connection too many, of a user and of all", async () => {
  const gateways = openGateways(memoryStores(), { ...DENO_ENVIRONMENT, openAccess: true });
  await gateways.create("default");
  const hub = new LiveHub({
    gateways,
    authenticator: createAuthenticator({ secrets: [SECRET] }),
    phase: () => "ready",
    limits: DEFAULT_SERVER_LIMITS,
    records: new MemoryRecords(),
    stopping: new AbortController().signal,
  }, { connections: 3, userConnections: 2 });
  const refusals: unknown[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (r) => {
    try {
      const { signal } = r;
      const scope = new RequestScope({ id: "r1", request: r, ip: "", signal });
      return await hub.accept(scope, "default");
    } catch (error) {
      const response = replyError(r, error, "r1");
      assert.ok(error instanceof LakeSyncError);
      refusals.push([response.status, error.code, response.headers.get("Retry-After")]);
      return response;
    }
  });
  const url = `http://127.0.0.1:${server.addr.port}`;
  const open = async (sub: string) => LiveClient.open(url, "default", await tokenFor(sub));
  const first = await open("alice");
  const clients = [first, await open("alice")];
  await assert.rejects(open("alice"), /refused/);
  clients.push(await open("bob"));
  await assert.rejects(open("bob"), /refused/);
  assert.deepEqual(refusals, [[429, "RATE_LIMITED", "5"], [503, "BACKPRESSURE", "5"]]);
  await first.close();
  while (hub.count("default") > 2) await new Promise((resolve) => setTimeout(resolve, 1));
  clients.push(await open("alice"));
  for (const client of clients.slice(1)) await client.close();
  await server.shutdown();
  await gateways.close();
});
