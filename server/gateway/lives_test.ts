import assert from "node:assert/strict";
import { isOurs, type Life, readLives, withLife, writeLives } from "./lives.ts";

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
