import assert from "node:assert/strict";
import { destinationSchema, numbered, placed, TABLE } from "./testing_history.ts";
import { mergeLake } from "./merge_lake.ts";
import { openTestLake, seenRows } from "./testing_lake.ts";

Deno.test("mergeLake makes rows of changes", async () => {
  const { lake, adapter, close } = openTestLake();
  await adapter.ensureSchema(destinationSchema(1));
  const lives = [{ id: "a", fromSeq: 0 }];
  const start = { seq: 0, lives, writer: "w" };
  await adapter.insertDeltas({ from: undefined, to: start, rows: [], changes: [], isWhole: true });
  const key = { table: TABLE, rowId: '["a",1]' };
  const cells = { name: "milk", count: 3, price: "2.5" };
  const insert = {
    op: "INSERT" as const,
    columns: cells,
    effect: { key, isVisible: true, replaces: true, cells: numbered(cells) },
  };
  const more = { count: 4 };
  const update = {
    op: "UPDATE" as const,
    columns: more,
    effect: { key, isVisible: true, replaces: false, cells: numbered(more) },
  };
  await adapter.insertDeltas({
    from: start,
    to: { ...start, seq: 1 },
    rows: [],
    changes: [placed(insert, 1, 0, 1)],
    isWhole: true,
  });
  assert.equal(await mergeLake(lake), 1);
  assert.deepEqual(
    await seenRows(lake, TABLE),
    new Map([[key.rowId, new Map<number, unknown>([[3, "milk"], [4, 3], [5, "2.50"]])]]),
  );
  await adapter.insertDeltas({
    from: { ...start, seq: 1 },
    to: { ...start, seq: 2 },
    rows: [],
    changes: [placed(update, 2, 0, 1)],
    isWhole: true,
  });
  assert.equal(await mergeLake(lake), 1);
  assert.deepEqual(
    await seenRows(lake, TABLE),
    new Map([[key.rowId, new Map<number, unknown>([[3, "milk"], [4, 4], [5, "2.50"]])]]),
  );
  assert.equal(await mergeLake(lake), 0);
  await close();
});
