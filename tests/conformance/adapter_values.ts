/**
 * Values of every type at their edges come back as they were written, in rows and in changes.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { SchemaSpec, Value } from "@lakesync/core";
import { allChanges, cellsOf } from "./expect.ts";
import type { Case } from "./suite.ts";
import { numbered, TestLog } from "./testing_log.ts";

const TYPES: SchemaSpec = {
  version: 1,
  tables: {
    kinds: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        string: "string",
        integer: "integer",
        number: "number",
        boolean: "boolean",
        timestamp: "timestamp",
        date: "date",
        uuid: "uuid",
        bytes: "bytes",
        json: "json",
        decimal: "decimal(38,10)",
        tags: { type: "json", merge: "set" },
        votes: { type: "integer", merge: "counter" },
      },
    },
  },
};

const EDGES: Readonly<Record<string, readonly Value[]>> = {
  string: ["", " ", "'\"\\;--", "a\r\nb\tc", "🎈é\u0301", "\ufeff", "NULL", "x".repeat(100_000)],
  integer: [
    0,
    -1,
    2 ** 53 - 1,
    -(2 ** 53 - 1),
    2n ** 53n,
    -(2n ** 53n),
    2n ** 63n - 1n,
    -(2n ** 63n),
  ],
  number: [0, -0, 0.1, 1e308, -1e308, 5e-324, 1 / 3, 2 ** 53, 123456789.123456789],
  boolean: [true, false],
  timestamp: [
    "2026-01-31T09:30:00Z",
    "2026-01-31T09:30:00.1Z",
    "2026-01-31T09:30:00.100000Z",
    "1999-12-31T23:59:59.999999Z",
    "1970-01-01T00:00:00Z",
    "1582-10-04T12:00:00.000001Z",
    "9999-12-31T23:59:59.999999Z",
  ],
  date: ["2026-01-31", "2024-02-29", "1600-02-29", "9999-12-31"],
  uuid: ["00000000-0000-0000-0000-000000000000", "0188c1f0-5b5e-7cc3-98c4-dc0c0c07398f"],
  bytes: [new Uint8Array(), new Uint8Array([0]), Uint8Array.from({ length: 256 }, (_, i) => i)],
  json: [
    {},
    [],
    "text",
    "",
    0,
    1e21,
    true,
    [null, [null], {}],
    { z: 1, a: { "": [1.5, "é", false] }, "0": null },
    { text: "line\nbreak \\ \" '" },
  ],
  decimal: ["0", "-0", "0.10", "1234567890123456789012345678.0123456789", "-7.5"],
  tags: [[], ["a", "b"], [1, "1", true]],
  votes: [5, 2n ** 60n, -3],
};

/** Cases of values. */
export const VALUES: readonly Case[] = [
  ...Object.entries(EDGES).map(([column, values]): Case => ({
    name: `keeps values as they are: ${column}`,
    async run({ adapter, reopen }) {
      const log = await new TestLog(adapter, numbered(TYPES)).begin();
      const written = [...values, null].map((value, i) => ({
        table: "kinds",
        rowId: `r${i}`,
        cells: { [column]: value },
      }));
      await log.insert(written.flatMap((each) => log.commit(each)));
      const again = await reopen?.() ?? adapter;
      const changes = await allChanges(again);
      for (const [i, { rowId, cells }] of written.entries()) {
        assert.deepStrictEqual((await cellsOf(again, log, "kinds", rowId))?.cells, cells);
        assert.deepStrictEqual(changes[i]?.columns, cells);
      }
    },
  })),
  {
    name: "keeps values of a mebibyte",
    async run({ adapter }) {
      const log = await new TestLog(adapter, numbered(TYPES)).begin();
      const size = 2 ** 20;
      const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 31) % 251);
      const cells = { string: "é".repeat(size / 2), bytes, json: "j".repeat(size - 2) };
      await log.insert(log.commit({ table: "kinds", rowId: "r", cells }));
      assert.deepStrictEqual((await cellsOf(adapter, log, "kinds", "r"))?.cells, cells);
    },
  },
  {
    name: "keeps rowIds of every form",
    async run({ adapter }) {
      const log = await new TestLog(adapter, numbered(TYPES)).begin();
      const rowIds = [
        " ",
        "'",
        "🎈",
        "a\nb",
        "%_",
        "r".repeat(512),
        "é",
        "e\u0301",
        "E",
        "e",
        "e ",
      ];
      await log.insert(
        rowIds.flatMap((rowId, i) => log.commit({ table: "kinds", rowId, cells: { integer: i } })),
      );
      const rows = await adapter.getLatestState(rowIds.map((rowId) => log.key("kinds", rowId)));
      assert.deepEqual(rows.map((row) => row?.cells[0]?.[1]), rowIds.map((_, i) => i));
    },
  },
];
