import assert from "node:assert/strict";
import fc from "fast-check";
import type { Hlc } from "./clock.ts";
import {
  type Change,
  compareStamps,
  EMPTY_ROW,
  merge,
  type RowState,
  type Stamp,
} from "./merge.ts";
import {
  type Merge,
  mergeAll,
  modelOf,
  shuffled,
  viewOf,
  type Written,
  written,
} from "./testing_merge.ts";

const RUNS = { numRuns: 3_000 };
const TITLE = 0;
const STATUS = 1;

function write(
  op: Written["op"],
  hlc: number,
  clientId: string,
  cells: Readonly<Record<number, string | number | null>> = {},
): Written {
  return {
    op,
    hlc: BigInt(hlc) as Hlc,
    clientId,
    columns: Object.keys(cells).map(Number),
    values: Object.values(cells),
  };
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, i) =>
    permutations([...items.slice(0, i), ...items.slice(i + 1)])
      .map((rest) => [item, ...rest])
  );
}

function convergence(candidate: Merge) {
  return fc.property(shuffled, ([history, other]) => {
    const expected = modelOf(history);
    assert.deepStrictEqual(viewOf(mergeAll(candidate, history)), expected);
    assert.deepStrictEqual(viewOf(mergeAll(candidate, other)), expected);
  });
}

Deno.test("G3: merge gives the model's row for every order of every history", () => {
  fc.assert(convergence(merge), RUNS);
});

Deno.test("G3: merge gives the same row when changes are repeated", () => {
  fc.assert(
    fc.property(
      shuffled,
      fc.infiniteStream(fc.nat()),
      ([history, other], picks) => {
        const repeated = [...history, ...other].flatMap((change) =>
          (picks.next().value ?? 0) % 2 === 0 ? [change] : [change, change]
        );
        assert.deepStrictEqual(
          viewOf(mergeAll(merge, repeated)),
          modelOf(history),
        );
      },
    ),
    RUNS,
  );
});

Deno.test("merge gives back the same object when a change has no effect", () => {
  fc.assert(
    fc.property(fc.array(written, { minLength: 1 }), (history) => {
      const row = mergeAll(merge, history);
      for (const change of history) {
        assert.equal(merge(row, { ...change, seq: 99 }), row);
      }
    }),
    RUNS,
  );
});

Deno.test("merge holds each column once, and nothing at or before the deletion", () => {
  fc.assert(
    fc.property(fc.array(written), (history) => {
      const row = mergeAll(merge, history);
      const columns = row.cells.flatMap((group) => group.columns);
      assert.equal(new Set(columns).size, columns.length);
      for (const group of row.cells) {
        assert.ok(group.columns.length > 0);
        assert.equal(group.columns.length, group.values.length);
        assert.ok(!row.died || compareStamps(group, row.died) > 0);
      }
      assert.ok(
        !row.died || !row.born || compareStamps(row.born, row.died) > 0,
      );
    }),
    RUNS,
  );
});

Deno.test("merge does not change the row it was given", () => {
  fc.assert(
    fc.property(fc.array(written), written, (history, change) => {
      const row = mergeAll(merge, history);
      const before = structuredClone(row);
      merge(row, { ...change, seq: 99 });
      assert.deepStrictEqual(row, before);
    }),
  );
});

Deno.test("G3: merge converges for three writers of two columns in all six orders", () => {
  const insert = write("INSERT", 1, "a", { [TITLE]: "", [STATUS]: "" });
  const three = [
    write("UPDATE", 1_000, "a", { [TITLE]: "of a" }),
    write("UPDATE", 1_010, "b", { [STATUS]: "of b" }),
    write("UPDATE", 1_005, "c", { [TITLE]: "of c" }),
  ];
  const orders = permutations(three);
  assert.equal(orders.length, 6);
  for (const order of orders) {
    assert.deepStrictEqual(
      viewOf(mergeAll(merge, [insert, ...order])),
      new Map([[TITLE, "of c"], [STATUS, "of b"]]),
    );
    assert.deepStrictEqual(
      viewOf(mergeAll(merge, [...order, insert])),
      new Map([[TITLE, "of c"], [STATUS, "of b"]]),
    );
  }
});

Deno.test("merge does not resurrect a row when an UPDATE comes after its DELETE", () => {
  const history = [
    write("INSERT", 1, "a", { [TITLE]: "first" }),
    write("DELETE", 5, "a"),
    write("UPDATE", 9, "b", { [TITLE]: "late" }),
  ];
  for (const order of permutations(history)) {
    assert.equal(viewOf(mergeAll(merge, order)), undefined);
  }
});

Deno.test("merge brings a row back by a later INSERT, with only the cells written after the DELETE", () => {
  const history = [
    write("INSERT", 1, "a", { [TITLE]: "old", [STATUS]: "old" }),
    write("UPDATE", 4, "a", { [STATUS]: "older than the deletion" }),
    write("DELETE", 5, "a"),
    write("INSERT", 7, "b", { [TITLE]: "new" }),
    write("UPDATE", 6, "c", { [STATUS]: "after the deletion" }),
  ];
  for (const order of permutations(history)) {
    assert.deepStrictEqual(
      viewOf(mergeAll(merge, order)),
      new Map([[TITLE, "new"], [STATUS, "after the deletion"]]),
    );
  }
});

Deno.test("merge keeps an UPDATE that comes before its INSERT", () => {
  const update = write("UPDATE", 9, "b", { [TITLE]: "newer" });
  const insert = write("INSERT", 3, "a", { [TITLE]: "", [STATUS]: null });
  assert.equal(viewOf(mergeAll(merge, [update])), undefined);
  assert.deepStrictEqual(
    viewOf(mergeAll(merge, [update, insert])),
    new Map<number, string | null>([[TITLE, "newer"], [STATUS, null]]),
  );
});

Deno.test("merge decides equal clocks by clientId and equal stamps by value", () => {
  const insert = write("INSERT", 1, "a", { [TITLE]: "" });
  for (
    const [x, y, winner] of [
      [write("UPDATE", 5, "b", { [TITLE]: "x" }), "c", "y"],
      [write("UPDATE", 5, "c", { [TITLE]: "x" }), "c", "y"],
      [write("UPDATE", 5, "d", { [TITLE]: "x" }), "c", "x"],
    ] as const
  ) {
    for (
      const order of permutations([
        insert,
        x,
        write("UPDATE", 5, y, { [TITLE]: "y" }),
      ])
    ) {
      const view = viewOf(mergeAll(merge, order));
      assert.equal(view?.get(TITLE), winner);
    }
  }
});

Deno.test("merge lets a DELETE win over an INSERT of the same stamp", () => {
  const history = [
    write("INSERT", 5, "a", { [TITLE]: "x" }),
    write("DELETE", 5, "a"),
  ];
  for (const order of permutations(history)) {
    assert.equal(viewOf(mergeAll(merge, order)), undefined);
  }
});

Deno.test("compareStamps is a total order", () => {
  const stamp: fc.Arbitrary<Stamp> = fc.record({
    hlc: fc.bigInt({ min: 0n, max: 3n }).map((hlc) => hlc as Hlc),
    clientId: fc.constantFrom("a", "B", "a\uffff", "a😀"),
  });
  fc.assert(
    fc.property(stamp, stamp, stamp, (a, b, c) => {
      assert.equal(compareStamps(a, b) + compareStamps(b, a), 0);
      assert.equal(
        compareStamps(a, b) === 0,
        a.hlc === b.hlc && a.clientId === b.clientId,
      );
      if (compareStamps(a, b) <= 0 && compareStamps(b, c) <= 0) {
        assert.ok(compareStamps(a, c) <= 0);
      }
    }),
    RUNS,
  );
});

/** Merges that are wrong in the ways people get them wrong; the law must find each. */
const BROKEN: Readonly<Record<string, Merge>> = {
  "one stamp for the row": (row, change) =>
    change.op === "UPDATE" &&
      row.cells.some((group) => compareStamps(group, change) > 0)
      ? row
      : merge(row, change),
  ">= instead of >": (row, change) => merge(withoutEqual(row, change), change),
  "equal clocks not decided by clientId": (row, change) => {
    const rival = row.cells.find((group) => group.hlc === change.hlc);
    return merge(
      row,
      rival && change.op === "UPDATE" ? { ...change, clientId: rival.clientId } : change,
    );
  },
  "no tombstone": (row, change) => ({
    ...merge(row, change),
    died: undefined,
  }),
  "an UPDATE that resurrects": (row, change) =>
    merge(row, change.op === "UPDATE" ? { ...change, op: "INSERT" } : change),
  "an INSERT that brings back the cells the deletion hid": (row, change) => {
    const merged = merge(row, change);
    return change.op === "DELETE" ? { ...merged, cells: row.cells } : merged;
  },
  "an UPDATE before its INSERT is lost": (row, change) =>
    change.op === "UPDATE" && row.born === undefined ? row : merge(row, change),
};

function withoutEqual(row: RowState, change: Change): RowState {
  return change.op === "DELETE" ? row : {
    ...row,
    cells: row.cells.filter((group) => compareStamps(group, change) !== 0),
  };
}

for (const [name, broken] of Object.entries(BROKEN)) {
  Deno.test(`the law of convergence fails for a merge with: ${name}`, () => {
    assert.ok(fc.check(convergence(broken), { numRuns: 20_000 }).failed);
  });
}

Deno.test("merge of many columns costs in proportion to them, in whatever order they come", () => {
  const stamp = (hlc: number) => ({ hlc: BigInt(hlc) as Hlc, clientId: "a", seq: hlc });
  const cost = (count: number) => {
    const columns = Array.from({ length: count }, (_, i) => i);
    const turned = [...columns].reverse();
    let best = Infinity;
    for (let run = 0; run < 5; run++) {
      const begin = performance.now();
      let row: RowState = EMPTY_ROW;
      for (let i = 1; i <= 8; i++) {
        const order = i % 2 === 0 ? columns : turned;
        row = merge(row, { op: "UPDATE", ...stamp(i), columns: order, values: order });
      }
      best = Math.min(best, performance.now() - begin);
      assert.deepEqual(row.cells, [{ ...stamp(8), columns, values: columns }]);
    }
    return best;
  };
  const few = cost(1_000);
  assert.ok(cost(16_000) < 80 * few);
});
