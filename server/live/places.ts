/**
 * Who has a place among the live connections. A connection that was told to end has none, but until
 * it is gone it is still a socket, of which there is a bound too.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { ServerLimits } from "../limits.ts";

const RETRY_AFTER_SECONDS = 5;
/** Connections that were told to end and are not gone; few where sockets can be ended. */
const MAX_CLOSING = 1_000;
/** Those of one user. */
const MAX_USER_CLOSING = 100;

/** Numbers by name, without zeros. */
class Counts {
  readonly #counts = new Map<string, number>();

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  add(name: string, more: 1 | -1): void {
    const now = this.of(name) + more;
    if (now > 0) this.#counts.set(name, now);
    else this.#counts.delete(name);
  }
}

/** What a connection has taken. */
export interface Place {
  /** Frees the place. */
  place(): void;
  /** Says that nothing is left of the connection, after the place was freed. */
  rest(): void;
}

/** The places of a server's live connections. */
export class Places {
  readonly #limits: Pick<ServerLimits, "maxConnections" | "maxUserConnections">;
  readonly #gateways = new Counts();
  readonly #users = new Counts();
  readonly #closingUsers = new Counts();
  #open = 0;
  #closing = 0;

  /** @param limits how many there are */
  constructor(limits: Pick<ServerLimits, "maxConnections" | "maxUserConnections">) {
    this.#limits = limits;
  }

  /** How many are taken, and how many connections are not gone that have none any more. */
  get counts(): { readonly open: number; readonly closing: number } {
    return { open: this.#open, closing: this.#closing };
  }

  /** How many are taken for a gateway. */
  count(gatewayId: string): number {
    return this.#gateways.of(gatewayId);
  }

  /**
   * Checks that a user may have one.
   *
   * @throws {LakeSyncError} `RATE_LIMITED` for a user with too many, `BACKPRESSURE` when there are
   * too many in all
   */
  check(sub: string): void {
    const { maxConnections, maxUserConnections } = this.#limits;
    if (
      this.#users.of(sub) >= maxUserConnections ||
      this.#closingUsers.of(sub) >= MAX_USER_CLOSING
    ) {
      throw new LakeSyncError(
        "RATE_LIMITED",
        `A user has at most ${maxUserConnections} live connections, close some`,
        { retryAfterSeconds: RETRY_AFTER_SECONDS },
      );
    }
    if (this.#open >= maxConnections || this.#closing >= MAX_CLOSING) {
      throw new LakeSyncError(
        "BACKPRESSURE",
        "There are too many connections, try again",
        { retryAfterSeconds: RETRY_AFTER_SECONDS },
      );
    }
  }

  /** Takes a place. */
  take(gatewayId: string, sub: string): Place {
    this.#open++;
    this.#gateways.add(gatewayId, 1);
    this.#users.add(sub, 1);
    return {
      place: () => {
        this.#open--;
        this.#gateways.add(gatewayId, -1);
        this.#users.add(sub, -1);
        this.#closing++;
        this.#closingUsers.add(sub, 1);
      },
      rest: () => {
        this.#closing--;
        this.#closingUsers.add(sub, -1);
      },
    };
  }
}
