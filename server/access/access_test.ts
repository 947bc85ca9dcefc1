import { LakeSyncError } from "@lakesync/core";
import assert from "node:assert/strict";
import { join } from "node:path";
import { keyFilePath } from "../auth/key_file.ts";
import { type KeyOwner, retireKey, rotateKeys, signingKey } from "../auth/rotate.ts";
import { signToken } from "../auth/token.ts";
import { memoryStores } from "../store/memory.ts";
import type { RecordStore } from "../store/records.ts";
import type { ServerStores } from "../store/store.ts";
import { LiveClient } from "../testing_live.ts";
import { insert, SECRET, type TestServer, tokenFor, withServer } from "../testing_server.ts";
import { readChange } from "./model.ts";

const HELLO = { clientId: "phone-1", schemaVersion: 1 };

async function change(server: TestServer, body: object, token = server.admin) {
  return await server.json("/v1/admin/access/default", { token, body });
}

/** Reads frames up to one of a name. */
async function until(live: LiveClient, name: string): Promise<void> {
  for (;;) {
    const next = await Promise.race([live.data(), live.closed]);
    assert.equal(typeof next, "string", `It closed with ${next} before ${name}`);
    if (Object.hasOwn(JSON.parse(String(next)), name)) return;
  }
}

function bound(target: object, name: string | symbol): unknown {
  const member: unknown = Reflect.get(target, name);
  return typeof member === "function" ? member.bind(target) : member;
}

/** Stores of their own that share records with others. */
function storesOn(records: RecordStore): ServerStores {
  return new Proxy(memoryStores(), {
    get: (target, name) => name === "records" ? records : bound(target, name),
  });
}

/** What a user with a device gets by each way in. */
async function statuses(server: TestServer, clientId: string, token: string) {
  const requests = [
    ["/v1/sync/default/push", { token, body: insert(clientId, 1, `row of ${clientId}`) }],
    ["/v1/sync/default/pull", { token, body: { clientId } }],
    [`/v1/sync/default/pull?clientId=${clientId}`, { token }],
    [`/v1/sync/default/checkpoint?clientId=${clientId}`, { token }],
  ] as const;
  return await Promise.all(requests.map(async ([path, options]) => {
    const response = await server.request(path, options);
    await response.body?.cancel();
    return response.status;
  }));
}

Deno.test("a denied device is cut off at once by every way in, and gets in again once it is not", () =>
  withServer(async (server) => {
    assert.deepEqual(await statuses(server, "phone-1", server.alice), [200, 200, 200, 200]);
    const phone = await LiveClient.open(server.url, "default", server.alice);
    phone.send({ hello: HELLO });
    await until(phone, "welcome");
    const tablet = await LiveClient.open(server.url, "default", server.alice);
    tablet.send({ hello: { ...HELLO, clientId: "tablet" } });
    await until(tablet, "welcome");
    const { status, body } = await change(server, { deny: { clients: ["phone-1"] } });
    assert.equal(status, 200);
    assert.deepEqual(body, {
      gatewayId: "default",
      deny: { users: [], clients: ["phone-1"], tables: [] },
      allow: {},
    });
    assert.equal(await phone.closed, 4403);
    assert.deepEqual(await statuses(server, "phone-1", server.alice), [403, 403, 403, 403]);
    assert.deepEqual(await statuses(server, "tablet-2", server.alice), [200, 200, 200, 200]);
    tablet.send({ ping: {} });
    await until(tablet, "pong");
    const again = await LiveClient.open(server.url, "default", server.alice);
    again.send({ hello: HELLO });
    assert.equal(await again.closed, 4403);
    assert.equal((await change(server, { undeny: { clients: ["phone-1"] } })).status, 200);
    assert.deepEqual(await statuses(server, "phone-1", server.alice), [200, 200, 200, 200]);
    await tablet.close();
  }));

Deno.test("a pull that is held when its device is denied brings nothing", () =>
  withServer(async (server) => {
    const first = await server.json("/v1/sync/default/pull?clientId=phone-1", {
      token: server.alice,
    });
    const cursor = encodeURIComponent(String(first.body["cursor"]));
    const held = server.json(`/v1/sync/default/pull?clientId=phone-1&wait=20&cursor=${cursor}`, {
      token: server.alice,
    });
    await change(server, { deny: { clients: ["phone-1"] } });
    const { status } = await server.json("/v1/sync/default/push", {
      token: server.bob,
      body: insert("laptop", 1, "plan"),
    });
    assert.equal(status, 200);
    const { status: answered, body } = await held;
    assert.deepEqual([answered, body["code"]], [403, "FORBIDDEN"]);
  }));

Deno.test("a denied user is cut off with all devices, also as admin, and nobody else", () =>
  withServer(async (server) => {
    const live = await LiveClient.open(server.url, "default", server.bob);
    await change(server, { deny: { users: ["bob"] } });
    assert.equal(await live.closed, 4403);
    assert.deepEqual(await statuses(server, "any", server.bob), [403, 403, 403, 403]);
    await assert.rejects(LiveClient.open(server.url, "default", server.bob), /refused/);
    const admin = await tokenFor("bob", "*", "admin");
    assert.equal((await change(server, { undeny: { users: ["bob"] } }, admin)).status, 403);
    const { body: listed } = await server.json("/v1/admin/gateways", { token: admin });
    assert.deepEqual(listed, { gateways: [] });
    for (const query of ["what=access.change", "gateway=default"]) {
      const { body } = await server.json(`/v1/admin/audit?${query}`, { token: admin });
      assert.deepEqual(body, { entries: [] });
    }
    assert.deepEqual(await statuses(server, "a", server.alice), [200, 200, 200, 200]);
    const { body } = await server.json("/v1/admin/audit?what=access.change", {
      token: server.admin,
    });
    assert.ok(Array.isArray(body["entries"]));
    const told = body["entries"].map(({ who, outcome, details }) => [who.sub, outcome, details]);
    assert.deepEqual(told, [
      ["bob", "refused", undefined],
      ["root", "done", { denied: 1, undenied: 0, "deny.users": ["bob"] }],
    ]);
  }));

Deno.test("lists of the configuration let in whom they name, and cannot be undone by request", () =>
  withServer(
    async (server) => {
      assert.deepEqual(await statuses(server, "a-1", server.alice), [200, 200, 200, 200]);
      assert.deepEqual(await statuses(server, "b-1", server.bob), [403, 403, 403, 403]);
      assert.deepEqual(await statuses(server, "other", server.alice), [403, 403, 403, 403]);
      // An admin is let in beside those it names, and by that token alone.
      const admin = await tokenFor("bob", "default", "admin");
      const live = await LiveClient.open(server.url, "default", admin);
      live.send({ hello: { clientId: "b-2", schemaVersion: 1 } });
      await until(live, "changes");
      live.send({ token: { jwt: server.bob } });
      assert.equal(await live.closed, 4403);
      const { status, body } = await change(server, { undeny: { clients: ["lost"] } });
      assert.deepEqual([status, body["code"]], [400, "VALIDATION_ERROR"]);
      const { body: state } = await server.json("/v1/admin/access/default", {
        token: server.admin,
      });
      assert.deepEqual(state, {
        gatewayId: "default",
        deny: { users: [], clients: ["lost"], tables: [] },
        allow: { users: ["alice"], clients: ["a-1", "b-2", "lost"] },
      });
    },
    true,
    true,
    {
      gateways: {
        default: {
          access: {
            users: { allow: ["alice"] },
            clients: { allow: ["a-1", "b-2", "lost"], deny: ["lost"] },
          },
        },
      },
    },
  ));

Deno.test("denials are of one gateway and outlive the server", async () => {
  const stores = memoryStores();
  const { records } = stores;
  await withServer(
    async (server) => {
      await server.json("/v1/admin/schema/other", {
        token: server.admin,
        method: "PUT",
        body: { version: 1, tables: {} },
      });
      await change(server, { deny: { users: ["alice"], clients: ["phone-1"] } });
      const { body } = await server.json("/v1/admin/access/other", { token: server.admin });
      assert.deepEqual(body["deny"], { users: [], clients: [], tables: [] });
    },
    true,
    true,
    { stores },
  );
  await withServer(
    async (server) => {
      assert.deepEqual(await statuses(server, "x", server.alice), [403, 403, 403, 403]);
    },
    true,
    true,
    { stores: storesOn(records) },
  );
});

Deno.test("other processes that share the store follow within a second", async () => {
  const { records } = memoryStores();
  const shared = new Proxy(records, {
    get: (target, name) => name === "shared" ? true : bound(target, name),
  });
  await withServer(
    (one) =>
      withServer(
        async (two) => {
          const live = await LiveClient.open(two.url, "default", two.alice);
          live.send({ hello: HELLO });
          await until(live, "welcome");
          const startMs = performance.now();
          await change(one, { deny: { clients: ["phone-1"] } });
          assert.equal(await live.closed, 4403);
          assert.ok(performance.now() - startMs < 1_000);
          assert.deepEqual(await statuses(two, "phone-1", two.alice), [403, 403, 403, 403]);
        },
        true,
        true,
        { stores: storesOn(shared) },
      ),
    true,
    true,
    { stores: storesOn(shared) },
  );
});

Deno.test("a denial that cannot be written holds until the restart, and its answer says so", async () => {
  const stores = memoryStores();
  const { records } = stores;
  let isFull = false;
  const failing: RecordStore = {
    shared: false,
    get: (key) => records.get(key),
    list: (range) => records.list(range),
    commit: (batch) =>
      isFull
        ? Promise.reject(new LakeSyncError("BACKPRESSURE", "The disk is full"))
        : records.commit(batch),
  };
  await withServer(
    async (server) => {
      assert.deepEqual(await statuses(server, "phone-1", server.alice), [200, 200, 200, 200]);
      const phone = await LiveClient.open(server.url, "default", server.alice);
      phone.send({ hello: HELLO });
      await until(phone, "welcome");
      isFull = true;
      const names = { deny: { users: ["bob"], clients: ["phone-1"] } };
      const full = await change(server, names);
      assert.deepEqual([full.status, full.body["code"]], [503, "BACKPRESSURE"]);
      assert.match(String(full.body["error"]), /until it restarts/);
      assert.equal(await phone.closed, 4403);
      const all = [403, 403, 403, 403];
      assert.deepEqual(await statuses(server, "phone-1", server.alice), all);
      assert.deepEqual(await statuses(server, "other", server.bob), all);
      // It cannot be taken back before that can be written, and is kept by other changes.
      assert.equal((await change(server, { undeny: { users: ["bob"] } })).status, 503);
      isFull = false;
      assert.equal((await change(server, { deny: { clients: ["x"] } })).status, 200);
      assert.deepEqual(await statuses(server, "phone-1", server.alice), all);
      const { status, body } = await change(server, { undeny: { users: ["bob"] } });
      assert.deepEqual([status, body["deny"]], [200, {
        users: [],
        clients: ["phone-1", "x"],
        tables: [],
      }]);
      assert.deepEqual(await statuses(server, "other", server.bob), [200, 200, 200, 200]);
    },
    true,
    true,
    { stores: storesOn(failing) },
  );
  // What was never written is gone with the process; what was sent again is not.
  await withServer(
    async (server) => {
      const { body } = await server.json("/v1/admin/access/default", { token: server.admin });
      assert.deepEqual(body["deny"], { users: [], clients: ["x"], tables: [] });
    },
    true,
    true,
    { stores: storesOn(records) },
  );
});

Deno.test("changes at once by several admins are all kept", () =>
  withServer(async (server) => {
    const names = Array.from({ length: 40 }, (_, i) => `phone-${i}`);
    await Promise.all(names.map((name) => change(server, { deny: { clients: [name] } })));
    const { body } = await server.json("/v1/admin/access/default", { token: server.admin });
    assert.deepEqual((body["deny"] as { clients: string[] }).clients, names.sort());
    const many = Array.from({ length: 250 }, (_, i) => `tablet-${i}`);
    assert.equal((await change(server, { deny: { clients: many } })).status, 200);
    assert.equal((await change(server, { undeny: { clients: [...many, ...names] } })).status, 200);
    const { body: after } = await server.json("/v1/admin/access/default", { token: server.admin });
    assert.deepEqual(after["deny"], { users: [], clients: [], tables: [] });
  }));

Deno.test("readChange refuses what is no change, with its place", () => {
  const bad: readonly [unknown, RegExp][] = [
    [7, /^The body/],
    [{}, /names nobody/],
    [{ deny: {} }, /names nobody/],
    [{ denied: { users: ["a"] } }, /"denied"/],
    [{ deny: { phones: ["a"] } }, /"phones"/],
    [{ deny: { clients: "a" } }, /^deny\.clients must be an array/],
    [{ deny: { clients: ["a", "b c"] } }, /^deny\.clients\[1\]/],
    [{ deny: { users: [""] } }, /^deny\.users\[0\]/],
    [{ deny: { users: ["a"] }, undeny: { users: ["a"] } }, /undeny has too/],
    [{ deny: { users: Array.from({ length: 1_001 }, (_, i) => `u${i}`) } }, /in parts/],
  ];
  for (const [body, message] of bad) {
    assert.throws(() => readChange(body), { code: "VALIDATION_ERROR", message });
  }
});

async function withKeys(test: (server: TestServer, owner: KeyOwner) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  const data = join(folder, "data");
  try {
    await withServer((server) => test(server, { data, secret: SECRET }), true, true, {
      trust: { secrets: [SECRET], keyFile: keyFilePath(data) },
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function newToken(owner: KeyOwner): Promise<string> {
  const key = await signingKey(owner);
  assert.ok(key !== undefined);
  return await signToken({ ...key, sub: "alice", gw: "default" });
}

Deno.test("rotating keys fails no request, of tokens before and after", () =>
  withKeys(async (server, owner) => {
    const tokens = [await newToken(owner)];
    let going = true;
    let asked = 0;
    const asking = (async () => {
      while (going) {
        for (const token of tokens) {
          const response = await server.request("/v1/sync/default/pull?clientId=a", { token });
          await response.body?.cancel();
          assert.equal(response.status, 200);
          asked++;
        }
      }
    })();
    const live = await LiveClient.open(server.url, "default", await newToken(owner));
    live.send({ hello: HELLO });
    await until(live, "welcome");
    for (let i = 0; i < 5; i++) {
      await rotateKeys(owner, 60_000, Date.now());
      tokens.push(await newToken(owner));
      live.send({ ping: {} });
      await until(live, "pong");
    }
    const enough = asked + 60;
    while (asked < enough) await new Promise((resolve) => setTimeout(resolve, 5));
    going = false;
    await asking;
    await live.close();
  }));

Deno.test("a withdrawn key ends its tokens and its live connections with 4401, not those of others", () =>
  withKeys(async (server, owner) => {
    const before = await newToken(owner);
    const { kid } = await rotateKeys(owner, 60_000, Date.now());
    const leaked = await newToken(owner);
    const open = async (token: string, clientId: string) => {
      const live = await LiveClient.open(server.url, "default", token);
      live.send({ hello: { ...HELLO, clientId } });
      await until(live, "welcome");
      return live;
    };
    const [safe, cut] = [await open(before, "a"), await open(leaked, "b")];
    await retireKey(owner, kid, Date.now());
    assert.equal(await cut.closed, 4401);
    const status = async (token: string) => {
      const response = await server.request("/v1/sync/default/pull?clientId=a", { token });
      await response.body?.cancel();
      return response.status;
    };
    assert.equal(await status(leaked), 401);
    assert.equal(await status(before), 200);
    assert.equal(await status(await newToken(owner)), 200);
    safe.send({ ping: {} });
    await until(safe, "pong");
    await safe.close();
  }));

Deno.test("a burst of refused tokens is one entry of the audit log", () =>
  withServer(async (server) => {
    for (let i = 0; i < 60; i++) {
      const response = await server.request("/v1/sync/default/pull", { token: `no.to.ken${i}` });
      await response.body?.cancel();
      assert.equal(response.status, 401);
    }
    const { body } = await server.json("/v1/admin/audit?what=token.failures", {
      token: server.admin,
    });
    assert.ok(Array.isArray(body["entries"]));
    assert.deepEqual(body["entries"].map(({ ip, details }) => [ip, details]), [
      ["127.0.0.1", { atLeast: 20, windowSeconds: 60 }],
    ]);
  }));
