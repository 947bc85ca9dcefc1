import assert from "node:assert/strict";
import type { Value } from "@lakesync/core";
import fc from "fast-check";
import { mergeImages } from "../../database/images.ts";
import { columnBuilder, valueAt } from "../columns/mod.ts";
import { encodeChange } from "../flush/changes.ts";
import { type LakeTable, planTable } from "../flush/layout.ts";
import { canonicalValue } from "../flush/values.ts";
import type { LakeField } from "../iceberg/schema.ts";
import type { ColumnBatch } from "../parquet/parquet.ts";
import { cellColumns, ChangeFold, FOLD_COLUMNS, foldFields } from "./apply_changes.ts";
import { Pace } from "./pace.ts";
import { BEFORE, NOTHING } from "./fold.ts";
import { changes, destinationSchema, NUMBERS, placed } from "./testing_history.ts";

const planned = planTable(
  destinationSchema(2).tables[0] ?? assert.fail(),
  2,
  undefined,
);
assert.ok(typeof planned !== "string");
const LAYOUT: LakeTable = { ...planned, names: NUMBERS };
const COLUMNS = LAYOUT.columns;
const CELLS = cellColumns(LAYOUT);

/** Changes as the columns that are read of their files. */
function batchOf(given: ReturnType<typeof placed>[]): ColumnBatch {
  const rows = given.map((change) => encodeChange(LAYOUT, change));
  const own = rows.map(({ op, rowId, seq, slice, changed, raw, effect }) => [
    ...[op, rowId, seq, slice],
    ...[changed, raw, effect],
  ]);
  const all = foldFields(LAYOUT).map((field, i): [LakeField, readonly Value[]] => [
    field,
    i < FOLD_COLUMNS.length
      ? own.map((values) => values[i] ?? null)
      : rows.map(({ values }) => values[COLUMNS.findIndex((c) => c.field.id === field.id)] ?? null),
  ]);
  return {
    fields: all.map(([field]) => field),
    length: rows.length,
    columns: all.map(([{ id, type }, values]) => {
      const builder = columnBuilder(
        type,
        COLUMNS.find(({ number }) => number === id - 1_000)?.type,
      );
      for (const value of values) assert.equal(builder.append(value), undefined);
      return builder.finish();
    }),
  };
}

Deno.test("G10: changes fold to the rows that databases have of them, values in whatever form", async () => {
  const given = fc.array(
    fc.array(
      fc.oneof(changes(1).map((c) => [c, 1] as const), changes(2).map((c) => [c, 2] as const)),
    ),
    { maxLength: 4 },
  );
  await fc.assert(
    fc.asyncProperty(given, async (batches) => {
      const all = batches.map((batch, i) =>
        batch.map(([change, version], n) => placed(change, i + 1, n, version))
      );
      const pace = new Pace(() => Promise.resolve());
      const fold = new ChangeFold(LAYOUT);
      for (const batch of all) await fold.apply([batchOf(batch)], pace);
      const sources = fold.sources();
      const position = { seq: 1, lives: [], writer: "" };
      const expected = mergeImages(
        { from: undefined, to: position, rows: [], isWhole: true, changes: all.flat() },
        [],
        0,
      );
      assert.deepEqual(fold.images.rowIds, expected.map(({ key }) => key.rowId));
      for (const [row, { isVisible, cells }] of expected.entries()) {
        assert.equal(fold.images.isVisible(row), isVisible);
        for (const [i, { number }] of CELLS.entries()) {
          const type = COLUMNS.find((column) => column.number === number)?.type ?? "string";
          const source = fold.images.cell(row, i);
          const value = cells.get(number)?.value ?? null;
          assert.ok(source === BEFORE || source >= NOTHING);
          if (source === BEFORE) assert.ok(!cells.has(number));
          const from = sources[i]?.[source & 1];
          const found = source < 0 || from === undefined ? null : valueAt(from, source >> 1, type);
          assert.deepEqual(found, value === null ? null : canonicalValue(type, value));
        }
      }
    }),
    { numRuns: 300 },
  );
});
