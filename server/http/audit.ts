/**
 * `GET /v1/admin/audit`: what the audit log tells, for tokens of role admin; one that is not for
 * all gateways is told of its own.
 *
 * @module
 */

import { isGatewayId, type JsonValue, LakeSyncError } from "@lakesync/core";
import { AUDIT_ACTIONS, isAuditAction } from "../audit/actions.ts";
import type { AuditEntry, AuditQuery } from "../audit/audit.ts";
import { isAuditCursor } from "../audit/log.ts";
import { auditName } from "../audit/record.ts";
import { callerOf } from "../auth/authorize.ts";
import type { VerifiedToken } from "../auth/token.ts";
import type { Handler, ServerContext } from "./context.ts";
import { authenticate, isLetIn, refuseWhenDraining } from "./guard.ts";
import { replyJson } from "./reply.ts";

/** Entries of one page unless asked for otherwise, and at most. */
const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

function invalid(what: string): LakeSyncError {
  return new LakeSyncError("VALIDATION_ERROR", what);
}

function timeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = TIME.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(ms)) throw invalid(`${name} is a time such as 2026-01-31T09:30:00Z`);
  return ms;
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT;
  if (!/^[1-9]\d{0,14}$/.test(text)) throw invalid("limit is a whole number from 1");
  return Math.min(Number(text), MAX_LIMIT);
}

/** The gateway that is asked about: the token's own where it is not for all of them. */
function gatewayOf(asked: string | undefined, token: VerifiedToken): string | undefined {
  if (asked === undefined) return token.gw === "*" ? undefined : token.gw;
  if (!isGatewayId(asked)) throw invalid("gateway is the id of one gateway");
  callerOf(token, asked);
  return asked;
}

function queryOf(query: (name: string) => string | undefined, token: VerifiedToken): AuditQuery {
  const fromMs = timeOf("from", query("from"));
  const toMs = timeOf("to", query("to"));
  const gatewayId = gatewayOf(query("gateway"), token);
  const [sub, what, cursor] = [query("who"), query("what"), query("cursor")];
  if (what !== undefined && !isAuditAction(what)) {
    throw invalid(`what is one of ${Object.keys(AUDIT_ACTIONS).join(", ")}`);
  }
  if (cursor !== undefined && !isAuditCursor(cursor)) {
    throw invalid("cursor is none of this log, use that of the page before");
  }
  return {
    limit: limitOf(query("limit")),
    ...(fromMs === undefined ? {} : { fromMs }),
    ...(toMs === undefined ? {} : { toMs }),
    ...(gatewayId === undefined ? {} : { gatewayId }),
    ...(sub === undefined ? {} : { sub: auditName(sub) }),
    ...(what === undefined ? {} : { what }),
    ...(cursor === undefined ? {} : { cursor }),
  };
}

function entryJson({ id, atMs, what, outcome, sub, role, ...others }: AuditEntry): JsonValue {
  return {
    id,
    at: new Date(atMs).toISOString(),
    what,
    outcome,
    who: { ...(sub === undefined ? {} : { sub }), ...(role === undefined ? {} : { role }) },
    ...others,
  };
}

/** Entries without those about gateways that the user is kept out of. */
async function admittedOf(
  context: ServerContext,
  entries: readonly AuditEntry[],
  token: VerifiedToken,
): Promise<readonly AuditEntry[]> {
  const ids = new Set(entries.flatMap(({ gatewayId }) => gatewayId ?? []));
  for (const id of ids) if (await isLetIn(context, id, token)) ids.delete(id);
  return entries.filter(({ gatewayId }) => gatewayId === undefined || !ids.has(gatewayId));
}

/** `GET /v1/admin/audit`: entries, the newest first. */
export function auditHandler(context: ServerContext): Handler {
  return async (c) => {
    const token = await authenticate(context, c.env.scope);
    refuseWhenDraining(context);
    const { entries, cursor } = await context.audit.list(
      queryOf((name) => c.req.query(name), token),
    );
    const admitted = await admittedOf(context, entries, token);
    return replyJson(c.req.raw, {
      entries: admitted.map(entryJson),
      ...(cursor === undefined ? {} : { cursor }),
    });
  };
}
