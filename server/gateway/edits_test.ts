import assert from "node:assert/strict";
import { readEdits, withEdit } from "./edits.ts";

const edit = (seq: number, spec: object = { version: seq }) =>
  ({ kind: "schema", seq, ms: seq * 1_000, spec }) as const;

Deno.test("edits are kept in order, all of them from the first one on", () => {
  const first = withEdit(undefined, edit(0), true);
  const edits = readEdits(withEdit(first, { ...edit(3), kind: "rules" }, false));
  assert.equal(edits?.sinceSeq, 0);
  assert.deepEqual(edits?.edits.map(({ kind, seq }) => [kind, seq]), [["schema", 0], ["rules", 3]]);
  assert.deepEqual(edits?.edits[0]?.spec, { version: 0 });
});

Deno.test("where edits were made before any was noted, it is said from when on they are known", () => {
  assert.equal(readEdits(withEdit(undefined, edit(7), false))?.sinceSeq, 7);
  assert.equal(readEdits(undefined), undefined);
});

Deno.test("G11: edits that take too much are forgotten, the oldest first, and that is said", () => {
  let stored: string | undefined;
  for (let seq = 0; seq < 10; seq++) {
    stored = withEdit(stored, edit(seq, { version: seq, filler: "x".repeat(300_000) }), seq === 0);
  }
  const edits = readEdits(stored);
  assert.deepEqual(edits?.edits.map(({ seq }) => seq), [7, 8, 9]);
  assert.equal(edits?.sinceSeq, 7, "the edit at 6 is gone, and others that followed it may be");
  const huge = withEdit(stored, edit(10, { filler: "x".repeat(2_000_000) }), false);
  assert.deepEqual(readEdits(huge)?.edits.map(({ seq }) => seq), [10], "the last one always is");
});
