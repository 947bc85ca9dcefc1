/**
 * One line for each request and each live connection, within bounds: what went wrong or was slow is
 * always logged, of all else so many lines a second, and how many were left out.
 *
 * @module
 */

import { isClientId } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import type { RequestEnd } from "../http/lifecycle.ts";
import type { RequestScope } from "../http/request_scope.ts";

const logger = getLogger(["lakesync", "access"]);

/** A request that takes longer is logged whatever it came to, in milliseconds. */
export const SLOW_MS = 1_000;

/** Routes that are asked all the time and tell nothing. */
const QUIET = new Set(["/livez", "/health", "/startupz", "/ready", "/health/ready", "/metrics"]);

const SECOND_MS = 1_000;

/** Writes the lines. */
export class AccessLog {
  readonly #maxPerSecond: number;
  readonly #now: () => number;
  #sinceMs = -Infinity;
  #written = 0;
  #leftOut = 0;

  /**
   * @param maxPerSecond lines of what went well that are written in a second
   * @param now a monotonic clock, in milliseconds
   */
  constructor(maxPerSecond: number, now: () => number = () => performance.now()) {
    this.#maxPerSecond = maxPerSecond;
    this.#now = now;
  }

  /** A request has ended. */
  request(scope: RequestScope, { status, code, ms, outcome }: RequestEnd): void {
    const { request, route = "none", id, gatewayId, clientId } = scope;
    const facts = {
      requestId: id,
      method: request.method,
      route,
      status,
      outcome,
      code,
      gateway: gatewayId,
      client: knownClient(clientId),
      ms: rounded(ms),
    };
    const text = "{method} {route} {status} in {ms} ms";
    if (QUIET.has(route) && status < 500) logger.debug(text, facts);
    else if (outcome === "failed" || outcome === "timeout") {
      logger.warning(`${text}: {outcome} {code}`, facts);
    } else if (ms > SLOW_MS && !isHeld(scope)) logger.warning(`${text}: slow`, facts);
    else if (this.#mayWrite()) logger.info(text, facts);
    else logger.debug(text, facts);
  }

  /** A live connection was opened. */
  opened(facts: Record<string, unknown>): void {
    if (this.#mayWrite()) logger.info("A live connection was opened", facts);
    else logger.debug("A live connection was opened", facts);
  }

  /** A live connection has ended. */
  closed(facts: Record<string, unknown>): void {
    const text = "A live connection has ended: {reason}";
    if (this.#mayWrite()) logger.info(text, facts);
    else logger.debug(text, facts);
  }

  #mayWrite(): boolean {
    const nowMs = this.#now();
    if (nowMs - this.#sinceMs >= SECOND_MS) {
      if (this.#leftOut > 0) {
        logger.info("{leftOut} more lines of requests were left out", { leftOut: this.#leftOut });
      }
      this.#sinceMs = nowMs;
      this.#written = 0;
      this.#leftOut = 0;
    }
    if (this.#written < this.#maxPerSecond) {
      this.#written++;
      return true;
    }
    this.#leftOut++;
    return false;
  }
}

/** Whether its answer may have waited for news, or was a stream; either takes its time. */
function isHeld({ route, stream }: RequestScope): boolean {
  return stream !== undefined || route === "/v1/sync/{gatewayId}/pull" ||
    route === "/v1/sync/{gatewayId}";
}

/** A possible id; else it is any text. */
export function knownClient(clientId: string | undefined): string | undefined {
  return clientId !== undefined && isClientId(clientId) ? clientId : undefined;
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
