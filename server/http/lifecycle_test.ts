import { LakeSyncError } from "@lakesync/core";
import assert from "node:assert/strict";
import fc from "fast-check";
import { type RequestEnd, RequestLifecycle } from "./lifecycle.ts";
import type { RequestScope } from "./request_scope.ts";

/** A clock that tests move. */
function handClock() {
  let nowMs = 0;
  const timers = new Map<() => void, number>();
  return {
    now: () => nowMs,
    setTimer: (ms: number, callback: () => void) => {
      const once = () => callback();
      timers.set(once, nowMs + ms);
      return () => void timers.delete(once);
    },
    pass(ms: number) {
      nowMs += ms;
      for (const [callback, atMs] of [...timers]) {
        if (atMs > nowMs) continue;
        timers.delete(callback);
        callback();
      }
    },
    get armed() {
      return timers.size;
    },
  };
}

const REQUEST = new Request("http://host/v1/sync/default/pull?clientId=a");

/** A lifecycle of requests that tests answer, by the time of a clock they move. */
function bench(timeoutMs = 1_000) {
  const clock = handClock();
  const works: { scope: RequestScope; work: PromiseWithResolvers<Response> }[] = [];
  const ends: RequestEnd[] = [];
  let begun = 0;
  const lifecycle = new RequestLifecycle({
    timeoutMs,
    clock,
    answer: (scope) => {
      const work = Promise.withResolvers<Response>();
      works.push({ scope, work });
      return work.promise;
    },
    refuse: (scope, error) => {
      scope.code = error.code;
      return new Response(null, { status: error.status });
    },
    observer: {
      begin: () => void begun++,
      run: (_scope, work) => work(),
      end: (_scope, end) => void ends.push(end),
    },
  });
  const ask = () => {
    const caller = new AbortController();
    const sent = Promise.withResolvers<void>();
    const origin = { ip: "", signal: caller.signal, completed: sent.promise };
    const response = lifecycle.handle(REQUEST, origin);
    const asked = works.at(-1);
    if (asked === undefined) throw new Error("Nobody was asked");
    return { ...asked, response, caller, sent };
  };
  return { lifecycle, clock, ends, ask, begun: () => begun };
}

/** Lets everything happen that waits for nothing. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

Deno.test("a request is under way until its answer has left and its work has ended", async () => {
  const { lifecycle, clock, ends, ask } = bench();
  const { work, response, sent } = ask();
  clock.pass(30);
  assert.equal(lifecycle.active, 1);
  work.resolve(new Response("yes"));
  assert.equal(await (await response).text(), "yes");
  await settled();
  assert.equal(lifecycle.active, 1);
  assert.equal(clock.armed, 0);
  clock.pass(12);
  sent.resolve();
  await settled();
  assert.equal(lifecycle.active, 0);
  assert.deepEqual(ends, [{ status: 200, code: undefined, ms: 42, outcome: "ok" }]);
});

Deno.test("a request whose time is over is answered 504, and its work is told", async () => {
  const { lifecycle, clock, ends, ask } = bench();
  const { scope, work, response, sent } = ask();
  clock.pass(999);
  assert.equal(scope.signal.aborted, false);
  clock.pass(1);
  assert.equal((await response).status, 504);
  assert.ok(scope.signal.aborted && scope.signal.reason instanceof LakeSyncError);
  assert.equal(scope.signal.reason.code, "TIMEOUT");
  sent.resolve();
  await settled();
  assert.equal(lifecycle.active, 1, "its work goes on");
  work.resolve(new Response("late"));
  await settled();
  assert.equal(lifecycle.active, 0);
  assert.deepEqual(ends, [{ status: 504, code: "TIMEOUT", ms: 1_000, outcome: "timeout" }]);
});

Deno.test("what a request waits for by wish comes on top of its time", async () => {
  const { clock, ask } = bench();
  const { scope, work, response, sent } = ask();
  scope.deadline.allow(500);
  clock.pass(1_499);
  assert.equal(scope.signal.aborted, false);
  clock.pass(1);
  assert.equal(scope.signal.aborted, true);
  work.resolve(new Response());
  sent.resolve();
  await response;
});

Deno.test("work ends when its caller goes, and not because its answer has left", async () => {
  const { lifecycle, ends, ask } = bench();
  const gone = ask();
  gone.caller.abort();
  assert.equal(gone.scope.signal.aborted, true);
  gone.work.resolve(new Response());
  gone.sent.resolve();
  const stream = ask();
  stream.scope.stream = "open";
  stream.work.resolve(new Response());
  await stream.response;
  stream.caller.abort();
  assert.equal(stream.scope.signal.aborted, false);
  stream.scope.stream = "ended";
  stream.sent.resolve();
  await settled();
  assert.equal(lifecycle.active, 0);
  // What was done for who has gone is not told as an answer, whatever came of it.
  assert.deepEqual(ends.map(({ outcome, status }) => [outcome, status]), [
    ["aborted", 499],
    ["ok", 200],
  ]);
});

Deno.test("a stream has its time for each chunk, and is given up when that is over", async () => {
  const { lifecycle, clock, ends, ask } = bench();
  const { scope, work, response } = ask();
  scope.stream = "open";
  work.resolve(new Response());
  await response;
  clock.pass(900);
  scope.deadline.renew();
  clock.pass(900);
  assert.equal(scope.signal.aborted, false);
  clock.pass(100);
  assert.equal(scope.signal.aborted, true);
  await settled();
  assert.equal(lifecycle.active, 0, "though the runtime has not let go of it");
  assert.deepEqual(ends.map(({ outcome }) => outcome), ["timeout"]);
});

Deno.test("underWay tells of those that were there, not of those that came later", async () => {
  const { lifecycle, ask } = bench();
  const first = ask();
  const underWay = lifecycle.underWay();
  const later = ask();
  assert.deepEqual([underWay.count, underWay.left], [1, 1]);
  first.work.resolve(new Response());
  first.sent.resolve();
  await underWay.ended;
  assert.deepEqual([underWay.count, underWay.left, lifecycle.active], [1, 0, 1]);
  later.work.resolve(new Response());
  later.sent.resolve();
  await lifecycle.underWay().ended;
});

type Step = "answer" | "fail" | "leave" | "sent" | "pass";

Deno.test("the count is exact whatever happens to requests, and each ends once", async () => {
  const step = fc.tuple(
    fc.constantFrom<Step>("answer", "fail", "leave", "sent", "pass"),
    fc.nat({ max: 4 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { lifecycle, clock, ends, ask, begun } = bench();
      const asked = Array.from({ length: 5 }, ask);
      const done = { work: new Set<number>(), sent: new Set<number>() };
      const ended = (i: number) => done.work.has(i) && done.sent.has(i);
      for (const [what, i] of steps) {
        const one = asked[i];
        if (one === undefined) continue;
        if (what === "answer" || what === "fail") {
          one.work.resolve(new Response(null, { status: what === "fail" ? 500 : 200 }));
          done.work.add(i);
        } else if (what === "leave") one.caller.abort();
        else if (what === "pass") clock.pass(400);
        else {
          one.sent.resolve();
          done.sent.add(i);
        }
        await settled();
        const open = asked.filter((_, j) => !ended(j)).length;
        assert.equal(lifecycle.active, open);
      }
      for (const { work, sent } of asked) {
        work.resolve(new Response());
        sent.resolve();
      }
      await settled();
      assert.deepEqual([lifecycle.active, begun(), ends.length, clock.armed], [0, 5, 5, 0]);
    }),
    { numRuns: 50 },
  );
});
