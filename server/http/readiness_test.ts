import assert from "node:assert/strict";
import { type CheckResult, type Dependency, Readiness } from "./readiness.ts";

/** A dependency that counts how often it is asked. */
function dependency(name: string, check: () => Promise<unknown>) {
  const counted = { name, asked: 0, check: () => (counted.asked++, check()) };
  return counted;
}

function readinessOf(dependencies: readonly Dependency[], timeoutMs?: number) {
  const clock = { nowMs: 0 };
  const changes: [string, CheckResult][] = [];
  const readiness = new Readiness({
    dependencies: () => dependencies,
    now: () => clock.nowMs,
    onChange: (name, result) => changes.push([name, result]),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
  return { readiness, clock, changes };
}

Deno.test("G11: a thousand probes in a second ask each dependency once", async () => {
  const store = dependency("store", () => Promise.resolve());
  const { readiness, clock } = readinessOf([store]);
  assert.equal(readiness.isAsked, false);
  for (let probe = 0; probe < 1_000; probe++) {
    clock.nowMs = probe;
    assert.deepEqual(await readiness.results(), { store: "ok" });
  }
  assert.equal(store.asked, 1);
  assert.equal(readiness.isAsked, true);
  clock.nowMs = 1_000;
  await Promise.all(Array.from({ length: 100 }, () => readiness.results()));
  assert.equal(store.asked, 2);
});

Deno.test("what fails is told, with the others beside it, and told again once it works", async () => {
  let isDown = true;
  const store = dependency("store", () => Promise.resolve());
  const db = dependency("db", () => isDown ? Promise.reject(new Error("No")) : Promise.resolve());
  const { readiness, clock, changes } = readinessOf([store, db]);
  assert.deepEqual(await readiness.results(), { store: "ok", db: "failed" });
  clock.nowMs += 1_000;
  await readiness.results();
  isDown = false;
  assert.deepEqual(await readiness.results(), { store: "ok", db: "failed" }, "for a second");
  clock.nowMs += 1_000;
  assert.deepEqual(await readiness.results(), { store: "ok", db: "ok" });
  assert.deepEqual(changes, [["db", "failed"], ["db", "ok"]]);
});

Deno.test("what hangs is given up in time, and is not asked a second time meanwhile", async () => {
  const answer = Promise.withResolvers<void>();
  const db = dependency("db", () => answer.promise);
  const { readiness, clock } = readinessOf([db], 5);
  assert.deepEqual(await readiness.results(), { db: "timeout" });
  for (clock.nowMs = 1_000; clock.nowMs < 60_000; clock.nowMs += 1_000) {
    assert.deepEqual(await readiness.results(), { db: "timeout" });
  }
  assert.equal(db.asked, 1);
  assert.deepEqual(await readiness.results(), { db: "timeout" });
  assert.equal(db.asked, 2, "after a minute it is taken to be lost");
  answer.resolve();
  clock.nowMs += 1_000;
  assert.deepEqual(await readiness.results(), { db: "ok" });
});
