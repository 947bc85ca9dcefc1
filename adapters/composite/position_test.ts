import assert from "node:assert/strict";
import type { Change, FlushPosition } from "../adapter.ts";
import { backBefore, commonPosition, keepingFloor, shareOf } from "./position.ts";

const ONE = { id: "one", fromSeq: 0 };
const TWO = { id: "two", fromSeq: 55 };

function at(seq: number, more: Partial<FlushPosition> = {}): FlushPosition {
  return { seq, lives: [ONE], writer: "w", ...more };
}

function change(seq: number, slice = 0): Change {
  return {
    deltaId: `${seq} ${slice}`,
    op: "UPDATE",
    table: "t",
    rowId: "r",
    columns: {},
    hlc: 0n as Change["hlc"],
    clientId: "c",
    mutationId: 1,
    seq,
    slice,
    committedMs: 0,
    schemaVersion: 1,
    effect: undefined,
  };
}

Deno.test("commonPosition is that of the one furthest behind, and tells how far others are", () => {
  assert.equal(commonPosition([at(3), undefined]), undefined);
  assert.deepEqual(commonPosition([at(9), at(7, { slice: 1 }), at(7)]), {
    ...at(7, { slice: 1 }),
    ahead: [{ seq: 9, lives: [ONE] }],
  });
});

Deno.test("commonPosition is where the histories of its parts left each other", () => {
  const parted = commonPosition([at(57, { lives: [ONE, TWO] }), at(60)]);
  assert.equal(parted?.seq, 55);
  assert.deepEqual(parted?.lives, [ONE]);
  assert.equal(commonPosition([at(57), at(60, { lives: [ONE, TWO] })])?.seq, 55);
  const same = [at(50), at(60, { lives: [ONE, TWO] })];
  assert.equal(commonPosition(same)?.seq, 50);
});

Deno.test("commonPosition has a writer, and a place in a walk, only when all have it", () => {
  assert.equal(commonPosition([at(5), at(5, { writer: "v" })])?.writer, "v+w");
  assert.equal(commonPosition([at(5, { filled: "a" }), at(5, { filled: "a" })])?.filled, "a");
  assert.equal(commonPosition([at(5, { filled: "a" }), at(5)])?.filled, "");
});

Deno.test("commonPosition has the floor of those that lack something there", () => {
  assert.equal(commonPosition([at(0), at(100, { floor: 100 })])?.floor, undefined);
  assert.equal(commonPosition([at(90), at(90, { floor: 100 })])?.floor, 100);
  assert.equal(keepingFloor(at(50), at(100, { floor: 100 }), at(0)).floor, 100);
  assert.equal(
    keepingFloor(at(150), at(100, { floor: 100 }), at(100, { floor: 100 })).floor,
    undefined,
  );
});

Deno.test("backBefore takes a part back that is ahead on a history that was lost, and no other", () => {
  const to = at(57, { lives: [ONE, TWO] });
  assert.equal(backBefore(at(60), { from: at(50), to })?.seq, 55);
  assert.equal(backBefore(at(60, { lives: [ONE, TWO] }), { from: at(50), to }), undefined);
  assert.equal(backBefore(at(60, { lives: [ONE, TWO] }), { from: at(50), to: at(52) }), undefined);
  const filling = { from: at(50, { filled: "a" }), to: at(50, { filled: "b" }) };
  assert.equal(backBefore(at(60), filling)?.seq, 50);
  assert.equal(backBefore(at(50), filling), undefined);
});

Deno.test("shareOf gives a part what it does not have", () => {
  const changes = [change(51), change(52, 0), change(52, 1), change(53)];
  const batch = { from: at(50), to: at(53), rows: [], changes, isWhole: true };
  const seqs = (own: FlushPosition | undefined) =>
    shareOf(own, batch, () => true, () => true)?.changes.map(({ seq, slice }) => [seq, slice]);
  assert.equal(seqs(at(50))?.length, 4);
  assert.deepEqual(seqs(at(52, { slice: 0 })), [[52, 1], [53, 0]]);
  assert.deepEqual(seqs(at(52)), [[53, 0]]);
  assert.equal(seqs(at(60)), undefined);
  assert.deepEqual(shareOf(at(60, { writer: "old" }), batch, () => true, () => true), {
    from: at(60, { writer: "old" }),
    to: at(60),
    rows: [],
    changes: [],
    isWhole: true,
  });
});
