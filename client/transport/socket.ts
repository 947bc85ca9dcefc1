/**
 * The live connection: one WebSocket, its frames in order, and a watchdog that ends it when it
 * falls silent. Only small frames go up; pushes go over HTTP.
 *
 * @module
 */

import {
  type ClientFrame,
  decodeServerFrame,
  encodeClientFrame,
  type ServerFrame,
} from "@lakesync/core";
import type { ClientEnvironment } from "../environment.ts";

/** How often a connection is asked whether it lives, in milliseconds. */
const PING_EVERY_MS = 15_000;

/**
 * How often in a row it may be asked without saying anything at all. Counted, not timed: the
 * device's clock may jump.
 */
const MAX_UNANSWERED = 2;

/** How long the opening may take, in milliseconds. */
const OPEN_WITHIN_MS = 10_000;

/** What a live connection tells. */
export interface SocketEvents {
  /** A frame came. The next one is given when the promise has resolved. */
  frame(frame: ServerFrame): Promise<void>;
  /** It is over, once: closed by a code, or failed with what a frame's handling threw. */
  ended(end: { readonly opened: boolean; readonly code: number; readonly error: unknown }): void;
}

/** One WebSocket to a gateway. */
export class LiveSocket {
  readonly #socket: WebSocket;
  readonly #env: ClientEnvironment;
  readonly #events: SocketEvents;
  #frames: Promise<void> = Promise.resolve();
  #opened = false;
  #ended = false;
  #unanswered = 0;
  #cancelTimer: () => void;

  /**
   * Opens a socket.
   *
   * @param env sockets and timers
   * @param open opens it
   * @param url the gateway's live URL
   * @param token goes in the subprotocol `bearer.<token>`
   * @param events what it tells
   */
  constructor(
    env: ClientEnvironment,
    open: NonNullable<ClientEnvironment["openSocket"]>,
    url: string,
    token: string,
    events: SocketEvents,
  ) {
    this.#env = env;
    this.#events = events;
    this.#socket = open(url, ["lakesync.v1", `bearer.${token}`]);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onmessage = (event) => this.#message(event.data);
    this.#socket.onclose = (event) => this.#end(event.code, undefined);
    this.#socket.onerror = () => {};
    this.#cancelTimer = env.setTimer(OPEN_WITHIN_MS, () => this.close(4000));
  }

  /** Sends the first frame as soon as the socket is open. */
  hello(frame: ClientFrame): void {
    const open = () => {
      this.#opened = true;
      this.send(frame);
      this.#watch();
    };
    if (this.#socket.readyState === this.#socket.OPEN) open();
    else this.#socket.onopen = open;
  }

  /** Sends a frame, if the socket is open. */
  send(frame: ClientFrame): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#socket.send(new Uint8Array(encodeClientFrame(frame)));
  }

  /** Ends the connection; `ended` is told at once, whatever the peer does. */
  close(code = 1000): void {
    this.#end(code, undefined);
  }

  #watch(): void {
    this.#cancelTimer();
    if (this.#ended) return;
    this.#cancelTimer = this.#env.setTimer(PING_EVERY_MS, () => {
      if (this.#unanswered++ >= MAX_UNANSWERED) return this.#end(4000, undefined);
      this.send({ type: "ping" });
      this.#watch();
    });
  }

  #message(data: unknown): void {
    this.#unanswered = 0;
    this.#frames = this.#frames.then(async () => {
      if (this.#ended) return;
      if (!(data instanceof ArrayBuffer)) throw new TypeError("A frame is not binary");
      await this.#events.frame(decodeServerFrame(new Uint8Array(data)));
    }).catch((error) => this.#end(4001, error));
  }

  #end(code: number, error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelTimer();
    this.#socket.onmessage = null;
    this.#socket.onopen = null;
    this.#socket.onclose = null;
    if (this.#socket.readyState <= this.#socket.OPEN) {
      this.#socket.close(code === 1000 ? 1000 : 4000);
    }
    this.#events.ended({ opened: this.#opened, code, error });
  }
}
