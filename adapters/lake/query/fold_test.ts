import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Hlc, type JsonValue, parseSchema, type Value } from "@lakesync/core";
import fc from "fast-check";
import type { Cell, Change, DestinationTable, RowEffect } from "../../adapter.ts";
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
  isMostlyChanged: boolean,
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
    isMostlyChanged,
  }));
}

Deno.test("G10: the fold in SQL makes the rows that databases have, from any moment on", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lakesync-"));
  const duck = await Duck.open({ memoryBytes: 512 * 2 ** 20 });
  const history = steps.map((made) => made.map((step, i) => step(i + 1)));
  try {
    await fc.assert(
      fc.asyncProperty(history, fc.nat({ max: 8 }), fc.boolean(), async (history, from, isMost) => {
        const expected = imagesAfter(history).filter(({ isVisible }) => isVisible);
        const rows = await folded(duck, folder, history, Math.min(from, history.length), isMost);
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

/** A table of two versions: in the second two columns have swapped names and three are wider. */
function swapped(version: 1 | 2): DestinationTable {
  const { tables } = parseSchema({
    version,
    tables: {
      tasks: {
        primaryKey: ["id"],
        columns: version === 1
          ? { id: "integer", a: "string", b: "string", day: "date", at: "timestamp", n: "integer" }
          : {
            id: "integer",
            a: "string",
            b: "string",
            day: "string",
            at: "string",
            n: "number",
          },
      },
    },
  });
  const table = tables.get("tasks") ?? assert.fail();
  return { id: TABLE, table, columnIds: version === 1 ? [1, 2, 3, 4, 5, 6] : [1, 3, 2, 4, 5, 6] };
}

Deno.test("the fold in SQL knows columns by their numbers, slices, and values of narrower types", async () => {
  const first = planTable(swapped(1), 1, undefined);
  assert.ok(typeof first !== "string", String(first));
  const second = planTable(swapped(2), 2, first);
  assert.ok(typeof second !== "string", String(second));
  const written = (
    version: 1 | 2,
    [seq, slice]: readonly [number, number],
    rowId: string,
    op: Change["op"],
    columns: Readonly<Record<string, Value>>,
  ): Change => {
    const { table, columnIds } = swapped(version);
    const numbers = Object.keys(columns).map((name) =>
      columnIds[table.columns.findIndex((column) => column.name === name)] ?? 0
    );
    const stamp = { hlc: 5n as Hlc, clientId: "c" };
    const cells = Object.values(columns).map((value, i): Cell => [numbers[i] ?? 0, value, stamp]);
    const effect = { key: { table: TABLE, rowId }, isVisible: true, replaces: op === "INSERT" };
    const change = { op, columns, effect: { ...effect, cells } };
    return { ...placed(change, seq, slice, version), columnIds: numbers };
  };
  const young = [
    written(1, [1, 0], "-7", "INSERT", {
      a: "A",
      b: "B",
      day: "0000-02-29",
      at: "0001-12-31T23:59:59.000001Z",
      n: 2 ** 53 - 1,
    }),
    written(1, [1, 0], "8", "INSERT", { a: "x", b: "y", at: "2026-01-02T03:04:05.1Z" }),
  ].map((change) => encodeChange(first, change));
  const set = { key: { table: TABLE, rowId: "9" }, isVisible: true, replaces: true };
  const old = [
    encodeRow(second, { ...set, cells: [[2, "set"], [3, "row"]] }, { seq: 3 }, 0),
    encodeChange(second, written(2, [2, 0], "-7", "UPDATE", { a: "B2" })),
    encodeChange(second, written(1, [2, 0], "8", "UPDATE", { a: "x2", n: 5 })),
    encodeChange(second, written(2, [3, 0], "9", "INSERT", { a: "lost" })),
    encodeChange(second, written(2, [3, 1], "9", "UPDATE", { a: "lost too" })),
  ];
  const folder = await mkdtemp(join(tmpdir(), "lakesync-"));
  const duck = await Duck.open({ memoryBytes: 512 * 2 ** 20 });
  try {
    const paths = [join(folder, "1.parquet"), join(folder, "2.parquet")] as const;
    await writeChanges(paths[0], first, young);
    await writeChanges(paths[1], second, old);
    const files = paths.map((path) => ({ path, location: path, deletes: [] }));
    const sql = foldSql(second, {
      rows: undefined,
      hidden: undefined,
      changes: relationSql(changesSchema(second).fields, files),
    });
    const names = second.columns.map(({ name }) => name);
    assert.deepEqual(names, ["id", "a", "b", "day", "at", "n"]);
    assert.deepEqual(await duck.rows(`FROM (${sql}) ORDER BY id`), [
      [-7, "B2", "A", "0000-02-29", "0001-12-31T23:59:59.000001Z", 2 ** 53 - 1],
      [8, "y", "x2", null, "2026-01-02T03:04:05.100Z", 5],
      [9, "row", "set", null, null, null],
    ]);
  } finally {
    duck.close();
    await rm(folder, { recursive: true });
  }
});
