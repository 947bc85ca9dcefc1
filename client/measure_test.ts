import { canonicalJson, defineSchema, type JsonValue, ZERO_HLC } from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import { openLocal } from "./local.ts";
import { BucketGateway } from "./testing_buckets.ts";
import { CountingDriver } from "./testing_counting.ts";
import { WIDE } from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: {
    things: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        tags: { type: "json", merge: "set" },
        list: "json",
      },
    },
  },
});

const element = fc.oneof(fc.constantFrom("a", "b", "é😀", "Z", ""), fc.integer(), fc.boolean());

/** A set's value as gateways have it. */
function sorted(elements: readonly JsonValue[]): JsonValue[] {
  const texts = new Set(elements.map((element) => canonicalJson(element)));
  return [...texts].sort().map((text) => JSON.parse(text));
}

Deno.test("G9: a set is compared by its elements, in whatever order the app's text holds them", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(element, { minLength: 1 }), fc.nat(), async (elements, turn) => {
      const db = await openLocal({ database: ":memory:", schema: SCHEMA, watchMs: 0 });
      try {
        const gateway = new BucketGateway();
        gateway.granted.add("a");
        const list = sorted(elements);
        gateway.put("things", "t", { tags: list, list }, ["a"]);
        for (const page of gateway.pull()) await db.receive(page);
        assert.deepEqual((await db.verify())?.drifts, []);
        const at = turn % list.length;
        const other = [...list.slice(at), ...list.slice(0, at), ...list.slice(0, 1)];
        await db.exec("UPDATE things SET tags = ?", [JSON.stringify(other, null, 1)]);
        assert.equal(await db.pendingCount(), 0, "the elements are the same");
        assert.deepEqual((await db.verify())?.drifts, []);
      } finally {
        await db.close();
      }
    }),
    { numRuns: 60 },
  );
});

Deno.test("G9: a list that is no set differs when its order does", async () => {
  const db = await openLocal({ database: ":memory:", schema: SCHEMA, watchMs: 0 });
  const gateway = new BucketGateway();
  gateway.granted.add("a");
  gateway.put("things", "t", { tags: ["a", "b"], list: ["a", "b"] }, ["a"]);
  for (const page of gateway.pull()) await db.receive(page);
  gateway.put("things", "t", { tags: ["a", "b"], list: ["b", "a"] }, ["a"]);
  const [page] = gateway.pull();
  assert.ok(page !== undefined);
  await db.receive({ ...page, changes: [] });
  assert.equal((await db.verify())?.drifts.length, 1);
  await db.close();
});

Deno.test("G11: comparing beside pending writes runs the same statements each time", async () => {
  const driver = new CountingDriver();
  const db = await openLocal({ database: ":memory:", schema: SCHEMA, watchMs: 0, driver });
  const gateway = new BucketGateway();
  gateway.granted.add("a");
  gateway.put("things", "t", { tags: [], list: [] }, ["a"]);
  const texts: Set<string>[] = [];
  for (let mutationId = 0; mutationId < 3; mutationId++) {
    gateway.lastMutationId = mutationId;
    for (const page of gateway.pull()) await db.receive(page);
    await db.exec("UPDATE things SET list = ?", [`[${mutationId}]`]);
    gateway.put("things", "t", { tags: [], list: [mutationId] }, ["a"]);
    await driver.during(async () => assert.deepEqual((await db.verify())?.drifts, []));
    texts.push(new Set(driver.calls.keys()));
    await db.seal();
    const batch = await db.nextBatch({ mutationId, part: 0 }, WIDE);
    assert.equal(batch?.next.mutationId, mutationId + 1);
    await db.pushed({
      lastMutationId: mutationId + 1,
      rejected: [],
      seq: mutationId + 1,
      serverTime: "2026-01-01T00:00:00Z",
      serverHlc: ZERO_HLC,
    });
  }
  const [first = new Set(), ...later] = texts;
  assert.equal(later.length, 2);
  for (const run of later) assert.deepEqual([...run.difference(first)], []);
  await db.close();
});
