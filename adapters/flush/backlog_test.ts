import assert from "node:assert/strict";
import type { Change } from "../adapter.ts";
import { Backlog } from "./backlog.ts";
import type { SourceEntry } from "./source.ts";

const CHANGE = {} as Change;

function entry(seq: number, changes: number, bytes: number): SourceEntry {
  const none = Array.from({ length: changes }, () => CHANGE);
  return { seq, slice: 0, last: true, committedMs: 0, bytes, changes: none };
}

Deno.test("Backlog counts what was read, adds commits, takes away what has arrived", () => {
  const backlog = new Backlog();
  const page = [entry(1, 3, 300), entry(2, 1, 50)];
  backlog.read(page, { commits: 2, waiting: 2 });
  assert.deepEqual([backlog.size, backlog.isKnown], [{ changes: 4, bytes: 350 }, true]);
  backlog.grew({ changes: 2, bytes: 20 });
  assert.deepEqual(backlog.size, { changes: 6, bytes: 370 });
  backlog.arrived(page);
  assert.deepEqual([backlog.size, backlog.isKnown], [{ changes: 2, bytes: 20 }, true]);
  backlog.cleared();
  assert.deepEqual(backlog.size, { changes: 0, bytes: 0 });
});

Deno.test("Backlog estimates by what a commit was like while more waits than was read", () => {
  const backlog = new Backlog();
  backlog.read([entry(1, 2, 100), entry(2, 2, 300)], { commits: 2, waiting: 10 });
  assert.deepEqual([backlog.size, backlog.isKnown], [{ changes: 20, bytes: 2_000 }, false]);
  backlog.read([entry(9, 1, 10), entry(10, 1, 10)], { commits: 2, waiting: 2 });
  assert.deepEqual([backlog.size, backlog.isKnown], [{ changes: 2, bytes: 20 }, true]);
});

Deno.test("Backlog keeps a count to the end over a page that does not reach it", () => {
  const backlog = new Backlog();
  backlog.read([entry(1, 5, 500)], { commits: 1, waiting: 1 });
  backlog.grew({ changes: 95, bytes: 1_500 });
  backlog.read([entry(1, 5, 500)], { commits: 1, waiting: 2 });
  assert.deepEqual(backlog.size, { changes: 100, bytes: 2_000 });
});

Deno.test("Backlog counts anew after something of unknown size came, or the place was lost", () => {
  for (const spoil of [(b: Backlog) => b.grew({}), (b: Backlog) => b.lost()]) {
    const backlog = new Backlog();
    backlog.cleared();
    spoil(backlog);
    assert.equal(backlog.isKnown, false);
    backlog.read([entry(1, 1, 10)], { commits: 1, waiting: 4 });
    assert.deepEqual(backlog.size, { changes: 4, bytes: 40 });
  }
});
