/**
 * One line for each request and each live connection, within bounds: what went wrong or was slow is
 * always logged, of all else so many lines a second, and how many were left out. What is turned
 * away for want of memory is of all else: it comes in floods, and lines take memory too.
 *
 * @module
 */

import { isClientId } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import type { RequestEnd } from "../http/lifecycle.ts";
import type { RequestScope } from "../http/request_scope.ts";
import { LineBudget } from "./line_budget.ts";

const logger = getLogger(["lakesync", "requests"]);

/** A request that takes longer is logged whatever it came to, in milliseconds. */
export const SLOW_MS = 1_000;

/** Routes that are asked all the time and tell nothing. */
const QUIET = new Set(["/livez", "/health", "/startupz", "/ready", "/health/ready", "/metrics"]);

/** Writes the lines. */
export class AccessLog {
  readonly #budget: LineBudget;

  /**
   * @param maxPerSecond lines of what went well that are written in a second
   * @param now a monotonic clock, in milliseconds
   */
  constructor(maxPerSecond: number, now?: () => number) {
    const leftOut = (lines: number) =>
      logger.info("{lines} more lines of requests were left out", { lines });
    this.#budget = new LineBudget(maxPerSecond, leftOut, now);
  }

  /** A request has ended. */
  request(scope: RequestScope, end: RequestEnd): void {
    const level = this.#levelOf(scope, end);
    // Most lines are written by nobody, and should cost nothing.
    if (level === "debug" && !logger.isEnabledFor("debug")) return;
    const { request, route = "none", id, gatewayId, clientId } = scope;
    const { status, code, ms, outcome } = end;
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
    const text = textOf(facts);
    if (level !== "warning") logger[level](text, facts);
    else {logger.warning(
        isFailure(end) || outcome === "shed" ? `${text}: {outcome}` : `${text}: slow`,
        facts,
      );}
  }

  #levelOf(scope: RequestScope, end: RequestEnd): "debug" | "info" | "warning" {
    const { route } = scope;
    if (route !== undefined && QUIET.has(route)) return "debug";
    if (isFailure(end) || (end.ms > SLOW_MS && !isHeld(scope))) return "warning";
    if (!this.#budget.take()) return "debug";
    return end.outcome === "shed" ? "warning" : "info";
  }

  /** A live connection was opened. */
  opened(facts: Record<string, unknown>): void {
    const text = "A live connection was opened, request {requestId}, gateway {gateway}";
    if (this.#budget.take()) logger.info(text, facts);
    else logger.debug(text, facts);
  }

  /** A live connection has ended. */
  closed(facts: Record<string, unknown>): void {
    const client = facts["client"] === undefined ? "" : ", client {client}";
    const text = "A live connection has ended after {ms} ms, {received} frames from it and " +
      `{sent} to it, request {requestId}, gateway {gateway}${client}: {reason}`;
    if (this.#budget.take()) logger.info(text, facts);
    else logger.debug(text, facts);
  }
}

function isFailure({ outcome }: RequestEnd): boolean {
  return outcome === "failed" || outcome === "timeout";
}

/** Whether its answer may have waited for news, or was a stream; either takes its time. */
function isHeld({ route, stream }: RequestScope): boolean {
  return stream !== undefined || route === "/v1/sync/{gatewayId}/pull" ||
    route === "/v1/sync/{gatewayId}";
}

/** The text of a line: what happened, and what of the rest is known. */
function textOf({ gateway, client, code }: Readonly<Record<string, unknown>>): string {
  return [
    "{method} {route} {status} in {ms} ms, request {requestId}",
    gateway === undefined ? "" : ", gateway {gateway}",
    client === undefined ? "" : ", client {client}",
    code === undefined ? "" : ", {code}",
  ].join("");
}

/** A possible id; else it is any text. */
export function knownClient(clientId: string | undefined): string | undefined {
  return clientId !== undefined && isClientId(clientId) ? clientId : undefined;
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
