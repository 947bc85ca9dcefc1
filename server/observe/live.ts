/**
 * Counts and logs live connections.
 *
 * @module
 */

import type { ErrorCode } from "@lakesync/core";
import type { AccessLog } from "./access_log.ts";
import type { Counts, LiveEnd } from "./counts.ts";

/** A live connection, as it is told. */
export interface LiveFacts {
  /** Finds it in the log. */
  readonly requestId: string;
  /** The gateway. */
  readonly gatewayId: string;
}

/** How a live connection ended. */
export interface LiveClosed extends LiveFacts {
  /** The client that said hello; empty when none did. */
  readonly clientId: string;
  /** The close code that the server gave; undefined when its peer ended it. */
  readonly code: number | undefined;
  /** Whether it did not read what it was sent. */
  readonly isSlow: boolean;
  /** How long it was open, in milliseconds. */
  readonly ms: number;
}

/** Watches live connections. */
export interface LiveObserver {
  /** One was opened. */
  opened(live: LiveFacts): void;
  /** One has ended. */
  closed(live: LiveClosed): void;
  /** One was told an error. */
  refused(code: ErrorCode): void;
}

const ENDS: ReadonlyMap<number, LiveEnd> = new Map([
  [1008, "rate"],
  [1011, "failed"],
  [1012, "draining"],
  [4400, "malformed"],
  [4401, "token"],
  [4403, "forbidden"],
]);

/** Watches the live connections of a server. */
export class LiveWatcher implements LiveObserver {
  readonly #counts: Counts;
  readonly #log: AccessLog;

  /**
   * @param counts where to count
   * @param log where to log
   */
  constructor(counts: Counts, log: AccessLog) {
    this.#counts = counts;
    this.#log = log;
  }

  opened({ requestId, gatewayId }: LiveFacts): void {
    this.#counts.liveOpened++;
    this.#log.opened({ requestId, gateway: gatewayId });
  }

  closed({ requestId, gatewayId, clientId, code, isSlow, ms }: LiveClosed): void {
    const reason = reasonOf(code, isSlow);
    this.#counts.liveEnds.add(reason);
    const client = clientId === "" ? undefined : clientId;
    this.#log.closed({ requestId, gateway: gatewayId, client, reason, code, ms: Math.round(ms) });
  }

  refused(code: ErrorCode): void {
    this.#counts.refused(code);
  }
}

function reasonOf(code: number | undefined, isSlow: boolean): LiveEnd {
  if (isSlow) return "slow";
  return code === undefined ? "client" : ENDS.get(code) ?? "lost";
}
