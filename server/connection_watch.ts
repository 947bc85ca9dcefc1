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
    if (this.#sockets !== undefined) this.#lookLater();
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

  #lookLater(): void {
    this.#timer = setTimeout(() => {
      this.#look();
      this.#lookLater();
    }, this.#options.lookMs ?? LOOK_MS);
  }

  #look(): void {
    const sockets = this.#sockets;
    if (sockets === undefined) return;
    const open = new Set(sockets.peersOf(this.#options.port()));
    for (const [key, { underWay }] of [...this.#watched]) {
      if (!open.has(key) && underWay === 0) this.#watched.delete(key);
    }
    let ended = 0;
    for (const key of open) {
      const { underWay, isLive, wasAsked, sinceMs } = this.#of(key);
      if (underWay > 0 || isLive) continue;
      const most = wasAsked ? NEXT_REQUEST_MS : FIRST_REQUEST_MS;
      if (this.#now() - sinceMs <= most) continue;
      if (sockets.reset(peerOf(key))) ended++;
      this.#watched.delete(key);
    }
    if (ended > 0) logger.info("{ended} connections without a request end", { ended });
  }
}

function peerOf(key: string): { readonly hostname: string; readonly port: number } {
  const colon = key.lastIndexOf(":");
  const hostname = key.slice(0, colon).replace(/^\[|\]$/g, "");
  return { hostname, port: Number(key.slice(colon + 1)) };
}
