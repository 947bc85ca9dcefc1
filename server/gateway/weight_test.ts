import assert from "node:assert/strict";
import type { Delta } from "@lakesync/core";
import { slices } from "./large.ts";
import { needsSteps } from "./steps.ts";
import { ALICE, at, delta, openFixture, push, tx } from "./testing_fixture.ts";
import { weightOf, weightOfAll } from "./weight.ts";

const NAMES = Array.from({ length: 998 }, (_, i) => `c${i}`);

function wide(rowId: number, cells = NAMES.length): Delta {
  const columns = NAMES.slice(0, cells).map((name) => [name, rowId] as const);
  return delta("INSERT", `r${rowId}`, at(rowId), Object.fromEntries(columns), "wide");
}

Deno.test("weightOf counts a delta by its cells, at least as one", () => {
  assert.deepEqual([0, 1, 25, 26, 50, 51].map((cells) => weightOf(wide(1, cells))), [
    1,
    1,
    1,
    2,
    2,
    3,
  ]);
  assert.equal(weightOfAll([wide(1, 5), wide(2)]), 41);
});

Deno.test("G11 slices and steps cut by cells as well as by deltas", async () => {
  const wides = Array.from({ length: 120 }, (_, i) => wide(i));
  const narrow = Array.from({ length: 2_100 }, (_, i) => wide(i, 2));
  const lengths = async (deltas: readonly Delta[]) => {
    const found: number[] = [];
    for await (const slice of slices(deltas)) found.push(slice.length);
    return found;
  };
  assert.deepEqual(await lengths(wides), [50, 50, 20]);
  assert.deepEqual(await lengths(narrow), [2_000, 100]);
  const request = { clientId: "a", schemaVersion: 1, transactions: [tx(1, ...wides)] };
  assert.equal(needsSteps(request, weightOfAll(wides)), true);
});

Deno.test("G11 a push of wide rows lets the event loop turn between its slices", async () => {
  let turns = 0;
  await using fixture = await openFixture(undefined, {
    nextTurn: () => {
      turns++;
      return new Promise((resolve) => setTimeout(resolve, 0));
    },
  });
  const { gateway } = fixture;
  const columns = Object.fromEntries(NAMES.map((name) => [name, "integer"]));
  await gateway.putSchema({
    version: 2,
    tables: {
      ...gateway.schema?.spec.tables,
      wide: { primaryKey: ["id"], columns: { id: "string", ...columns } },
    },
  });
  const turnsOf = async (clientId: string, from: number, count: number) => {
    turns = 0;
    const deltas = Array.from({ length: count }, (_, i) => tx(i + 1, wide(from + i)));
    const { lastMutationId } = await push(gateway, clientId, deltas, { schemaVersion: 2 });
    assert.equal(lastMutationId, count);
    return turns;
  };
  const few = await turnsOf("a", 0, 50);
  assert.ok(await turnsOf("b", 100, 200) >= few + 4);
  const pull = { clientId: "c", schemaVersion: 2, limit: 1_000 };
  assert.equal((await gateway.pull(ALICE, pull)).changes.length, 250);
});
