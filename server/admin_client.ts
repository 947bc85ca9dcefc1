/**
 * Asks a server that runs, as its admin.
 *
 * @module
 */

import type { Place } from "@lakesync/adapters";
import { tailQuery } from "@lakesync/adapters/lake/tail";
import { isGatewayId } from "@lakesync/core";
import type { AccessChange, AccessNames } from "./access/model.ts";
import { signingKey } from "./auth/rotate.ts";
import { secretPath } from "./auth/secret.ts";
import { signToken } from "./auth/token.ts";
import type { ExplainRequest, RowExplanation } from "./gateway/gateway.ts";
import { isLoopback } from "./loopback.ts";
import type { ServerAddress } from "./rules_arguments.ts";
import { whyUnanswered } from "./unanswered.ts";
import { UsageError } from "./values.ts";

const TOKEN_TTL_SECONDS = 60;
const TIMEOUT_MS = 30_000;

interface AdminToken {
  readonly token: string;
  /** Where it is from, for people. */
  readonly from: string;
}

async function tokenFor(server: ServerAddress): Promise<AdminToken> {
  const { url, gw, data, issuer, audience } = server;
  if (server.token !== undefined) {
    return { token: server.token, from: "that of --token or LAKESYNC_TOKEN" };
  }
  if (server.secret === undefined && !isLoopback(new URL(url).hostname)) {
    throw new UsageError(`To ask ${url}, give --token or --secret`);
  }
  const key = await signingKey(server);
  if (key === undefined) {
    throw new UsageError(
      `There is no secret in ${secretPath(data)}, give --token, --secret or --data`,
    );
  }
  const token = await signToken({
    ...key,
    sub: "lakesync-command",
    gw,
    role: "admin",
    ttlSeconds: TOKEN_TTL_SECONDS,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  });
  const whose = server.secret === undefined
    ? `the data folder ${data}`
    : "--secret or LAKESYNC_SECRET";
  return { token, from: `signed with the secret of ${whose}` };
}

/** The gateway that is asked about. */
function gatewayOf({ gw }: ServerAddress): string {
  if (!isGatewayId(gw)) throw new UsageError("--gw is the id of one gateway");
  return gw;
}

async function ask(server: ServerAddress, path: string, body?: object): Promise<unknown> {
  const { token, from } = await tokenFor(server);
  let response: Response;
  try {
    response = await fetch(`${server.url}/v1/admin/${path}`, {
      method: body === undefined ? "GET" : "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new Error(whyUnanswered(server.url, cause), { cause });
  }
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  const what = errorOf(text) ?? `${server.url} answers with status ${response.status}`;
  if (response.status !== 401) throw new Error(what);
  throw new Error(
    `${server.url} does not accept the token, which is ${from}: ${what}; ` +
      "give --data or --secret of that server, or a --token",
  );
}

function errorOf(text: string): string | undefined {
  try {
    const { error } = JSON.parse(text);
    return typeof error === "string" ? error : undefined;
  } catch {
    return undefined;
  }
}

/** The lists of a gateway, as the route answers them. */
export interface AccessAnswer {
  /** Who and what is kept out. */
  readonly deny: AccessNames;
  /** Who and what alone is let in, for the kinds that have such a list. */
  readonly allow: Partial<AccessNames>;
}

/**
 * Asks who and what is kept out of a gateway.
 *
 * @param server where
 * @throws {UsageError} when there is nothing to sign a token with
 * @throws {Error} when the server does not answer or refuses
 */
export async function fetchAccess(server: ServerAddress): Promise<AccessAnswer> {
  return await ask(server, `access/${gatewayOf(server)}`) as AccessAnswer;
}

/**
 * Changes who and what is kept out of a gateway.
 *
 * @param server where
 * @param change what
 * @returns the lists as they hold then
 * @throws {UsageError} when there is nothing to sign a token with
 * @throws {Error} when the server does not answer or refuses
 */
export async function requestAccessChange(
  server: ServerAddress,
  change: Partial<AccessChange>,
): Promise<AccessAnswer> {
  return await ask(server, `access/${gatewayOf(server)}`, change) as AccessAnswer;
}

/**
 * Asks for a gateway's schema.
 *
 * @param server where
 * @returns the schema as JSON
 * @throws {UsageError} when there is nothing to sign a token with
 * @throws {Error} when the server does not answer or refuses
 */
export async function fetchSchema(server: ServerAddress): Promise<unknown> {
  return await ask(server, `schema/${gatewayOf(server)}`);
}

/**
 * Asks for what a gateway committed after a place.
 *
 * @param server where
 * @param after the place
 * @returns a page, which `decodeTailPage` reads
 * @throws {UsageError} when there is nothing to sign a token with
 * @throws {Error} when the server does not answer or refuses
 */
export async function fetchTail(server: ServerAddress, after: Place): Promise<object> {
  return await ask(server, `tail/${gatewayOf(server)}?${tailQuery(after)}`) as object;
}

/**
 * Asks why a user sees a row or not, and may write it or not.
 *
 * @param server where
 * @param request who, and which row
 * @returns the answer with its reasons
 * @throws {UsageError} when there is nothing to sign a token with
 * @throws {Error} when the server does not answer or refuses
 */
export async function fetchExplanation(
  server: ServerAddress,
  request: ExplainRequest,
): Promise<RowExplanation> {
  const path = `sync-rules/${gatewayOf(server)}/explain`;
  return await ask(server, path, request) as RowExplanation;
}

/** A page of the audit log as the route answers it. */
export interface AuditAnswer {
  /** The entries, the newest first. */
  readonly entries: readonly object[];
  /** Where to go on. */
  readonly cursor?: string;
}

/**
 * Asks for what admins did.
 *
 * @param server where; its gateway may be `*`
 * @param query the parameters of the route
 * @returns a page
 * @throws {UsageError} when there is nothing to sign a token with
 * @throws {Error} when the server does not answer or refuses
 */
export async function fetchAudit(
  server: ServerAddress,
  query: Readonly<Record<string, string>>,
): Promise<AuditAnswer> {
  return await ask(server, `audit?${new URLSearchParams(query)}`) as AuditAnswer;
}

/** A cursor, as the server tells it. */
export interface CursorAnswer {
  /** Its name. */
  readonly name: string;
  /** Its value. */
  readonly value: string;
  /** When it was saved, RFC 3339. */
  readonly savedAt: string;
}

/**
 * Asks how far sources and destinations are.
 *
 * @param server where
 * @returns the cursors by name
 * @throws {UsageError} when there is nothing to sign a token with
 * @throws {Error} when the server does not answer or refuses
 */
export async function fetchCursors(server: ServerAddress): Promise<readonly CursorAnswer[]> {
  const answer = await ask(server, `cursors/${server.gw}`) as {
    readonly cursors: readonly CursorAnswer[];
  };
  return answer.cursors;
}

/**
 * Has a cursor forgotten.
 *
 * @param server where
 * @param name which
 * @returns whether it was that of a destination, which is filled anew
 * @throws {UsageError} when there is nothing to sign a token with
 * @throws {Error} when the server does not answer or refuses
 */
export async function requestCursorReset(
  server: ServerAddress,
  name: string,
): Promise<{ readonly filled: boolean }> {
  return await ask(server, `cursors/${server.gw}/reset`, { name }) as { readonly filled: boolean };
}
