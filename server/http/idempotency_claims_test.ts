import { MemoryRecords } from "../store/_memory_server_records.ts";
import assert from "node:assert/strict";
import { LakeSyncError } from "@lakesync/core";
import { ANSWER_KEEP_MS, AnswerClaims, Claim, type Outcome } from "./idempotency_claims.ts";

const DONE: Outcome = { status: 200, headers: { "content-type": "text/plain" }, body: "done" };
const never = new AbortController().signal;

/** Claims of two processes over one store, and their clock. */
function processes() {
  let ms = 1_793_491_200_000;
  const now = () => ms;
  const records = Object.assign(new MemoryRecords(now), { shared: true });
  return {
    records,
    now,
    one: new AnswerClaims({ records, now, claimMs: 300_000 }),
    other: new AnswerClaims({ records, now, claimMs: 300_000 }),
    after: (more: number) => void (ms += more),
  };
}

async function claimed(claims: AnswerClaims, key = "k", bodyHash = "b"): Promise<Claim> {
  const begun = await claims.begin(key, "u", bodyHash, never);
  assert.ok(begun instanceof Claim);
  return begun;
}

Deno.test("G2: one of all equal requests does the work, the others get its answer", async () => {
  const { one, other } = processes();
  let effects = 0;
  const request = async (claims: AnswerClaims) => {
    const begun = await claims.begin("k", "u", "b", never);
    if (!(begun instanceof Claim)) return begun;
    effects++;
    await new Promise((resolve) => setTimeout(resolve, 30));
    await begun.keep(DONE);
    return "did it";
  };
  const answers = await Promise.all([one, other, one, other, one].map(request));
  assert.equal(effects, 1);
  assert.equal(answers.filter((answer) => answer === "did it").length, 1);
  for (const answer of answers) if (answer !== "did it") assert.deepEqual(answer, DONE);
});

Deno.test("a key serves the next request once the first came to nothing", async () => {
  const { one, other } = processes();
  const first = await claimed(one);
  const waiting = claimed(other);
  await first.release();
  await (await waiting).keep(DONE);
  assert.deepEqual(await one.begin("k", "u", "b", never), DONE);
});

Deno.test("a claim whose process died ends by itself", async () => {
  const { one, other, after } = processes();
  const dead = await claimed(one);
  const waiting = claimed(other);
  after(300_000);
  const heir = await waiting;
  // The process was not dead but stopped for long: what it did since is not kept.
  await assert.rejects(dead.keep(DONE), { code: "BACKPRESSURE" });
  await heir.keep(DONE);
});

Deno.test("a claim ends with its process where that is the only one", async () => {
  const records = new MemoryRecords();
  const dead = await claimed(new AnswerClaims({ records, claimMs: 300_000 }));
  const next = new AnswerClaims({ records, claimMs: 300_000 });
  const heir = await claimed(next);
  await assert.rejects(dead.keep(DONE), { code: "BACKPRESSURE" });
  // One that is worked for is not taken, in whichever order requests come.
  const waiting = Promise.all(Array.from({ length: 5 }, () => next.begin("k", "u", "b", never)));
  await heir.keep(DONE);
  for (const outcome of await waiting) assert.deepEqual(outcome, DONE);
});

Deno.test("a claim is renewed while its work goes on", async () => {
  const records = new MemoryRecords();
  const claims = new AnswerClaims({ records, claimMs: 150 });
  const claim = await claimed(claims);
  const seen = new Set<string | undefined>();
  while (seen.size < 4) {
    seen.add((await records.get("k"))?.version);
    assert.ok(!seen.has(undefined), "the claim has ended");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(await claim.keep(DONE), true);
});

Deno.test("a key of another body is refused, before and after there is an answer", async () => {
  const { one, other } = processes();
  const claim = await claimed(one);
  await assert.rejects(other.begin("k", "u", "c", never), { code: "IDEMPOTENCY_MISMATCH" });
  await claim.keep(DONE);
  await assert.rejects(other.begin("k", "u", "c", never), { code: "IDEMPOTENCY_MISMATCH" });
});

Deno.test("an answer is kept for 24 hours", async () => {
  const { one, after } = processes();
  await (await claimed(one)).keep(DONE);
  after(ANSWER_KEEP_MS - 1);
  assert.deepEqual(await one.begin("k", "u", "b", never), DONE);
  after(1);
  await (await claimed(one)).release();
});

Deno.test("an answer and its effect are in one commit", async () => {
  const { one, records } = processes();
  const claim = await claimed(one);
  const set = [{ key: "effect", value: "1" }];
  assert.equal(
    await claim.keep(DONE, { checks: [{ key: "effect", version: "none" }], set }),
    false,
  );
  assert.equal(await records.get("effect"), undefined);
  assert.equal(await claim.keep(DONE, { checks: [{ key: "effect", version: null }], set }), true);
  assert.equal((await records.get("effect"))?.value, "1");
  assert.deepEqual(await one.begin("k", "u", "b", never), DONE);
});

Deno.test("G2: an answer is kept whole, however long it is and whatever its characters are", async () => {
  const { one, other, records } = processes();
  for (const [key, body] of [["a", "x\u{1F600}"], ["b", '"\n\u{1F600}']] as const) {
    const outcome: Outcome = { ...DONE, body: body.repeat(400_000) };
    await (await claimed(one, key)).keep(outcome);
    assert.deepEqual(await other.begin(key, "u", "b", never), outcome);
  }
  // What is not kept leaves nothing behind.
  const large: Outcome = { ...DONE, body: "x".repeat(400_000) };
  const claim = await claimed(one, "c");
  assert.equal(await claim.keep(large, { checks: [{ key: "effect", version: "none" }] }), false);
  assert.equal((await records.list({ from: "c/", to: "c0", limit: 10 })).length, 0);
  await claim.release();
});

Deno.test("G11: answers that are kept are bounded, of each user and of all, in all processes", async () => {
  const { records, after, now } = processes();
  const maxBytes = { user: 5_000, all: 8_000 };
  const [one, other] = [1, 2].map(() => new AnswerClaims({ records, now, maxBytes }));
  assert.ok(one !== undefined && other !== undefined);
  const outcome: Outcome = { ...DONE, body: "x".repeat(1_000) };
  let number = 0;
  const keepUntilRefused = async (user: string) => {
    for (let kept = 0;; kept++) {
      try {
        const claims = [one, other].map((claims) =>
          claims.begin(`key ${number++}`, user, "b", never)
        );
        for (const begun of await Promise.all(claims)) {
          assert.ok(begun instanceof Claim);
          await begun.keep(outcome);
        }
      } catch (error) {
        assert.ok(error instanceof LakeSyncError);
        assert.ok((error.details.retryAfterSeconds ?? 0) > 24 * 60 * 60);
        return [kept, error.code];
      }
    }
  };
  assert.deepEqual(await keepUntilRefused("ann"), [2, "RATE_LIMITED"]);
  assert.deepEqual(await keepUntilRefused("bob"), [1, "BACKPRESSURE"]);
  // What was kept is given again, and the next ones are kept when it is forgotten.
  assert.deepEqual(await other.begin("key 0", "ann", "b", never), outcome);
  after(ANSWER_KEEP_MS + 2 * 60 * 60 * 1000);
  assert.deepEqual(await keepUntilRefused("ann"), [2, "RATE_LIMITED"]);
  // Those of many requests at once are counted all.
  after(2 * ANSWER_KEEP_MS);
  const begun = await Promise.all(
    [one, other, one, other].map((claims, i) => claims.begin(`at once ${i}`, "u", "b", never)),
  );
  await Promise.all(begun.map((claim) => claim instanceof Claim && claim.keep(outcome)));
  assert.deepEqual(await keepUntilRefused("u"), [0, "RATE_LIMITED"]);
});

Deno.test("who waits for an answer gives up when its signal aborts", async () => {
  const { one, other } = processes();
  const claim = await claimed(one);
  const controller = new AbortController();
  const waiting = other.begin("k", "u", "b", controller.signal);
  controller.abort(new LakeSyncError("TIMEOUT", "The request took too long"));
  await assert.rejects(waiting, { code: "TIMEOUT" });
  await claim.release();
});
