// The core as an npm package: clock, schema, deltaId and both codecs.
import assert from "node:assert/strict";
import {
  createClock,
  decodePush,
  deltaIdOf,
  encodePush,
  keyOf,
  LakeSyncError,
  parseSchema,
} from "@lakesync/core";

const schema = parseSchema({
  version: 1,
  tables: { todos: { primaryKey: ["id"], columns: { id: "string", title: "string" } } },
});
assert.deepEqual(keyOf(schema.tables.get("todos"), "t1"), ["t1"]);

const delta = {
  shape: { op: "INSERT", table: "todos", columns: ["title"] },
  rowId: "t1",
  hlc: createClock(() => Date.now()).tick(),
  values: ["Buy milk 🥛"],
  deltaId: undefined,
};
const signed = { ...delta, deltaId: deltaIdOf("phone-1", delta, delta.hlc) };
const push = {
  clientId: "phone-1",
  schemaVersion: 1,
  transactions: [{ mutationId: 1, deltas: [signed] }],
};
assert.deepEqual(decodePush(encodePush(push)), push);
assert.throws(() => decodePush(new Uint8Array([0xff])), LakeSyncError);
