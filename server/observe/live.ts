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
export interface LiveClosed {
  /** The client that said hello; empty when none did. */
  readonly clientId: string;
  /** The close code that the server gave; undefined when its peer ended it, or is gone. */
  readonly code: number | undefined;
  /** Whether it did not read what it was sent. */
  readonly isSlow: boolean;
  /** Frames that came from it. */
  readonly received: number;
  /** Frames that it was sent. */
  readonly sent: number;
}

/** Watches one live connection. */
export interface LiveWatch {
  /** It was told an error. */
  refused(code: ErrorCode): void;
  /** It has ended. */
  closed(end: LiveClosed): void;
}

/** Watches live connections. */
export interface LiveObserver {
  /** One was opened; gives what watches it. */
  opened(live: LiveFacts): LiveWatch;
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

  opened({ requestId, gatewayId }: LiveFacts): LiveWatch {
    const startMs = performance.now();
    const facts = { requestId, gateway: gatewayId };
    this.#counts.liveOpened++;
    this.#log.opened(facts);
    return {
      refused: (code) => this.#counts.refused(code),
      closed: ({ clientId, code, isSlow, received, sent }) => {
        const reason = reasonOf(code, isSlow);
        this.#counts.liveEnds.add(reason);
        const client = clientId === "" ? undefined : clientId;
        const ms = Math.round(performance.now() - startMs);
        this.#log.closed({ ...facts, client, reason, code, ms, received, sent });
      },
    };
  }
}

function reasonOf(code: number | undefined, isSlow: boolean): LiveEnd {
  if (isSlow) return "slow";
  return code === undefined ? "client" : ENDS.get(code) ?? "failed";
}
