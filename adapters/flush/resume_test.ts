import assert from "node:assert/strict";
import fc from "fast-check";
import type { PositionLife } from "../adapter.ts";
import { isOfAnother, partedAfter, positionAt } from "./resume.ts";

/** Lives that begin at ascending seqs, the first at 0. */
function livesOf(name: string, steps: readonly number[], fromSeq: number): PositionLife[] {
  let seq = fromSeq;
  return steps.map((step, i) => {
    const life = { id: `${name}${i}`, fromSeq: seq };
    seq += step;
    return life;
  });
}

const steps = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 });

Deno.test("partedAfter finds where a copy was made, in the middle of a life too", () => {
  fc.assert(
    fc.property(steps, steps, fc.nat(40), fc.nat(40), (lives, later, forkAt, at) => {
      const theirs = livesOf("a", lives, 0);
      const fork = Math.min(forkAt, 30);
      const seq = at + 1;
      const shared = theirs.filter(({ fromSeq }, i) => i === 0 || fromSeq < fork);
      const ours = [...shared, ...livesOf("b", later, fork)];
      const position = positionAt(theirs, { seq }, "w");
      assert.equal(partedAfter(ours, position), fork === 0 ? 0 : Math.min(seq, fork));
      assert.equal(partedAfter(theirs, position), seq);
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("partedAfter tells turns of one process apart, when several share a store", () => {
  const lives = [{ id: "a", fromSeq: 0 }, { id: "b", fromSeq: 5 }, { id: "a", fromSeq: 7 }];
  for (const seq of [5, 6, 8, 20]) {
    assert.equal(partedAfter(lives, positionAt(lives, { seq }, "w")), seq);
  }
});

Deno.test("partedAfter takes a position for ours that is older than the lives that are kept", () => {
  const position = positionAt([{ id: "a", fromSeq: 0 }], { seq: 9 }, "w");
  assert.equal(partedAfter([{ id: "x", fromSeq: 9 }], position), 9);
  assert.equal(partedAfter([{ id: "x", fromSeq: 0 }], position), 0);
});

Deno.test("positionAt names a slice only where one was left", () => {
  const lives = [{ id: "a", fromSeq: 0 }, { id: "b", fromSeq: 4 }];
  assert.deepEqual(positionAt(lives, { seq: 4 }, "w"), {
    seq: 4,
    lives: lives.slice(0, 1),
    writer: "w",
  });
  assert.deepEqual(positionAt(lives, { seq: 5, slice: 2 }, "w"), {
    seq: 5,
    slice: 2,
    lives,
    writer: "w",
  });
});

Deno.test("a position keeps the first life, so that another gateway's is told from its own", () => {
  const lives = livesOf("a", Array.from({ length: 50 }, () => 2), 0);
  const position = positionAt(lives, { seq: 99 }, "w");
  assert.equal(position.lives.length, 32);
  assert.deepEqual(position.lives[0], lives[0]);
  assert.equal(partedAfter(lives, position), 99);
  assert.equal(isOfAnother(lives, position), false);
  assert.equal(isOfAnother(livesOf("b", [5, 5], 0), position), true);
  assert.equal(isOfAnother(livesOf("b", [5, 5], 40), position), false);
  assert.equal(isOfAnother(livesOf("b", [5], 0), positionAt(lives, { seq: 0 }, "w")), false);
  // A copy of so long ago that the lives between are not known is given up to the beginning.
  const restored = [...lives.slice(0, 5), ...livesOf("c", [4], 9)];
  assert.equal(partedAfter(restored, position), 0);
  assert.equal(isOfAnother(restored, position), false);
});
