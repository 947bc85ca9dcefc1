import { DestinationError, memoryAdapter } from "@lakesync/adapters";
import assert from "node:assert/strict";
import { withServer } from "../testing_server.ts";

const PATH = "/v1/admin/cursors/default";
const NAME = "destination:db";

function destinations(isDown: () => boolean) {
  const memory = memoryAdapter();
  const adapter = new Proxy(memory, {
    get(target, name) {
      if (name !== "refill" || !isDown()) return Reflect.get(target, name);
      return () => Promise.reject(new DestinationError("later", "The database is not there"));
    },
  });
  return { specs: { db: { type: "custom" as const, open: () => adapter } } };
}

Deno.test("cursors are listed and reset by admins alone, and those that are there", async () => {
  const { specs } = destinations(() => false);
  await withServer(
    async ({ json, request, admin, alice }) => {
      await request("/v1/admin/flush/default", { token: admin, method: "POST" }).then((r) =>
        r.text()
      );
      const { status, body } = await json(PATH, { token: admin });
      assert.equal(status, 200);
      assert.deepEqual(Object.keys(body), ["cursors"]);
      const reset = (body: object | string, token = admin) =>
        json(`${PATH}/reset`, { method: "POST", token, body });
      assert.equal((await json(PATH, { token: alice })).body["code"], "FORBIDDEN");
      assert.equal((await reset({ name: NAME }, alice)).body["code"], "FORBIDDEN");
      assert.equal((await json(PATH)).body["code"], "AUTH_ERROR");
      assert.equal((await reset({ name: "nobody" })).body["code"], "NOT_FOUND");
      for (const body of [{}, { name: 1 }, { name: NAME, more: 1 }, []]) {
        assert.equal((await reset(body)).body["code"], "VALIDATION_ERROR");
      }
      assert.deepEqual((await reset({ name: NAME })).body, { name: NAME, filled: true });
    },
    true,
    true,
    { destinations: specs },
  );
});

Deno.test("a destination that cannot be told to begin anew is not reset, and told so", async () => {
  let isDown = true;
  const { specs } = destinations(() => isDown);
  await withServer(
    async ({ json, admin }) => {
      const reset = () =>
        json(`${PATH}/reset`, { method: "POST", token: admin, body: { name: NAME } });
      const failed = await reset();
      assert.deepEqual([failed.status, failed.body["code"]], [502, "ADAPTER_ERROR"]);
      isDown = false;
      assert.equal((await reset()).status, 200);
    },
    true,
    true,
    { destinations: specs },
  );
});
