import type { QueryStream, ResultRows } from "@lakesync/adapters/lake/query";
import assert from "node:assert/strict";
import { historyJson, historyLines } from "./history_command.ts";
import { csvText, jsonText, tableText } from "./query_format.ts";

function stream(types: Readonly<Record<string, string>>, ...pieces: ResultRows[]): QueryStream {
  const columns = Object.entries(types).map(([name, type]) => ({ name, type }));
  return { columns, rows: ReadableStream.from(pieces), seq: 1 };
}

async function text(pieces: AsyncIterable<string>): Promise<string> {
  let all = "";
  for await (const piece of pieces) all += piece;
  return all;
}

const TYPES = { id: "VARCHAR", n: "BIGINT", "a,b": "DOUBLE" };
const ROWS: readonly ResultRows[] = [
  [["a", 9223372036854775807n, -0], ["", null, 0.5]],
  [['say "x"\n', -1, Infinity]],
];

Deno.test("csvText tells null from an empty text, and quotes what needs it", async () => {
  assert.equal(
    await text(csvText(stream(TYPES, ...ROWS))),
    'id,n,"a,b"\r\na,9223372036854775807,-0\r\n"",,0.5\r\n"say ""x""\n",-1,Infinity\r\n',
  );
});

Deno.test("jsonText rounds no value and is JSON", async () => {
  const json = await text(
    jsonText(stream(
      { ...TYPES, raw: "BLOB" },
      ...ROWS.map((rows) => rows.map((row) => [...row, null])),
      [
        [null, 1, 1, new Uint8Array([0, 255])],
      ],
    )),
  );
  assert.deepEqual(JSON.parse(json), [
    { id: "a", n: "9223372036854775807", "a,b": -0, raw: null },
    { id: "", n: null, "a,b": 0.5, raw: null },
    { id: 'say "x"\n', n: -1, "a,b": "Infinity", raw: null },
    { id: null, n: 1, "a,b": 1, raw: "AP8=" },
  ]);
  assert.equal(json.trimEnd().split("\n").length, 6);
  assert.equal(await text(jsonText(stream(TYPES))), "[]\n");
});

Deno.test("tableText puts columns under each other, and no command into a terminal", async () => {
  assert.equal(
    await text(tableText(stream(TYPES, ...ROWS, [["\u001b[2J\u009b", 7, 1]]))),
    [
      "id                                 n       a,b",
      "---------------  -------------------  --------",
      "a                9223372036854775807        -0",
      "                                           0.5",
      'say "x"\\n                         -1  Infinity',
      "\\u001b[2J\\u009b                    7         1",
      "",
    ].join("\n"),
  );
  const many = Array.from({ length: 2500 }, (_, i) => [`row ${i}`]);
  const lines =
    (await text(tableText(stream({ name: "VARCHAR" }, many.slice(0, 1500), many.slice(1500)))))
      .trimEnd().split("\n");
  assert.deepEqual([lines.length, lines[0], lines.at(-1)], [2502, "name", "row 2499"]);
});

Deno.test("a history is lines for people and JSON for programs", () => {
  const change = {
    op: "UPDATE",
    seq: 12,
    committedMs: Date.UTC(2026, 0, 2),
    clientId: "phone",
    mutationId: 3,
    deltaId: "ab",
    hlc: 2n ** 60n,
    isVisible: false,
    cells: [{ column: "n", before: null, after: 2n ** 62n }],
  } as const;
  const set = { ...change, op: "SET", clientId: null, seq: 1, cells: [] } as const;
  assert.deepEqual(historyLines([set, change]), [
    "2026-01-02T00:00:00.000Z  commit  1  -      SET  (not visible)",
    "2026-01-02T00:00:00.000Z  commit 12  phone  UPDATE  (not visible)",
    '    n: null -> "4611686018427387904"',
  ]);
  assert.deepEqual(JSON.parse(historyJson([change])), [{
    op: "UPDATE",
    seq: "12",
    at: "2026-01-02T00:00:00.000Z",
    clientId: "phone",
    mutationId: 3,
    deltaId: "ab",
    hlc: "1152921504606846976",
    visible: false,
    cells: [{ column: "n", before: null, after: "4611686018427387904" }],
  }]);
});
