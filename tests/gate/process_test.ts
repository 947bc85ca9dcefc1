import assert from "node:assert/strict";
import { countTests, denoCheck, run, sumOf } from "./process.ts";

Deno.test("countTests reads the last line of deno test", () => {
  const of = (success: boolean, output: string) => {
    const { passed, failed, skipped } = countTests({ success, output });
    return [passed, failed, skipped];
  };
  assert.deepStrictEqual(of(true, "\nok | 164 passed | 0 failed (8s)\n"), [164, 0, []]);
  assert.deepStrictEqual(of(true, "ok | 3 passed (5 steps) | 0 failed | 1 ignored (1s)"), [
    3,
    0,
    [],
  ]);
  assert.deepStrictEqual(of(false, "FAILED | 18 passed | 2 failed (9ms)"), [18, 2, []]);
  assert.deepStrictEqual(
    of(true, "needs docker ... ignored (0ms)\nok | 0 passed | 0 failed | 1 ignored (1ms)"),
    [0, 0, ["needs docker"]],
  );
});

Deno.test("countTests counts a failure when deno test failed without saying how often", () => {
  assert.equal(countTests({ success: false, output: "error: no test files" }).failed, 1);
  assert.equal(countTests({ success: false, output: "ok | 5 passed | 0 failed (1s)" }).failed, 1);
});

Deno.test("run gives both outputs, and the environment it was told", async () => {
  const code = 'console.log(Deno.env.get("GREETING")); console.error("aside"); Deno.exit(3)';
  const { success, output } = await run([Deno.execPath(), "eval", code], {
    env: { GREETING: "hello" },
  });
  assert.equal(success, false);
  assert.equal(output, "hello\naside\n");
});

Deno.test("run kills what does not end", async () => {
  const { success, output } = await run([Deno.execPath(), "eval", "setInterval(() => {}, 1e6)"], {
    timeoutMs: 500,
  });
  assert.equal(success, false);
  assert.match(output, /Killed after 500 ms/);
});

Deno.test("sumOf adds outcomes up and keeps the output of those that failed", async () => {
  const good = await denoCheck(["eval", "console.log('fine')"]);
  const bad = await denoCheck(["eval", "throw new Error('broken')"]);
  const sum = sumOf([good, bad, { passed: 5, failed: 0, output: "", skipped: ["x"] }]);
  assert.deepStrictEqual([sum.passed, sum.failed, sum.skipped], [6, 1, ["x"]]);
  assert.match(sum.output, /broken/);
  assert.doesNotMatch(sum.output, /fine/);
});
