import assert from "node:assert/strict";
import fc from "fast-check";
import { isOurs, type Life, lifeOf, readLives, withLife, writeLives } from "./lives.ts";

const FIRST: readonly Life[] = [{ id: "epoch", fromSeq: 0 }];

Deno.test("withLife begins a life with its first commit and no other", () => {
  const two = withLife(FIRST, "two", 7);
  assert.deepEqual(two, [{ id: "epoch", fromSeq: 0 }, { id: "two", fromSeq: 7 }]);
  assert.equal(withLife(two, "two", 9), two);
});

Deno.test("isOurs holds a seq against where its life ended", () => {
  const lives = withLife(withLife(FIRST, "two", 7), "three", 9);
  assert.equal(isOurs(lives, "epoch", 7), true);
  assert.equal(isOurs(lives, "epoch", 8), false);
  assert.equal(isOurs(lives, "two", 9), true);
  assert.equal(isOurs(lives, "two", 10), false);
  assert.equal(isOurs(lives, "three", 1_000), true);
  assert.equal(isOurs(lives, "another", 1), false);
});

Deno.test("readLives reads what writeLives wrote, and the epoch where nothing was", () => {
  assert.deepEqual(readLives(undefined, "epoch"), FIRST);
  const lives = withLife(FIRST, "two", 7);
  assert.deepEqual(readLives(writeLives(lives), "epoch"), lives);
});

Deno.test("withLife keeps 1,000 lives at most", () => {
  let lives = FIRST;
  for (let i = 1; i <= 1_200; i++) lives = withLife(lives, `life ${i}`, i);
  assert.equal(lives.length, 1_000);
  assert.equal(isOurs(lives, "life 1200", 5_000), true);
  assert.equal(isOurs(lives, "life 3", 4), false);
});

Deno.test("lifeOf names the last life that began before a seq", () => {
  const lives = withLife(withLife(FIRST, "two", 7), "three", 9);
  const named = [0, 1, 7, 8, 9, 10, 99].map((seq) => lifeOf(lives, seq));
  assert.deepEqual(named, ["epoch", "epoch", "epoch", "two", "two", "three", "three"]);
});

Deno.test("G13: a seq is ours before a copy was made and not after it, however processes take turns", () => {
  const commits = fc.array(fc.nat(2), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(commits, commits, fc.nat(20), (before, after, at) => {
      const copiedAt = Math.min(at, before.length);
      const play = (from: readonly Life[], head: number, turns: readonly number[], run: string) => {
        const states = [from];
        for (const [i, process] of turns.entries()) {
          states.push(withLife(states.at(-1) ?? from, `${run}${process}`, head + i));
        }
        return states;
      };
      const ours = play(FIRST, 0, before, "a");
      const copy = ours[copiedAt] ?? FIRST;
      const restored = play(copy, copiedAt, after, "b").at(-1) ?? copy;
      for (const [seq, lives] of ours.entries()) {
        const life = lifeOf(lives, seq);
        assert.equal(isOurs(ours.at(-1) ?? FIRST, life, seq), true);
        assert.equal(isOurs(restored, life, seq), seq <= copiedAt);
      }
    }),
    { numRuns: 2_000 },
  );
});
