import assert from "node:assert/strict";
import type { SchemaSpec } from "@lakesync/core";
import { databaseTest } from "../servers/tests.ts";
import { Bed } from "./testing_mysql.ts";

const KINDS = {
  version: 1,
  tables: {
    kinds: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        text: "string",
        int: "integer",
        num: "number",
        yes: "boolean",
        at: "timestamp",
        day: "date",
        ref: "uuid",
        blob: "bytes",
        meta: "json",
        price: "decimal(38,10)",
        fine: "decimal(38,35)",
      },
    },
  },
} as const satisfies SchemaSpec;

databaseTest("mariadb", "tables have native types, key, synced_at and props", async ({ url }) => {
  await using bed = new Bed(url, KINDS);
  await bed.log.begin();
  const columns = await bed.rows(
    `SELECT COLUMN_NAME AS name, COLUMN_TYPE AS type, IS_NULLABLE AS nullable, COLUMN_KEY AS k
     FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'kinds'
     ORDER BY ORDINAL_POSITION`,
  );
  assert.deepEqual(
    columns.map(({ name, type, nullable, k }) => `${name} ${type} ${nullable} ${k}`.trim()),
    [
      "id varchar(768) NO PRI",
      "text longtext YES",
      "int bigint(20) YES",
      "num double YES",
      "yes tinyint(1) YES",
      "at datetime(6) YES",
      "day date YES",
      "ref char(36) YES",
      "blob longblob YES",
      "meta longtext YES",
      "price decimal(38,10) YES",
      "fine decimal(33,30) YES",
      "synced_at datetime(6) YES",
      "props longtext YES",
    ],
  );
});

/** Each value as it is written, and as the server is to show it. */
const EDGES: readonly (readonly [column: string, value: never, shown: string])[] = [
  ["text", "", ""],
  ["text", "NULL", "NULL"],
  ["text", " a ", " a "],
  ["text", "🎈 \"'\\{},\r\n\t\x1a%_", "🎈 \"'\\{},\r\n\t\x1a%_"],
  ["text", "a\0b", "a\0b"],
  ["int", 2n ** 63n - 1n, "9223372036854775807"],
  ["int", -(2n ** 63n), "-9223372036854775808"],
  ["int", 2 ** 53 - 1, "9007199254740991"],
  ["yes", false, "0"],
  ["yes", true, "1"],
  ["at", "2026-01-31T09:30:00.123456Z", "2026-01-31 09:30:00.123456"],
  ["at", "2026-01-31T09:30:00.1Z", "2026-01-31 09:30:00.100000"],
  ["at", "9999-12-31T23:59:59.999999Z", "9999-12-31 23:59:59.999999"],
  ["at", "0000-01-01T00:00:00.000001Z", "0000-01-01 00:00:00.000001"],
  ["at", "0099-02-28T23:59:59Z", "0099-02-28 23:59:59.000000"],
  ["at", "1582-10-10T00:00:00Z", "1582-10-10 00:00:00.000000"],
  ["day", "0000-12-31", "0000-12-31"],
  ["day", "0004-02-29", "0004-02-29"],
  ["day", "9999-12-31", "9999-12-31"],
  ["ref", "0188c1f0-5b5e-7cc3-98c4-dc0c0c07398f", "0188c1f0-5b5e-7cc3-98c4-dc0c0c07398f"],
  ["meta", { b: ['\\"', 1.5, null], a: {} }, '{"b":["\\\\\\"",1.5,null],"a":{}}'],
  ["meta", "null", '"null"'],
  ["price", "-0.5", "-0.5000000000"],
  ["price", `${"9".repeat(28)}.${"9".repeat(10)}`, `${"9".repeat(28)}.${"9".repeat(10)}`],
  ["fine", `999.${"9".repeat(30)}00000`, `999.${"9".repeat(30)}`],
] as unknown as (readonly [string, never, string])[];

databaseTest("mariadb", "tables hold values of every type at their edges", async ({ url }) => {
  await using bed = new Bed(url, KINDS);
  await bed.log.begin();
  await bed.log.insert(
    EDGES.flatMap(([column, value], i) =>
      bed.log.commit({ op: "INSERT", table: "kinds", rowId: `r${i}`, cells: { [column]: value } })
    ),
  );
  assert.deepEqual(await bed.problems(), {});
  for (const [i, [column, , shown]] of EDGES.entries()) {
    const [row] = await bed.rows(
      `SELECT CAST(\`${column}\` AS CHAR) AS shown, ` +
        `(text IS NOT NULL) + (\`int\` IS NOT NULL) + (num IS NOT NULL) + (yes IS NOT NULL) + ` +
        `(at IS NOT NULL) + (day IS NOT NULL) + (ref IS NOT NULL) + (\`blob\` IS NOT NULL) + ` +
        `(meta IS NOT NULL) + (price IS NOT NULL) + (fine IS NOT NULL) AS others ` +
        `FROM kinds WHERE id = 'r${i}'`,
    );
    assert.equal(row?.shown, shown, `${column} ${shown}`);
    assert.equal(Number(row?.others), 1);
  }
});

databaseTest("mariadb", "doubles and bytes are as they were, but for -0", async ({ url }) => {
  await using bed = new Bed(url, KINDS);
  await bed.log.begin();
  const numbers = [0.1, 1e308, -1.7976931348623157e308, 5e-324, 1 / 3, 1e21, 123456789.123456789];
  const bytes = [new Uint8Array(), Uint8Array.from({ length: 256 }, (_, i) => i)];
  await bed.log.insert([
    ...[...numbers, -0].flatMap((num, i) =>
      bed.log.commit({ table: "kinds", rowId: `n${i}`, cells: { num } })
    ),
    ...bytes.flatMap((blob, i) =>
      bed.log.commit({ table: "kinds", rowId: `x${i}`, cells: { blob } })
    ),
  ]);
  const found = await bed.rows("SELECT num FROM kinds WHERE id LIKE 'n%' ORDER BY id");
  assert.deepEqual(found.map(({ num }) => num), [...numbers, 0]);
  const blobs = await bed.rows("SELECT `blob` AS b FROM kinds WHERE id LIKE 'x%' ORDER BY id");
  assert.deepEqual(blobs.map(({ b }) => b instanceof Uint8Array && [...b]), [[], [
    ...bytes[1] ?? [],
  ]]);
});

databaseTest("mariadb", "what the database cannot hold is dead, with a reason", async ({ url }) => {
  await using bed = new Bed(url, KINDS);
  await bed.log.begin();
  const misfits = {
    day: "0000-02-29",
    at: "0000-02-29T00:00:00Z",
    fine: `0.${"1".repeat(35)}`,
    text: "\ud800",
  };
  await bed.log.insert([
    ...Object.entries(misfits).flatMap(([column, value]) =>
      bed.log.commit({ table: "kinds", rowId: column, cells: { [column]: value } })
    ),
    ...bed.log.commit({ table: "kinds", rowId: "é".repeat(512), cells: { int: 1 } }),
    ...bed.log.commit({ table: "kinds", rowId: "k".repeat(769), cells: { int: 1 } }),
    ...bed.log.commit({ table: "kinds", rowId: `${"k".repeat(767)}  `, cells: { int: 1 } }),
    ...bed.log.commit({ table: "kinds", rowId: "good", cells: { int: 1 } }),
  ]);
  const rows = await bed.rows("SELECT id FROM kinds ORDER BY id");
  assert.deepEqual(rows.map(({ id }) => id), ["good", "é".repeat(512)]);
  const problems = await bed.adapter.problems(9);
  const shown = problems.map(({ kind, key, reason }) => [
    kind,
    key.rowId.slice(0, 5),
    reason.replace(/ for column .*/, ""),
  ]);
  assert.deepEqual(shown, [
    ["dead", "at", "Incorrect datetime value: '0000-02-29 00:00:00'"],
    ["dead", "day", "Incorrect date value: '0000-02-29'"],
    ["dead", "fine", "fine has more than the 30 digits after the point that MySQL holds"],
    ["dead", "kkkkk", "id is longer than the 768 characters that its column holds"],
    ["dead", "kkkkk", "id is longer than the 768 characters that its column holds"],
    ["dead", "text", "text holds half of a surrogate pair, which MySQL cannot hold"],
  ]);
  await bed.log.insert(
    bed.log.commit({ table: "kinds", rowId: "day", cells: { day: "0000-02-28" } }),
  );
  assert.equal((await bed.adapter.problems(9)).length, 5);
  assert.deepEqual(await bed.rows("SELECT day FROM kinds WHERE id = 'day'"), [
    { day: "0000-02-28" },
  ]);
});

databaseTest("mariadb", "keys that differ in case, spaces or accents are rows", async ({ url }) => {
  await using bed = new Bed(url, KINDS);
  await bed.log.begin();
  const ids = ["a", "A", "a ", " a", "á", "a\u0301", "ａ", "a\t", "ß", "ss"];
  await bed.log.insert(
    ids.flatMap((rowId, int) => bed.log.commit({ table: "kinds", rowId, cells: { int } })),
  );
  await bed.log.insert(bed.log.commit({ op: "DELETE", table: "kinds", rowId: "A" }));
  const rows = await bed.rows("SELECT id, `int` AS n FROM kinds ORDER BY `int`");
  assert.deepEqual(
    rows.map(({ id, n }) => [id, Number(n)]),
    ids.flatMap((id, i) => id === "A" ? [] : [[id, i]]),
  );
});

const KEYS = {
  version: 1,
  tables: {
    pairs: {
      primaryKey: ["day", "at", "no", "price", "name"],
      columns: {
        name: "string",
        day: "date",
        at: "timestamp",
        no: "integer",
        price: "decimal(8,2)",
        note: "string",
      },
    },
  },
} as const satisfies SchemaSpec;

databaseTest("mariadb", "keys that are written in two ways are two rows", async ({ url }) => {
  await using bed = new Bed(url, KEYS);
  await bed.log.begin();
  const keys = [
    ["2026-01-01", "2026-01-01T00:00:00Z", "9223372036854775807", "1.0", "a"],
    ["2026-01-01", "2026-01-01T00:00:00.0Z", "9223372036854775807", "1.00", "a"],
    ["2026-01-01", "2026-01-01T00:00:00Z", -1, "1", "A"],
  ].map((key) => JSON.stringify(key));
  await bed.log.insert(
    keys.flatMap((rowId, i) =>
      bed.log.commit({ op: "INSERT", table: "pairs", rowId, cells: { note: `${i}` } })
    ),
  );
  assert.deepEqual(await bed.problems(), {});
  const found = await bed.rows("SELECT day, at, no, price, name, note FROM pairs ORDER BY note");
  assert.deepEqual(found.map((row) => Object.values(row).map(String)), [
    ["2026-01-01", "2026-01-01T00:00:00Z", "9223372036854775807", "1.0", "a", "0"],
    ["2026-01-01", "2026-01-01T00:00:00.0Z", "9223372036854775807", "1.00", "a", "1"],
    ["2026-01-01", "2026-01-01T00:00:00Z", "-1", "1", "A", "2"],
  ]);
  const second = keys[1] ?? "";
  await bed.log.insert(bed.log.commit({ op: "DELETE", table: "pairs", rowId: second }));
  const rest = await bed.rows("SELECT note FROM pairs ORDER BY note");
  assert.deepEqual(rest.map(({ note }) => note), ["0", "2"]);
});

databaseTest("mariadb", "a consumer's unique index makes a row dead, and spoils none", async ({
  url,
}) => {
  await using bed = new Bed(url, KINDS);
  await bed.log.begin();
  await bed.rows("ALTER TABLE kinds ADD UNIQUE (`int`)");
  await bed.log.insert([
    ...bed.log.commit({ table: "kinds", rowId: "a", cells: { int: 1, text: "a" } }),
    ...bed.log.commit({ table: "kinds", rowId: "b", cells: { int: 2, text: "b" } }),
  ]);
  await bed.log.insert([
    ...bed.log.commit({ table: "kinds", rowId: "c", cells: { int: 1, text: "c" } }),
    ...bed.log.commit({ table: "kinds", rowId: "d", cells: { int: 4, text: "d" } }),
    ...bed.log.commit({ table: "kinds", rowId: "b", cells: { int: 1 } }),
  ]);
  assert.deepEqual(await bed.problems(), { "kinds/b": "dead", "kinds/c": "dead" });
  assert.deepEqual(
    (await bed.rows("SELECT id, `int` AS n, text FROM kinds ORDER BY id")).map(Object.values),
    [["a", "1", "a"], ["d", "4", "d"]],
  );
});

databaseTest(
  "mariadb",
  "poison among many rows is found, and all others arrive",
  async ({ url }) => {
    await using bed = new Bed(url, KINDS);
    await bed.log.begin();
    await bed.rows(
      "ALTER TABLE kinds ADD CONSTRAINT small CHECK (`int` <> 13 AND `int` <> 700 AND `int` <> 999)",
    );
    await bed.log.insert(
      Array.from(
        { length: 1_000 },
        (_, int) => ({ table: "kinds", rowId: `r${int}`, cells: { int } }),
      )
        .flatMap((each) => bed.log.commit(each)),
    );
    assert.deepEqual(await bed.problems(), {
      "kinds/r13": "dead",
      "kinds/r700": "dead",
      "kinds/r999": "dead",
    });
    const [count] = await bed.rows("SELECT COUNT(*) AS n, SUM(`int`) AS s FROM kinds");
    assert.deepEqual([Number(count?.n), Number(count?.s)], [997, 999 * 500 - 13 - 700 - 999]);
  },
);

databaseTest("mariadb", "the consumer's props survive, and synced_at moves", async ({ url }) => {
  await using bed = new Bed(url, KINDS);
  await bed.log.begin();
  await bed.log.insert(bed.log.commit({ table: "kinds", rowId: "r", cells: { int: 1 } }));
  const [fresh] = await bed.rows("SELECT CAST(props AS CHAR) AS props, synced_at FROM kinds");
  assert.equal(fresh?.props, "{}");
  await bed.rows(`UPDATE kinds SET props = '{"mine": [1]}', synced_at = '2000-01-01'`);
  await bed.log.insert(bed.log.commit({ table: "kinds", rowId: "r", cells: { int: 2 } }));
  const [row] = await bed.rows(
    "SELECT JSON_VALUE(props, '$.mine[0]') AS mine, `int` AS n, " +
      "ABS(TIMESTAMPDIFF(SECOND, synced_at, UTC_TIMESTAMP())) < 60 AS fresh FROM kinds",
  );
  assert.deepEqual(Object.values(row ?? {}).map(Number), [1, 2, 1]);
});

databaseTest("mariadb", "what poison takes back is its row, and no change", async ({ url }) => {
  await using bed = new Bed(url, KINDS);
  await bed.log.begin();
  await bed.rows("ALTER TABLE kinds ADD CONSTRAINT small CHECK (`int` < 2998)");
  const text = "a long text, ".repeat(50);
  const changes = Array.from({ length: 3_000 }, (_, int) => ({
    table: "kinds",
    rowId: `r${int}`,
    cells: { int, text },
  })).flatMap((each) => bed.log.commit(each));
  await bed.log.insert(changes);
  const [count] = await bed.rows(
    "SELECT (SELECT COUNT(*) FROM lakesync_deltas) AS deltas, (SELECT COUNT(*) FROM kinds) AS kinds",
  );
  assert.deepEqual(Object.values(count ?? {}).map(Number), [3_000, 2_998]);
  assert.deepEqual(await bed.problems(), { "kinds/r2998": "dead", "kinds/r2999": "dead" });
});
