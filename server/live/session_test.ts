import {
  type ErrorCode,
  LakeSyncError,
  type PullRequest,
  type PullResult,
  type PushResult,
  type ServerFrame,
  ZERO_HLC,
} from "@lakesync/core";
import { DEFAULT_LIMITS } from "@lakesync/core";
import assert from "node:assert/strict";
import type { VerifiedToken } from "../auth/token.ts";
import type { CommitListener, Gateway } from "../gateway/gateway.ts";
import { CODECS } from "./codec.ts";
import { Session } from "./session.ts";

const NOW = 1_800_000_000_000;

function token(more: Partial<VerifiedToken> = {}): VerifiedToken {
  return {
    sub: "alice",
    gw: "default",
    role: "client",
    endsMs: NOW + 60_000,
    claims: {},
    ...more,
  };
}

const PUSHED: PushResult = {
  lastMutationId: 1,
  rejected: [],
  seq: 1,
  serverTime: new Date(NOW).toISOString(),
  serverHlc: ZERO_HLC,
};

/** Lets everything run that can. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** A session on a gateway and a clock that tests hold in their hands. */
class Bench {
  readonly frames: Record<string, unknown>[] = [];
  readonly closes: number[] = [];
  readonly pulls: PullRequest[] = [];
  readonly timers = new Map<() => void, number>();
  readonly tokens = new Map<string, VerifiedToken>();
  listeners = 0;
  now = NOW;
  commit: CommitListener = () => {};
  pull: (request: PullRequest) => Promise<PullResult> = (request) =>
    Promise.resolve({
      changes: [],
      cursor: `${request.cursor ?? ""}+`,
      complete: true,
      lastMutationId: 0,
      serverHlc: ZERO_HLC,
    });
  push: () => Promise<PushResult> = () => Promise.resolve(PUSHED);
  readonly session: Session;

  constructor() {
    const gateway: Gateway = {
      id: "default",
      schema: undefined,
      limits: { ...DEFAULT_LIMITS, maxBodyBytes: 1000 },
      now: () => this.now,
      push: async () => ({ result: await this.push() }),
      pull: (_, request) => {
        this.pulls.push(request);
        return this.pull(request);
      },
      refusalsSeen: () => Promise.resolve(),
      putSchema: () => Promise.reject(new Error("not here")),
      stats: () => Promise.reject(new Error("not here")),
      onCommit: (listener) => {
        this.commit = listener;
        this.listeners++;
        return () => this.listeners--;
      },
      close: () => Promise.resolve(),
    };
    const codec = CODECS.get("lakesync.v1+json");
    assert.ok(codec);
    this.session = new Session({
      gateway,
      token: token(),
      codec,
      requestId: "r1",
      verify: (jwt) => {
        const verified = this.tokens.get(jwt);
        return verified === undefined
          ? Promise.reject(new LakeSyncError("AUTH_ERROR", "No"))
          : Promise.resolve(verified);
      },
      send: (data) => void this.frames.push(JSON.parse(String(data))),
      close: (code) => void this.closes.push(code),
      now: () => this.now,
      setTimer: (ms, callback) => {
        this.timers.set(callback, this.now + ms);
        return () => this.timers.delete(callback);
      },
    });
  }

  /** Sends frames of a client. */
  async send(...frames: (object | string)[]): Promise<void> {
    for (const frame of frames) {
      this.session.receive(
        typeof frame === "string" ? frame : JSON.stringify(frame),
      );
    }
    await turn();
  }

  /** Says hello and acknowledges the first page. */
  async hello(): Promise<void> {
    await this.send({ hello: { clientId: "phone", schemaVersion: 1 } });
    await this.send({ ack: { cursor: "+" } });
    this.frames.length = 0;
  }

  /** The names of the frames that were sent. */
  names(): string[] {
    return this.frames.map((frame) => Object.keys(frame).join());
  }

  /** The code of the last frame, an error. */
  code(): unknown {
    const error = this.frames.at(-1)?.["error"];
    return typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  }

  /** Moves the clock and runs the timers that are due. */
  advance(ms: number): void {
    this.now += ms;
    for (const [callback, due] of [...this.timers]) {
      if (due > this.now || !this.timers.delete(callback)) continue;
      callback();
    }
  }

  /** The connection has ended, with an error frame and this close; nothing is left. */
  ended(code: ErrorCode, close: number): void {
    assert.equal(this.code(), code);
    assert.deepEqual(this.closes, [close]);
    assert.equal(this.timers.size, 0);
    assert.equal(this.listeners, 0);
  }
}

const PUSH = {
  push: { clientId: "phone", schemaVersion: 1, transactions: [] },
};
const MINE = { seq: 2, changed: false, clientIds: new Set(["phone"]) };
const ROWS = { seq: 2, changed: true, clientIds: new Set(["other"]) };
const NEITHER = { seq: 2, changed: false, clientIds: new Set(["other"]) };

Deno.test("hello is answered by welcome and the first page", async () => {
  const bench = new Bench();
  await bench.send({
    hello: { clientId: "phone", schemaVersion: 3, cursor: "c" },
  });
  assert.deepEqual(bench.names(), ["welcome", "changes"]);
  const welcome = bench.frames[0]?.["welcome"];
  assert.deepEqual(welcome, {
    serverTime: new Date(NOW).toISOString(),
    limits: { ...DEFAULT_LIMITS, maxBodyBytes: 1000 },
  });
  const [pull] = bench.pulls;
  assert.equal(pull?.cursor, "c");
  assert.equal(pull?.schemaVersion, 3);
});

Deno.test("commits are read when they may concern the client", async () => {
  const bench = new Bench();
  await bench.hello();
  bench.commit(NEITHER);
  await turn();
  assert.equal(bench.pulls.length, 1);
  bench.commit(ROWS);
  await turn();
  assert.equal(bench.pulls.length, 2);
  bench.commit(MINE);
  await turn();
  assert.equal(bench.pulls.length, 3);
});

Deno.test("a push is answered by its result or an error, and the connection stays", async () => {
  const bench = new Bench();
  await bench.hello();
  await bench.send(PUSH);
  bench.push = () =>
    Promise.reject(
      new LakeSyncError("MUTATION_GAP", "Gap", { lastMutationId: 7 }),
    );
  await bench.send(PUSH);
  assert.deepEqual(bench.names(), ["pushResult", "error"]);
  assert.deepEqual(bench.frames[1]?.["error"], {
    error: "Gap",
    code: "MUTATION_GAP",
    requestId: "r1",
    lastMutationId: 7,
  });
  assert.deepEqual(bench.closes, []);
});

Deno.test("frames are processed in order, one after the other", async () => {
  const bench = new Bench();
  await bench.hello();
  const { promise, resolve } = Promise.withResolvers<PushResult>();
  bench.push = () => promise;
  await bench.send(PUSH, { ping: {} }, PUSH);
  assert.deepEqual(bench.names(), []);
  resolve(PUSHED);
  await turn();
  assert.deepEqual(bench.names(), ["pushResult", "pong", "pushResult"]);
});

Deno.test("a page with the client's own transactions comes after their outcome", async () => {
  const bench = new Bench();
  await bench.hello();
  const { promise, resolve } = Promise.withResolvers<PushResult>();
  bench.push = () => promise;
  await bench.send(PUSH);
  bench.pull = () =>
    Promise.resolve({
      changes: [],
      cursor: "c1",
      complete: true,
      lastMutationId: 1,
      serverHlc: ZERO_HLC,
    });
  bench.commit(MINE);
  await turn();
  assert.deepEqual(bench.names(), []);
  resolve(PUSHED);
  await turn();
  assert.deepEqual(bench.names(), ["pushResult", "changes"]);
});

Deno.test("pull starts the delivery anew from its cursor", async () => {
  const bench = new Bench();
  await bench.hello();
  await bench.send({ pull: { clientId: "phone", cursor: "x", limit: 99_999 } });
  assert.deepEqual(bench.names(), ["changes"]);
  assert.equal(bench.pulls.at(-1)?.cursor, "x");
  assert.equal(bench.pulls.at(-1)?.limit, 10_000);
});

Deno.test("a cursor from before the kept history is answered by resync, and a pull goes on", async () => {
  const bench = new Bench();
  const { pull } = bench;
  bench.pull = () => Promise.reject(new LakeSyncError("RESYNC_REQUIRED", "Too old"));
  await bench.send({
    hello: { clientId: "phone", schemaVersion: 1, cursor: "old" },
  });
  assert.deepEqual(bench.frames.at(-1), {
    resync: { code: "RESYNC_REQUIRED", reason: "Too old" },
  });
  bench.pull = pull;
  bench.commit(ROWS);
  await turn();
  assert.equal(bench.pulls.length, 1);
  await bench.send({ pull: { clientId: "phone" } });
  assert.deepEqual(bench.names(), ["welcome", "resync", "changes"]);
  assert.deepEqual(bench.closes, []);
});

const MALFORMED: [what: string, frame: object | string][] = [
  ["no JSON", "{"],
  ["unknown", { shout: {} }],
  ["two names", { ping: {}, ack: { cursor: "" } }],
  ["hello again", { hello: { clientId: "phone", schemaVersion: 1 } }],
  ["another client's push", { push: { ...PUSH.push, clientId: "other" } }],
  ["another client's pull", { pull: { clientId: "other" } }],
];

for (const [what, frame] of MALFORMED) {
  Deno.test(`a frame that is malformed or out of place ends it with 4400: ${what}`, async () => {
    const bench = new Bench();
    await bench.hello();
    await bench.send(frame, { ping: {} });
    bench.ended("VALIDATION_ERROR", 4400);
    assert.ok(!bench.names().includes("pong"));
  });
}

Deno.test("the first frame must be hello, in time and by a possible client", async () => {
  const first = new Bench();
  await first.send({ ping: {} });
  first.ended("VALIDATION_ERROR", 4400);
  const silent = new Bench();
  silent.advance(10_000);
  silent.ended("VALIDATION_ERROR", 4400);
  const nobody = new Bench();
  await nobody.send({ hello: { clientId: "a b", schemaVersion: 1 } });
  nobody.ended("VALIDATION_ERROR", 4400);
});

Deno.test("frames are bounded in size and in number", async () => {
  const large = new Bench();
  await large.hello();
  await large.send("x".repeat(1001));
  large.ended("PAYLOAD_TOO_LARGE", 4400);
  const many = new Bench();
  await many.hello();
  many.push = () => new Promise(() => {});
  await many.send(PUSH, ...new Array(256).fill("{}"));
  assert.deepEqual(many.closes, []);
  await many.send("{}");
  many.ended("RATE_LIMITED", 1008);
  const bytes = new Bench();
  await bytes.hello();
  bytes.push = () => new Promise(() => {});
  await bytes.send(PUSH, "x".repeat(1000), "x".repeat(1000), "x");
  bytes.ended("RATE_LIMITED", 1008);
});

Deno.test("a clientId of another user ends it with 4403", async () => {
  const bench = new Bench();
  bench.pull = () => Promise.reject(new LakeSyncError("CLIENT_NOT_YOURS", "No"));
  await bench.send({ hello: { clientId: "phone", schemaVersion: 1 } });
  bench.ended("CLIENT_NOT_YOURS", 4403);
  const push = new Bench();
  await push.hello();
  push.push = () => Promise.reject(new LakeSyncError("CLIENT_NOT_YOURS", "No"));
  await push.send(PUSH);
  push.ended("CLIENT_NOT_YOURS", 4403);
});

Deno.test("a failure of ours ends it with 1011 and tells no detail", async () => {
  const bench = new Bench();
  bench.pull = () => Promise.reject(new Error("no such table"));
  await bench.send({ hello: { clientId: "phone", schemaVersion: 1 } });
  bench.ended("INTERNAL_ERROR", 1011);
  assert.ok(!JSON.stringify(bench.frames).includes("table"));
});

Deno.test("it ends with 4401 when its token does", async () => {
  const bench = new Bench();
  await bench.hello();
  bench.advance(59_999);
  assert.deepEqual(bench.closes, []);
  bench.advance(1);
  bench.ended("AUTH_ERROR", 4401);
});

Deno.test("a new token of the same user takes its place", async () => {
  const bench = new Bench();
  await bench.hello();
  bench.tokens.set("new", token({ endsMs: NOW + 120_000 }));
  await bench.send({ token: { jwt: "new" } });
  bench.advance(60_000);
  assert.deepEqual(bench.closes, []);
  bench.advance(60_000);
  bench.ended("AUTH_ERROR", 4401);
});

Deno.test("a token that lives longer than a timer can wait is waited for in pieces", async () => {
  const bench = new Bench();
  await bench.hello();
  bench.tokens.set("long", token({ endsMs: NOW + 2 ** 32 }));
  await bench.send({ token: { jwt: "long" } });
  bench.advance(2 ** 31 - 1);
  assert.deepEqual(bench.closes, []);
  bench.advance(2 ** 31 - 1);
  bench.advance(2);
  bench.ended("AUTH_ERROR", 4401);
});

Deno.test("a token of another user or gateway ends it with 4403, a bad one with 4401", async () => {
  const cases = [
    ["other", token({ sub: "bob" }), "FORBIDDEN", 4403],
    ["gateway", token({ gw: "notes" }), "FORBIDDEN", 4403],
    ["bad", undefined, "AUTH_ERROR", 4401],
  ] as const;
  for (const [jwt, verified, code, close] of cases) {
    const bench = new Bench();
    await bench.hello();
    if (verified !== undefined) bench.tokens.set(jwt, verified);
    await bench.send({ token: { jwt } });
    bench.ended(code, close);
  }
});

Deno.test("drain says so, answers the frame at hand, drops the others, and closes with 1012", async () => {
  const bench = new Bench();
  await bench.hello();
  const { promise, resolve } = Promise.withResolvers<PushResult>();
  bench.push = () => promise;
  await bench.send(PUSH, { ping: {} });
  const drained = bench.session.drain();
  await bench.send({ ping: {} });
  bench.commit(ROWS);
  assert.deepEqual(bench.closes, []);
  resolve(PUSHED);
  await drained;
  assert.deepEqual(bench.names(), ["draining", "pushResult"]);
  assert.deepEqual(bench.closes, [1012]);
  assert.equal(bench.timers.size, 0);
  assert.equal(bench.listeners, 0);
});

Deno.test("an ended session does nothing more", async () => {
  const bench = new Bench();
  await bench.hello();
  bench.session.ended();
  bench.session.ended();
  bench.commit(ROWS);
  await bench.send({ ping: {} });
  await bench.session.drain();
  assert.deepEqual(bench.frames, [] satisfies ServerFrame[]);
  assert.deepEqual(bench.closes, []);
  assert.equal(bench.timers.size, 0);
});
