/**
 * Writes what admins do into the audit log, in one place for all routes: which action a route is
 * stands in a table that has every operation, so that none can be forgotten.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import type { AuditAction } from "../audit/actions.ts";
import type { AuditEvent, AuditOutcome } from "../audit/audit.ts";
import type { Handler, ServerContext } from "./context.ts";
import type { RequestScope } from "./request_scope.ts";
import type { OperationId } from "./routes.ts";

const logger = getLogger(["lakesync", "audit"]);

/** What each operation is to the audit log; null: nothing, since it is no admin's. */
export const AUDIT_ACTION_OF: Readonly<Record<OperationId, AuditAction | null>> = {
  push: null,
  pull: null,
  pullByPost: null,
  checkpoint: null,
  connect: null,
  getSchema: "admin.read",
  putSchema: "schema.put",
  getRules: "admin.read",
  putRules: "rules.put",
  explain: "rules.explain",
  getStats: "admin.read",
  flush: "flush.force",
  getDestinations: "admin.read",
  getCursors: "admin.read",
  resetCursor: "cursors.reset",
  getTail: "admin.read",
  listGateways: "admin.read",
  getAudit: "admin.read",
  getAccess: "admin.read",
  changeAccess: "access.change",
  icebergConfig: "admin.read",
  icebergTokens: null,
  icebergNamespaces: "admin.read",
  icebergNamespace: "admin.read",
  icebergTables: "admin.read",
  icebergTable: "admin.read",
  getLivez: null,
  getHealth: null,
  getStartupz: null,
  getReady: null,
  getHealthReady: null,
  getMetrics: null,
  getDescription: null,
};

/** Codes of requests that are to be sent again, and came to nothing. */
const NOT_YET: readonly string[] = ["RATE_LIMITED", "DRAINING", "BACKPRESSURE"];

function eventOf(
  scope: RequestScope,
  what: AuditAction,
  outcome: AuditOutcome,
  code?: AuditEvent["code"],
): AuditEvent {
  const { sub, role, ip, id, gatewayId, auditDetails } = scope;
  return {
    what,
    outcome,
    ...(sub === undefined ? {} : { sub }),
    ...(role === undefined ? {} : { role }),
    ...(ip === "" ? {} : { ip }),
    requestId: id,
    ...(gatewayId === undefined ? {} : { gatewayId }),
    ...(code === undefined ? {} : { code }),
    ...(auditDetails === undefined ? {} : { details: auditDetails }),
  };
}

/**
 * Whether a request that failed is to be told of. One without a good token is nobody's, and one
 * that is answered as before was told of before.
 */
function isTold(
  { sub, headers }: RequestScope,
  what: AuditAction,
  code: AuditEvent["code"],
): boolean {
  if (sub === undefined || headers.has("Idempotency-Replayed")) return false;
  if (what === "admin.read") return code === "FORBIDDEN";
  return code === undefined || !NOT_YET.includes(code);
}

/**
 * Writes down what a handler does, before its answer is given or kept for an `Idempotency-Key`: an
 * answer that is given again is of something that is in the log.
 *
 * @param context where the log is
 * @param operation what the handler does
 * @param handler the handler
 * @returns a handler that does the same; it throws too when what was done cannot be written down
 */
export function auditDone(
  context: ServerContext,
  operation: OperationId,
  handler: Handler,
): Handler {
  const what = AUDIT_ACTION_OF[operation];
  if (what === null || what === "admin.read") return handler;
  return async (c) => {
    const { scope } = c.env;
    scope.doneEvent = () => eventOf(scope, what, "done");
    const response = await handler(c);
    // Unless the log has got it in the commit of the effect.
    if (scope.doneEvent !== undefined) await context.audit.write(scope.doneEvent());
    return response;
  };
}

/**
 * Writes down what is refused, or fails: by the handler, or before it by whoever lets callers in.
 *
 * @param context where the log is
 * @param operation what the handler does
 * @param handler the handler, and who lets callers in
 * @returns a handler that does the same
 */
export function auditRefused(
  context: ServerContext,
  operation: OperationId,
  handler: Handler,
): Handler {
  const what = AUDIT_ACTION_OF[operation];
  if (what === null) return handler;
  return async (c) => {
    try {
      return await handler(c);
    } catch (error) {
      const { scope } = c.env;
      const code = error instanceof LakeSyncError ? error.code : undefined;
      if (isTold(scope, what, code)) {
        const outcome = code === undefined || code === "INTERNAL_ERROR" ? "failed" : "refused";
        await context.audit.write(eventOf(scope, what, outcome, code)).catch((cause: unknown) => {
          logger.error("{what} could not be written to the audit log: {cause}", { what, cause });
        });
      }
      throw error;
    }
  };
}
