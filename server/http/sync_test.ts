import {
  decodeError,
  decodePullResult,
  decodePushResult,
  encodePull,
  encodePush,
  PROTOBUF_TYPE,
  type PushRequest,
} from "@lakesync/core";
import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { insert, withServer } from "../testing_server.ts";

const PUSH = "/v1/sync/default/push";
const PULL = "/v1/sync/default/pull";

const BINARY_PUSH: PushRequest = {
  clientId: "phone",
  schemaVersion: 1,
  transactions: [{
    mutationId: 1,
    deltas: [{
      shape: { op: "INSERT", table: "todos", columns: ["title", "done"] },
      rowId: "t1",
      hlc: undefined,
      values: ["Buy milk", false],
      deltaId: undefined,
    }],
  }],
};

function changesOf(body: Record<string, unknown>): unknown[] {
  return Array.isArray(body["changes"]) ? body["changes"] : [];
}

Deno.test("push and pull carry a row from one client to another as JSON", () =>
  withServer(async ({ json, alice, bob }) => {
    const pushed = await json(PUSH, { token: alice, body: insert("phone", 1, "t1") });
    assert.equal(pushed.status, 200);
    assert.equal(pushed.body["lastMutationId"], 1);
    assert.deepEqual(pushed.body["rejected"], []);
    assert.equal(typeof pushed.body["seq"], "string");
    const pulled = await json(`${PULL}?clientId=laptop`, { token: bob });
    assert.equal(pulled.status, 200);
    assert.equal(pulled.body["complete"], true);
    assert.deepEqual(changesOf(pulled.body), [{
      op: "PUT",
      table: "todos",
      rowId: "t1",
      columns: { title: "Buy milk", done: false },
    }]);
    const posted = await json(PULL, {
      token: bob,
      body: { clientId: "laptop", cursor: pulled.body["cursor"] },
    });
    assert.deepEqual(changesOf(posted.body), []);
  }));

Deno.test("push and pull speak protobuf, errors included", () =>
  withServer(async ({ request, alice }) => {
    const headers = { "Content-Type": PROTOBUF_TYPE, Accept: PROTOBUF_TYPE };
    const send = (path: string, body: Uint8Array) =>
      request(path, { token: alice, headers, body: new Uint8Array(body) });
    const pushed = await send(PUSH, encodePush(BINARY_PUSH));
    assert.equal(pushed.headers.get("Content-Type"), PROTOBUF_TYPE);
    assert.equal(decodePushResult(await pushed.bytes()).lastMutationId, 1);
    const pulled = await send(PULL, encodePull({ clientId: "laptop" }));
    const page = decodePullResult(await pulled.bytes());
    assert.equal(page.changes[0]?.rowId, "t1");
    const gap = { ...BINARY_PUSH, transactions: [{ mutationId: 5, deltas: [] }] };
    const refused = await send(PUSH, encodePush(gap));
    assert.equal(refused.status, 409);
    const error = decodeError(await refused.bytes());
    assert.equal(error.code, "MUTATION_GAP");
    assert.equal(error.lastMutationId, 1);
    assert.equal(error.requestId, refused.headers.get("X-Request-Id"));
    const mixed = await request(PUSH, {
      token: alice,
      headers: { "Content-Type": PROTOBUF_TYPE, Accept: "application/json" },
      body: new Uint8Array(encodePush(BINARY_PUSH)),
    });
    assert.equal((await mixed.json()).lastMutationId, 1);
  }));

Deno.test("push reads gzip and deflate, pull answers in gzip when it is large", () =>
  withServer(async ({ url, request, alice }) => {
    for (const [i, format] of (["gzip", "deflate"] as const).entries()) {
      const text = JSON.stringify(insert("phone", i + 1, `t${i}`, "x".repeat(3000)));
      const stream = new Blob([text]).stream()
        .pipeThrough(new CompressionStream(format));
      const pushed = await request(PUSH, {
        token: alice,
        headers: { "Content-Type": "application/json", "Content-Encoding": format },
        body: stream,
      });
      assert.equal((await pushed.json()).lastMutationId, i + 1);
    }
    const { stdout } = await new Deno.Command("curl", {
      args: [
        "--silent",
        "--include",
        "--header",
        `Authorization: Bearer ${alice}`,
        "--header",
        "Accept-Encoding: gzip;q=0.5, identity",
        `${url}${PULL}?clientId=laptop`,
      ],
    }).output();
    const end = stdout.findIndex((_, i) => stdout.subarray(i, i + 4).join() === "13,10,13,10");
    const head = new TextDecoder().decode(stdout.subarray(0, end));
    assert.match(head, /content-encoding: gzip/i);
    assert.match(head, /vary: .*accept-encoding/i);
    const page = JSON.parse(
      new TextDecoder().decode(gunzipSync(stdout.subarray(end + 4))),
    );
    assert.equal(page.changes.length, 2);
  }));

Deno.test("pull cuts limit and wait and refuses what is no number", () =>
  withServer(async ({ json, alice }) => {
    const get = (query: string) => json(`${PULL}?clientId=laptop&${query}`, { token: alice });
    for (
      const query of [
        "limit=10001",
        "limit=99999999999999999999",
        "limit=1",
        "wait=0",
        "schemaVersion=1",
        "cursor=",
      ]
    ) {
      assert.equal((await get(query)).status, 200, query);
    }
    for (
      const query of [
        "limit=0",
        "limit=-1",
        "limit=1.5",
        "limit=1e3",
        "limit=",
        "limit=x",
        "wait=-1",
        "wait=0.5",
        "wait=",
        "schemaVersion=x",
        "cursor=never",
      ]
    ) {
      const { status, body } = await get(query);
      assert.equal(status, 400, query);
      assert.equal(body["code"], "VALIDATION_ERROR", query);
    }
    for (const body of [{ limit: 0 }, { limit: "1" }, { wait: 1.5 }, { more: 1 }]) {
      const answer = await json(PULL, { token: alice, body: { clientId: "laptop", ...body } });
      assert.equal(answer.status, 400, JSON.stringify(body));
    }
  }));

Deno.test("pull with wait answers when a change comes", () =>
  withServer(async ({ json, alice, bob }) => {
    await json(PUSH, { token: alice, body: insert("phone", 1, "t1") });
    const first = await json(`${PULL}?clientId=laptop`, { token: bob });
    const waiting = json(
      `${PULL}?clientId=laptop&wait=30&cursor=${first.body["cursor"]}`,
      { token: bob },
    );
    await json(PUSH, { token: alice, body: insert("phone", 2, "t2") });
    assert.equal(changesOf((await waiting).body).length, 1);
  }));

Deno.test("push answers an equal request with the same Idempotency-Key from what it kept", () =>
  withServer(async ({ request, json, alice, bob }) => {
    const send = (body: object, headers: Record<string, string> = {}, token = alice) =>
      request(PUSH, {
        token,
        body,
        headers: { "Content-Type": "application/json", "Idempotency-Key": "k 1", ...headers },
      });
    const first = await send(insert("phone", 1, "t1"));
    assert.equal(first.headers.get("Idempotency-Replayed"), null);
    const text = await first.text();
    await json(PUSH, { token: alice, body: insert("phone", 2, "t2") });
    const again = await send(insert("phone", 1, "t1"));
    assert.equal(again.headers.get("Idempotency-Replayed"), "true");
    assert.equal(await again.text(), text);
    const asBinary = await send(insert("phone", 1, "t1"), { Accept: PROTOBUF_TYPE });
    assert.equal(asBinary.headers.get("Content-Type"), "application/json");
    assert.equal(await asBinary.text(), text);
    const other = await send(insert("phone", 3, "t3"));
    assert.equal(other.status, 422);
    assert.equal((await other.json()).code, "IDEMPOTENCY_MISMATCH");
    const bobs = await send(insert("laptop", 1, "t9"), {}, bob);
    assert.equal(bobs.headers.get("Idempotency-Replayed"), null);
    assert.equal((await bobs.json()).lastMutationId, 1);
    for (const key of ["", "x".repeat(256), "é"]) {
      const bad = await send(insert("phone", 3, "t3"), { "Idempotency-Key": key });
      assert.equal(bad.status, 400, JSON.stringify(key));
      await bad.body?.cancel();
    }
  }));

Deno.test("push keeps a protobuf answer for an Idempotency-Key", () =>
  withServer(async ({ request, alice }) => {
    const send = () =>
      request(PUSH, {
        token: alice,
        headers: { "Content-Type": PROTOBUF_TYPE, "Idempotency-Key": "k" },
        body: new Uint8Array(encodePush(BINARY_PUSH)),
      });
    const first = await (await send()).bytes();
    const again = await send();
    assert.equal(again.headers.get("Idempotency-Replayed"), "true");
    assert.deepEqual(await again.bytes(), first);
  }));
