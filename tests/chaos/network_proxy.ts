/**
 * A network between clients and their gateway, as a TCP proxy in this process: it delays, splits
 * and joins segments, lets later connections overtake earlier ones, closes one direction only,
 * resets, and keeps silent. It knows of HTTP only the first line of a request, so that a test can
 * pick one.
 *
 * @module
 */

import net from "node:net";
import type { Random } from "../oracle/random.ts";
import { Line } from "./network_line.ts";

/** The direction of bytes: to the gateway, or from it. */
export type Way = "up" | "down";

/** What happens to a segment. */
export type Fate =
  /** It goes on. */
  | "pass"
  /** It stays in the network with all that follows on its way, until {@linkcode Network.release}. */
  | "hold"
  /** It and all that follows is lost; its receiver hears an end, the other direction goes on. */
  | "fin"
  /** Half of it goes on, then as with `fin`. */
  | "cut"
  /** It is lost, and both ends hear that the connection was reset. */
  | "reset";

/** What a segment belongs to. */
export interface Segment {
  /** Its direction. */
  readonly way: Way;
  /** The first line of the request that was sent last on its connection. */
  readonly request: string;
  /** Its connection's number, from 0 in the order in which they were opened. */
  readonly line: number;
  /** Its bytes. */
  readonly bytes: Uint8Array;
}

/** Chances for each segment, from 0 to 1, and delays in milliseconds. */
export interface Weather {
  /** The longest that a segment takes. */
  readonly delayMs: number;
  /** The longest that a connection takes to be opened, and so how far others overtake it. */
  readonly openMs: number;
  /** That it is cut in pieces. */
  readonly split: number;
  /** That it waits for what follows and goes on with it as one. */
  readonly join: number;
  /** That its direction ends, before it or in the midst of it. */
  readonly fin: number;
  /** That its connection is reset. */
  readonly reset: number;
  /** That it and what follows is held, for ever. */
  readonly silence: number;
}

/** Nothing happens. */
export const FAIR: Weather = {
  delayMs: 0,
  openMs: 0,
  split: 0,
  join: 0,
  fin: 0,
  reset: 0,
  silence: 0,
};

const JOIN_MS = 10;
const PIECES = 4;

/** The network. */
export class Network implements AsyncDisposable {
  /** The weather from now on. */
  weather: Weather = FAIR;
  /** Decides on a segment before the weather does; all is left to the weather unless set. */
  fate: (segment: Segment) => Fate = () => "pass";
  /** How often each thing that breaks has happened. */
  readonly fired: Record<Exclude<Fate, "pass">, number> = { hold: 0, fin: 0, cut: 0, reset: 0 };
  /** Told of each segment that reached its receiver's end of the network. */
  passed: (segment: Segment) => void = () => {};
  readonly #target: () => string;
  readonly #random: Random;
  readonly #server: net.Server;
  readonly #lines: Set<Line> = new Set();
  readonly #sleeps: Set<() => void> = new Set();
  #count = 0;
  #blackHole = false;

  private constructor(target: () => string, random: Random) {
    this.#target = target;
    this.#random = random;
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
      const line = new Line(this, near, this.#count++, () => this.#lines.delete(line));
      this.#lines.add(line);
      if (this.#blackHole) line.hold();
      void this.#connect(line);
    });
  }

  /**
   * Opens a network.
   *
   * @param target gives the gateway's URL
   * @param random decides by chance
   */
  static async open(target: () => string, random: Random): Promise<Network> {
    const network = new Network(target, random);
    await new Promise<void>((resolve) => network.#server.listen(0, "127.0.0.1", resolve));
    return network;
  }

  /** Where it listens. */
  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("It does not listen");
    return `http://127.0.0.1:${address.port}`;
  }

  /** How many connections clients have opened so far. */
  get opened(): number {
    return this.#count;
  }

  /** From now on nothing arrives, on connections there are and on new ones, and nobody is told. */
  blackHole(): void {
    this.#blackHole = true;
    for (const line of this.#lines) line.hold();
  }

  /** Holds one direction of the connections there are; new ones work. */
  mute(way: Way): void {
    for (const line of this.#lines) line.hold(way);
  }

  /**
   * Ends the black hole.
   *
   * @param forget whether connections from before stay silent, as behind a router that has
   * forgotten them; what was held on them arrives otherwise
   */
  heal(forget = false): void {
    this.#blackHole = false;
    if (!forget) this.release();
  }

  /** Lets everything that was held arrive. */
  release(): void {
    for (const line of this.#lines) line.release();
  }

  async #connect(line: Line): Promise<void> {
    await this.sleep(this.#random.below(this.weather.openMs + 1));
    const { hostname, port } = new URL(this.#target());
    line.connect({ host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true });
  }

  /** Passes some time, less when the network is closed. */
  async sleep(ms: number): Promise<void> {
    if (ms <= 0) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#sleeps.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#sleeps.add(end);
    });
  }

  /** What happens to a segment. */
  judge(segment: Segment): Fate {
    const { reset, fin, silence } = this.weather;
    let fate = this.fate(segment);
    if (fate === "pass" && this.#random.chance(reset)) fate = "reset";
    if (fate === "pass" && this.#random.chance(fin)) fate = this.#random.pick(["fin", "cut"]);
    if (fate === "pass" && this.#random.chance(silence)) fate = "hold";
    if (fate !== "pass") this.fired[fate]++;
    return fate;
  }

  /** How long a segment takes. */
  async delay(): Promise<void> {
    const { delayMs, join } = this.weather;
    if (delayMs > 0) await this.sleep(this.#random.below(delayMs));
    if (this.#random.chance(join)) await this.sleep(JOIN_MS);
  }

  /** Cuts bytes in pieces. */
  pieces(bytes: Uint8Array): Uint8Array[] {
    if (!this.#random.chance(this.weather.split)) return [bytes];
    const pieces: Uint8Array[] = [];
    let rest = bytes;
    while (rest.length > 1 && pieces.length < PIECES) {
      const length = this.#random.between(1, rest.length - 1);
      pieces.push(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
    return [...pieces, rest];
  }

  /** Closes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const end of [...this.#sleeps]) end();
    await Promise.all([...this.#lines].map((line) => line.destroy()));
    await closed;
  }
}
