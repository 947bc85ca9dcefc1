/**
 * One WebSocket from the handshake until nothing is left of it. Its place is free as soon as it is
 * told to end; what the runtime still holds for it counts until it is gone, and when its peer takes
 * no close, the socket under it is ended.
 *
 * | state   | place | bytes | leaves                                                     |
 * | ------- | ----- | ----- | ---------------------------------------------------------- |
 * | open    | held  | count | by {@linkcode Connection.end} or when the peer is gone      |
 * | closing | free  | count | by the peer's close, {@linkcode CLOSE_TIMEOUT_MS}, or reset |
 * | gone    | free  | none  | never                                                      |
 *
 * @module
 */

import { CLOSE } from "./close.ts";
import { DENO_ENVIRONMENT } from "../environment.ts";
import type { FrameData } from "./codec.ts";
import { Intake } from "./intake.ts";
import type { Traffic } from "./peer_sockets.ts";
import type { Sender } from "./send_budget.ts";

/** How long a peer may take to answer a close before its socket is ended, in milliseconds. */
export const CLOSE_TIMEOUT_MS = 2_000;

/**
 * How long a close waits for the peer to pause and to acknowledge what it has got, in milliseconds.
 * A message that arrives after a close makes the runtime drop the connection, and with it what the
 * peer has not read, the close too.
 */
const PAUSE_TIMEOUT_MS = 1_000;
/** The same for a peer whose right has ended: it may not choose how long it stays, in milliseconds. */
const RIGHT_PAUSE_TIMEOUT_MS = 100;

/** How long a moment after a message is waited for then, in milliseconds. */
const MESSAGE_TIMEOUT_MS = 200;

/** How often that is looked at, in milliseconds. */
const PAUSE_LOOK_MS = 50;

let lastTurn: Promise<void> = Promise.resolve();

/**
 * Does one thing at each turn of the event loop, so that what has arrived was read before. Were many
 * closed in one turn, messages that came meanwhile would drop the last of them.
 */
function inTurn(work: () => void): void {
  lastTurn = lastTurn.then(DENO_ENVIRONMENT.nextTurn).then(work);
}

/** What a connection stands on. */
export interface ConnectionOptions {
  /** Its socket. */
  readonly socket: WebSocket;
  /** Whose it is. */
  readonly user: string;
  /** Bytes that may wait in the socket before another frame is sent. */
  readonly maxBufferedBytes: number;
  /** Ends the socket under it at once, where that is possible. */
  readonly reset: () => void;
  /** Told when its place is free. */
  readonly freed: () => void;
  /** Told when nothing is left of it. */
  readonly gone: () => void;
  /** Told when more than a reader may leave waits in it. */
  readonly overflow: () => void;
  /** A frame has arrived. */
  readonly receive: (data: FrameData) => void;
  /** Whether the client must answer what it was sent. */
  readonly owesAck: () => boolean;
  /** The clock, in milliseconds. */
  readonly now: () => number;
}

/** One WebSocket. */
export class Connection implements Sender {
  /** Whose it is. */
  readonly user: string;
  /** What arrives. */
  readonly intake: Intake = new Intake();
  /** Resolves when nothing is left of it, with whether the peer answered the close. */
  readonly closed: Promise<boolean>;
  readonly #options: ConnectionOptions;
  readonly #resolve: (clean: boolean) => void;
  #state: "open" | "closing" | "gone" = "open";
  #wasReset = false;
  #arrived = 0;
  /** Told of each message when it has been read. */
  #onArrival: () => void = () => {};
  #isCloseSent = false;
  #atEnd = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #waiting = 0;
  #taken = 0;
  #seen: readonly number[] = [];
  #movedMs: number;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.user = options.user;
    this.#movedMs = options.now();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.closed = promise;
    this.#resolve = resolve;
    const { socket, receive } = options;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      const frame = data instanceof ArrayBuffer ? new Uint8Array(data) : String(data);
      this.intake.message(frame.length);
      this.#arrived++;
      receive(frame);
      this.#onArrival();
    };
    socket.onerror = () => this.#free();
    socket.onclose = () => this.#gone();
  }

  /** Whether it is neither gone nor told to end. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Resolves when frames can be sent, or never will. */
  async opened(): Promise<void> {
    const { socket } = this.#options;
    if (socket.readyState !== WebSocket.CONNECTING) return;
    await Promise.race([
      new Promise((resolve) => socket.onopen = resolve),
      this.closed,
    ]);
  }

  buffered(): number {
    if (this.#state === "gone") return 0;
    // Of a socket that is closing the runtime says 0, whatever it holds.
    return this.#isCloseSent ? this.#atEnd : this.#options.socket.bufferedAmount;
  }

  taken(): number {
    return this.#taken;
  }

  overflow(): void {
    this.#options.overflow();
  }

  /**
   * Sends a frame, unless too much waits already.
   *
   * @returns whether it was sent
   */
  send(data: FrameData): boolean {
    const { socket, maxBufferedBytes } = this.#options;
    if (this.#state !== "open" || socket.readyState !== WebSocket.OPEN) return false;
    if (socket.bufferedAmount > maxBufferedBytes) {
      this.overflow();
      return false;
    }
    socket.send(typeof data === "string" ? data : new Uint8Array(data));
    return true;
  }

  /**
   * Ends it and frees its place.
   *
   * @param code the close code
   * @param reason why
   * @param atOnce whether the peer is not waited for
   */
  end(code: number, reason: string, atOnce = false): void {
    if (this.#state !== "open") return;
    this.#free();
    if (!atOnce) {
      const hasRight = code !== CLOSE.forbidden && code !== CLOSE.tokenEnded;
      const pauseMs = hasRight ? PAUSE_TIMEOUT_MS : RIGHT_PAUSE_TIMEOUT_MS;
      return this.#closeAtPause(code, reason, this.#options.now() + pauseMs);
    }
    this.#close(code, reason);
    this.reset();
  }

  /** Ends the socket under it; what the peer has not taken is forgotten. */
  reset(): void {
    if (this.#state === "gone") return;
    this.#wasReset = true;
    this.#options.reset();
  }

  /**
   * Looks whether anything goes to the peer or comes from it. Where the system does not tell, the
   * runtime's pings find a peer that is gone, but not one that owes an answer to what the system has
   * taken for it; that one has twice the time.
   *
   * @param traffic what has gone over its socket, if the system tells
   * @returns whether nothing has for so long that the peer is given up
   */
  isSilent(traffic: Traffic | undefined, idleTimeoutMs: number): boolean {
    const nowMs = this.#options.now();
    const waiting = this.buffered();
    this.#taken = traffic?.acked ?? this.#taken;
    const seen = [this.#arrived, traffic?.received ?? 0, traffic?.acked ?? 0];
    const moves = waiting < this.#waiting || seen.some((count, i) => count !== this.#seen[i]);
    this.#waiting = waiting;
    this.#seen = seen;
    if (moves) this.#movedMs = nowMs;
    const stillMs = nowMs - this.#movedMs;
    if (traffic !== undefined || waiting > 0) return stillMs > idleTimeoutMs;
    return this.#options.owesAck() && stillMs > 2 * idleTimeoutMs;
  }

  /** Closes when everything was sent and nothing is to come, or when the time for that is over. */
  #closeAtPause(code: number, reason: string, untilMs: number): void {
    const { socket, now, owesAck } = this.#options;
    const arrived = this.#arrived;
    this.#timer = setTimeout(() => {
      const isPause = () => socket.bufferedAmount === 0 && arrived === this.#arrived && !owesAck();
      const close = () => {
        if (this.#state === "gone") return;
        if (isPause()) return this.#closeInTime(code, reason);
        if (now() < untilMs) return this.#closeAtPause(code, reason, untilMs);
        this.#closeAfterMessage(code, reason);
      };
      if (isPause()) inTurn(close);
      else close();
    }, PAUSE_LOOK_MS);
  }

  /**
   * Closes a connection whose peer does not pause: once a message has come and none is behind it, the
   * next one is furthest away.
   */
  #closeAfterMessage(code: number, reason: string): void {
    const close = () => {
      if (this.#state === "gone" || this.#isCloseSent) return;
      this.#onArrival = () => {};
      clearTimeout(this.#timer);
      this.#closeInTime(code, reason);
    };
    this.#timer = setTimeout(close, MESSAGE_TIMEOUT_MS);
    this.#onArrival = () => {
      const arrived = this.#arrived;
      inTurn(() => {
        if (arrived === this.#arrived) close();
      });
    };
  }

  /** Closes, and ends the socket when the peer does not answer that in time. */
  #closeInTime(code: number, reason: string): void {
    this.#close(code, reason);
    this.#timer = setTimeout(() => this.reset(), CLOSE_TIMEOUT_MS);
  }

  #close(code: number, reason: string): void {
    const { socket } = this.#options;
    this.#atEnd = socket.bufferedAmount;
    this.#isCloseSent = true;
    socket.close(code, reason);
  }

  #free(): void {
    if (this.#state !== "open") return;
    this.#state = "closing";
    this.#options.freed();
  }

  #gone(): void {
    if (this.#state === "gone") return;
    this.#free();
    this.#state = "gone";
    clearTimeout(this.#timer);
    this.#options.gone();
    this.#resolve(!this.#wasReset);
  }
}
