/**
 * One connection through the network of network_proxy.ts: two directions, each of which carries
 * segments in order, holds them, or has ended.
 *
 * @module
 */

import net from "node:net";
import type { Fate, Segment, Way } from "./network_proxy.ts";

/** One direction of a connection. */
interface Direction {
  readonly to: () => net.Socket | undefined;
  /** What has come and not gone on. */
  waiting: Uint8Array[];
  held: boolean;
  /** Whether the sender has ended it. */
  ended: boolean;
  /** Whether nothing goes on any more. */
  closed: boolean;
  carrying: boolean;
}

/** What lines ask of their network. */
export interface LineNetwork {
  /** What happens to a segment. */
  judge(segment: Segment): Fate;
  /** Resolves when a segment has been under way for long enough. */
  delay(): Promise<void>;
  /** Cuts bytes in pieces. */
  pieces(bytes: Uint8Array): Uint8Array[];
  /** Told of each segment that went on. */
  readonly passed: (segment: Segment) => void;
}

/** One connection through the network. */
export class Line {
  readonly #network: LineNetwork;
  readonly #near: net.Socket;
  readonly #number: number;
  readonly #onGone: () => void;
  readonly #ways: Readonly<Record<Way, Direction>>;
  readonly #open: Set<net.Socket> = new Set();
  #far: net.Socket | undefined;
  #request = "";
  #gone = Promise.withResolvers<void>();
  #dead = false;
  /** Whether what was held has arrived and is to be answered before its sender's end is told. */
  #answerDue = false;

  /**
   * @param network what decides
   * @param near the client's end
   * @param number in the order in which connections were opened
   * @param onGone told when both ends are closed
   */
  constructor(network: LineNetwork, near: net.Socket, number: number, onGone: () => void) {
    this.#network = network;
    this.#near = near;
    this.#number = number;
    this.#onGone = onGone;
    const direction = (to: () => net.Socket | undefined): Direction => ({
      to,
      waiting: [],
      held: false,
      ended: false,
      closed: false,
      carrying: false,
    });
    this.#ways = { up: direction(() => this.#far), down: direction(() => this.#near) };
    this.#listen(near, "up");
  }

  /** Connects it to the gateway. */
  connect(options: net.TcpNetConnectOpts): void {
    if (this.#dead) return;
    const far = net.connect(options);
    this.#listen(far, "down");
    far.on("connect", () => {
      this.#far = far;
      void this.#carry("up");
    });
  }

  #listen(socket: net.Socket, way: Way): void {
    const direction = this.#ways[way];
    this.#open.add(socket);
    socket.on("data", (bytes: Uint8Array) => {
      if (way === "up") this.#request = requestLine(bytes) ?? this.#request;
      if (!direction.closed) direction.waiting.push(new Uint8Array(bytes));
      void this.#carry(way);
      if (way === "up" || !this.#answerDue) return;
      this.#answerDue = false;
      void this.#carry("up");
    });
    socket.on("end", () => {
      direction.ended = true;
      void this.#carry(way);
    });
    socket.on("error", () => {
      // What was sent before may still be on its way; a connection that fails is told by its end.
      direction.ended = true;
      void this.#carry(way);
    });
    socket.on("close", () => {
      this.#open.delete(socket);
      direction.ended = true;
      void this.#carry(way);
      const { held } = this.#ways.up;
      if (this.#open.size === 0 && (!held || this.#dead)) this.#end();
    });
  }

  #end(): void {
    this.#onGone();
    this.#gone.resolve();
  }

  /** Holds what comes on some ways, both unless given. */
  hold(...ways: readonly Way[]): void {
    for (const way of ways.length === 0 ? ["up", "down"] as const : ways) {
      this.#ways[way].held = true;
    }
  }

  /** Lets what was held arrive. */
  release(): void {
    this.#answerDue ||= this.#ways.up.held && this.#ways.up.waiting.length > 0;
    for (const way of ["up", "down"] as const) {
      this.#ways[way].held = false;
      void this.#carry(way);
    }
  }

  /** Moves what waits on a way, in order. */
  async #carry(way: Way): Promise<void> {
    const direction = this.#ways[way];
    if (direction.carrying) return;
    direction.carrying = true;
    try {
      while (!direction.held && !direction.closed && direction.to() !== undefined) {
        if (direction.waiting.length === 0) {
          if (direction.ended && !(way === "up" && this.#answerDue)) this.#close(direction);
          break;
        }
        await this.#network.delay();
        if (direction.held || direction.closed) continue;
        this.#forward(way, direction);
      }
    } finally {
      direction.carrying = false;
    }
  }

  #forward(way: Way, direction: Direction): void {
    const bytes = joined(direction.waiting.splice(0));
    const segment = { way, request: this.#request, line: this.#number, bytes };
    const fate = this.#network.judge(segment);
    if (fate === "hold") {
      direction.held = true;
      direction.waiting.unshift(bytes);
    } else if (fate === "fin") this.#close(direction);
    else if (fate === "cut") {
      direction.to()?.write(bytes.subarray(0, Math.ceil(bytes.length / 2)));
      this.#close(direction);
    } else if (fate === "reset") {
      for (const socket of this.#open) socket.resetAndDestroy();
    } else {
      const to = direction.to();
      for (const piece of this.#network.pieces(bytes)) {
        if (to?.writable === true) to.write(piece);
      }
      this.#network.passed(segment);
    }
  }

  #close(direction: Direction): void {
    direction.closed = true;
    direction.waiting = [];
    direction.to()?.end();
  }

  /** Closes both ends. */
  async destroy(): Promise<void> {
    this.#dead = true;
    for (const socket of this.#open) socket.destroy();
    if (this.#open.size === 0) this.#end();
    await this.#gone.promise;
  }
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const [first = new Uint8Array()] = chunks;
  if (chunks.length < 2) return first;
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

const REQUEST = /^(?:GET|POST|PUT) \S+ HTTP\/1\.1\r\n/;

function requestLine(bytes: Uint8Array): string | undefined {
  return REQUEST.exec(new TextDecoder().decode(bytes.subarray(0, 512)))?.[0].trim();
}
