import { decodeServerFrame, encodeClientFrame } from "@lakesync/core";
import assert from "node:assert/strict";
import { LiveClient } from "../testing_live.ts";
import { insert, type TestServer, tokenFor, withServer } from "../testing_server.ts";

const HELLO = { hello: { clientId: "phone", schemaVersion: 1 } };

async function connections({ json, admin }: TestServer): Promise<unknown> {
  const { body } = await json("/v1/admin/stats/default", { token: admin });
  return body["connections"];
}

Deno.test("a commit of one client reaches another as it happens", () =>
  withServer(async (server) => {
    const phone = await LiveClient.open(server.url, "default", server.alice);
    const laptop = await LiveClient.open(server.url, "default", server.bob);
    assert.equal(phone.protocol, "lakesync.v1+json");
    phone.send(HELLO);
    const welcome = await phone.frame("welcome");
    assert.equal(welcome.limits.maxPushTransactions, 1000);
    const first = await phone.frame("changes");
    phone.send({ ack: { cursor: first.cursor } });
    laptop.send({ hello: { clientId: "laptop", schemaVersion: 1 } });
    await laptop.frame("welcome");
    await laptop.frame("changes");
    assert.equal(await connections(server), 2);

    laptop.send({ push: insert("laptop", 1, "t1") });
    assert.equal((await laptop.frame("pushResult")).lastMutationId, 1);
    const { changes, complete, cursor } = await phone.frame("changes");
    assert.equal(complete, true);
    assert.equal(changes[0].columns.title, "Buy milk");

    for (let i = 2; i < 30; i++) {
      laptop.send({ push: insert("laptop", i, `t${i}`) });
      await laptop.frame("pushResult");
    }
    phone.send({ ping: {} });
    await phone.frame("pong");
    assert.equal(phone.waiting, 0);
    assert.equal(laptop.waiting, 0);
    phone.send({ ack: { cursor } });
    const rest = await phone.frame("changes");
    assert.equal(rest.changes.length, 28);
    await phone.close();
    await laptop.close();
    assert.equal(await connections(server), 0);
  }));

Deno.test("a checkpoint comes when only lastMutationId advanced", () =>
  withServer(async (server) => {
    const phone = await LiveClient.open(server.url, "default", server.alice);
    phone.send(HELLO);
    await phone.frame("welcome");
    const first = await phone.frame("changes");
    phone.send({ ack: { cursor: first.cursor } });
    const push = {
      clientId: "phone",
      schemaVersion: 1,
      transactions: [{
        mutationId: 1,
        deltas: [{ op: "INSERT", table: "nowhere", rowId: "t1", columns: {} }],
      }],
    };
    const pushed = await server.json("/v1/sync/default/push", {
      token: server.alice,
      body: push,
    });
    assert.equal(pushed.body["lastMutationId"], 1);
    const page = await phone.frame("changes");
    assert.equal(page.lastMutationId, 1);
    assert.deepEqual(page.changes, []);
    await phone.close();
  }));

Deno.test("lakesync.v1 has the same frames as protobuf", () =>
  withServer(async ({ url, alice }) => {
    const phone = await LiveClient.open(url, "default", alice, "lakesync.v1");
    assert.equal(phone.protocol, "lakesync.v1");
    const frame = async () => {
      const data = await phone.data();
      assert.ok(data instanceof ArrayBuffer);
      return decodeServerFrame(new Uint8Array(data));
    };
    phone.send(
      new Uint8Array(encodeClientFrame({
        type: "hello",
        hello: { clientId: "phone", schemaVersion: 1 },
      })),
    );
    assert.equal((await frame()).type, "welcome");
    assert.equal((await frame()).type, "changes");
    phone.send(new Uint8Array([0xff]));
    const refused = await frame();
    assert.equal(refused.type === "error" && refused.error.code, "VALIDATION_ERROR");
    assert.equal(await phone.closed, 4400);
  }));

Deno.test("a text frame on lakesync.v1 ends it with 4400", () =>
  withServer(async ({ url, alice }) => {
    const phone = await LiveClient.open(url, "default", alice, "lakesync.v1");
    phone.send(HELLO);
    assert.equal(await phone.closed, 4400);
  }));

Deno.test("another user's clientId ends it with 4403", () =>
  withServer(async ({ url, json, alice, bob }) => {
    await json("/v1/sync/default/push", { token: alice, body: insert("phone", 1, "t1") });
    const thief = await LiveClient.open(url, "default", bob);
    thief.send(HELLO);
    await thief.frame("welcome");
    assert.equal((await thief.frame("error")).code, "CLIENT_NOT_YOURS");
    assert.equal(await thief.closed, 4403);
  }));

Deno.test("a server that stops says draining and closes with 1012", async () => {
  let phone: LiveClient | undefined;
  await withServer(async ({ url, alice }) => {
    phone = await LiveClient.open(url, "default", alice);
    phone.send(HELLO);
    await phone.frame("welcome");
    await phone.frame("changes");
  });
  await phone?.frame("draining");
  assert.equal(await phone?.closed, 1012);
});

/** Status and code of a handshake. */
async function handshake(
  { url }: TestServer,
  path: string,
  protocols: string,
  headers: readonly string[] = [],
): Promise<string> {
  const { stdout } = await new Deno.Command("curl", {
    args: [
      ...["--silent", "--include", "--max-time", "5"],
      ...["--header", "Connection: Upgrade"],
      ...["--header", "Upgrade: websocket"],
      ...["--header", "Sec-WebSocket-Version: 13"],
      ...["--header", "Sec-WebSocket-Key: SGVsbG8sIHdvcmxkIQ=="],
      ...["--header", `Sec-WebSocket-Protocol: ${protocols}`],
      ...headers.flatMap((header) => ["--header", header]),
      url + path,
    ],
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert.match(text, /x-request-id: \S/i);
  assert.match(text, /api-version: v1/i);
  const code = /"code":"(\w+)"/.exec(text)?.[1];
  return `${text.slice(9, 12)} ${code}`;
}

Deno.test("a handshake that is not allowed is refused by its HTTP status", () =>
  withServer(async (server) => {
    const { alice, admin } = server;
    const path = "/v1/sync/default";
    const offer = `lakesync.v1, bearer.${alice}`;
    const notes = await tokenFor("alice", "notes");
    const cases: [path: string, protocols: string, string][] = [
      [path, "lakesync.v1", "401 AUTH_ERROR"],
      [path, "lakesync.v1, bearer.a.b.c", "401 AUTH_ERROR"],
      [`${path}?token=${alice}`, offer, "401 AUTH_ERROR"],
      [`${path}?access_token=x`, offer, "401 AUTH_ERROR"],
      [path, `lakesync.v1, bearer.${notes}`, "403 FORBIDDEN"],
      ["/v1/sync/nowhere", `lakesync.v1, bearer.${notes}`, "403 FORBIDDEN"],
      ["/v1/sync/nowhere", `lakesync.v1, bearer.${admin}`, "404 NOT_FOUND"],
      ["/v1/sync/a.b", offer, "400 VALIDATION_ERROR"],
      [path, `bearer.${alice}`, "400 VALIDATION_ERROR"],
      [path, `lakesync.v2, bearer.${alice}`, "400 VALIDATION_ERROR"],
    ];
    for (const [path, protocols, expected] of cases) {
      assert.equal(await handshake(server, path, protocols), expected, protocols);
    }
    assert.equal(await connections(server), 0);
    const refused = LiveClient.open(server.url, "default", "a.b.c");
    await assert.rejects(refused, /refused/);
  }));
