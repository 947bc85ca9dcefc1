/**
 * What answers each route, and what holds for every answer. Which routes there are is in
 * `routes.ts`; what a route does is in a file of its own.
 *
 * @module
 */

import { Hono } from "@hono/hono";
import { LakeSyncError } from "@lakesync/core";
import { checkGatewayId } from "../bounds.ts";
import { changeAccessHandler, getAccessHandler, holding } from "./access.ts";
import { gatewaysHandler, getSchemaHandler, putSchemaHandler, statsHandler } from "./admin.ts";
import { auditHandler } from "./audit.ts";
import { auditDone, auditRefused } from "./audited.ts";
import { cursorsHandler, resetCursorHandler } from "./cursors.ts";
import { destinationsHandler, flushHandler } from "./destinations.ts";
import { ByteBudget, MAX_HELD_BYTES } from "./budget.ts";
import { checkpointHandler } from "./checkpoint.ts";
import type { App, Env, Handler, ServerContext } from "./context.ts";
import {
  icebergConfigHandler,
  icebergNamespaceHandler,
  icebergNamespacesHandler,
  icebergTableHandler,
  icebergTablesHandler,
  icebergTokensHandler,
} from "./iceberg.ts";
import { idempotent } from "./idempotency.ts";
import { AnswerHeaders } from "./headers.ts";
import { isIcebergPath, replyIcebergError } from "./iceberg_reply.ts";
import { refuseEarly } from "./guard.ts";
import { admitTo } from "./guard.ts";
import { livezHandler, metricsHandler, readyHandler, startupzHandler } from "./health.ts";
import { descriptionHandler } from "./openapi.ts";
import { CALLER_GONE_STATUS, RequestLifecycle, type RequestOrigin } from "./lifecycle.ts";
import { OPERATIONS } from "./openapi_operations.ts";
import { paced } from "./paced.ts";
import { pullHandler } from "./pull.ts";
import { pushHandler } from "./push.ts";
import { replyError } from "./reply.ts";
import type { RequestScope } from "./request_scope.ts";
import { isOperations, METHODS, type OperationId, ROUTES } from "./routes.ts";
import { explainHandler, getRulesHandler, putRulesHandler } from "./rules.ts";
import { tailHandler } from "./tail.ts";

/** Answers requests. */
export interface RequestHandler {
  /** Answers one; it never rejects. */
  (request: Request, origin?: RequestOrigin): Promise<Response>;
  /** Those that are under way. */
  readonly requests: Pick<RequestLifecycle, "active" | "underWay">;
}

/** When unversioned paths were deprecated (RFC 9745) and when they end (RFC 8594). */
const DEPRECATION = "@1793491200";
const SUNSET = "Mon, 01 Nov 2027 00:00:00 GMT";

/** Routes whose middle or end must be a gateway id; what else stands there is no gateway id. */
const GATEWAY_ROUTE =
  /^\/v1\/(?:sync\/(.*)\/(?:push|pull|checkpoint)|admin\/(?:schema|stats|flush|sync-rules|tail|access|cursors)\/(.*?)(?:\/explain|\/reset)?)$/;

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
    getAccess: getAccessHandler(context),
    changeAccess: changeAccessHandler(context),
    flush: flushHandler(context),
    getDestinations: destinationsHandler(context),
    getCursors: cursorsHandler(context),
    resetCursor: resetCursorHandler(context),
    getTail: tailHandler(context),
    listGateways: gatewaysHandler(context),
    getAudit: auditHandler(context),
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

/** Lets those to a handler whose token has the role that the operation needs; nobody else does. */
function admitting(context: ServerContext, operation: OperationId, handler: Handler): Handler {
  const { access } = OPERATIONS[operation];
  if (access === "none") return handler;
  return async (c) => {
    const id = c.req.param("gatewayId");
    await admitTo(context, c.env.scope, { id, role: access, isSocket: operation === "connect" });
    return await handler(c);
  };
}

function addRoutes(app: App, context: ServerContext): void {
  const handlers = handlersOf(context);
  for (const [template, operations] of Object.entries(ROUTES)) {
    const path = template.replaceAll(/\{(\w+)\}/g, ":$1");
    const allowed: string[] = [];
    for (const method of METHODS) {
      const operation = operations[method];
      if (operation === undefined) continue;
      allowed.push(method);
      const done = auditDone(context, operation, handlers[operation]);
      const once = idempotent(context, method, operation, done);
      const held = operation === "changeAccess" ? holding(context, once) : once;
      const handler = auditRefused(context, operation, admitting(context, operation, held));
      app.on(method, path, (c) => {
        c.env.scope.route = template;
        return handler(c);
      });
    }
    const allow = allowed.join(", ");
    app.all(path, (c) => {
      const error = new LakeSyncError(
        "METHOD_NOT_ALLOWED",
        `The method is not allowed here, use ${allow}`,
      );
      return replyFailure(c.env.scope, error, { Allow: allow });
    });
  }
}

/** Answers with an error in the form that its path has. */
function replyFailure(
  scope: RequestScope,
  error: unknown,
  headers: Record<string, string> = {},
): Response {
  if (scope.deadline.isGone) return new Response(null, { status: CALLER_GONE_STATUS });
  scope.code = error instanceof LakeSyncError ? error.code : "INTERNAL_ERROR";
  return isIcebergPath(scope.path)
    ? replyIcebergError(error, scope.id, headers)
    : replyError(scope.request, error, scope.id, headers);
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
  const budget = new ByteBudget(MAX_HELD_BYTES, () => context.pressure?.freeBytes ?? Infinity);
  const headers = new AnswerHeaders(context.http ?? {});
  addRoutes(app, context);
  app.all("/sync/*", redirect);
  app.all("/admin/*", redirect);

  app.notFound((c) => {
    if (isIcebergPath(c.req.path) && !["GET", "HEAD"].includes(c.req.method)) {
      const error = new LakeSyncError("METHOD_NOT_ALLOWED", "The catalog can only be read");
      return replyFailure(c.env.scope, error, { Allow: "GET" });
    }
    const match = GATEWAY_ROUTE.exec(c.req.path);
    if (match !== null) checkGatewayId(match[1] ?? match[2]);
    throw new LakeSyncError("NOT_FOUND", "There is nothing at this path");
  });
  app.onError((error, c) => replyFailure(c.env.scope, error));

  async function answer(scope: RequestScope): Promise<Response> {
    const lease = budget.lease(() => scope.sub ?? scope.ip);
    try {
      checkAddress(scope.request);
      if (!isOperations(scope.path)) await refuseEarly(context, scope);
      headers.checkSocket(scope.request);
      const answer = headers.preflight(scope.request) ??
        await app.fetch(scope.request, { scope, lease });
      return finish(scope, answer);
    } catch (error) {
      return finish(scope, replyFailure(scope, error));
    } finally {
      lease.end();
    }
  }

  /** What holds for every answer. */
  function finish(scope: RequestScope, response: Response): Response {
    response.headers.set("X-Request-Id", scope.id);
    response.headers.set("API-Version", "v1");
    headers.apply(scope.request, response.headers);
    for (const [name, value] of scope.headers) response.headers.set(name, value);
    // Who keeps the connection would only be refused on it.
    if (context.phase() === "draining") response.headers.set("Connection", "close");
    return paced(response, scope);
  }

  const requests = new RequestLifecycle({
    timeoutMs: context.limits.requestTimeoutMs,
    answer,
    refuse: (scope, error) => finish(scope, replyFailure(scope, error)),
    observer: context.observer,
    clock: context.clock,
  });
  return Object.assign(
    (request: Request, origin: RequestOrigin = { ip: "", signal: request.signal }) =>
      requests.handle(request, origin),
    { requests },
  );
}
