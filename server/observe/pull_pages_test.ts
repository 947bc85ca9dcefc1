import assert from "node:assert/strict";
import { PullPages } from "./pull_pages.ts";

Deno.test("PullPages counts the pages of each pull until it is complete, clients apart", () => {
  const pulls: number[] = [];
  const pages = new PullPages((count) => pulls.push(count));
  pages.page("g", "a", undefined, true);
  pages.page("g", "a", undefined, false);
  pages.page("g", "b", undefined, false);
  pages.page("h", "a", "c1", true);
  pages.page("g", "a", "c1", false);
  pages.page("g", "a", "c2", true);
  pages.page("g", "b", "c1", true);
  assert.deepEqual(pulls, [1, 1, 3, 2]);
});

Deno.test("PullPages begins anew with who begins anew, and forgets who never goes on", () => {
  const pulls: number[] = [];
  const pages = new PullPages((count) => pulls.push(count));
  pages.page("g", "a", undefined, false);
  pages.page("g", "a", undefined, false);
  pages.page("g", "a", "c1", true);
  for (let i = 0; i < 20_000; i++) pages.page("g", `gone${i}`, undefined, false);
  pages.page("g", "gone0", "c1", true);
  pages.page("g", "gone19999", "c1", true);
  assert.deepEqual(pulls, [2, 1, 2]);
});
