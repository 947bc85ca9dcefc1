import assert from "node:assert/strict";
import fc from "fast-check";
import { cellSum, rowSeed, rowSum } from "./checksum.ts";
import { valueOf } from "./testing_values.ts";

Deno.test("G9: cellSum counts a null cell like one that was never written", () => {
  assert.equal(cellSum(rowSeed("todos", "t1"), "title", null), 0);
});

Deno.test("G9: sums are 32-bit numbers and never change between versions", () => {
  const seed = rowSeed("todos", "t1");
  assert.deepStrictEqual(
    [
      rowSum(seed),
      cellSum(seed, "title", "Buy milk"),
      cellSum(seed, "done", false),
      cellSum(seed, "votes", 2n ** 63n - 1n),
      cellSum(seed, "meta", { b: 1, a: [null] }),
      cellSum(seed, "blob", new Uint8Array([1, 2, 3])),
    ],
    [1381236568, 102120363, 1689145857, 4152560775, 711283882, 3045494075],
  );
  fc.assert(
    fc.property(fc.string(), valueOf("json"), (text, value) => {
      for (
        const sum of [rowSum(rowSeed(text, text)), cellSum(seed, text, value)]
      ) {
        assert.ok(Number.isInteger(sum) && sum >= 0 && sum < 2 ** 32);
      }
    }),
  );
});

Deno.test("G9: sums tell rows, columns, tables and values apart", () => {
  const sums = new Set<number>();
  let count = 0;
  for (const table of ["a", "b", "ab"]) {
    for (const rowId of ["1", "2", "12", "b1"]) {
      const seed = rowSeed(table, rowId);
      sums.add(rowSum(seed));
      count++;
      for (const column of ["x", "y", "xy"]) {
        for (
          const value of ["1", 1, true, "true", "", 2n ** 60n, [], {}, [1]]
        ) {
          sums.add(cellSum(seed, column, value));
          count++;
        }
      }
    }
  }
  assert.equal(sums.size, count);
});

Deno.test("G9: sums of many rows collide no more often than chance has it", () => {
  const sums = new Set<number>();
  const count = 20_000;
  for (let i = 0; i < count; i++) {
    sums.add(cellSum(rowSeed("todos", `t${i}`), "votes", i % 7));
  }
  assert.ok(sums.size >= count - 10, `${count - sums.size} collisions`);
});
