import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type JsonValue, type Value } from "@lakesync/core";
import fc from "fast-check";
import type { Change, RowEffect } from "../../adapter.ts";
import { mergeImages, type StoredRow } from "../../database/images.ts";
import { encodeChange, encodeRow } from "../flush/changes.ts";
import { changesSchema, type LakeTable, planTable, rowsSchema } from "../flush/layout.ts";
import { canonicalValue } from "../flush/values.ts";
import {
  cellsOf,
  changes,
  destinationSchema,
  numbered,
  placed,
  rowIds,
  TABLE,
} from "../table/testing_history.ts";
import { Duck } from "./duck.ts";
import { foldSql } from "./fold.ts";
import { relationSql } from "./relation.ts";
import { valuesOf, writeChanges, writeImages } from "./testing_files.ts";

function planned(version: 1 | 2, before?: LakeTable): LakeTable {
  const table = planTable(destinationSchema(version).tables[0] ?? assert.fail(), version, before);
  assert.ok(typeof table !== "string", String(table));
  return table;
}

const LAYOUT = planned(2, planned(1));

/** What is done to rows at one commit. */
type Step =
  | { readonly kind: "changes"; readonly changes: readonly Change[] }
  | { readonly kind: "rows"; readonly rows: readonly RowEffect[] };

const steps: fc.Arbitrary<readonly ((seq: number) => Step)[]> = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: changeStep(1) },
    { weight: 5, arbitrary: changeStep(2) },
    { weight: 1, arbitrary: setStep() },
  ),
  { minLength: 1, maxLength: 8 },
);

function changeStep(version: 1 | 2) {
  return fc.array(changes(version), { maxLength: 6 }).map((given) => (seq: number): Step => ({
    kind: "changes",
    changes: given.map((change, i) => placed(change, seq, Math.floor(i / 2), version)),
  }));
}

function setStep() {
  const row = fc.record({ rowId: rowIds, cells: cellsOf(2), isVisible: fc.boolean() });
  return fc.array(row, { maxLength: 2 }).map((given) => (): Step => ({
    kind: "rows",
    rows: given.map(({ rowId, cells, isVisible }) => ({
      key: { table: TABLE, rowId },
      isVisible,
      replaces: true,
      cells: numbered(cells),
    })),
  }));
}

/** The rows after some steps, as databases have them. */
function imagesAfter(steps: readonly Step[]): readonly StoredRow[] {
  const images = new Map<string, StoredRow>();
  for (const step of steps) {
    const batch = {
      from: undefined,
      to: { seq: 1, lives: [], writer: "" },
      isWhole: true,
      rows: step.kind === "rows" ? step.rows : [],
      changes: step.kind === "changes" ? step.changes : [],
    };
    for (const image of mergeImages(batch, images.values(), 0)) images.set(image.key.rowId, image);
  }
  return [...images.values()];
}

function sorted(rows: Iterable<readonly Value[]>): readonly (readonly Value[])[] {
  const text = (row: readonly Value[]) => JSON.stringify(row.slice(0, 2));
  return [...rows].toSorted((a, b) => text(a) < text(b) ? -1 : 1);
}

/** A row as DuckDB gives it: times in one form, JSON as what it says. */
function read(row: readonly Value[]): readonly Value[] {
  return row.map((value, i): Value => {
    const type = LAYOUT.columns[i]?.type ?? "string";
    if (value === null) return null;
    if (type === "json" && typeof value === "string") return JSON.parse(value) as JsonValue;
    return canonicalValue(type, value);
  });
}

/** Names are used once: DuckDB knows files that it has read. */
let files = 0;

async function folded(
  duck: Duck,
  folder: string,
  history: readonly Step[],
  from: number,
): Promise<readonly (readonly Value[])[]> {
  const before = imagesAfter(history.slice(0, from));
  const file = async (name: string, write: (path: string) => Promise<void>) => {
    const path = join(folder, `${name}-${files++}.parquet`);
    await write(path);
    return [{ path, location: path, deletes: [] }];
  };
  const rows = (name: string, isVisible: boolean) =>
    file(name, (path) => {
      return writeImages(path, LAYOUT, before.filter((row) => row.isVisible === isVisible));
    });
  const written = history.slice(from).flatMap((step, i) =>
    step.kind === "changes"
      ? step.changes.map((change) => encodeChange(LAYOUT, change))
      : step.rows.map((row) => encodeRow(LAYOUT, row, { seq: from + Math.max(1, i) }, 0))
  );
  // Files of a table of changes are in no certain order.
  const halves = [written.filter(({ seq }) => seq % 2 === 0), written.filter((r) => r.seq % 2 > 0)];
  const changeFiles = await Promise.all(
    halves.map((half, i) => file(`changes${i}`, (path) => writeChanges(path, LAYOUT, half))),
  );
  const { fields } = rowsSchema(LAYOUT);
  return await duck.rows(foldSql(LAYOUT, {
    rows: from === 0 ? undefined : relationSql(fields, await rows("rows", true)),
    hidden: from === 0 ? undefined : relationSql(fields, await rows("hidden", false)),
    changes: relationSql(changesSchema(LAYOUT).fields, changeFiles.flat()),
  }));
}

Deno.test("G10: the fold in SQL makes the rows that databases have, from any moment on", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lakesync-"));
  const duck = await Duck.open({ memoryBytes: 512 * 2 ** 20 });
  const history = steps.map((made) => made.map((step, i) => step(i + 1)));
  try {
    await fc.assert(
      fc.asyncProperty(history, fc.nat({ max: 8 }), async (history, from) => {
        const expected = imagesAfter(history).filter(({ isVisible }) => isVisible);
        const rows = await folded(duck, folder, history, Math.min(from, history.length));
        assert.deepEqual(
          sorted(rows.map(read)),
          sorted(expected.map((row) => valuesOf(LAYOUT, row))),
        );
      }),
      { numRuns: 60 },
    );
  } finally {
    duck.close();
    await rm(folder, { recursive: true });
  }
});
