/**
 * What answers each route, and what holds for every answer. Which routes there are is in
 * `routes.ts`; what a route does is in a file of its own.
 *
 * @module
 */

import { Hono } from "@hono/hono";
import { LakeSyncError } from "@lakesync/core";
import { checkGatewayId } from "../bounds.ts";
import { gatewaysHandler, getSchemaHandler, putSchemaHandler, statsHandler } from "./admin.ts";
import { destinationsHandler, flushHandler } from "./destinations.ts";
import { ByteBudget } from "./budget.ts";
import { checkpointHandler } from "./checkpoint.ts";
import type { App, Env, Handler, RequestContext, ServerContext } from "./context.ts";
import {
  icebergConfigHandler,
  icebergNamespaceHandler,
  icebergNamespacesHandler,
  icebergTableHandler,
  icebergTablesHandler,
  icebergTokensHandler,
} from "./iceberg.ts";
import { isIcebergPath, replyIcebergError } from "./iceberg_reply.ts";
import { livezHandler, metricsHandler, readyHandler, startupzHandler } from "./health.ts";
import { descriptionHandler } from "./openapi.ts";
import { pullHandler } from "./pull.ts";
import { pushHandler } from "./push.ts";
import { replyError } from "./reply.ts";
import { RequestScope } from "./request_scope.ts";
import { METHODS, type OperationId, ROUTES } from "./routes.ts";
import { explainHandler, getRulesHandler, putRulesHandler } from "./rules.ts";
import { tailHandler } from "./tail.ts";

/** Where a request comes from. */
export interface RequestOrigin {
  /** The address; empty where that is not known. */
  readonly ip: string;
  /** Aborts when its caller is gone. */
  readonly signal: AbortSignal;
}

/** Answers requests. */
export type RequestHandler = (request: Request, origin?: RequestOrigin) => Promise<Response>;

const NOWHERE: RequestOrigin = { ip: "", signal: new AbortController().signal };

/** When unversioned paths were deprecated (RFC 9745) and when they end (RFC 8594). */
const DEPRECATION = "@1793491200";
const SUNSET = "Mon, 01 Nov 2027 00:00:00 GMT";

/** Routes whose middle or end must be a gateway id; what else stands there is no gateway id. */
const GATEWAY_ROUTE =
  /^\/v1\/(?:sync\/(.*)\/(?:push|pull|checkpoint)|admin\/(?:schema|stats|flush|sync-rules|tail)\/(.*?)(?:\/explain)?)$/;

function handlersOf(context: ServerContext): Readonly<Record<OperationId, Handler>> {
  const pull = pullHandler(context);
  const ready = readyHandler(context);
  return {
    push: pushHandler(context),
    pull,
    pullByPost: pull,
    checkpoint: checkpointHandler(context),
    connect: (c) => context.live.accept(c.env.scope, checkGatewayId(c.req.param("gatewayId"))),
    getSchema: getSchemaHandler(context),
    putSchema: putSchemaHandler(context),
    getRules: getRulesHandler(context),
    putRules: putRulesHandler(context),
    explain: explainHandler(context),
    getStats: statsHandler(context),
    flush: flushHandler(context),
    getDestinations: destinationsHandler(context),
    getTail: tailHandler(context),
    listGateways: gatewaysHandler(context),
    icebergConfig: icebergConfigHandler(context),
    icebergTokens: icebergTokensHandler,
    icebergNamespaces: icebergNamespacesHandler(context),
    icebergNamespace: icebergNamespaceHandler(context),
    icebergTables: icebergTablesHandler(context),
    icebergTable: icebergTableHandler(context),
    getLivez: livezHandler,
    getHealth: livezHandler,
    getStartupz: startupzHandler(context),
    getReady: ready,
    getHealthReady: ready,
    getMetrics: metricsHandler(context),
    getDescription: descriptionHandler,
  };
}

function addRoutes(app: App, handlers: Readonly<Record<OperationId, Handler>>): void {
  for (const [template, operations] of Object.entries(ROUTES)) {
    const path = template.replaceAll(/\{(\w+)\}/g, ":$1");
    const allowed: string[] = [];
    for (const method of METHODS) {
      const operation = operations[method];
      if (operation === undefined) continue;
      allowed.push(method);
      app.on(method, path, handlers[operation]);
    }
    const allow = allowed.join(", ");
    app.all(path, (c) => {
      const error = new LakeSyncError(
        "METHOD_NOT_ALLOWED",
        `The method is not allowed here, use ${allow}`,
      );
      return replyFailure(c, error, { Allow: allow });
    });
  }
}

/** Answers with an error in the form that its path has. */
function replyFailure(
  { req, env }: RequestContext,
  error: unknown,
  headers: Record<string, string> = {},
): Response {
  return isIcebergPath(req.path)
    ? replyIcebergError(error, env.scope.id, headers)
    : replyError(req.raw, error, env.scope.id, headers);
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

/** A host and perhaps a port; nothing in it can be taken for a part of the path. */
const HOST = /^(?:(?:[\w.~-]+|\[[\da-f:.]+\])(?::\d{1,5})?)?$/i;

/**
 * Refuses a request whose address cannot be told: the runtime puts the `Host` header, as it came,
 * before the path, so that `Host: a/b?` would make another path of it.
 *
 * @throws {LakeSyncError} `VALIDATION_ERROR`
 */
function checkAddress({ url, headers }: Request): void {
  if (HOST.test(headers.get("Host") ?? "") && URL.canParse(url)) return;
  throw new LakeSyncError("VALIDATION_ERROR", "The Host or the address is none, send a right one");
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
  addRoutes(app, handlersOf(context));
  app.all("/sync/*", redirect);
  app.all("/admin/*", redirect);

  app.notFound((c) => {
    if (isIcebergPath(c.req.path) && !["GET", "HEAD"].includes(c.req.method)) {
      const error = new LakeSyncError("METHOD_NOT_ALLOWED", "The catalog can only be read");
      return replyFailure(c, error, { Allow: "GET" });
    }
    const match = GATEWAY_ROUTE.exec(c.req.path);
    if (match !== null) checkGatewayId(match[1] ?? match[2]);
    throw new LakeSyncError("NOT_FOUND", "There is nothing at this path");
  });
  app.onError((error, c) => replyFailure(c, error));

  async function answer(request: Request, bindings: Env["Bindings"]): Promise<Response> {
    try {
      checkAddress(request);
    } catch (error) {
      return replyError(request, error, bindings.scope.id);
    }
    return await app.fetch(request, bindings);
  }

  return async (request, { ip, signal } = NOWHERE) => {
    const id = requestIdOf(request.headers);
    const scope = new RequestScope({ id, request, ip, signal });
    const lease = budget.lease();
    try {
      const response = await answer(request, { scope, lease });
      response.headers.set("X-Request-Id", id);
      response.headers.set("API-Version", "v1");
      return response;
    } finally {
      lease.end();
    }
  };
}
