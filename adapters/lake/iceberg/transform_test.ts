import assert from "node:assert/strict";
import fc from "fast-check";
import { MetadataError } from "./metadata.ts";
import { dayOf, hourOf, partitionKey, partitionTypes, partitionValue } from "./transform.ts";

Deno.test("dayOf and hourOf go down, before 1970 too", () => {
  assert.equal(dayOf(-1n), -1);
  assert.equal(hourOf(-1n), -1);
  assert.equal(dayOf(0n), 0);
  fc.assert(fc.property(fc.bigInt({ min: -(2n ** 55n), max: 2n ** 55n }), (micros) => {
    const [day, hour] = [BigInt(dayOf(micros)), BigInt(hourOf(micros))];
    assert.ok(day * 86_400_000_000n <= micros && micros < (day + 1n) * 86_400_000_000n);
    assert.ok(hour * 3_600_000_000n <= micros && micros < (hour + 1n) * 3_600_000_000n);
  }));
});

Deno.test("partitionValue makes values of partitions, and says what it cannot make", () => {
  assert.equal(partitionValue("day", 86_400_000_000n), 1);
  assert.equal(partitionValue("day", -3), -3);
  assert.equal(partitionValue("hour", null), null);
  assert.equal(partitionValue("identity", "a"), "a");
  assert.equal(partitionValue("void", "a"), null);
  assert.throws(() => partitionValue("bucket[4]", 1n), MetadataError);
});

Deno.test("partitionTypes finds columns that the newest schema has no more", () => {
  const field = { id: 1, name: "at", required: false, type: "timestamptz" };
  const schemas = [
    { type: "struct", "schema-id": 0, fields: [field] },
    { type: "struct", "schema-id": 1, fields: [] },
  ] as const;
  const by = (transform: string, source: number) => ({
    "spec-id": 0,
    fields: [{ "source-id": source, "field-id": 1000, name: "p", transform }],
  });
  assert.deepEqual(partitionTypes(by("day", 1), schemas), ["date"]);
  assert.deepEqual(partitionTypes(by("hour", 1), schemas), ["int"]);
  assert.deepEqual(partitionTypes(by("identity", 1), schemas), ["timestamptz"]);
  assert.throws(() => partitionTypes(by("day", 2), schemas), MetadataError);
});

Deno.test("partitionKey tells partitions apart", () => {
  const keys = [[null], ["null"], [1], [1n], ["1"], [true], ["a", "b"], ["ab", ""]];
  assert.equal(new Set(keys.map((values) => partitionKey(0, values))).size, keys.length);
  assert.notEqual(partitionKey(0, [1]), partitionKey(1, [1]));
});
