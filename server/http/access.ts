/**
 * `/v1/admin/access/:gatewayId`, for tokens of role admin: who and what is kept out of a gateway.
 * JSON only.
 *
 * @module
 */

import { LakeSyncError, parseJsonBody } from "@lakesync/core";
import { ACCESS_KINDS, type AccessChange, countOf, readChange } from "../access/model.ts";
import type { AccessLists, AccessState } from "../access/lists.ts";
import type { Gateway } from "../gateway/gateway.ts";
import { admitAdmin, boundsOf } from "./admin.ts";
import { readBody, utf8 } from "./body.ts";
import type { Handler, RequestContext, ServerContext } from "./context.ts";
import { findGateway } from "./guard.ts";
import { commitWithAnswer } from "./idempotency.ts";
import { bodyFormat } from "./media.ts";
import { replyJson } from "./reply.ts";

/** How long a change waits until closed tables are closed, in milliseconds. */
const TABLES_WAIT_MS = 10_000;

/** How many names a note in the audit log has of each kind. */
const NOTED_NAMES = 20;

function listsOf({ lists }: ServerContext): AccessLists {
  if (lists !== undefined) return lists;
  throw new LakeSyncError("NOT_FOUND", "This server keeps no lists of who is kept out");
}

function replyState(c: RequestContext, gatewayId: string, state: AccessState): Response {
  return replyJson(c.req.raw, { gatewayId, ...state });
}

/** `GET /v1/admin/access/:gatewayId`. */
export function getAccessHandler(context: ServerContext): Handler {
  return async (c) => {
    const { id } = await findGateway(context, await admitAdmin(context, c));
    return replyState(c, id, listsOf(context).state(id));
  };
}

async function readRequest(c: RequestContext): Promise<AccessChange> {
  if (bodyFormat(c.req.raw.headers) !== "json") {
    throw new LakeSyncError("UNSUPPORTED_MEDIA_TYPE", "A change is sent as application/json");
  }
  return readChange(parseJsonBody(utf8(await readBody(c.req.raw, boundsOf(c)))));
}

/** Refuses to deny what is not there, which may be a slip of the pen. */
function checkTables({ schema }: Gateway, { deny }: AccessChange): void {
  const unknown = deny.tables.find((name) => schema?.tables.has(name) !== true);
  if (unknown === undefined) return;
  const name = JSON.stringify(unknown);
  throw new LakeSyncError("VALIDATION_ERROR", `deny.tables has ${name}, which no table is called`);
}

/** What the audit log is told. */
function noteOf({ deny, undeny }: AccessChange): Record<string, string[] | number> {
  const note: Record<string, string[] | number> = {
    denied: countOf(deny),
    undenied: countOf(undeny),
  };
  for (const [what, names] of [["deny", deny], ["undeny", undeny]] as const) {
    for (const kind of ACCESS_KINDS) {
      if (names[kind].length > 0) note[`${what}.${kind}`] = names[kind].slice(0, NOTED_NAMES);
    }
  }
  return note;
}

/**
 * `POST /v1/admin/access/:gatewayId`: denies, or takes denials back, in one commit with its entry in
 * the audit log and its answer for an `Idempotency-Key`. When it answers it holds in this process,
 * and live connections of those who are denied are closed.
 */
export function changeAccessHandler(context: ServerContext): Handler {
  return async (c) => {
    const gateway = await findGateway(context, await admitAdmin(context, c));
    const { id } = gateway;
    const lists = listsOf(context);
    const change = await readRequest(c);
    checkTables(gateway, change);
    c.env.scope.auditDetails = noteOf(change);
    return await lists.change(id, change, async (batch, after) => {
      const answered = await commitWithAnswer(context, c, batch, replyState(c, id, after));
      if (answered !== undefined) return answered;
      throw new LakeSyncError("BACKPRESSURE", "The lists were changed meanwhile, send it again");
    });
  };
}

/**
 * Has changed lists hold before anybody is told that they do, also by an answer that was kept: who
 * has changed them may have been killed between the two.
 *
 * @param context where the lists are
 * @param handler changes the lists
 * @returns a handler that does the same
 */
export function holding(context: ServerContext, handler: Handler): Handler {
  return async (c) => {
    const response = await handler(c);
    await context.lists?.follow();
    const { gatewayId } = c.env.scope;
    if (gatewayId === undefined) return response;
    const gateway = await findGateway(context, gatewayId);
    await gateway.refreshTables(TABLES_WAIT_MS);
    return response;
  };
}
