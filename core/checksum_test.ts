import assert from "node:assert/strict";
import fc from "fast-check";
import {
  cellHash,
  columnFactor,
  combine,
  type InnerSums,
  rowHash,
  tableFactor,
} from "./checksum.ts";
import { valueOf } from "./testing_values.ts";
import type { Value } from "./value.ts";

Deno.test("G9: hashes tell rows and values apart", () => {
  const hashes = new Set<number>();
  let count = 0;
  for (const rowId of ["1", "2", "12", "b1", "s1"]) {
    const row = rowHash(rowId);
    hashes.add(row);
    count++;
    for (const value of ["1", 1, true, "true", "", 2n ** 60n, [], {}, [1]]) {
      hashes.add(cellHash(row, value));
      count++;
    }
  }
  assert.equal(hashes.size, count);
});

Deno.test("G9: hashes of many rows collide no more often than chance has it", () => {
  const rows = new Set<number>();
  const cells = new Set<number>();
  const count = 20_000;
  for (let i = 0; i < count; i++) {
    const row = rowHash(`t${i}`);
    rows.add(row);
    cells.add(cellHash(row, i % 7));
  }
  assert.ok(rows.size >= count - 10, `${count - rows.size} collisions of rows`);
  assert.ok(cells.size >= count - 10, `${count - cells.size} collisions of cells`);
});

Deno.test("G9: hashes are whole numbers of 32 bits, whatever they are taken of", () => {
  fc.assert(
    fc.property(fc.string(), valueOf("json"), (text, value) => {
      for (const hash of [rowHash(text), cellHash(rowHash(text), value)]) {
        assert.ok(Number.isInteger(hash) && hash >= 0 && hash < 2 ** 32);
      }
    }),
  );
});

Deno.test("G9: hashes and factors are what the documented algorithm gives, and never change", () => {
  const row = rowHash("t1");
  assert.deepStrictEqual(
    [
      row,
      cellHash(row, "Buy milk"),
      cellHash(row, false),
      cellHash(row, 2n ** 63n - 1n),
      cellHash(row, { b: 1, a: [null] }),
      cellHash(row, new Uint8Array([1, 2, 3])),
      cellHash(row, -0),
      cellHash(row, null),
      tableFactor("todos"),
      columnFactor("todos", "title"),
    ],
    [
      ...[3372026498, 2921715418, 4000693602, 2770788750, 864526158, 3466392203, 1867127791, 0],
      ...[3025697437, 3753101165],
    ],
  );
});

Deno.test("G9: factors are odd, so that a sum that differs makes a checksum that differs", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (table, column) => {
      for (const factor of [tableFactor(table), columnFactor(table, column)]) {
        assert.ok(Number.isInteger(factor) && factor > 0 && factor < 2 ** 32);
        assert.equal(factor % 2, 1);
      }
    }),
  );
});

const TABLES = ["todos", "lists"];
const COLUMNS = ["title", "done", "votes"];
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });

Deno.test("G9: combine is the documented sum, worked out in whole numbers", () => {
  const sums = fc.tuple(uint32, fc.array(uint32, { minLength: 3, maxLength: 3 }));
  fc.assert(
    fc.property(fc.tuple(sums, sums), (tables) => {
      let expected = 0n;
      const inner = tables.map(([rows, cells], t): InnerSums => {
        const table = TABLES[t] ?? "";
        let sum = BigInt(rows);
        cells.forEach((cell, c) =>
          sum += BigInt(columnFactor(table, COLUMNS[c] ?? "")) * BigInt(cell)
        );
        expected += BigInt(tableFactor(table)) * sum;
        return { table, rows, columns: cells.map((cell, c) => [COLUMNS[c] ?? "", cell]) };
      });
      assert.equal(combine(inner), Number(expected % 2n ** 32n));
      assert.equal(combine([...inner].reverse()), combine(inner));
    }),
  );
});

Deno.test("G9: sums kept by the difference of each change are those of the rows as they are", () => {
  const write = fc.record({
    rowId: fc.constantFrom("a", "b", "c", "d"),
    column: fc.constantFrom(...COLUMNS),
    value: fc.oneof(valueOf("integer"), valueOf("string"), fc.constant(null)),
  });
  fc.assert(
    fc.property(fc.array(write), (writes) => {
      const rows = new Map<string, Map<string, Value>>();
      const kept = { rows: 0, cells: new Map<string, number>() };
      for (const { rowId, column, value } of writes) {
        const hash = rowHash(rowId);
        let row = rows.get(rowId);
        if (row === undefined) {
          row = new Map();
          rows.set(rowId, row);
          kept.rows = (kept.rows + hash) >>> 0;
        }
        const moved = cellHash(hash, value) - cellHash(hash, row.get(column) ?? null);
        kept.cells.set(column, ((kept.cells.get(column) ?? 0) + moved) >>> 0);
        row.set(column, value);
      }
      const own = [...rows].flatMap(([rowId, cells]) => {
        const row = rowHash(rowId);
        const columns = [...cells].map(([name, value]) => [name, cellHash(row, value)] as const);
        return [{ table: "todos", rows: row, columns }];
      });
      assert.equal(
        combine([{ table: "todos", rows: kept.rows, columns: kept.cells }]),
        combine(own),
      );
    }),
  );
});

Deno.test("G9: combine sees a value that moved to another row, column or table", () => {
  const rowsOf = (table: string, cells: readonly (readonly [string, string, Value])[]) => {
    const columns = cells.map(([rowId, name, value]) =>
      [name, cellHash(rowHash(rowId), value)] as const
    );
    return combine([{ table, rows: rowHash("a") + rowHash("b"), columns }]);
  };
  const checksums = [
    rowsOf("todos", [["a", "title", "x"], ["b", "title", "y"]]),
    rowsOf("todos", [["a", "title", "y"], ["b", "title", "x"]]),
    rowsOf("todos", [["a", "done", "x"], ["b", "title", "y"]]),
    rowsOf("todos", [["a", "title", "x"], ["a", "done", "y"]]),
    rowsOf("todos", [["a", "title", "y"], ["a", "done", "x"]]),
    rowsOf("lists", [["a", "title", "x"], ["b", "title", "y"]]),
    rowsOf("todos", [["a", "title", "x"], ["b", "title", null]]),
  ];
  assert.equal(new Set(checksums).size, checksums.length);
});
