import assert from "node:assert/strict";
import fc from "fast-check";
import { type CompactionSettings, levelOf, planRuns, type SizedFile } from "./compaction_plan.ts";

const SETTINGS: CompactionSettings = { targetBytes: 1_024, smallBytes: 16, minSmall: 6, fanIn: 4 };

function files(...sizes: readonly number[]): SizedFile[] {
  return sizes.map((bytes) => ({ partition: "a", bytes }));
}

/** The files after a plan was done; sizes add up. */
function after(all: readonly SizedFile[], settings: CompactionSettings): SizedFile[] {
  const done: SizedFile[] = [];
  let at = 0;
  for (const { start, end } of planRuns(all, settings)) {
    assert.ok(start >= at && end - start >= 2, "runs are in order and of two files or more");
    done.push(...all.slice(at, start));
    const parts = all.slice(start, end);
    assert.equal(new Set(parts.map(({ partition }) => partition)).size, 1);
    const bytes = parts.reduce((sum, { bytes }) => sum + bytes, 0);
    assert.ok(bytes <= settings.targetBytes, `${bytes} bytes are read at once`);
    done.push({ partition: parts[0]?.partition ?? "", bytes });
    at = end;
  }
  return [...done, ...all.slice(at)];
}

Deno.test("planRuns puts six small files together and leaves five", () => {
  assert.deepEqual(planRuns(files(1, 1, 1, 1, 1), SETTINGS), []);
  assert.deepEqual(planRuns(files(1, 1, 1, 1, 1, 1), SETTINGS), [{ start: 0, end: 6 }]);
});

Deno.test("planRuns leaves a file alone that is larger than those behind it", () => {
  assert.deepEqual(planRuns(files(500, 1, 1, 1, 1, 1, 1), SETTINGS), [{ start: 1, end: 7 }]);
});

Deno.test("planRuns puts four files of a level together with the smaller ones among them", () => {
  assert.deepEqual(planRuns(files(900, 20, 3, 20, 20, 1, 20, 2), SETTINGS), [
    { start: 1, end: 8 },
  ]);
});

Deno.test("planRuns puts all of a day together that has ended", () => {
  const day = files(500, 400, 3, 200, 1, 2);
  const all = [...day, { partition: "b", bytes: 1 }];
  assert.deepEqual(planRuns(all, SETTINGS), [{ start: 0, end: 3 }, { start: 3, end: 6 }]);
});

Deno.test("planRuns writes each byte anew about once a level and keeps files few", () => {
  const size = fc.integer({ min: 1, max: 24 });
  const flushes = fc.array(size, { minLength: 50, maxLength: 800 });
  fc.assert(
    fc.property(flushes, fc.integer({ min: 1, max: 60 }), (sizes, every) => {
      let all: SizedFile[] = [];
      let written = 0;
      for (const [i, bytes] of sizes.entries()) {
        all.push({ partition: "a", bytes });
        if (i % every !== 0) continue;
        const before = new Set(all);
        all = after(all, SETTINGS);
        for (const file of all) if (!before.has(file)) written += file.bytes;
      }
      const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
      const levels = levelOf(SETTINGS.targetBytes, SETTINGS);
      // To the end of the lowest level a byte may be written anew with each of its files.
      assert.ok(written <= total * (levels + SETTINGS.smallBytes), `${written / total} times`);
      all = after(all, SETTINGS);
      const few = total / SETTINGS.targetBytes * 2 + levels * SETTINGS.fanIn + SETTINGS.minSmall;
      assert.ok(all.length <= few, `${all.length} files of ${total} bytes`);
    }),
    { numRuns: 60 },
  );
});

Deno.test("planRuns ends: done again and again it has nothing to do", () => {
  const file = fc.record({
    partition: fc.constantFrom("a", "b"),
    bytes: fc.integer({ min: 1, max: 1_100 }),
  });
  fc.assert(fc.property(fc.array(file, { maxLength: 60 }), (all) => {
    let now: readonly SizedFile[] = all;
    for (let i = 0; i < 60 && planRuns(now, SETTINGS).length > 0; i++) now = after(now, SETTINGS);
    assert.deepEqual(planRuns(now, SETTINGS), []);
  }));
});

Deno.test("levelOf ends whatever the settings are", () => {
  assert.equal(levelOf(0, { smallBytes: 0, fanIn: 4 }), 0);
  assert.equal(levelOf(1_000, { smallBytes: 0, fanIn: 1 }), 10);
});
