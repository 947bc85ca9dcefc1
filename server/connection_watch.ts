/**
 * Ends connections on which nothing is asked. The runtime waits without end for a request's head,
 * and for the next request of a connection, so that whoever opens connections and sends a byte now
 * and then would have them all.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { RequestOrigin } from "./http/lifecycle.ts";
import { openPeerSockets, peerKey, type PeerSockets } from "./live/peer_sockets.ts";

const logger = getLogger(["lakesync", "http"]);

/** How long a connection may be open before the head of its first request is there. */
const FIRST_REQUEST_MS = 60_000;
/** How long a connection may be open after the answer to its last request. */
const NEXT_REQUEST_MS = 5 * 60_000;
/** How often connections are looked at. */
const LOOK_MS = 5_000;

/** How many are ended at one look, as each holds up the process for a moment. */
const MAX_ENDED = 10;
/** How soon the next look is when there were more, in milliseconds. */
const LOOK_AGAIN_MS = 100;

/** How connections are watched. */
export interface ConnectionWatchOptions {
  /** The port that connections come to. */
  readonly port: () => number;
  /** The clock, in milliseconds. */
  readonly now?: () => number;
  /** How often connections are looked at, in milliseconds. */
  readonly lookMs?: number;
  /** Opens the sockets under connections, in place of the system's way. */
  readonly open?: () => PeerSockets | undefined;
}

interface Watched {
  /** Requests that are under way. */
  underWay: number;
  /** Whether it has become a WebSocket, whose silence is somebody else's to judge. */
  isLive: boolean;
  /** Whether there has been a request. */
  wasAsked: boolean;
  /** When it was seen first, or its last request ended. */
  sinceMs: number;
}

/** Watches the connections of a listener. */
export class ConnectionWatch {
  readonly #options: ConnectionWatchOptions;
  readonly #now: () => number;
  readonly #watched = new Map<string, Watched>();
  #sockets: PeerSockets | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param options how connections are watched */
  constructor(options: ConnectionWatchOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** Begins; does nothing where the system does not tell of connections, or may not be asked. */
  start(): void {
    this.#sockets = (this.#options.open ?? openPeerSockets)();
    if (this.#sockets !== undefined) this.#lookLater(this.#options.lookMs ?? LOOK_MS);
  }

  /**
   * A request has come.
   *
   * @returns is told whether its connection has become a WebSocket
   */
  begin({ peer, completed }: Pick<RequestOrigin, "peer" | "completed">): (isLive: boolean) => void {
    if (this.#sockets === undefined || peer === undefined || completed === undefined) {
      return () => {};
    }
    const watched = this.#of(peerKey(peer));
    watched.underWay++;
    watched.wasAsked = true;
    // A WebSocket takes no requests, so this one is another connection of the same peer.
    watched.isLive = false;
    const end = () => {
      watched.underWay--;
      watched.sinceMs = this.#now();
    };
    completed.then(end, end);
    return (isLive) => {
      watched.isLive = isLive;
    };
  }

  /** Ends nothing any more. */
  close(): void {
    clearTimeout(this.#timer);
    this.#watched.clear();
    this.#sockets?.close();
    this.#sockets = undefined;
  }

  #of(key: string): Watched {
    const watched = this.#watched.get(key) ??
      { underWay: 0, isLive: false, wasAsked: false, sinceMs: this.#now() };
    this.#watched.set(key, watched);
    return watched;
  }

  #lookLater(ms: number): void {
    this.#timer = setTimeout(() => {
      const ended = this.#look();
      if (ended > 0) logger.info("{ended} connections without a request end", { ended });
      const { lookMs = LOOK_MS } = this.#options;
      this.#lookLater(ended < MAX_ENDED ? lookMs : Math.min(lookMs, LOOK_AGAIN_MS));
    }, ms);
  }

  /** Looks at all connections, and gives how many were ended. */
  #look(): number {
    const sockets = this.#sockets;
    if (sockets === undefined) return 0;
    const open = new Set(sockets.peersOf(this.#options.port()));
    for (const [key, { underWay }] of [...this.#watched]) {
      if (!open.has(key) && underWay === 0) this.#watched.delete(key);
    }
    let ended = 0;
    for (const key of open) {
      const { underWay, isLive, wasAsked, sinceMs } = this.#of(key);
      if (underWay > 0 || isLive || ended === MAX_ENDED) continue;
      const most = wasAsked ? NEXT_REQUEST_MS : FIRST_REQUEST_MS;
      if (this.#now() - sinceMs <= most) continue;
      sockets.reset(peerOf(key));
      this.#watched.delete(key);
      ended++;
    }
    return ended;
  }
}

function peerOf(key: string): { readonly hostname: string; readonly port: number } {
  const colon = key.lastIndexOf(":");
  const hostname = key.slice(0, colon).replace(/^\[|\]$/g, "");
  return { hostname, port: Number(key.slice(colon + 1)) };
}
