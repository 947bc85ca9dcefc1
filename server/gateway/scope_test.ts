import assert from "node:assert/strict";
import type { RulesSpec } from "@lakesync/core";
import { memoryStores } from "../store/memory.ts";
import type { Store, StoreFactory } from "../store/store.ts";
import type { Caller } from "./gateway.ts";
import { ALICE, at, delta, openFixture, Puller, push, TODOS, tx } from "./testing_fixture.ts";

const ADMIN: Caller = { sub: "root", admin: true, claims: { sub: "root" } };

function rules(name: string, done: boolean): RulesSpec {
  return {
    buckets: [{ name, tables: ["todos"], filters: [{ column: "done", op: "eq", value: done }] }],
    write: [{ tables: ["*"], ops: ["INSERT", "UPDATE", "DELETE"] }],
  };
}

/** Stores whose views open when they are let. */
function slow(): { readonly factory: StoreFactory; readonly gate: { opens: Promise<void> } } {
  const stores = memoryStores();
  const gate = { opens: Promise.resolve() };
  const factory: StoreFactory = {
    kind: stores.kind,
    list: () => stores.list(),
    close: () => stores.close(),
    open: async (id, create) => {
      const store = await stores.open(id, create);
      if (store === undefined) return undefined;
      const view: Store["view"] = async () => {
        await gate.opens;
        return await store.view();
      };
      return new Proxy(store, {
        get: (of, name) => {
          const value: unknown = name === "view" ? view : Reflect.get(of, name);
          return typeof value === "function" ? value.bind(of) : value;
        },
      });
    },
  };
  return { factory, gate };
}

Deno.test("G7: a pull whose snapshot waits while rules are switched goes by those that hold then", async () => {
  const { factory, gate } = slow();
  await using fixture = await openFixture(factory, { openAccess: false });
  const { gateway } = fixture;
  await gateway.putSchema(TODOS);
  await gateway.putRules(rules("open", false), 5_000);
  const insert = delta("INSERT", "t1", at(1), { title: "public", done: false });
  await push(gateway, "phone", [tx(1, insert)], {}, ADMIN);
  const opened = Promise.withResolvers<void>();
  gate.opens = opened.promise;
  const puller = new Puller(gateway, "tablet", 100, 1, ALICE);
  const pulled = puller.pull();
  await new Promise((resolve) => setTimeout(resolve, 0));
  gate.opens = Promise.resolve();
  await gateway.putRules(rules("closed", true), 5_000);
  const update = delta("UPDATE", "t1", at(2), { title: "secret" });
  await push(gateway, "phone", [tx(2, update)], {}, ADMIN);
  opened.resolve();
  assert.deepEqual(await pulled, []);
});
