/**
 * What requests and frames are held to before they reach a gateway.
 *
 * @module
 */

import {
  isClientId,
  isGatewayId,
  LakeSyncError,
  MAX_WAIT_SECONDS,
  PULL_LIMIT,
  type PullRequest,
} from "@lakesync/core";

/**
 * Checks a gateway id of an address.
 *
 * @throws {LakeSyncError} `VALIDATION_ERROR`
 */
export function checkGatewayId(gatewayId: string | undefined): string {
  if (isGatewayId(gatewayId)) return gatewayId;
  throw new LakeSyncError(
    "VALIDATION_ERROR",
    "A gateway id is 1 to 64 letters, digits, _ or -, a letter or digit first",
  );
}

/**
 * Checks a clientId.
 *
 * @throws {LakeSyncError} `VALIDATION_ERROR`
 */
export function checkClientId(clientId: string): void {
  if (isClientId(clientId)) return;
  throw new LakeSyncError(
    "VALIDATION_ERROR",
    "A clientId is 1 to 128 letters, digits, '.', '_', ':' or '-', a letter or digit first",
  );
}

/**
 * Checks a pull and cuts what it asks for to what is given.
 *
 * @param request a pull as it was read
 * @returns the pull as it is answered
 * @throws {LakeSyncError} `VALIDATION_ERROR`
 */
export function boundPull(request: PullRequest): PullRequest {
  const { clientId, cursor, limit, wait, schemaVersion, repair } = request;
  checkClientId(clientId);
  return {
    clientId,
    limit: Math.min(limit ?? PULL_LIMIT.default, PULL_LIMIT.max),
    ...(cursor === undefined || cursor === "" ? {} : { cursor }),
    ...(wait === undefined ? {} : { wait: Math.min(wait, MAX_WAIT_SECONDS) }),
    ...(schemaVersion === undefined ? {} : { schemaVersion }),
    ...(repair === undefined ? {} : { repair }),
  };
}
