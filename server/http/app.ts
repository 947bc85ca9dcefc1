/**
 * All routes. What a route does is in a file of its own; here is which there are and what holds
 * for every answer.
 *
 * @module
 */

import { Hono } from "@hono/hono";
import { LakeSyncError } from "@lakesync/core";
import { checkGatewayId } from "../bounds.ts";
import {
  flushHandler,
  gatewaysHandler,
  getSchemaHandler,
  putSchemaHandler,
  statsHandler,
} from "./admin.ts";
import { ByteBudget } from "./budget.ts";
import { checkpointHandler } from "./checkpoint.ts";
import type { App, Env, Handler, ServerContext } from "./context.ts";
import { livezHandler, readyHandler, startupzHandler } from "./health.ts";
import { pullHandler } from "./pull.ts";
import { pushHandler } from "./push.ts";
import { replyError } from "./reply.ts";
import { explainHandler, getRulesHandler, putRulesHandler } from "./rules.ts";

/** Answers requests. */
export type RequestHandler = (request: Request) => Promise<Response>;

/** When unversioned paths were deprecated (RFC 9745) and when they end (RFC 8594). */
const DEPRECATION = "@1793491200";
const SUNSET = "Mon, 01 Nov 2027 00:00:00 GMT";

const METHODS = ["GET", "POST", "PUT"] as const;

/** Routes whose middle or end must be a gateway id; what else stands there is no gateway id. */
const GATEWAY_ROUTE =
  /^\/v1\/(?:sync\/(.*)\/(?:push|pull|checkpoint)|admin\/(?:schema|stats|flush|sync-rules)\/(.*?)(?:\/explain)?)$/;

function route(
  app: App,
  path: string,
  handlers: Partial<Record<typeof METHODS[number], Handler>>,
): void {
  const allowed: string[] = [];
  for (const method of METHODS) {
    const handler = handlers[method];
    if (handler === undefined) continue;
    allowed.push(method);
    app.on(method, path, handler);
  }
  const allow = allowed.join(", ");
  app.all(path, (c) => {
    const error = new LakeSyncError(
      "METHOD_NOT_ALLOWED",
      `The method is not allowed here, use ${allow}`,
    );
    return replyError(c.req.raw, error, c.env.requestId, { Allow: allow });
  });
}

const redirect: Handler = (c) => {
  const { pathname, search } = new URL(c.req.url);
  return new Response(null, {
    status: 308,
    headers: {
      Location: `/v1${pathname}${search}`,
      Deprecation: DEPRECATION,
      Sunset: SUNSET,
    },
  });
};

function requestIdOf(headers: Headers): string {
  const given = headers.get("X-Request-Id");
  return given !== null && /^[\x21-\x7e]{1,128}$/.test(given) ? given : crypto.randomUUID();
}

/**
 * Makes the HTTP side of a server.
 *
 * @param context what the routes stand on
 * @returns answers requests; it never rejects
 */
export function createApp(context: ServerContext): RequestHandler {
  const app = new Hono<Env>();
  const budget = new ByteBudget();
  const pull = pullHandler(context);
  const ready = readyHandler(context);
  route(app, "/v1/sync/:gatewayId/push", { POST: pushHandler(context) });
  route(app, "/v1/sync/:gatewayId/pull", { GET: pull, POST: pull });
  route(app, "/v1/sync/:gatewayId/checkpoint", { GET: checkpointHandler(context) });
  route(app, "/v1/sync/:gatewayId", {
    GET: (c) =>
      context.live.accept(
        c.req.raw,
        checkGatewayId(c.req.param("gatewayId")),
        c.env.requestId,
      ),
  });
  route(app, "/v1/admin/schema/:gatewayId", {
    GET: getSchemaHandler(context),
    PUT: putSchemaHandler(context),
  });
  route(app, "/v1/admin/sync-rules/:gatewayId", {
    GET: getRulesHandler(context),
    PUT: putRulesHandler(context),
  });
  route(app, "/v1/admin/sync-rules/:gatewayId/explain", { POST: explainHandler(context) });
  route(app, "/v1/admin/stats/:gatewayId", { GET: statsHandler(context) });
  route(app, "/v1/admin/flush/:gatewayId", { POST: flushHandler(context) });
  route(app, "/v1/admin/gateways", { GET: gatewaysHandler(context) });
  route(app, "/livez", { GET: livezHandler });
  route(app, "/health", { GET: livezHandler });
  route(app, "/startupz", { GET: startupzHandler(context) });
  route(app, "/ready", { GET: ready });
  route(app, "/health/ready", { GET: ready });
  app.all("/sync/*", redirect);
  app.all("/admin/*", redirect);

  app.notFound((c) => {
    const match = GATEWAY_ROUTE.exec(c.req.path);
    if (match !== null) checkGatewayId(match[1] ?? match[2]);
    throw new LakeSyncError("NOT_FOUND", "There is nothing at this path");
  });
  app.onError((error, c) => replyError(c.req.raw, error, c.env.requestId));

  return async (request) => {
    const requestId = requestIdOf(request.headers);
    const lease = budget.lease();
    try {
      const response = await app.fetch(request, { requestId, lease });
      response.headers.set("X-Request-Id", requestId);
      response.headers.set("API-Version", "v1");
      return response;
    } finally {
      lease.end();
    }
  };
}
