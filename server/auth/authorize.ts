/**
 * From a request to who may do what: finds the token, refuses one in the address, and holds it
 * against a gateway and a role.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { Caller } from "../gateway/gateway.ts";
import type { VerifiedToken } from "./token.ts";

const TOKEN_NAMES = new Set([
  "token",
  "access_token",
  "id_token",
  "auth_token",
  "authtoken",
  "jwt",
  "bearer",
  "auth",
  "authorization",
]);
const LOOKS_LIKE_A_TOKEN = /^eyJ[\w-]*\.[\w-]*\.[\w-]*$/;
const BEARER_PROTOCOL = "bearer.";

/**
 * Refuses a token in the query string, where it would reach logs and histories.
 *
 * @param query the query's parameters
 * @throws {LakeSyncError} `AUTH_ERROR`
 */
export function refuseTokenInQuery(query: URLSearchParams): void {
  for (const [name, value] of query) {
    if (TOKEN_NAMES.has(name.toLowerCase()) || LOOKS_LIKE_A_TOKEN.test(value)) {
      throw new LakeSyncError(
        "AUTH_ERROR",
        "A token in the query string is refused, send it in the Authorization header",
      );
    }
  }
}

/** The subprotocols that a WebSocket handshake offers. */
export function offeredProtocols(headers: Headers): readonly string[] {
  const offered = headers.get("Sec-WebSocket-Protocol") ?? "";
  return offered.split(",").map((name) => name.trim()).filter((name) => name);
}

/**
 * Finds the token of a request: `Authorization: Bearer …`, or for a WebSocket the subprotocol
 * `bearer.<token>`, since browsers cannot set headers there.
 *
 * @param headers the request's headers
 * @param websocket whether subprotocols count
 * @returns the token
 * @throws {LakeSyncError} `AUTH_ERROR` when there is none
 */
export function tokenOf(headers: Headers, websocket = false): string {
  const match = /^bearer +(\S+)$/i.exec(headers.get("Authorization") ?? "");
  if (match?.[1] !== undefined) return match[1];
  if (websocket) {
    const offer = offeredProtocols(headers)
      .find((name) => name.startsWith(BEARER_PROTOCOL));
    if (offer !== undefined) return offer.slice(BEARER_PROTOCOL.length);
  }
  throw new LakeSyncError(
    "AUTH_ERROR",
    websocket
      ? "A token is needed, offer the subprotocol bearer.<token>"
      : "A token is needed, send Authorization: Bearer <token>",
  );
}

/**
 * Holds a token against a gateway.
 *
 * @param token a token that was checked
 * @param gatewayId the gateway it is used on
 * @returns who calls
 * @throws {LakeSyncError} `FORBIDDEN` when it is for another gateway
 */
export function callerOf(token: VerifiedToken, gatewayId: string): Caller {
  if (token.gw !== "*" && token.gw !== gatewayId) {
    throw new LakeSyncError("FORBIDDEN", "The token is for another gateway");
  }
  return {
    sub: token.sub,
    admin: token.role === "admin",
    claims: token.claims,
  };
}

/**
 * Holds a token against the role admin.
 *
 * @throws {LakeSyncError} `FORBIDDEN`
 */
export function requireAdmin(token: VerifiedToken): void {
  if (token.role !== "admin") {
    throw new LakeSyncError("FORBIDDEN", "This needs a token of role admin");
  }
}
