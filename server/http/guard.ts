/**
 * What every request passes, in this order: a server that takes work, memory, the rate of its
 * address; a possible gateway id, no token in the address, a good token, one of nobody who is kept
 * out, the rate of its user, a token for this gateway, the role, and only then whether the gateway
 * exists. Probes, metrics and the description pass without.
 *
 * @module
 */

import { isGatewayId, LakeSyncError } from "@lakesync/core";
import { callerOf, refuseTokenInQuery, requireAdmin, tokenOf } from "../auth/authorize.ts";
import type { Role, VerifiedToken } from "../auth/token.ts";
import { checkGatewayId } from "../bounds.ts";
import type { Caller, Gateway } from "../gateway/gateway.ts";
import type { ServerContext } from "./context.ts";
import type { RequestScope } from "./request_scope.ts";
import { findRoute } from "./routes.ts";

/** How long a request waits for the server to have started, in milliseconds. */
const START_WAIT_MS = 10_000;

/** Who calls which gateway. */
export interface Admission {
  /** A possible gateway id. */
  readonly gatewayId: string;
  /** Who calls. */
  readonly caller: Caller;
  /** The token that says so. */
  readonly token: VerifiedToken;
}

/**
 * Checks the token of a request that is not about one gateway, once for each request.
 *
 * @throws {LakeSyncError} `AUTH_ERROR`
 */
export async function authenticate(
  context: ServerContext,
  scope: RequestScope,
  websocket = false,
): Promise<VerifiedToken> {
  if (scope.token !== undefined) return scope.token;
  const { request } = scope;
  const query = request.url.indexOf("?");
  if (query >= 0) {
    refuseTokenInQuery(new URLSearchParams(request.url.slice(query)));
  }
  const token = await verify(context, scope, tokenOf(request.headers, websocket));
  scope.sub = token.sub;
  scope.role = token.role;
  await context.access?.checkUser(scope, token);
  await context.rates?.checkUser(scope, token);
  scope.token = token;
  return token;
}

async function verify(
  { authenticator, failures }: ServerContext,
  { ip }: RequestScope,
  jwt: string,
): Promise<VerifiedToken> {
  try {
    return await authenticator.verify(jwt);
  } catch (error) {
    if (error instanceof LakeSyncError && error.code === "AUTH_ERROR") failures?.refused(ip);
    throw error;
  }
}

/**
 * Checks id and token of a request to a gateway. The role was asked for by {@linkcode admitTo}.
 *
 * @throws {LakeSyncError} `VALIDATION_ERROR`, `AUTH_ERROR`, `FORBIDDEN`
 */
export async function admit(
  context: ServerContext,
  scope: RequestScope,
  id: string | undefined,
  websocket = false,
): Promise<Admission> {
  const gatewayId = checkGatewayId(id);
  scope.gatewayId = gatewayId;
  const token = await authenticate(context, scope, websocket);
  const caller = callerOf(token, gatewayId);
  return { gatewayId, caller, token };
}

/**
 * Checks token and role of a request by what its operation needs. All routes with a token pass it.
 *
 * @param operation the role, the gateway where the path has one, and whether it is a handshake
 * @throws {LakeSyncError} `VALIDATION_ERROR`, `AUTH_ERROR`, `FORBIDDEN`
 */
export async function admitTo(
  context: ServerContext,
  scope: RequestScope,
  operation: { readonly id: string | undefined; readonly role: Role; readonly isSocket: boolean },
): Promise<void> {
  const { id, role, isSocket } = operation;
  const token = id === undefined
    ? await authenticate(context, scope, isSocket)
    : (await admit(context, scope, id, isSocket)).token;
  if (role === "admin") requireAdmin(token);
}

/**
 * Whether the user of a token is let into a gateway that the request is not about by its path.
 *
 * @param gatewayId the gateway
 * @param token a token that was checked
 */
export async function isLetIn(
  { access }: ServerContext,
  gatewayId: string,
  token: VerifiedToken,
): Promise<boolean> {
  try {
    await access?.checkUser({ gatewayId }, token);
    return true;
  } catch (error) {
    if (error instanceof LakeSyncError && error.code === "FORBIDDEN") return false;
    throw error;
  }
}

/**
 * Looks whether a request may still be answered: its user and its device, now that that is known,
 * and its key, since reading a body and waiting for news take their time.
 *
 * @throws {LakeSyncError} `FORBIDDEN`, `AUTH_ERROR`
 */
export async function admitAgain(context: ServerContext, scope: RequestScope): Promise<void> {
  const { token, gatewayId, clientId } = scope;
  const { access, authenticator } = context;
  if (token === undefined) return;
  if (authenticator.trusts?.(token) === false) {
    throw new LakeSyncError("AUTH_ERROR", "The key that signed the token is no longer trusted");
  }
  await access?.checkUser(scope, token);
  if (gatewayId !== undefined && clientId !== undefined) {
    await access?.checkClient(gatewayId, clientId);
  }
}

/**
 * Refuses new work once the server stops.
 *
 * @throws {LakeSyncError} `DRAINING`
 */
export function refuseWhenDraining(context: ServerContext): void {
  if (context.phase() === "draining") {
    throw new LakeSyncError("DRAINING", "The server is stopping, try again");
  }
}

/** Waits until the server has started, for a while. */
async function startOf({ started }: ServerContext, { deadline }: RequestScope): Promise<void> {
  if (started === undefined) return;
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, START_WAIT_MS);
  await Promise.race([started, late, deadline.passed]);
  clearTimeout(timer);
}

/** Notes what the routes would have noted, for the log and the counts. */
function noteRoute(scope: RequestScope): void {
  const { route, gatewayId } = findRoute(scope.path) ?? {};
  scope.route = route;
  if (gatewayId !== undefined && isGatewayId(gatewayId)) scope.gatewayId = gatewayId;
}

/** Refuses work while memory is short. */
function shed({ pressure }: ServerContext, scope: RequestScope): void {
  // Who may cut off others must be able to while memory is short.
  if (scope.path.startsWith("/v1/admin/")) return;
  try {
    pressure?.check();
  } catch (error) {
    scope.isShed = true;
    throw error;
  }
}

/**
 * Refuses work that the server cannot take now, before anything of the request is looked at.
 *
 * @throws {LakeSyncError} `DRAINING` once the server stops, `BACKPRESSURE` until it has started and
 * while memory is short, `RATE_LIMITED`
 */
export async function refuseEarly(context: ServerContext, scope: RequestScope): Promise<void> {
  try {
    await refuse(context, scope);
  } catch (error) {
    noteRoute(scope);
    throw error;
  }
}

async function refuse(context: ServerContext, scope: RequestScope): Promise<void> {
  if (context.phase() === "starting") await startOf(context, scope);
  refuseWhenDraining(context);
  if (context.phase() === "starting") {
    throw new LakeSyncError("BACKPRESSURE", "The server is starting, try again");
  }
  shed(context, scope);
  await context.rates?.checkAddress(scope);
}

/**
 * Finds a gateway.
 *
 * @throws {LakeSyncError} `NOT_FOUND`, `DRAINING` once the server stops
 */
export async function findGateway(
  context: ServerContext,
  gatewayId: string,
): Promise<Gateway> {
  refuseWhenDraining(context);
  const gateway = await context.gateways.get(gatewayId);
  if (gateway === undefined) {
    throw new LakeSyncError(
      "NOT_FOUND",
      `There is no gateway ${gatewayId}, create it with PUT schema`,
    );
  }
  return gateway;
}
