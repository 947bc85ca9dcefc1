import assert from "node:assert/strict";
import type { ServerLimits } from "../limits.ts";
import { LiveClient } from "../testing_live.ts";
import { insert, type TestServer, withServer } from "../testing_server.ts";
import { RawPeer } from "./testing_peer.ts";

const HELLO = { hello: { clientId: "phone", schemaVersion: 1 } };

function limited(
  limits: Partial<ServerLimits>,
  test: (server: TestServer) => Promise<void>,
): Promise<void> {
  return withServer(test, true, true, { limits });
}

async function connections({ json, admin }: TestServer): Promise<unknown> {
  const { body } = await json("/v1/admin/stats/default", { token: admin });
  return body["connections"];
}

/** Resolves when there are so many connections. */
async function untilConnections(server: TestServer, count: number): Promise<void> {
  while (await connections(server) !== count) await new Promise((resolve) => setTimeout(resolve));
}

async function handshake(url: string, token: string): Promise<string> {
  const peer = await RawPeer.open(url, token);
  peer.close();
  const after = /^retry-after: (\d+)/im.exec(peer.head)?.[1];
  return `${peer.status} ${after}`;
}

Deno.test("G11: a connection too many is refused, of a user and of all", () =>
  limited({ maxConnections: 3, maxUserConnections: 2 }, async (server) => {
    const { url, alice, bob } = server;
    const first = await LiveClient.open(url, "default", alice);
    const clients = [first, await LiveClient.open(url, "default", alice)];
    assert.match(await handshake(url, alice), /^429 \d/);
    clients.push(await LiveClient.open(url, "default", bob));
    assert.match(await handshake(url, bob), /^503 \d/);
    await first.close();
    await untilConnections(server, 2);
    clients.push(await LiveClient.open(url, "default", alice));
    for (const client of clients.slice(1)) await client.close();
  }));

Deno.test("G11: more messages than the rate are closed with 1008, after an error frame", () =>
  limited({ maxMessagesPerSecond: 10 }, async ({ url, alice }) => {
    const client = await LiveClient.open(url, "default", alice);
    client.send(HELLO);
    const { limits } = await client.frame("welcome");
    assert.equal(limits.maxMessagesPerSecond, 10);
    await client.frame("changes");
    for (let i = 0; i < 10; i++) client.send({ ping: {} });
    for (let i = 0; i < 9; i++) await client.frame("pong");
    assert.equal((await client.frame("error")).code, "RATE_LIMITED");
    assert.equal(await client.closed, 1008);
  }));

Deno.test("G11: acknowledgements of what was sent are no messages, others are", () =>
  limited({ maxMessagesPerSecond: 5 }, async ({ url, alice, json }) => {
    const client = await LiveClient.open(url, "default", alice);
    client.send(HELLO);
    await client.frame("welcome");
    for (let i = 1; i <= 50; i++) {
      const { cursor } = await client.frame("changes");
      client.send({ ack: { cursor } });
      await json("/v1/sync/default/push", { token: alice, body: insert("laptop", i, `t${i}`) });
    }
    const { cursor } = await client.frame("changes");
    for (let i = 0; i < 6; i++) client.send({ ack: { cursor: `${cursor}x` } });
    assert.equal((await client.frame("error")).code, "RATE_LIMITED");
    assert.equal(await client.closed, 1008);
  }));

Deno.test("G11: the place of a peer that answers no close is free at once, its socket soon", () =>
  limited({ maxUserConnections: 1 }, async (server) => {
    const { url, alice } = server;
    const deaf = await RawPeer.open(url, alice);
    await deaf.send({ ping: {} });
    const refusal = await deaf.frame();
    assert.ok(typeof refusal === "object" && "error" in refusal);
    assert.equal(await deaf.frame(), 4400);
    // It holds its end open.
    assert.equal(await connections(server), 0);
    const next = await LiveClient.open(url, "default", alice);
    await deaf.ended();
    await next.close();
    deaf.close();
  }));
