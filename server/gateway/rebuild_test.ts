import assert from "node:assert/strict";
import type { RulesSpec } from "@lakesync/core";
import { memoryStores } from "../store/memory.ts";
import type { Store, StoreFactory } from "../store/store.ts";
import type { Caller } from "./gateway.ts";
import { at, delta, openFixture, Puller, push, TODOS, tx } from "./testing_fixture.ts";

const ADMIN: Caller = { sub: "root", admin: true, claims: { sub: "root" } };
const ROWS = 1_200;

function rules(column: string): RulesSpec {
  return {
    buckets: [{
      name: column,
      tables: ["todos"],
      filters: [{ column, op: "isNull", value: false }],
    }],
    write: [{ tables: ["*"], ops: ["INSERT", "UPDATE", "DELETE"] }],
  };
}

/** Stores whose next commits can be told to fail. */
function failing(): { readonly factory: StoreFactory; readonly plan: { after: number } } {
  const stores = memoryStores();
  const plan = { after: Infinity };
  const factory: StoreFactory = {
    kind: stores.kind,
    list: () => stores.list(),
    close: () => stores.close(),
    open: async (id, create) => {
      const store = await stores.open(id, create);
      if (store === undefined) return undefined;
      const commit: Store["commit"] = async (batch) => {
        if (plan.after-- === 0) throw new Error("The disk is gone");
        await store.commit(batch);
      };
      return new Proxy(store, {
        get: (of, name) => {
          const value: unknown = name === "commit" ? commit : Reflect.get(of, name);
          return typeof value === "function" ? value.bind(of) : value;
        },
      });
    },
  };
  return { factory, plan };
}

Deno.test("rules go on being built after a commit of the walk has failed", async () => {
  for (let after = 1; after <= 4; after++) {
    const { factory, plan } = failing();
    const errors: unknown[] = [];
    await using fixture = await openFixture(factory, {
      openAccess: false,
      onError: (_, error) => errors.push(error),
      setTimer: (ms, callback) => {
        const timer = setTimeout(callback, Math.min(ms, 10_000) / 100);
        return () => clearTimeout(timer);
      },
    });
    const { gateway } = fixture;
    await gateway.putSchema(TODOS);
    await gateway.putRules(rules("title"), 100_000);
    const rows = Array.from(
      { length: ROWS },
      (_, i) => delta("INSERT", `t${i}`, at(i), { title: "t", n: i }),
    );
    await push(gateway, "phone", [tx(1, ...rows)], {}, ADMIN);
    plan.after = after;
    await gateway.putRules(rules("n"), 10_000_000);
    while ((await gateway.rules()).building !== undefined) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.equal(errors.length, 1);
    const puller = new Puller(gateway, "tablet", 5_000, 1, ADMIN);
    await puller.pull();
    assert.deepEqual(puller.last?.checkpoint?.buckets.map(({ id, rows }) => [id, rows]), [[
      "n",
      ROWS,
    ]]);
    assert.equal(puller.rows.size, ROWS);
  }
});

Deno.test("rules that are put again while they are built are not begun anew", async () => {
  await using fixture = await openFixture(undefined, { openAccess: false });
  const { gateway } = fixture;
  await gateway.putRules(rules("title"), 5_000);
  const rows = Array.from(
    { length: 1_900 },
    (_, i) => delta("INSERT", `t${i}`, at(i), { title: "t", n: i }),
  );
  await push(gateway, "phone", [tx(1, ...rows)], {}, ADMIN);
  let puts = 0;
  while ((await gateway.putRules(rules("n"))).building !== undefined) {
    assert.ok(puts++ < 20, "The rules are built over and over");
  }
  assert.deepEqual((await gateway.rules()).rules, rules("n"));
});
