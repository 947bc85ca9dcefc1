/**
 * Random changes of one table, with whatever effects the gateway's merge may have had, for tests.
 *
 * @module
 */

import { type Hlc, parseSchema, type Schema, type Value } from "@lakesync/core";
import fc from "fast-check";
import type { Cell, Change, DestinationSchema, RowEffect } from "../../adapter.ts";

/** The number of the table. */
export const TABLE = 3;

/** The schema of the tests, in two versions: the second renames a column and adds one. */
export function testSchema(version: 1 | 2): Schema {
  const added = { title: { type: "string", renamedFrom: "name" }, score: "number" } as const;
  return parseSchema({
    version,
    tables: {
      tasks: {
        primaryKey: ["id", "n"],
        columns: {
          id: "string",
          n: "integer",
          ...(version === 1 ? { name: "string" } : added),
          count: "integer",
          price: "decimal(10,2)",
          due: "timestamp",
          data: "json",
          tags: { type: "json", merge: "set" },
          done: "boolean",
          blob: "bytes",
        },
      },
    },
  });
}

/** The numbers of the columns, by the names of either version. */
export const NUMBERS: ReadonlyMap<string, number> = new Map([
  ["id", 1],
  ["n", 2],
  ["name", 3],
  ["title", 3],
  ["count", 4],
  ["price", 5],
  ["due", 6],
  ["data", 7],
  ["tags", 8],
  ["done", 9],
  ["blob", 10],
  ["score", 11],
]);

/** The schema as destinations are given it. */
export function destinationSchema(version: 1 | 2): DestinationSchema {
  const tables = [...testSchema(version).tables.values()].map((table) => ({
    id: TABLE,
    table,
    columnIds: table.columns.map(({ name }) => NUMBERS.get(name) ?? 0),
  }));
  return { version, tables };
}

const VALUES: Readonly<Record<string, fc.Arbitrary<Value>>> = {
  title: fc.constantFrom("", "a", "'\"\\", "é🎈", "long ".repeat(20)),
  count: fc.constantFrom<Value>(0, -5, 2n ** 62n),
  price: fc.constantFrom("0", "12.5", "12.50", "-7"),
  due: fc.constantFrom("2026-01-31T09:30:00Z", "1969-12-31T23:59:59.999999Z"),
  data: fc.constantFrom<Value>({}, [1, null], "x", 1.5),
  tags: fc.constantFrom<Value>([], ["a"], ["a", "b"]),
  done: fc.boolean(),
  blob: fc.constantFrom(new Uint8Array(), new Uint8Array([0, 255])),
  score: fc.constantFrom<Value>(0.5, -1e300),
};

/** What a row becomes, and what a change says that makes it so. */
export interface GivenChange {
  /** What it did. */
  readonly op: Change["op"];
  /** What its writer wrote, by the names of the version. */
  readonly columns: Readonly<Record<string, Value>>;
  /** Its effect. */
  readonly effect: RowEffect;
}

const ROW_IDS = ["a", "b", "é", "🎈", ""].flatMap((id) => [`["${id}",1]`, `["${id}",-2]`]);

/** A row's id. */
export const rowIds: fc.Arbitrary<string> = fc.constantFrom(...ROW_IDS);

/** Cells by the names of a version. */
export function cellsOf(version: 1 | 2): fc.Arbitrary<Readonly<Record<string, Value>>> {
  const { title, score, ...others } = VALUES;
  const named = version === 1 ? { ...others, name: title } : { ...others, title, score };
  const present = Object.entries(named).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, fc.option(value)] as const]
  );
  return fc.record(Object.fromEntries(present), { requiredKeys: [], noNullPrototype: true })
    .map((cells) =>
      Object.fromEntries(
        Object.entries(cells).map(([name, value]): [string, Value] => [name, value ?? null]),
      )
    );
}

/** Cells as effects have them. */
export function numbered(cells: Readonly<Record<string, Value>>): readonly Cell[] {
  return Object.entries(cells).map(([name, value]): Cell => [
    NUMBERS.get(name) ?? 0,
    value,
    { hlc: 5n as Hlc, clientId: "c" },
  ]);
}

/** A change whose writer knows a version of the schema. */
export function changes(version: 1 | 2): fc.Arbitrary<GivenChange> {
  const other = fc.record({
    isVisible: fc.boolean(),
    replaces: fc.boolean(),
    cells: cellsOf(version),
  });
  return fc.record({
    op: fc.constantFrom("INSERT" as const, "UPDATE" as const, "UPDATE" as const, "DELETE" as const),
    rowId: rowIds,
    columns: cellsOf(version),
    other: fc.option(other, { freq: 3, nil: undefined }),
  }).map(({ op, rowId, columns, other }) => {
    const written = op === "DELETE" ? {} : columns;
    const usual = { isVisible: op !== "DELETE", replaces: op !== "UPDATE", cells: written };
    const { isVisible, replaces, cells } = other ?? usual;
    const key = { table: TABLE, rowId };
    return {
      op,
      columns: written,
      effect: { key, isVisible, replaces, cells: numbered(cells) },
    };
  });
}

/** A change with its place. */
export function placed(
  { op, columns, effect }: GivenChange,
  seq: number,
  slice: number,
  version: 1 | 2,
): Change {
  return {
    deltaId: `d${seq}.${slice}`,
    op,
    table: "tasks",
    rowId: effect.key.rowId,
    columns,
    columnIds: Object.keys(columns).map((name) => NUMBERS.get(name) ?? 0),
    hlc: 5n as Hlc,
    clientId: "c",
    mutationId: seq,
    seq,
    slice,
    // Clocks differ, so days go back and forth.
    committedMs: Date.UTC(2026, 0, 1) + seq * 1_000 + (seq % 2) * 86_400_000,
    schemaVersion: version,
    effect,
  };
}
