import assert from "node:assert/strict";
import type { Value } from "@lakesync/core";
import fc from "fast-check";
import { concat, gather, slice } from "./gather.ts";
import { nullColumn } from "./layout.ts";
import { columnOf, KINDS, nameOf, valuesOf, valuesOfKind } from "./testing_columns.ts";

function nullsOf(values: readonly Value[]): number {
  return values.filter((value) => value === null).length;
}

for (const kind of KINDS) {
  const lists = fc.array(valuesOfKind(kind, 40), { minLength: 1, maxLength: 4 });

  Deno.test(`gather takes rows of ${nameOf(kind)} as the values are`, () => {
    const picks = fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 60 });
    fc.assert(fc.property(lists, picks, (all, chosen) => {
      const batches: number[] = [];
      const rows: number[] = [];
      for (const [i, j] of chosen) {
        const batch = i % (all.length + 1) - 1;
        const length = all[batch]?.length ?? 0;
        batches.push(length === 0 ? -1 : batch);
        rows.push(length === 0 ? 0 : j % length);
      }
      const expected = batches.map((batch, i) => all[batch]?.[rows[i] ?? -1] ?? null);
      const columns = all.map((values) => columnOf(kind, values));
      const column = gather(columns, { batches, rows: Int32Array.from(rows) });
      assert.equal(column.nulls, nullsOf(expected));
      assert.equal(column.validity === undefined, column.nulls === 0);
      assert.deepStrictEqual(valuesOf(column, kind.from), expected);
    }));
  });

  Deno.test(`concat and slice keep ${nameOf(kind)} as the values are`, () => {
    fc.assert(fc.property(lists, fc.nat(), fc.nat(), (all, i, j) => {
      const columns = all.map((values) => columnOf(kind, values));
      const flat = all.flat();
      const whole = concat(columns);
      assert.equal(whole.nulls, nullsOf(flat));
      assert.deepStrictEqual(valuesOf(whole, kind.from), flat);
      const [start = 0, end = 0] = [i % (flat.length + 1), j % (flat.length + 1)]
        .sort((a, b) => a - b);
      const part = slice(whole, start, end);
      assert.equal(part.nulls, nullsOf(flat.slice(start, end)));
      assert.deepStrictEqual(valuesOf(part, kind.from), flat.slice(start, end));
      assert.deepStrictEqual(valuesOf(concat([part, part]), kind.from), [
        ...flat.slice(start, end),
        ...flat.slice(start, end),
      ]);
    }));
  });

  Deno.test(`nullColumn has no value of ${nameOf(kind)}`, () => {
    for (const length of [0, 1, 9]) {
      const column = nullColumn(kind.type, length);
      assert.equal(column.nulls, length);
      assert.deepStrictEqual(valuesOf(column), Array(length).fill(null));
    }
  });
}

Deno.test("gather, concat and slice refuse columns and rows that do not fit", () => {
  const [one, other] = [columnOf({ type: "int" }, [1]), columnOf({ type: "date" }, ["2026-01-01"])];
  assert.throws(() => concat([]), TypeError);
  assert.throws(() => concat([one, other]), TypeError);
  assert.throws(() => gather([one, other], { batches: [0], rows: [0] }), TypeError);
  assert.throws(() => slice(one, 0, 2), RangeError);
  assert.throws(() => slice(one, 1, 0), RangeError);
});
