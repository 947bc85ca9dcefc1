import assert from "node:assert/strict";
import { LiveClient } from "../testing_live.ts";
import { insert, type TestServer, withServer } from "../testing_server.ts";

const HELLO = { hello: { clientId: "phone", schemaVersion: 1 } };

async function putRules({ request, admin }: TestServer, value: string): Promise<void> {
  const response = await request("/v1/admin/sync-rules/default", {
    method: "PUT",
    token: admin,
    body: {
      buckets: [{
        name: "titled",
        tables: ["todos"],
        filters: [{ column: "title", op: "eq", value }],
      }],
    },
  });
  await response.body?.cancel();
  assert.equal(response.status, 200);
}

Deno.test("G7: a gateway without rules ends live clients with 4403", () =>
  withServer(
    async (server) => {
      const phone = await LiveClient.open(server.url, "default", server.alice);
      phone.send(HELLO);
      await phone.frame("welcome");
      const error = await phone.frame("error");
      assert.equal(error.code, "FORBIDDEN");
      assert.match(error.error, /no sync rules/);
      assert.equal(await phone.closed, 4403);

      await putRules(server, "jwt:sub");
      const again = await LiveClient.open(server.url, "default", server.alice);
      again.send(HELLO);
      await again.frame("welcome");
      assert.deepEqual((await again.frame("changes")).changes, []);
      await again.close();
    },
    true,
    false,
  ));

Deno.test("G7: rules that change reach a live client at once", () =>
  withServer(async (server) => {
    for (const [i, title] of ["alice", "bob"].entries()) {
      const push = { token: server.admin, body: insert("root", i + 1, title, title) };
      assert.equal((await server.json("/v1/sync/default/push", push)).status, 200);
    }
    await putRules(server, "nobody");
    const phone = await LiveClient.open(server.url, "default", server.alice);
    phone.send(HELLO);
    await phone.frame("welcome");
    const told = async () => {
      const { changes, cursor } = await phone.frame("changes");
      phone.send({ ack: { cursor } });
      return changes.map((change: { op: string; rowId: string }) => [change.op, change.rowId]);
    };
    assert.deepEqual(await told(), []);
    await putRules(server, "jwt:sub");
    assert.deepEqual(await told(), [["PUT", "alice"]]);
    await putRules(server, "bob");
    assert.deepEqual((await told()).sort(), [["PUT", "bob"], ["REMOVE", "alice"]]);
    await phone.close();
  }));
