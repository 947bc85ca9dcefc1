import assert from "node:assert/strict";
import fc from "fast-check";
import type { Hlc } from "./clock.ts";
import { canonicalJson } from "./delta.ts";
import {
  type CellKind,
  compareStamps,
  EMPTY_ROW,
  forEachCell,
  isVisible,
  merge,
  mergedValue,
  orderOf,
  oversizedColumn,
  type RowState,
  tagOf,
} from "./merge.ts";
import { MAX_PAIRS } from "./merge_pairs.ts";
import { MAX_REMOVED } from "./merge_set.ts";
import { type Merge, mergeAll, shuffledOf, viewOf, type Written } from "./testing_merge.ts";
import { tagged, taggedModelOf } from "./testing_merge_kinds.ts";
import { toInteger, type Value } from "./value.ts";

const RUNS = { numRuns: 3_000 };
const VOTES = 0;
const TAGS = 1;
const BEST = 2;
const KIND_OF: readonly CellKind[] = ["counter", "set", "max"];

function write(
  op: Written["op"],
  hlc: number,
  clientId: string,
  cells: Readonly<Record<number, Value>> = {},
): Written {
  const columns = Object.keys(cells).map(Number);
  return {
    op,
    hlc: BigInt(hlc) as Hlc,
    clientId,
    columns,
    kinds: columns.map((column) => KIND_OF[column] ?? "lww"),
    values: Object.values(cells),
  };
}

function convergence(candidate: Merge) {
  return fc.property(shuffledOf(tagged), ([history, other]) => {
    const expected = taggedModelOf(history);
    assert.deepStrictEqual(viewOf(mergeAll(candidate, history)), expected);
    assert.deepStrictEqual(viewOf(mergeAll(candidate, other)), expected);
  });
}

Deno.test("G3: merge of every kind gives the model's row for every order of tagged changes", () => {
  fc.assert(convergence(merge), { numRuns: 10_000 });
});

Deno.test("G3: merge gives the same row again when changes come in another order with the tags they were given", () => {
  const arrivals = shuffledOf(tagged.map((change) => ({ ...change, tag: undefined })));
  fc.assert(
    fc.property(arrivals, ([history]) => {
      let row: RowState = EMPTY_ROW;
      const given = history.map((change, i) => {
        const arrived = { ...change, seq: i + 1 };
        const { hlc, clientId } = tagOf(row, arrived);
        row = merge(row, arrived);
        return { ...change, tag: { hlc, clientId } };
      });
      assert.deepStrictEqual(viewOf(mergeAll(merge, given)), viewOf(row));
      assert.deepStrictEqual(viewOf(mergeAll(merge, given.toReversed())), viewOf(row));
    }),
    RUNS,
  );
});

Deno.test("merge of every kind but counters gives back the same object when it has no effect", () => {
  const changes = tagged.filter(({ kinds }) => kinds?.includes("counter") === false);
  fc.assert(
    fc.property(fc.array(changes, { minLength: 1 }), (history) => {
      const row = mergeAll(merge, history);
      for (const change of history) assert.equal(merge(row, { ...change, seq: 99 }), row);
    }),
    RUNS,
  );
});

Deno.test("merge does not change the row of every kind that it was given", () => {
  fc.assert(
    fc.property(fc.array(tagged), tagged, (history, change) => {
      const row = mergeAll(merge, history);
      const before = structuredClone(row);
      merge(row, { ...change, seq: 99 });
      assert.deepStrictEqual(row, before);
    }),
  );
});

Deno.test("a cell's seq is that of the last commit that changed its value", () => {
  const cellsOf = (row: RowState) => {
    const cells = new Map<number, readonly [string, number]>();
    forEachCell(row, (column, value, seq) => {
      const text = canonicalJson(value) + (Object.is(value, -0) ? "-0" : "");
      if (column > 0) cells.set(column, [text, seq]);
    });
    return cells;
  };
  fc.assert(
    fc.property(fc.array(tagged), (history) => {
      let row: RowState = EMPTY_ROW;
      for (const [i, change] of history.entries()) {
        const before = cellsOf(row);
        row = merge(row, { ...change, seq: i + 1 });
        for (const [column, [text, seq]] of cellsOf(row)) {
          const known = before.get(column);
          assert.equal(seq, known?.[0] === text ? known[1] : i + 1);
        }
      }
    }),
    RUNS,
  );
});

Deno.test("merge keeps merged cells by column, none empty, with no pair that cannot be seen, and none where all are lww", () => {
  fc.assert(
    fc.property(fc.array(tagged), (history) => {
      const { merged } = mergeAll(merge, history);
      if (merged === undefined) return;
      assert.ok(merged.length > 0);
      assert.deepStrictEqual(
        merged.map(({ column }) => column),
        [...new Set(merged.map(({ column }) => column))].sort(),
      );
      for (const cell of merged) {
        if (cell.kind === "set") continue;
        assert.ok(cell.pairs.length > 0);
        for (const [i, pair] of cell.pairs.entries()) {
          const older = cell.pairs[i - 1];
          if (older === undefined) continue;
          assert.ok(compareStamps(older, pair) < 0);
          assert.ok(cell.kind === "counter" || orderOf(cell.kind)(older.value, pair.value) > 0);
        }
      }
    }),
    RUNS,
  );
  const row = merge(EMPTY_ROW, { ...write("INSERT", 1, "a", { 7: "x" }), seq: 1 });
  assert.equal(Object.hasOwn(row, "merged"), false);
});

Deno.test("a change of lww columns alone leaves merged cells as they are", () => {
  const row = mergeAll(merge, [write("INSERT", 1, "a", { [VOTES]: 4, 7: "x" })]);
  const { kinds: _, ...plain } = write("UPDATE", 2, "a", { 7: "y" });
  const next = merge(row, { ...plain, seq: 2 });
  assert.equal(next.merged, row.merged);
  assert.deepStrictEqual(viewOf(next), new Map<number, Value>([[VOTES, 4], [7, "y"]]));
});

Deno.test("increments that many clients made offline add up exactly, in whatever order they come", () => {
  const increment = fc.record({
    hlc: fc.integer({ min: 2, max: 1_000 }),
    clientId: fc.stringMatching(/^[a-z]{1,3}$/),
    by: fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -9, max: 9 })),
  });
  fc.assert(
    fc.property(
      fc.array(increment, { maxLength: 120 }),
      fc.integer({ min: 1, max: 1_000 }),
      (increments, born) => {
        const insert = write("INSERT", born, "~", { [VOTES]: 7 });
        const updates = increments.map(({ hlc, clientId, by }) =>
          write("UPDATE", hlc, clientId, { [VOTES]: { add: by } })
        );
        const at = increments.length >> 1;
        const row = mergeAll(merge, [...updates.slice(0, at), insert, ...updates.slice(at)]);
        let sum = 7n;
        for (const { by } of increments) sum += BigInt(by);
        const held = BigInt.asIntN(64, sum) === sum
          ? sum
          : sum < 0n
          ? -(2n ** 63n)
          : 2n ** 63n - 1n;
        assert.equal(mergedValue(row, VOTES), toInteger(held));
      },
    ),
  );
});

Deno.test("a counter begins anew with the INSERT after a DELETE, and late increments of the life before are gone", () => {
  const history = [
    write("INSERT", 10, "a", { [VOTES]: 5 }),
    write("UPDATE", 11, "a", { [VOTES]: { add: 1 } }),
    write("UPDATE", 25, "b", { [VOTES]: { add: 2 } }),
    write("DELETE", 20, "a"),
    write("INSERT", 30, "a", { [VOTES]: 100 }),
    write("UPDATE", 19, "c", { [VOTES]: { add: 50 } }),
    write("UPDATE", 31, "b", { [VOTES]: { add: -3 } }),
  ];
  const seen = history.map((_, i) => viewOf(mergeAll(merge, history.slice(0, i + 1)))?.get(VOTES));
  assert.deepStrictEqual(seen, [5, 6, 8, undefined, 100, 100, 97]);
});

Deno.test("a late DELETE takes away what was written to the life it ends, and moves the seq of the rest", () => {
  const row = mergeAll(merge, [
    write("INSERT", 1, "a", { [VOTES]: 5, [BEST]: 9, [TAGS]: ["old", "kept"] }),
    write("INSERT", 7, "b", { [VOTES]: 1, [BEST]: 3, [TAGS]: ["kept", "new"] }),
    write("DELETE", 4, "a"),
  ]);
  const seqs = new Map<number, number>();
  forEachCell(row, (column, _, seq) => seqs.set(column, seq));
  assert.ok(isVisible(row));
  assert.deepStrictEqual(
    viewOf(row),
    new Map<number, Value>([[VOTES, 1], [TAGS, ["kept", "new"]], [BEST, 3]]),
  );
  assert.deepStrictEqual([...seqs.values()], [3, 3, 3]);
});

Deno.test("a counter holds at the bounds of 64 bits and comes back from there exactly", () => {
  const max = 2n ** 63n - 1n;
  const insert = write("INSERT", 1, "a", { [VOTES]: max });
  const more = write("UPDATE", 2, "b", { [VOTES]: { add: String(max) } });
  const less = write("UPDATE", 3, "c", { [VOTES]: { add: String(-max) } });
  assert.equal(mergedValue(mergeAll(merge, [insert, more]), VOTES), max);
  assert.equal(mergedValue(mergeAll(merge, [insert, more, less]), VOTES), max);
  assert.equal(mergedValue(mergeAll(merge, [insert, more, less, less]), VOTES), 0);
});

Deno.test("a counter, a set and a max that were never written, or with null alone, are not there", () => {
  const row = mergeAll(merge, [
    write("INSERT", 1, "a", { [VOTES]: null, [TAGS]: null, [BEST]: null }),
    write("UPDATE", 2, "a", { [VOTES]: null, [TAGS]: null, [BEST]: null }),
  ]);
  assert.deepStrictEqual(viewOf(row), new Map());
  assert.equal(mergedValue(row, VOTES), null);
});

Deno.test("a set that was written and is empty is an empty array, not null", () => {
  for (const empty of [[], {}, { add: [] }, { add: ["a"], remove: [] }]) {
    const row = mergeAll(merge, [
      write("INSERT", 1, "a", { [TAGS]: empty }),
      write("UPDATE", 2, "a", { [TAGS]: { remove: ["a"] } }),
    ]);
    assert.deepStrictEqual(mergedValue(row, TAGS), []);
  }
});

Deno.test("a set's value is sorted by canonical JSON, one element for each canonical text", () => {
  const row = mergeAll(merge, [
    write("INSERT", 1, "a", { [TAGS]: ["b", 10, 2, true, "a", -0, 0, "é", "1"] }),
  ]);
  assert.deepStrictEqual(mergedValue(row, TAGS), ["1", "a", "b", "é", 0, 10, 2, true]);
});

Deno.test("pairs beyond the bound run together, the oldest first, and keep the sum", () => {
  const count = 3 * MAX_PAIRS;
  const updates = Array.from(
    { length: count },
    (_, i) => write("UPDATE", i + 1, "a", { [VOTES]: { add: 1 }, [BEST]: count - i }),
  );
  for (const history of [updates, updates.toReversed()]) {
    const row = mergeAll(merge, [...history, write("INSERT", 1_000, "a")]);
    for (const cell of row.merged ?? []) {
      assert.ok(cell.kind !== "set" && cell.pairs.length === MAX_PAIRS);
    }
    assert.equal(mergedValue(row, VOTES), count);
    assert.equal(mergedValue(row, BEST), count);
    const cut = merge(row, { ...write("DELETE", count - 10, "a"), seq: 99 });
    assert.equal(mergedValue(cut, VOTES), 10);
    assert.equal(mergedValue(cut, BEST), 10);
  }
});

Deno.test("a set forgets the elements removed first, beyond the bound, and never one that is there", () => {
  const names = (prefix: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${prefix}${i}`);
  const row = mergeAll(merge, [
    write("INSERT", 1, "a", { [TAGS]: ["kept"] }),
    write("UPDATE", 5, "a", { [TAGS]: { remove: names("old", 10) } }),
    write("UPDATE", 6, "a", { [TAGS]: { remove: names("new", MAX_REMOVED.elements) } }),
  ]);
  const [cell] = row.merged ?? [];
  assert.ok(cell?.kind === "set");
  assert.equal(cell.state.entries.length, MAX_REMOVED.elements + 1);
  const late = merge(row, { ...write("UPDATE", 4, "b", { [TAGS]: ["old1", "new1"] }), seq: 9 });
  assert.deepStrictEqual(mergedValue(late, TAGS), ["kept", "old1"]);
  const large = "x".repeat(MAX_REMOVED.units / 2);
  const heavy = mergeAll(merge, [
    write("UPDATE", 1, "a", { [TAGS]: { remove: [`1${large}`] } }),
    write("UPDATE", 2, "a", { [TAGS]: { remove: [`2${large}`] } }),
  ]);
  assert.deepStrictEqual(
    heavy.merged?.flatMap((cell) => cell.kind === "set" ? cell.state.entries : [])
      .map(({ text }) => text.slice(1, 2)),
    ["2"],
  );
});

Deno.test("oversizedColumn finds a set that a change made too large, and no other", () => {
  const piece = "x".repeat(2 * 1024 * 1024 - 4);
  const half = mergeAll(merge, [write("INSERT", 1, "a", { [VOTES]: 1, [TAGS]: [`1${piece}`] })]);
  assert.equal(oversizedColumn(EMPTY_ROW, half), undefined);
  const full = merge(half, { ...write("UPDATE", 2, "a", { [TAGS]: { add: [piece] } }), seq: 2 });
  assert.equal(JSON.stringify(mergedValue(full, TAGS)).length, 4 * 1024 * 1024);
  const more = merge(full, { ...write("UPDATE", 3, "a", { [TAGS]: { add: ["y"] } }), seq: 3 });
  assert.equal(oversizedColumn(half, full), undefined);
  assert.equal(oversizedColumn(full, more), TAGS);
  const voted = merge(more, { ...write("UPDATE", 4, "a", { [VOTES]: { add: 1 } }), seq: 4 });
  assert.equal(oversizedColumn(more, voted), undefined);
});

/** Merges that are wrong in the ways people get them wrong; the law must find each. */
const BROKEN: Readonly<Record<string, Merge>> = {
  "tags by arrival": (row, change) => merge(row, { ...change, tag: undefined }),
  "increments that outlive the life they were made in": (row, change) =>
    merge(row, { ...change, tag: change }),
  "a DELETE that leaves merged cells": (row, change) => {
    const { merged: _, ...cut } = merge(row, change);
    return change.op === "DELETE" && row.merged !== undefined
      ? { ...cut, merged: row.merged }
      : merge(row, change);
  },
  "the last of two greatest values": (row, change) =>
    merge(row, { ...change, kinds: change.kinds?.map((kind) => kind === "max" ? "lww" : kind) }),
  "an INSERT that sets a counter": (row, change) =>
    change.op === "INSERT" && change.kinds?.includes("counter")
      ? merge(
        { ...row, merged: row.merged?.filter(({ kind }) => kind !== "counter") ?? [] },
        change,
      )
      : merge(row, change),
  "a set that forgets at once what was removed": (row, change) => {
    const { merged, ...rest } = merge(row, change);
    if (merged === undefined) return rest;
    return {
      ...rest,
      merged: merged.map((cell) =>
        cell.kind !== "set" ? cell : {
          ...cell,
          state: { ...cell.state, entries: cell.state.entries.filter(({ present }) => present) },
        }
      ),
    };
  },
};

for (const [name, broken] of Object.entries(BROKEN)) {
  Deno.test(`the law of convergence fails for a merge of kinds with: ${name}`, () => {
    assert.ok(fc.check(convergence(broken), { numRuns: 20_000 }).failed);
  });
}
