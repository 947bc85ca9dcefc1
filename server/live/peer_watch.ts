/**
 * Looks at all connections a few times a second, while there are any, and ends those whose peers
 * have been silent for too long or keep too much of unfinished messages in the server.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { CLOSE_TIMEOUT_MS, type Connection } from "./connection.ts";
import {
  openPeerSockets,
  type PeerAddress,
  peerKey,
  type PeerSockets,
  type Traffic,
} from "./peer_sockets.ts";

const logger = getLogger(["lakesync", "live"]);

/** How often connections are looked at, in milliseconds. */
const LOOK_MS = 250;

/** Bytes of one unfinished message and what came with it: the largest frame and half of it. */
const MAX_HELD_BYTES = 24 * 1024 * 1024;

/** Bytes of all unfinished messages. */
const MAX_ALL_HELD_BYTES = 128 * 1024 * 1024;

/** Fewer bytes are no reason to end a connection, however many there are in all. */
const SMALL_BYTES = 1024 * 1024;

/** How peers are watched. */
export interface PeerWatchOptions {
  /** How long nothing may go to a peer or come from it, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** Whether nobody is watched. */
  readonly isOff?: boolean;
  /**
   * Whether peers have their sockets with something in front of the runtime, which keeps those that
   * read nothing when the runtime has let go of its own.
   */
  readonly hasFront?: boolean;
  /** Opens the sockets under connections, in place of the system's way. */
  readonly open?: () => PeerSockets | undefined;
}

/** A connection that is gone for the runtime. */
interface Left {
  readonly peer: PeerAddress;
  acked: number;
  movedMs: number;
}

/** Whether it was said in this process that sockets cannot be ended. */
let isSaid = false;

/** Watches the peers of connections. */
export class PeerWatch {
  readonly #options: PeerWatchOptions;
  readonly #watched = new Map<Connection, PeerAddress | undefined>();
  readonly #left = new Map<string, Left>();
  #watchesLeft: boolean;
  #sockets: PeerSockets | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param options how they are watched */
  constructor(options: PeerWatchOptions) {
    this.#options = options;
    this.#watchesLeft = options.hasFront === true;
  }

  /** Watches a connection. */
  add(connection: Connection, peer: PeerAddress | undefined): void {
    if (this.#options.isOff === true) return;
    if (this.#isResting) this.#begin();
    this.#watched.set(connection, peer);
    if (peer !== undefined) this.#left.delete(peerKey(peer));
  }

  /** Watches a connection no more: it is gone. */
  remove(connection: Connection): void {
    const peer = this.#watched.get(connection);
    if (!this.#watched.delete(connection)) return;
    if (this.#watchesLeft && peer !== undefined) {
      this.#left.set(peerKey(peer), { peer, acked: -1, movedMs: Date.now() });
    }
    this.#restIfDone();
  }

  /** Watches none of those that are gone, from now on. */
  forget(): void {
    this.#watchesLeft = false;
    this.#left.clear();
    this.#restIfDone();
  }

  get #isResting(): boolean {
    return this.#watched.size === 0 && this.#left.size === 0;
  }

  #restIfDone(): void {
    if (!this.#isResting) return;
    clearTimeout(this.#timer);
    this.#sockets?.close();
    this.#sockets = undefined;
  }

  /** Ends the socket of a peer, where that is possible. */
  reset(peer: PeerAddress | undefined): void {
    if (peer !== undefined) this.#sockets?.reset(peer);
  }

  #begin(): void {
    this.#sockets = (this.#options.open ?? openPeerSockets)();
    if (this.#sockets === undefined && !isSaid) {
      isSaid = true;
      logger.info(
        "Connections whose peers read nothing keep a socket until the system gives them up; " +
          "with --allow-ffi they are ended at once",
      );
    }
    this.#lookLater();
  }

  #lookLater(): void {
    this.#timer = setTimeout(() => {
      this.#look();
      if (this.#isResting) this.#restIfDone();
      else this.#lookLater();
    }, LOOK_MS);
  }

  #look(): void {
    const traffic = this.#sockets?.traffic() ?? new Map<string, Traffic>();
    const held: (readonly [connection: Connection, bytes: number])[] = [];
    let all = 0;
    this.#lookAtLeft(traffic);
    for (const [connection, peer] of [...this.#watched]) {
      if (!connection.isOpen) continue;
      const seen = peer === undefined ? undefined : traffic.get(peerKey(peer));
      if (connection.isSilent(seen, this.#options.idleTimeoutMs)) {
        connection.overflow();
        continue;
      }
      const bytes = connection.intake.look(seen?.received);
      if (bytes > MAX_HELD_BYTES) connection.overflow();
      else if (bytes > SMALL_BYTES) held.push([connection, bytes]);
      all += bytes;
    }
    held.sort(([, a], [, b]) => b - a);
    for (const [connection, bytes] of held) {
      if (all <= MAX_ALL_HELD_BYTES) break;
      all -= bytes;
      connection.overflow();
    }
  }

  /** Ends the sockets of peers that do not take the last of a connection that is gone. */
  #lookAtLeft(traffic: ReadonlyMap<string, Traffic>): void {
    const nowMs = Date.now();
    for (const [key, left] of [...this.#left]) {
      const seen = traffic.get(key);
      if (seen === undefined || !seen.isWaiting) this.#left.delete(key);
      else if (seen.acked !== left.acked) {
        Object.assign(left, { acked: seen.acked, movedMs: nowMs });
      } else if (nowMs - left.movedMs > CLOSE_TIMEOUT_MS) {
        this.#sockets?.reset(left.peer);
        this.#left.delete(key);
      }
    }
  }
}
