/**
 * `/v1/admin/…`, for tokens of role admin. JSON only.
 *
 * @module
 */

import { DEFAULT_LIMITS, LakeSyncError, parseJsonBody, parseSchema } from "@lakesync/core";
import { schemaDetails } from "../audit/details.ts";
import { type BodyBounds, readBody, utf8 } from "./body.ts";
import type { Handler, RequestContext, ServerContext } from "./context.ts";
import { admit, authenticate, findGateway, isLetIn, refuseWhenDraining } from "./guard.ts";
import { statusJson } from "./destinations.ts";
import { bodyFormat } from "./media.ts";
import { replyJson } from "./reply.ts";

/** The bounds of an admin's body. */
export function boundsOf(c: RequestContext): BodyBounds {
  const { lease, scope } = c.env;
  return { maxBytes: DEFAULT_LIMITS.maxBodyBytes, lease, deadline: scope.deadline };
}

/** The path's gateway. */
export async function admitAdmin(
  context: ServerContext,
  c: RequestContext,
): Promise<string> {
  const id = c.req.param("gatewayId");
  const { gatewayId } = await admit(context, c.env.scope, id);
  return gatewayId;
}

/**
 * `PUT /v1/admin/schema/:gatewayId`: stores a schema, and makes the gateway if need be. With
 * `?force=true` clients that are still there may lose what it drops.
 */
export function putSchemaHandler(context: ServerContext): Handler {
  return async (c) => {
    const gatewayId = await admitAdmin(context, c);
    refuseWhenDraining(context);
    if (bodyFormat(c.req.raw.headers) !== "json") {
      throw new LakeSyncError(
        "UNSUPPORTED_MEDIA_TYPE",
        "A schema is sent as application/json",
      );
    }
    const body = await readBody(c.req.raw, boundsOf(c));
    const spec = parseJsonBody(utf8(body));
    parseSchema(spec);
    const gateway = await context.gateways.create(gatewayId);
    const force = c.req.query("force") === "true";
    const before = gateway.schema?.version ?? 0;
    const put = await gateway.putSchema(spec, force);
    c.env.scope.auditDetails = schemaDetails(before, put, force);
    return replyJson(c.req.raw, put);
  };
}

/** `GET /v1/admin/schema/:gatewayId`. */
export function getSchemaHandler(context: ServerContext): Handler {
  return async (c) => {
    const gateway = await findGateway(context, await admitAdmin(context, c));
    if (gateway.schema === undefined) {
      throw new LakeSyncError(
        "NOT_FOUND",
        `The gateway ${gateway.id} has no schema yet, PUT one`,
      );
    }
    return replyJson(c.req.raw, gateway.schema.spec);
  };
}

/** `GET /v1/admin/stats/:gatewayId`. */
export function statsHandler(context: ServerContext): Handler {
  return async (c) => {
    const gateway = await findGateway(context, await admitAdmin(context, c));
    const { gatewayId, epoch, seq, schemaVersion, clients, tables, log } = await gateway.stats();
    return replyJson(c.req.raw, {
      gatewayId,
      epoch,
      seq: String(seq),
      schemaVersion,
      clients,
      connections: context.live.count(gatewayId),
      tables,
      log,
      destinations: (context.destinations?.status(gatewayId) ?? []).map(statusJson),
    });
  };
}

/** `GET /v1/admin/gateways`: those the token is for, without those that its user is kept out of. */
export function gatewaysHandler(context: ServerContext): Handler {
  return async (c) => {
    const token = await authenticate(context, c.env.scope);
    refuseWhenDraining(context);
    const gateways = [];
    for (const id of await context.gateways.list()) {
      if (token.gw !== "*" && token.gw !== id || !await isLetIn(context, id, token)) continue;
      const gateway = await context.gateways.get(id);
      if (gateway === undefined) continue;
      const { gatewayId, seq, schemaVersion } = await gateway.stats();
      gateways.push({ gatewayId, seq: String(seq), schemaVersion });
    }
    return replyJson(c.req.raw, { gateways });
  };
}
