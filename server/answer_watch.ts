/**
 * Ends connections whose callers ask over HTTP and do not read the answers: the runtime keeps such
 * an answer for as long as its caller likes. While memory is short they have little time.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { RequestOrigin } from "./http/lifecycle.ts";
import {
  openPeerSockets,
  type PeerAddress,
  peerKey,
  type PeerSockets,
  type Traffic,
} from "./live/peer_sockets.ts";

const logger = getLogger(["lakesync", "http"]);

/** How often answers are looked at that have not left, in milliseconds. */
const LOOK_MS = 1_000;

/** How long a reader may take nothing while memory is short, in milliseconds. */
const SHORT_MS = 2_000;

/** How answers are watched. */
export interface AnswerWatchOptions {
  /** How long a reader may take nothing, in milliseconds. */
  readonly timeoutMs: number;
  /** Whether memory is short. */
  readonly isShort: () => boolean;
  /** The clock, in milliseconds. */
  readonly now?: () => number;
  /** Opens the sockets under connections, in place of the system's way. */
  readonly open?: () => PeerSockets | undefined;
}

interface Watched {
  readonly peer: PeerAddress;
  /** Answers that the runtime has not handed to the system yet. */
  underWay: number;
  acked: number;
  movedMs: number;
  /** How many looks in a row have found nothing that waits. */
  calmLooks: number;
}

/** Watches answers until their callers have got them. */
export class AnswerWatch {
  readonly #options: AnswerWatchOptions;
  readonly #now: () => number;
  /** Connections by peer. */
  readonly #watched = new Map<string, Watched>();
  #sockets: PeerSockets | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  /** @param options how answers are watched */
  constructor(options: AnswerWatchOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /**
   * Watches an answer.
   *
   * @param peer where it goes
   * @param completed settles when the runtime has handed the last of it on, or never will; then the
   * system may still have all of it
   */
  watch({ peer, completed }: Pick<RequestOrigin, "peer" | "completed">): void {
    if (this.#isClosed || peer === undefined || completed === undefined) return;
    const key = peerKey(peer);
    const watched = this.#watched.get(key) ??
      { peer, underWay: 0, acked: -1, movedMs: this.#now(), calmLooks: 0 };
    this.#watched.set(key, watched);
    watched.underWay++;
    watched.calmLooks = 0;
    this.#timer ??= setTimeout(() => this.#look(), LOOK_MS);
    const end = () => void watched.underWay--;
    completed.then(end, end);
  }

  /** Watches nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#watched.clear();
    this.#rest();
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sockets?.close();
    this.#sockets = undefined;
  }

  #look(): void {
    this.#timer = setTimeout(() => this.#look(), LOOK_MS);
    this.#sockets ??= (this.#options.open ?? openPeerSockets)();
    const traffic = this.#sockets?.traffic() ?? new Map<string, Traffic>();
    const nowMs = this.#now();
    const { timeoutMs, isShort } = this.#options;
    const most = isShort() ? Math.min(SHORT_MS, timeoutMs) : timeoutMs;
    let ended = 0;
    for (const [key, watched] of [...this.#watched]) {
      const seen = traffic.get(key);
      if (seen === undefined || !seen.isWaiting) {
        // Who waits for a stream's next part has taken all there was.
        watched.movedMs = nowMs;
        if (watched.underWay === 0 && watched.calmLooks++ > 0) this.#watched.delete(key);
      } else if (seen.acked !== watched.acked) {
        watched.acked = seen.acked;
        watched.movedMs = nowMs;
      } else if (nowMs - watched.movedMs > most) {
        if (this.#sockets?.reset(watched.peer)) ended++;
        this.#watched.delete(key);
      }
    }
    if (ended > 0) logger.info("{ended} answers were not read, their connections end", { ended });
    if (this.#watched.size === 0) this.#rest();
  }
}
