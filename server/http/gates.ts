/**
 * What may refuse a request beside its token, as ports. The order in which a request meets them is
 * in docs/adr/0018-operations.md: stopping, memory, rate of its address, token, lists of who is kept
 * out, rate of its user, role and gateway.
 *
 * @module
 */

import type { VerifiedToken } from "../auth/token.ts";
import type { RequestScope } from "./request_scope.ts";

/** Turns work away while memory is short. */
export interface PressureGate {
  /** Whether work is turned away; at once, since every request asks. */
  readonly isHigh: boolean;
  /** How much memory the process may still take, in bytes. */
  readonly freeBytes: number;
  /**
   * Looks at the memory of the process.
   *
   * @throws {LakeSyncError} `BACKPRESSURE`
   */
  check(): void;
}

/** Turns away those who ask too often. */
export interface RateGate {
  /**
   * Takes one request from what its address may send, before its token is looked at.
   *
   * @throws {LakeSyncError} `RATE_LIMITED`
   */
  checkAddress(scope: RequestScope): void | Promise<void>;
  /**
   * Takes one request from what its user may send.
   *
   * @throws {LakeSyncError} `RATE_LIMITED`
   */
  checkUser(scope: RequestScope, token: VerifiedToken): void | Promise<void>;
}

/** Keeps those out who are on a list. */
export interface AccessGate {
  /**
   * Looks for the user of a good token.
   *
   * @throws {LakeSyncError} `FORBIDDEN`
   */
  checkUser(
    scope: Pick<RequestScope, "gatewayId">,
    token: VerifiedToken,
  ): void | Promise<void>;
  /**
   * Looks for a device, once its name is known.
   *
   * @throws {LakeSyncError} `FORBIDDEN`
   */
  checkClient(gatewayId: string, clientId: string): void | Promise<void>;
}
