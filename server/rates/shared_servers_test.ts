import assert from "node:assert/strict";
import { KvRecords } from "../store/_kv_server_records.ts";
import { memoryStores } from "../store/memory.ts";
import type { ServerStores } from "../store/store.ts";
import { tempFolder } from "../store/testing_folders.ts";
import { type TestServer, tokenFor, withServer } from "../testing_server.ts";

/** Stores whose records other servers write too. */
function sharing(kv: Deno.Kv): ServerStores {
  const stores = memoryStores();
  return {
    kind: stores.kind,
    records: new KvRecords(kv, { shared: true }),
    list: () => stores.list(),
    open: (id, create) => stores.open(id, create),
    close: () => stores.close(),
  };
}

/** Runs a test against two servers whose records are in one database. */
async function withTwo(
  limits: object,
  test: (servers: readonly TestServer[]) => Promise<void>,
): Promise<void> {
  await using folder = await tempFolder();
  const path = `${folder.path}/records.kv`;
  const [one, other] = [await Deno.openKv(path), await Deno.openKv(path)];
  try {
    await withServer(
      (first) =>
        withServer((second) => test([first, second]), true, true, {
          stores: sharing(other),
          limits,
        }),
      true,
      true,
      { stores: sharing(one), limits },
    );
  } finally {
    one.close();
    other.close();
  }
}

Deno.test("G11: two servers over one store admit together what a user may send", () =>
  withTwo(
    { rateUserPerSecond: 0.001, rateUserBurst: 10, rateIpPerSecond: 0 },
    async (servers) => {
      const token = await tokenFor("eager");
      const ask = async (server: TestServer) => {
        const path = "/v1/sync/default/pull?clientId=phone-1";
        const response = await server.request(path, { token });
        await response.body?.cancel();
        return response.status;
      };
      const statuses = await Promise.all(
        Array.from({ length: 20 }, () => servers.map(ask)).flat(),
      );
      assert.equal(statuses.filter((status) => status === 200).length, 10);
      assert.equal(statuses.filter((status) => status === 429).length, 30);
    },
  ));

Deno.test("G2: equal requests to two servers over one store have one effect", () =>
  withTwo({}, async (servers) => {
    const send = async (server: TestServer, key: string) => {
      const response = await server.request("/v1/admin/flush/default", {
        method: "POST",
        token: server.admin,
        headers: { "Idempotency-Key": key },
      });
      assert.equal(response.status, 200, await response.text());
      return response.headers.has("Idempotency-Replayed");
    };
    for (let n = 0; n < 10; n++) {
      const replays = await Promise.all(
        [0, 1, 0, 1, 0].map((at) => send(servers[at] ?? assert.fail(), `key-${n}`)),
      );
      assert.equal(replays.filter((replayed) => replayed).length, 4);
    }
  }));
