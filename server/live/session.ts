/**
 * One live client as a state machine that knows nothing of WebSockets: frames come in as data,
 * frames and a close go out through a port, time is a port too.
 *
 * | state    | hello         | other frames   | token ends | drain           | ended  |
 * | -------- | ------------- | -------------- | ---------- | --------------- | ------ |
 * | greeting | welcome, live | error, 4400    | 4401       | draining, 1012  | closed |
 * | live     | error, 4400   | answered       | 4401       | draining, 1012  | closed |
 * | draining | not read      | not read       | 4401       | stays           | closed |
 * | closed   | not read      | not read       | stays      | stays           | stays  |
 *
 * More messages than {@linkcode SessionOptions.maxMessagesPerSecond} close it with 1008; an
 * acknowledgement of the page that is on its way is none of them, since the server's own sending is
 * what it answers.
 *
 * An `error` frame without a close answers the client's oldest open request; whatever else goes
 * wrong closes the connection after its `error` frame.
 *
 * @module
 */

import {
  type ClientFrame,
  type ErrorCode,
  type Hello,
  LakeSyncError,
  type PullRequest,
  type PullResult,
  type PushRequest,
  type ServerFrame,
} from "@lakesync/core";
import { callerOf } from "../auth/authorize.ts";
import type { VerifiedToken } from "../auth/token.ts";
import { boundPull, checkClientId } from "../bounds.ts";
import type { Follower } from "../gateway/followers.ts";
import type { Caller, Gateway } from "../gateway/gateway.ts";
import { errorBody } from "../http/reply.ts";
import { CLOSE, closeCodeOf } from "./close.ts";
import type { FrameCodec, FrameData } from "./codec.ts";
import { Delivery } from "./delivery.ts";
import { MessageRate } from "./message_rate.ts";

/** Frames that may wait to be processed. */
const MAX_QUEUED_FRAMES = 256;
/** Frames that may wait, in bodies of the largest size. */
const MAX_QUEUED_BODIES = 2;
/** What an acknowledgement holds beside its cursor, at most. */
const ACK_CHARS = 256;
/** Rows of a page that nobody asked for by a limit. */
const PAGE_ROWS = 1_000;
/** How long a client may take to say hello, in milliseconds. */
const HELLO_TIMEOUT_MS = 10_000;
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What a session stands on. */
export interface SessionOptions {
  /** The gateway it is connected to. */
  readonly gateway: Gateway;
  /** The token of the handshake. */
  readonly token: VerifiedToken;
  /** Checks a token that replaces it. */
  readonly verify: (jwt: string) => Promise<VerifiedToken>;
  /** The form of frames. */
  readonly codec: FrameCodec;
  /** Finds the connection in the log. */
  readonly requestId: string;
  /** Waits until a page may be sent; gives what is called when that is done. */
  readonly turn: () => (() => void) | Promise<() => void>;
  /** Messages that the client may send in a second, for long. */
  readonly maxMessagesPerSecond: number;
  /** Refuses new work while memory is short, by what it throws. */
  readonly checkPressure?: (() => void) | undefined;
  /** Refuses a device that is kept out, by what it throws. */
  readonly checkClient?: ((clientId: string) => void | Promise<void>) | undefined;
  /** Told the code of each error that the client is told. */
  readonly told?: ((code: ErrorCode) => void) | undefined;
  /** Sends a frame. */
  readonly send: (data: FrameData) => void;
  /** Closes the connection; at once when nothing more can reach the client. */
  readonly close: (code: number, reason: string, atOnce?: boolean) => void;
  /** The clock that tokens end by, in milliseconds since 1970. */
  readonly now: () => number;
  /** Calls back once after a time in milliseconds; gives what cancels it. */
  readonly setTimer: (ms: number, callback: () => void) => () => void;
}

/** A frame that waits, and when it arrived. */
interface Arrived {
  readonly data: FrameData;
  readonly atMs: number;
}

type State = "greeting" | "live" | "draining" | "closed";

/** One live client. */
export class Session {
  readonly #options: SessionOptions;
  readonly #delivery: Delivery;
  readonly #rate: MessageRate;
  readonly #queue: Arrived[] = [];
  #state: State = "greeting";
  #queued = 0;
  #caller: Caller;
  #token: VerifiedToken;
  #clientId = "";
  #schemaVersion = 0;
  #limit = PAGE_ROWS;
  /** Buckets that the client wants sent whole. */
  #repair: readonly string[] = [];
  #processing: Promise<void> | undefined;
  #pushing: Promise<void> | undefined;
  #cancelTimer: () => void;
  /** Tells of commits that may bring something new, once the client has said hello. */
  #follower: Follower | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#token = options.token;
    this.#rate = new MessageRate(options.maxMessagesPerSecond, options.now());
    this.#caller = callerOf(options.token, options.gateway.id);
    this.#cancelTimer = options.setTimer(HELLO_TIMEOUT_MS, () => {
      this.#fail(CLOSE.malformed, "VALIDATION_ERROR", "No hello came in time");
    });
    this.#delivery = new Delivery({
      turn: options.turn,
      read: (cursor) => this.#read(cursor),
      settled: async () => await this.#pushing,
      send: (result) => this.#send({ type: "changes", result }),
      failed: (error) => this.#readFailed(error),
    });
  }

  /** Whose it is at the moment, and what they are let in by. */
  get token(): VerifiedToken {
    return this.#token;
  }

  /** The client that said hello; empty before. */
  get clientId(): string {
    return this.#clientId;
  }

  /** Whether the client has been sent a page and has not acknowledged it. */
  get owesAck(): boolean {
    return this.#delivery.isAwaiting;
  }

  /** A frame has arrived. */
  receive(data: FrameData): void {
    if (this.#state !== "greeting" && this.#state !== "live") return this.#lastAck(data);
    const { maxBodyBytes } = this.#options.gateway.limits;
    if (data.length > maxBodyBytes) {
      const what = `A frame holds at most ${maxBodyBytes} bytes`;
      return this.#fail(CLOSE.malformed, "PAYLOAD_TOO_LARGE", what);
    }
    this.#queue.push({ data, atMs: this.#options.now() });
    this.#queued += data.length;
    if (
      this.#queue.length > MAX_QUEUED_FRAMES ||
      this.#queued > MAX_QUEUED_BODIES * maxBodyBytes
    ) {
      const what = "Too many frames wait, await the answers";
      return this.#fail(CLOSE.rate, "RATE_LIMITED", what);
    }
    this.#processing ??= this.#process();
  }

  /**
   * Says that the server stops, answers what it is at, and closes.
   *
   * @returns resolves when the connection was told to close
   */
  async drain(): Promise<void> {
    if (this.#state === "closed" || this.#state === "draining") return;
    this.#state = "draining";
    this.#delivery.stop();
    this.#queue.length = 0;
    this.#send({ type: "draining" });
    await this.#processing;
    this.#close(CLOSE.draining, "The server is stopping, connect again");
  }

  /** Ends the connection because it does not read what it is sent. */
  overflow(): void {
    this.#close(CLOSE.rate, "Too much waits in the connection", true);
  }

  /**
   * Ends the connection because its right or its token has ended, after an `error` frame.
   *
   * @param error why
   */
  end(error: LakeSyncError): void {
    this.#failWith(error);
  }

  /** The connection is gone; may be called repeatedly. */
  ended(): void {
    this.#state = "closed";
    this.#queue.length = 0;
    this.#delivery.stop();
    this.#cancelTimer();
    this.#follower?.stop();
  }

  async #process(): Promise<void> {
    for (;;) {
      const arrived = this.#queue.shift();
      if (arrived === undefined) break;
      this.#queued -= arrived.data.length;
      try {
        const { codec, gateway } = this.#options;
        const frame = codec.decode(arrived.data, gateway.schema);
        if (this.#isWithinRate(frame, arrived.atMs)) await this.#handle(frame);
      } catch (error) {
        this.#failWith(error);
      }
    }
    this.#queued = 0;
    this.#processing = undefined;
  }

  /** Nothing is answered any more, but a close waits for this. */
  #lastAck(data: FrameData): void {
    // Who is told to end may send no end of messages, and reading a large one takes long.
    if (!this.#delivery.isAwaiting || data.length > this.#delivery.awaitedChars + ACK_CHARS) return;
    const { codec, gateway } = this.#options;
    try {
      const frame = codec.decode(data, gateway.schema);
      if (frame.type === "ack") this.#delivery.acked(frame.cursor);
    } catch {
      // What is no frame is no acknowledgement.
    }
  }

  #isWithinRate(frame: ClientFrame, atMs: number): boolean {
    if (frame.type === "ack" && this.#delivery.awaits(frame.cursor)) return true;
    if (this.#rate.take(atMs)) return true;
    const { maxMessagesPerSecond } = this.#options;
    const what = `A connection sends at most ${maxMessagesPerSecond} messages a second`;
    this.#fail(CLOSE.rate, "RATE_LIMITED", what);
    return false;
  }

  async #handle(frame: ClientFrame): Promise<void> {
    if ((frame.type === "hello") !== (this.#state === "greeting")) {
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        "The first frame is hello, and only the first",
      );
    }
    switch (frame.type) {
      case "hello":
        return await this.#hello(frame.hello);
      case "push":
        this.#pushing = this.#push(frame.push);
        return await this.#pushing;
      case "pull":
        return this.#pull(frame.pull);
      case "ack":
        return this.#delivery.acked(frame.cursor);
      case "token":
        return await this.#refresh(frame.jwt);
      case "ping":
        return this.#send({ type: "pong", serverTime: this.#serverTime() });
    }
  }

  async #hello(hello: Hello): Promise<void> {
    checkClientId(hello.clientId);
    const { gateway, checkClient, maxMessagesPerSecond } = this.#options;
    await checkClient?.(hello.clientId);
    if (this.#state !== "greeting") return;
    this.#clientId = hello.clientId;
    this.#schemaVersion = hello.schemaVersion;
    this.#repair = hello.repair ?? [];
    if (hello.refusalsSeen !== undefined) {
      await gateway.refusalsSeen(
        this.#caller,
        hello.clientId,
        hello.refusalsSeen,
      );
    }
    if (this.#state !== "greeting") return;
    this.#state = "live";
    this.#armTokenTimer();
    this.#follower = gateway.follow(this.#clientId, () => this.#delivery.changed());
    this.#send({
      type: "welcome",
      serverTime: this.#serverTime(),
      limits: { ...gateway.limits, maxMessagesPerSecond },
    });
    this.#delivery.seek(hello.cursor);
  }

  #checkSameClient(clientId: string): void {
    if (clientId === this.#clientId) return;
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      "A connection is for the one client that said hello",
    );
  }

  async #read(cursor: string | undefined): Promise<PullResult> {
    const limit = this.#limit;
    const repair = this.#repair;
    this.#limit = PAGE_ROWS;
    // Until it is known what the page depends on, every commit may concern it.
    this.#follower?.awaits(undefined);
    const { result, watched } = await this.#options.gateway.pullScoped(this.#caller, {
      clientId: this.#clientId,
      schemaVersion: this.#schemaVersion,
      limit,
      ...(repair.length === 0 ? {} : { repair }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    this.#follower?.awaits(watched);
    if (this.#repair === repair) this.#repair = [];
    return result;
  }

  async #push(request: PushRequest): Promise<void> {
    this.#checkSameClient(request.clientId);
    try {
      this.#options.checkPressure?.();
      const { result } = await this.#options.gateway.push(
        this.#caller,
        request,
      );
      if (result !== undefined) this.#send({ type: "pushResult", result });
    } catch (error) {
      const body = errorBody(error, this.#options.requestId);
      if (closeCodeOf(body.code) === CLOSE.forbidden) throw error;
      this.#send({ type: "error", error: body });
    }
  }

  #pull(request: PullRequest): void {
    this.#checkSameClient(request.clientId);
    const { cursor, limit, schemaVersion, repair } = boundPull(request);
    if (repair !== undefined) this.#repair = repair;
    if (limit !== undefined) this.#limit = limit;
    if (schemaVersion !== undefined) this.#schemaVersion = schemaVersion;
    this.#delivery.seek(cursor);
  }

  async #refresh(jwt: string): Promise<void> {
    const token = await this.#options.verify(jwt);
    const caller = callerOf(token, this.#options.gateway.id);
    if (caller.sub !== this.#caller.sub) {
      throw new LakeSyncError("FORBIDDEN", "The token is of another user");
    }
    this.#token = token;
    this.#caller = caller;
    if (this.#state !== "live") return;
    this.#armTokenTimer();
    this.#delivery.changed();
  }

  #armTokenTimer(): void {
    this.#cancelTimer();
    const leftMs = this.#token.endsMs - this.#options.now();
    const ms = Math.min(Math.max(leftMs, 0), MAX_TIMER_MS);
    this.#cancelTimer = this.#options.setTimer(ms, () => {
      if (this.#options.now() < this.#token.endsMs) this.#armTokenTimer();
      else this.#fail(CLOSE.tokenEnded, "AUTH_ERROR", "The token has ended");
    });
  }

  #readFailed(error: unknown): void {
    if (error instanceof LakeSyncError && error.code === "RESYNC_REQUIRED") {
      this.#send({ type: "resync", reason: error.message });
    } else this.#failWith(error);
  }

  #failWith(error: unknown): void {
    if (this.#state === "closed") return;
    const body = errorBody(error, this.#options.requestId);
    this.#send({ type: "error", error: body });
    this.#close(closeCodeOf(body.code), body.code);
  }

  #fail(closeCode: number, code: ErrorCode, what: string): void {
    if (this.#state === "closed") return;
    const error = errorBody(
      new LakeSyncError(code, what),
      this.#options.requestId,
    );
    this.#send({ type: "error", error });
    this.#close(closeCode, code);
  }

  #serverTime(): string {
    return new Date(this.#options.gateway.now()).toISOString();
  }

  #send(frame: ServerFrame): void {
    if (this.#state === "closed") return;
    if (frame.type === "error") this.#options.told?.(frame.error.code);
    this.#options.send(this.#options.codec.encode(frame));
  }

  #close(code: number, reason: string, atOnce = false): void {
    if (this.#state === "closed") return;
    this.ended();
    this.#options.close(code, reason, atOnce);
  }
}
