/**
 * `/v1/admin/sync-rules/…`, for tokens of role admin: who sees and writes what. JSON only.
 *
 * @module
 */

import { type JsonValue, LakeSyncError, parseJsonBody } from "@lakesync/core";
import { rulesDetails } from "../audit/details.ts";
import type { ExplainRequest, Gateway } from "../gateway/gateway.ts";
import { boundsOf } from "./admin.ts";
import { readBody, utf8 } from "./body.ts";
import type { Handler, RequestContext, ServerContext } from "./context.ts";
import { admit, findGateway } from "./guard.ts";
import { bodyFormat } from "./media.ts";
import { replyJson } from "./reply.ts";

/** How long a PUT waits until its rules hold, in milliseconds. */
const BUILD_WAIT_MS = 10_000;

/** Says whether rules hold or are still being built. */
const STATE_HEADER = "X-LakeSync-Rules";

async function gatewayOf(context: ServerContext, c: RequestContext): Promise<Gateway> {
  const id = c.req.param("gatewayId");
  const { gatewayId } = await admit(context, c.env.scope, id);
  return await findGateway(context, gatewayId);
}

async function readJson(c: RequestContext, what: string): Promise<JsonValue> {
  if (bodyFormat(c.req.raw.headers) !== "json") {
    throw new LakeSyncError("UNSUPPORTED_MEDIA_TYPE", `${what} are sent as application/json`);
  }
  const body = await readBody(c.req.raw, boundsOf(c));
  return parseJsonBody(utf8(body));
}

/**
 * `PUT /v1/admin/sync-rules/:gatewayId`: stores rules. 200 when they hold, 202 when rows are still
 * being placed by them; until they hold the rules before do.
 */
export function putRulesHandler(context: ServerContext): Handler {
  return async (c) => {
    const gateway = await gatewayOf(context, c);
    const spec = await readJson(c, "Rules");
    c.env.scope.deadline.allow(BUILD_WAIT_MS);
    const before = (await gateway.rules()).rules;
    const { rules, building } = await gateway.putRules(spec, BUILD_WAIT_MS);
    const put = building ?? rules;
    if (put !== undefined) {
      c.env.scope.auditDetails = rulesDetails(before, put, building !== undefined);
    }
    return building === undefined
      ? replyJson(c.req.raw, rules ?? spec, { [STATE_HEADER]: "active" })
      : replyJson(c.req.raw, building, { [STATE_HEADER]: "building" }, 202);
  };
}

/** `GET /v1/admin/sync-rules/:gatewayId`: the rules that hold. */
export function getRulesHandler(context: ServerContext): Handler {
  return async (c) => {
    const gateway = await gatewayOf(context, c);
    const { rules, building } = await gateway.rules();
    if (rules === undefined) {
      throw new LakeSyncError(
        "NOT_FOUND",
        building === undefined
          ? `The gateway ${gateway.id} has no sync rules yet, PUT some`
          : `The first sync rules of the gateway ${gateway.id} are still being built`,
      );
    }
    const state = building === undefined ? "active" : "building";
    return replyJson(c.req.raw, rules, { [STATE_HEADER]: state });
  };
}

function explainRequest(body: JsonValue): ExplainRequest {
  const invalid = (what: string) => new LakeSyncError("VALIDATION_ERROR", what);
  if (!isRecord(body)) throw invalid("The body must be an object");
  const { claims, table, rowId, ...others } = body;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) {
    throw invalid(`Unknown field ${JSON.stringify(unknown.slice(0, 64))}`);
  }
  if (!isRecord(claims)) throw invalid("claims must be an object");
  if (typeof table !== "string") throw invalid("table must be a string");
  if (typeof rowId !== "string") throw invalid("rowId must be a string");
  return { claims, table, rowId };
}

function isRecord(value: JsonValue | undefined): value is { readonly [name: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * `POST /v1/admin/sync-rules/:gatewayId/explain`: why a user with these claims sees a row or not,
 * and may write it or not. The answer shows values of the row.
 */
export function explainHandler(context: ServerContext): Handler {
  return async (c) => {
    const gateway = await gatewayOf(context, c);
    const request = explainRequest(await readJson(c, "Questions"));
    const { table, claims: { sub } } = request;
    c.env.scope.auditDetails = { table, ...(typeof sub === "string" ? { user: sub } : {}) };
    return replyJson(c.req.raw, await gateway.explain(request));
  };
}
