import assert from "node:assert/strict";
import fc from "fast-check";
import type { Hlc } from "@lakesync/core";
import type { Change } from "../adapter.ts";
import { cutBatch } from "./batch.ts";
import { backoffMs } from "./settings.ts";
import type { SourceEntry } from "./source.ts";

const CHANGE: Omit<Change, "deltaId"> = {
  op: "INSERT",
  table: "t",
  rowId: "r",
  columns: { a: 1 },
  hlc: 1n as Hlc,
  clientId: "c",
  mutationId: 1,
  seq: 1,
  slice: 0,
  committedMs: 0,
  schemaVersion: 1,
  effect: undefined,
};

function changesOf(entries: readonly SourceEntry[]): readonly Change[] {
  return entries.flatMap(({ changes }) => changes);
}

/** Transactions as the numbers of changes in their slices. */
function entriesOf(transactions: readonly (readonly number[])[]): SourceEntry[] {
  return transactions.flatMap((slices, i) =>
    slices.map((changes, slice): SourceEntry => ({
      seq: i + 1,
      slice,
      last: slice === slices.length - 1,
      committedMs: 0,
      bytes: changes * 10,
      changes: Array.from({ length: changes }, (_, at) => ({
        ...CHANGE,
        deltaId: `${i + 1}.${slice}.${at}`,
      })),
    }))
  );
}

const slices = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 4 });

Deno.test("cutBatch ends at transactions, stays within bounds, and always goes on", () => {
  const bounds = fc.record({
    maxChanges: fc.integer({ min: 1, max: 12 }),
    maxBytes: fc.integer({ min: 1, max: 120 }),
  });
  fc.assert(
    fc.property(fc.array(slices, { minLength: 1 }), bounds, (transactions, settings) => {
      const all = entriesOf(transactions);
      const seen: string[] = [];
      for (let rest = all; rest.length > 0;) {
        const { entries, isWhole } = cutBatch(rest, settings);
        assert.ok(entries.length > 0);
        assert.equal(entries.at(-1)?.last, isWhole);
        const changes = changesOf(entries);
        const tooMuch = changes.length > settings.maxChanges ||
          changes.length * 10 > settings.maxBytes;
        assert.ok(!tooMuch || entries.length === 1);
        assert.ok(isWhole || new Set(entries.map(({ seq }) => seq)).size === 1);
        seen.push(...changes.map(({ deltaId }) => deltaId));
        rest = rest.slice(entries.length);
      }
      assert.deepEqual(seen, changesOf(all).map(({ deltaId }) => deltaId));
    }),
  );
});

Deno.test("backoffMs doubles up to its bound, and never is nothing", () => {
  const settings = { retryMs: 100, maxRetryMs: 1_000 };
  assert.deepEqual([1, 2, 3, 4, 5, 99].map((n) => backoffMs(n, settings, 0.99999)), [
    100,
    200,
    400,
    800,
    1_000,
    1_000,
  ]);
  assert.equal(backoffMs(1, settings, 0), 10);
});
