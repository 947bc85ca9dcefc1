import { LakeSyncError } from "@lakesync/core";
import assert from "node:assert/strict";
import { ServerAudit } from "../audit/server_audit.ts";
import { createAuthenticator } from "../auth/verify.ts";
import { DENO_ENVIRONMENT } from "../environment.ts";
import { openGateways } from "../gateway/open.ts";
import { createApp } from "../http/app.ts";
import type { PressureGate } from "../http/gates.ts";
import { DEFAULT_SERVER_LIMITS } from "../limits.ts";
import { MemoryRecords } from "../store/_memory_server_records.ts";
import { memoryStores } from "../store/memory.ts";
import { LiveClient } from "../testing_live.ts";
import { insert, SCHEMA, SECRET, tokenFor } from "../testing_server.ts";
import { LiveHub } from "./hub.ts";
import { RawPeer } from "./testing_peer.ts";

/** A hub behind HTTP, and a memory that tests hold in their hands. */
interface Bench {
  readonly hub: LiveHub;
  readonly url: string;
  readonly memory: { isShort: boolean };
}

async function withHub(test: (bench: Bench) => Promise<void>): Promise<void> {
  const gateways = openGateways(memoryStores(), { ...DENO_ENVIRONMENT, openAccess: true });
  await gateways.create("default");
  const memory = { isShort: false };
  const pressure: PressureGate = {
    get isHigh() {
      return memory.isShort;
    },
    freeBytes: 1e9,
    check: () => {
      if (memory.isShort) throw new LakeSyncError("BACKPRESSURE", "Short");
    },
  };
  const records = new MemoryRecords();
  const context = {
    gateways,
    authenticator: createAuthenticator({ secrets: [SECRET] }),
    phase: () => "ready" as const,
    limits: DEFAULT_SERVER_LIMITS,
    records,
    audit: new ServerAudit(records),
    stopping: new AbortController().signal,
    pressure,
  };
  const hub = new LiveHub(context);
  const app = createApp({ ...context, live: hub });
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request, { remoteAddr: peer }) => app(request, { ip: peer.hostname, peer }),
  );
  const url = `http://127.0.0.1:${server.addr.port}`;
  try {
    await test({ hub, url, memory });
  } finally {
    await hub.drain(100);
    await server.shutdown();
    await gateways.close();
  }
}

async function connect(url: string, sub: string, clientId: string): Promise<LiveClient> {
  const client = await LiveClient.open(url, "default", await tokenFor(sub));
  client.send({ hello: { clientId, schemaVersion: 1 } });
  await client.frame("welcome");
  const { cursor } = await client.frame("changes");
  client.send({ ack: { cursor } });
  return client;
}

Deno.test("endWhere ends those it is meant for with the close that goes with the error", () =>
  withHub(async ({ hub, url }) => {
    const phone = await connect(url, "alice", "phone");
    const laptop = await connect(url, "alice", "laptop");
    const bob = await connect(url, "bob", "tablet");
    const forbidden = new LakeSyncError("FORBIDDEN", "The device is kept out");
    assert.equal(hub.endWhere(({ clientId }) => clientId === "phone", forbidden), 1);
    assert.equal(hub.count("default"), 2);
    assert.equal((await phone.frame("error")).code, "FORBIDDEN");
    assert.equal(await phone.closed, 4403);
    const ended = new LakeSyncError("AUTH_ERROR", "The key is not trusted any more");
    const ofAlice = hub.endWhere(
      ({ gatewayId, sub, token }) =>
        gatewayId === "default" && sub === token.claims["sub"] && sub === "alice",
      ended,
    );
    assert.equal(ofAlice, 1);
    assert.equal((await laptop.frame("error")).code, "AUTH_ERROR");
    assert.equal(await laptop.closed, 4401);
    bob.send({ ping: {} });
    await bob.frame("pong");
    await bob.close();
  }));

Deno.test("G11: drain counts who answered the close and who was cut, and lets nobody in after it", () =>
  withHub(async ({ hub, url }) => {
    const clients = [await connect(url, "alice", "phone"), await connect(url, "bob", "tablet")];
    const deaf = await RawPeer.open(url, await tokenFor("carol"));
    const drained = hub.drain(200);
    for (const client of clients) {
      await client.frame("draining");
      assert.equal(await client.closed, 1012);
    }
    assert.deepEqual(await drained, { closed: 2, cut: 1 });
    await deaf.ended();
    deaf.close();
    const late = await LiveClient.open(url, "default", await tokenFor("late"));
    await late.frame("draining");
    assert.equal(await late.closed, 1012);
  }));

Deno.test("G11: while memory is short, handshakes and pushes are refused and pages wait", () =>
  withHub(async ({ url, memory }) => {
    const admin = await tokenFor("root", "*", "admin");
    const put = await fetch(`${url}/v1/admin/schema/default`, {
      method: "PUT",
      headers: { "Authorization": `Bearer ${admin}`, "Content-Type": "application/json" },
      body: JSON.stringify(SCHEMA),
    });
    await put.body?.cancel();
    const phone = await connect(url, "alice", "phone");
    memory.isShort = true;
    const refused = await RawPeer.open(url, await tokenFor("bob"));
    assert.equal(refused.status, 503);
    assert.match(refused.head, /^retry-after: \d/im);
    refused.close();
    phone.send({ push: insert("phone", 1, "t1") });
    assert.equal((await phone.frame("error")).code, "BACKPRESSURE");
    memory.isShort = false;
    phone.send({ push: insert("phone", 1, "t1") });
    assert.equal((await phone.frame("pushResult")).lastMutationId, 1);
    const { cursor } = await phone.frame("changes");
    memory.isShort = true;
    phone.send({ ack: { cursor } });
    phone.send({ pull: { clientId: "phone" } });
    phone.send({ ping: {} });
    await phone.frame("pong");
    assert.equal(phone.waiting, 0);
    memory.isShort = false;
    assert.equal((await phone.frame("changes")).changes.length, 1);
    await phone.close();
  }));
