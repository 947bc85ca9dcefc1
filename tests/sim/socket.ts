/**
 * A WebSocket between a device and a server: frames arrive in order or not at all, and either end
 * may learn late, or never, that the other is gone.
 *
 * @module
 */

import type { Kernel } from "./kernel.ts";
import type { Direction, Link } from "./link.ts";

/** How long a peer that answers nothing is believed in by the server, in milliseconds. */
const IDLE_MS = 60_000;
const ABNORMAL = 1006;

const OPEN = 1;
const CLOSING = 2;
const CLOSED = 3;

/** One end: the part of the web's WebSocket that both sides use. */
export class SocketEnd {
  readonly CONNECTING = 0;
  readonly OPEN: number = OPEN;
  readonly CLOSING: number = CLOSING;
  readonly CLOSED: number = CLOSED;
  readyState = 0;
  binaryType = "blob";
  onopen: (() => void) | null = null;
  onmessage: ((event: { readonly data: ArrayBuffer | string }) => void) | null = null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  bufferedAmount = 0;
  readonly #connection: Connection;
  readonly #direction: Direction;

  /**
   * @param connection what it is an end of
   * @param direction where what it sends goes
   */
  constructor(connection: Connection, direction: Direction) {
    this.#connection = connection;
    this.#direction = direction;
  }

  send(data: string | Uint8Array<ArrayBuffer>): void {
    if (this.readyState !== OPEN) return;
    this.#connection.send(this.#direction, data);
  }

  close(code = 1000, reason = ""): void {
    if (this.readyState >= CLOSING) return;
    this.readyState = CLOSING;
    this.#connection.closeFrom(this.#direction, code, reason);
  }

  /** It is over for this end. */
  ended(code: number, reason: string): void {
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    if (code === ABNORMAL) this.onerror?.();
    this.onclose?.({ code, reason });
  }
}

/** What was sent and has not arrived. */
interface Sent {
  readonly bytes: number;
  readonly arrive: () => void;
}

/** Both ends and what is between them. */
export class Connection {
  /** The device's end. */
  readonly client: SocketEnd = new SocketEnd(this, "up");
  /** The server's end. */
  readonly server: SocketEnd = new SocketEnd(this, "down");
  /** Whether nothing arrives any more, without either end having been told. */
  silent = false;
  /** Whether the device reads nothing. */
  paused = false;
  readonly #kernel: Kernel;
  readonly #link: Link;
  readonly #alive: Readonly<Record<Direction, () => boolean>>;
  readonly #ended: () => void;
  readonly #queues: Record<Direction, Sent[]> = { up: [], down: [] };
  readonly #moving: Record<Direction, boolean> = { up: false, down: false };

  /**
   * @param kernel time and chance
   * @param link what it goes over
   * @param alive whether the processes that hear what goes up and down live
   * @param ended told once when both ends are closed
   */
  constructor(
    kernel: Kernel,
    link: Link,
    alive: Readonly<Record<Direction, () => boolean>>,
    ended: () => void,
  ) {
    this.#kernel = kernel;
    this.#link = link;
    this.#alive = alive;
    this.#ended = ended;
  }

  #end(direction: Direction): SocketEnd {
    return direction === "up" ? this.server : this.client;
  }

  #from(direction: Direction): SocketEnd {
    return direction === "up" ? this.client : this.server;
  }

  /** Opens both ends. */
  open(): void {
    this.server.readyState = OPEN;
    this.#kernel.after(0, () => this.server.onopen?.());
    this.#queue("down", 0, () => {
      if (this.client.readyState !== 0) return;
      this.client.readyState = OPEN;
      this.client.onopen?.();
    });
  }

  /** Ends the handshake with a refusal. */
  refuse(): void {
    this.server.readyState = CLOSED;
    this.#queue("down", 0, () => this.#endOf(this.client, ABNORMAL, ""));
  }

  send(direction: Direction, data: string | Uint8Array<ArrayBuffer>): void {
    if (this.#kernel.random.chance(this.#link.quality.breaks)) return this.break();
    const bytes = data.length;
    const copy = typeof data === "string" ? data : data.slice().buffer;
    this.#from(direction).bufferedAmount += bytes;
    this.#queue(direction, bytes, () => {
      const end = this.#end(direction);
      if (end.readyState === OPEN) end.onmessage?.({ data: copy });
    });
  }

  #queue(direction: Direction, bytes: number, arrive: () => void): void {
    this.#queues[direction].push({ bytes, arrive });
    this.#move(direction);
  }

  /** Goes on with what waits, one after the other: a connection keeps the order. */
  #move(direction: Direction): void {
    if (this.#moving[direction] || this.silent) return;
    if (direction === "down" && this.paused) return;
    const [next] = this.#queues[direction];
    if (next === undefined) return;
    this.#moving[direction] = true;
    this.#kernel.after(this.#link.delayMs(), () =>
      this.#link.pass(direction, () => {
        this.#moving[direction] = false;
        if (this.silent) return;
        this.#queues[direction].shift();
        this.#from(direction).bufferedAmount -= next.bytes;
        if (this.#alive[direction]()) next.arrive();
        this.#move(direction);
      }));
  }

  /** The device reads again. */
  readOn(): void {
    this.paused = false;
    this.#move("down");
  }

  /** An end closes in order: the other hears of it after all that was sent before. */
  closeFrom(direction: Direction, code: number, reason: string): void {
    this.#queue(direction, 0, () => {
      this.#endOf(this.#end(direction), code, reason);
      const back = direction === "up" ? "down" : "up";
      this.#queue(back, 0, () => this.#endOf(this.#from(direction), code, reason));
    });
    this.#giveUp(this.#from(direction));
  }

  #endOf(end: SocketEnd, code: number, reason: string): void {
    const listens = end === this.client ? this.#alive.down() : this.#alive.up();
    if (listens) end.ended(code, reason);
    else end.readyState = CLOSED;
    if (this.client.readyState === CLOSED && this.server.readyState === CLOSED) this.#ended();
  }

  /** An end that hears nothing from the other for long is over. */
  #giveUp(end: SocketEnd): void {
    this.#kernel.after(IDLE_MS, () => this.#endOf(end, ABNORMAL, ""));
  }

  /** It is cut, and both ends learn of it soon. */
  break(): void {
    if (this.silent) return;
    this.silent = true;
    this.#kernel.after(this.#link.delayMs(), () => this.#endOf(this.client, ABNORMAL, ""));
    this.#kernel.after(this.#link.delayMs(), () => this.#endOf(this.server, ABNORMAL, ""));
  }

  /** It is cut, and nobody is told: the server notices in the end, the client must by itself. */
  vanish(): void {
    if (this.silent) return;
    this.silent = true;
    this.#giveUp(this.server);
  }

  /** The device's process is gone: its kernel closes what it had open. */
  clientGone(): void {
    this.client.readyState = CLOSED;
    this.#queue("up", 0, () => this.#endOf(this.server, ABNORMAL, ""));
    this.#giveUp(this.server);
  }

  /** The server's process is gone. */
  serverGone(): void {
    this.server.readyState = CLOSED;
    this.#queue("down", 0, () => this.#endOf(this.client, ABNORMAL, ""));
  }
}
