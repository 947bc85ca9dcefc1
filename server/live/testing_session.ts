/**
 * A live session on a gateway and a clock that tests hold in their hands.
 *
 * @module
 */

import {
  type ErrorCode,
  LakeSyncError,
  type PullRequest,
  type PullResult,
  type PushResult,
  ZERO_HLC,
} from "@lakesync/core";
import { DEFAULT_LIMITS } from "@lakesync/core";
import assert from "node:assert/strict";
import type { VerifiedToken } from "../auth/token.ts";
import { Followers } from "../gateway/followers.ts";
import type { CommitListener, Gateway } from "../gateway/gateway.ts";
import { CODECS } from "./codec.ts";
import { Session } from "./session.ts";

/** The time at the start of each test. */
export const NOW = 1_800_000_000_000;

/** A token of alice for `default` that lives a minute. */
export function token(more: Partial<VerifiedToken> = {}): VerifiedToken {
  return {
    sub: "alice",
    gw: "default",
    role: "client",
    endsMs: NOW + 60_000,
    claims: {},
    ...more,
  };
}

/** The answer to a push. */
export const PUSHED: PushResult = {
  lastMutationId: 1,
  rejected: [],
  seq: 1,
  serverTime: new Date(NOW).toISOString(),
  serverHlc: ZERO_HLC,
};

/** Lets everything run that can. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** A session on a gateway and a clock that tests hold in their hands. */
export class Bench {
  readonly frames: Record<string, unknown>[] = [];
  readonly closes: number[] = [];
  readonly pulls: PullRequest[] = [];
  readonly timers: Map<() => void, number> = new Map<() => void, number>();
  readonly tokens: Map<string, VerifiedToken> = new Map<string, VerifiedToken>();
  listeners = 0;
  now: number = NOW;
  commit: CommitListener = () => {};
  readonly #followers = new Followers();
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
      history: {
        schema: { version: 0, tables: [] },
        head: () => Promise.reject(new Error("not here")),
        read: () => Promise.reject(new Error("not here")),
        rows: () => Promise.reject(new Error("not here")),
        walk: () => Promise.reject(new Error("not here")),
        keepAfter: () => () => {},
      },
      cursors: {
        saveCursor: () => Promise.reject(new Error("not here")),
        loadCursor: () => Promise.reject(new Error("not here")),
        list: () => Promise.reject(new Error("not here")),
        reset: () => Promise.reject(new Error("not here")),
      },
      now: () => this.now,
      push: async () => ({ result: await this.push() }),
      pull: (_, request) => {
        this.pulls.push(request);
        return this.pull(request);
      },
      pullScoped: async (_, request) => {
        this.pulls.push(request);
        return { result: await this.pull(request), watched: new Set(["1:[]"]) };
      },
      checkpoint: () => Promise.reject(new Error("not here")),
      refusalsSeen: () => Promise.resolve(),
      refreshTables: () => Promise.resolve(),
      probe: () => Promise.resolve(),
      rules: () => Promise.reject(new Error("not here")),
      putRules: () => Promise.reject(new Error("not here")),
      explain: () => Promise.reject(new Error("not here")),
      putSchema: () => Promise.reject(new Error("not here")),
      stats: () => Promise.reject(new Error("not here")),
      onCommit: (listener) => {
        this.commit = listener;
        this.listeners++;
        return () => this.listeners--;
      },
      follow: (clientId, changed) => {
        this.commit = (commit) => this.#followers.tell(commit);
        this.listeners++;
        const { awaits, stop } = this.#followers.follow(clientId, changed);
        return {
          awaits,
          stop: () => {
            this.listeners--;
            stop();
          },
        };
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
      turn: () => () => {},
      maxMessagesPerSecond: 50,
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
