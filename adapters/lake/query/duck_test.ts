import assert from "node:assert/strict";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Value } from "@lakesync/core";
import { Duck, QueryError } from "./duck.ts";
import { textSql } from "./sql.ts";

const MEMORY = { memoryBytes: 256 * 2 ** 20 };

async function withDuck(run: (duck: Duck, folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "lakesync-"));
  const duck = await Duck.open({ ...MEMORY, spillFolder: join(folder, "spill") });
  try {
    await run(duck, folder);
  } finally {
    duck.close();
    await rm(folder, { recursive: true });
  }
}

async function all(duck: Duck, sql: string): Promise<(readonly Value[])[]> {
  const rows: (readonly Value[])[] = [];
  for await (const piece of (await duck.select(sql)).rows) rows.push(...piece);
  return rows;
}

Deno.test("Duck.select gives every value exactly", async () => {
  await withDuck(async (duck) => {
    const [row] = await all(
      duck,
      `SELECT 9223372036854775807::BIGINT, 7::BIGINT, (-9223372036854775808)::BIGINT,
        sum(9223372036854775807), 0.1::DOUBLE, -0.0::DOUBLE, 1.50::DECIMAL(38, 2),
        -0.000000000000000000001::DECIMAL(38, 21),
        TIMESTAMPTZ '1969-12-31 23:59:59.999999Z', TIMESTAMPTZ '2026-01-02 03:04:05+01',
        TIMESTAMP '2026-01-02 03:04:05.25', TIMESTAMPTZ '12026-01-02 03:04:05Z',
        DATE '0000-02-29', DATE '9999-12-31', '\\x00\\xFF'::BLOB, 'é"''', true, NULL,
        [1, 2], {'a': [9223372036854775807]}, MAP {'k': DATE '2026-01-02'}`,
    );
    assert.deepEqual(row, [
      9223372036854775807n,
      7,
      -9223372036854775808n,
      9223372036854775807n,
      0.1,
      -0,
      "1.50",
      "-0.000000000000000000001",
      "1969-12-31T23:59:59.999999Z",
      "2026-01-02T02:04:05Z",
      "2026-01-02T03:04:05.25",
      "12026-01-02 03:04:05+00",
      "0000-02-29",
      "9999-12-31",
      new Uint8Array([0, 255]),
      "é\"'",
      true,
      null,
      [1, 2],
      { a: ["9223372036854775807"] },
      [["k", "2026-01-02"]],
    ]);
  });
});

Deno.test("Duck.select names columns and types, and gives many rows in pieces", async () => {
  await withDuck(async (duck) => {
    const { columns, rows } = await duck.select("SELECT range AS n, 'x' AS t FROM range(5000)");
    assert.deepEqual(columns, [{ name: "n", type: "BIGINT" }, { name: "t", type: "VARCHAR" }]);
    const sizes: number[] = [];
    for await (const piece of rows) sizes.push(piece.length);
    assert.equal(sizes.reduce((sum, size) => sum + size), 5000);
    assert.ok(sizes.length > 1);
  });
});

Deno.test("Duck.lock leaves nothing to read or change but the files it names", async () => {
  await withDuck(async (duck, folder) => {
    const [open, shut, fresh] = ["open", "shut", "fresh"].map((name) => join(folder, name));
    for (const path of [open, shut]) await duck.copy("SELECT 1 AS n", path ?? "");
    await duck.run(`CREATE VIEW t AS FROM read_parquet(${textSql(open ?? "")})`);
    await duck.lock([open ?? ""]);
    assert.deepEqual(await all(duck, "FROM t"), [[1]]);
    const refused = [
      "SELECT * FROM '/etc/passwd'",
      "SELECT * FROM read_text('/etc/passwd')",
      "SELECT * FROM read_csv('/etc/passwd')",
      "SELECT * FROM glob('/etc/*')",
      `SELECT * FROM read_parquet('${shut}')`,
      "SELECT * FROM read_parquet('https://example.org/x.parquet')",
      `COPY (SELECT 1) TO '${fresh}'`,
      `COPY (SELECT 2 AS n) TO '${open}' (FORMAT parquet)`,
      "SET enable_external_access = true",
      "CREATE TABLE x (n INT)",
      "DROP VIEW t",
      "ATTACH '/tmp/x.db'",
      "LOAD httpfs",
      "INSTALL httpfs",
      "EXPLAIN ANALYZE SELECT 1",
      "PRAGMA enable_profiling",
      "SELECT 1; SELECT 2",
      "",
      "SELECT nothing FROM nowhere",
    ];
    for (const sql of refused) {
      await assert.rejects(() => all(duck, sql), QueryError, sql);
    }
    const writing = [
      `COPY (SELECT 1) TO '${fresh}'`,
      "-- all of it\n/* as\n a database */ ATTACH '/tmp/x.db' AS x",
      "CREATE TABLE x (n INT)",
    ];
    for (const sql of writing) {
      await assert.rejects(() => all(duck, sql), /^QueryError: A query only reads: .*--out/, sql);
    }
    assert.deepEqual(await all(duck, "SELECT n AS attach FROM t"), [[1]]);
    await assert.rejects(() => stat(fresh ?? ""));
    assert.deepEqual(await all(duck, "FROM t"), [[1]]);
  });
});

Deno.test("Duck.copy writes what a query reads, and runs nothing else", async () => {
  await withDuck(async (duck, folder) => {
    const path = join(folder, "out.parquet");
    await duck.copy("SELECT 9223372036854775807 AS n -- with a comment", path);
    assert.deepEqual(await all(duck, `FROM '${path}'`), [[9223372036854775807n]]);
    const other = join(folder, "other");
    await assert.rejects(
      () => duck.copy(`SELECT 1) TO '${other}'; COPY (SELECT 2`, path),
      QueryError,
    );
    await assert.rejects(() => stat(other));
  });
});

Deno.test("Duck sorts what does not fit into memory, when it is locked too", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lakesync-"));
  const duck = await Duck.open({ memoryBytes: 64 * 2 ** 20, spillFolder: join(folder, "spill") });
  try {
    await duck.lock([]);
    const [row] = await all(
      duck,
      `SELECT count(*), max(s) FROM (
        SELECT n, s, row_number() OVER (ORDER BY s) AS place FROM (
          SELECT range AS n, sha256(range::VARCHAR) || range AS s FROM range(600000)))`,
    );
    assert.equal(row?.[0], 600_000);
  } finally {
    duck.close();
    await rm(folder, { recursive: true });
  }
});
