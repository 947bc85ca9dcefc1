/**
 * What lies between a device and a server: how long messages take, and what becomes of them.
 *
 * @module
 */

import type { Kernel } from "./kernel.ts";

/** From the device to the server, or back. */
export type Direction = "up" | "down";

/** How a link treats what is sent over it. */
export interface LinkQuality {
  /** The least time a message takes, in milliseconds. */
  readonly delayMs: number;
  /** How much more it may take; what is sent later may arrive earlier, on another connection. */
  readonly jitterMs: number;
  /** How probable it is that a packet is lost and sent again, which takes a while. */
  readonly loss: number;
  /** How probable it is that a connection breaks when something is sent on it. */
  readonly breaks: number;
  /** How probable it is that a request is delivered twice. */
  readonly doubles: number;
}

/** A good link. */
export const GOOD: LinkQuality = { delayMs: 5, jitterMs: 20, loss: 0, breaks: 0, doubles: 0 };

/** How long a packet that was lost takes until it is sent again, in milliseconds. */
const RESEND_MS = 200;

/** A link between one device and the servers. */
export class Link {
  quality: LinkQuality = GOOD;
  readonly #kernel: Kernel;
  readonly #blocked: Record<Direction, boolean> = { up: false, down: false };
  #waiting: { readonly direction: Direction; readonly run: () => void }[] = [];

  /** @param kernel time and chance */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Whether nothing passes in a direction. */
  isBlocked(direction: Direction): boolean {
    return this.#blocked[direction];
  }

  /** Lets nothing pass in a direction, or everything again; what was sent meanwhile arrives then. */
  block(direction: Direction, blocked: boolean): void {
    this.#blocked[direction] = blocked;
    if (blocked) return;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((one) => one.direction !== direction);
    for (const one of waiting) {
      if (one.direction === direction) this.#kernel.after(RESEND_MS, one.run);
    }
  }

  /** How long a message takes now, in milliseconds. */
  delayMs(): number {
    const { random } = this.#kernel;
    const { delayMs, jitterMs, loss } = this.quality;
    let ms = delayMs + random.below(jitterMs + 1);
    for (let again = RESEND_MS; random.chance(loss); again *= 2) ms += again;
    return ms;
  }

  /** Runs something when a direction lets it pass; gives up what waits when it is cancelled. */
  pass(direction: Direction, run: () => void): void {
    if (this.#blocked[direction]) this.#waiting.push({ direction, run });
    else run();
  }
}
