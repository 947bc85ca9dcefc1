/**
 * Which routes there are, as data: the app answers these and no others, and the OpenAPI
 * description says the same. What each takes and answers is in `openapi_operations.ts`.
 *
 * @module
 */

/** What can be asked of a server; also the `operationId` in its OpenAPI description. */
export type OperationId =
  | "push"
  | "pull"
  | "pullByPost"
  | "checkpoint"
  | "connect"
  | "getSchema"
  | "putSchema"
  | "getRules"
  | "putRules"
  | "explain"
  | "getStats"
  | "flush"
  | "getDestinations"
  | "getCursors"
  | "resetCursor"
  | "getTail"
  | "listGateways"
  | "getAudit"
  | "getAccess"
  | "changeAccess"
  | "icebergConfig"
  | "icebergTokens"
  | "icebergNamespaces"
  | "icebergNamespace"
  | "icebergTables"
  | "icebergTable"
  | "getLivez"
  | "getHealth"
  | "getStartupz"
  | "getReady"
  | "getHealthReady"
  | "getMetrics"
  | "getDescription";

/** The methods that some route takes. */
export const METHODS = ["GET", "POST", "PUT"] as const;

/** A method that some route takes. */
export type Method = typeof METHODS[number];

/** What each method of a path does. */
export type PathRoutes = Readonly<Partial<Record<Method, OperationId>>>;

/** All routes: a path, with `{name}` for a segment that varies, and its methods. */
export const ROUTES: Readonly<Record<string, PathRoutes>> = {
  "/v1/sync/{gatewayId}/push": { POST: "push" },
  "/v1/sync/{gatewayId}/pull": { GET: "pull", POST: "pullByPost" },
  "/v1/sync/{gatewayId}/checkpoint": { GET: "checkpoint" },
  "/v1/sync/{gatewayId}": { GET: "connect" },
  "/v1/admin/schema/{gatewayId}": { GET: "getSchema", PUT: "putSchema" },
  "/v1/admin/sync-rules/{gatewayId}": { GET: "getRules", PUT: "putRules" },
  "/v1/admin/sync-rules/{gatewayId}/explain": { POST: "explain" },
  "/v1/admin/stats/{gatewayId}": { GET: "getStats" },
  "/v1/admin/flush/{gatewayId}": { POST: "flush" },
  "/v1/admin/destinations/{gatewayId}": { GET: "getDestinations" },
  "/v1/admin/cursors/{gatewayId}": { GET: "getCursors" },
  "/v1/admin/cursors/{gatewayId}/reset": { POST: "resetCursor" },
  "/v1/admin/tail/{gatewayId}": { GET: "getTail" },
  "/v1/admin/gateways": { GET: "listGateways" },
  "/v1/admin/audit": { GET: "getAudit" },
  "/v1/admin/access/{gatewayId}": { GET: "getAccess", POST: "changeAccess" },
  "/v1/iceberg/v1/config": { GET: "icebergConfig" },
  "/v1/iceberg/v1/oauth/tokens": { POST: "icebergTokens" },
  "/v1/iceberg/v1/{warehouse}/namespaces": { GET: "icebergNamespaces" },
  "/v1/iceberg/v1/{warehouse}/namespaces/{namespace}": { GET: "icebergNamespace" },
  "/v1/iceberg/v1/{warehouse}/namespaces/{namespace}/tables": { GET: "icebergTables" },
  "/v1/iceberg/v1/{warehouse}/namespaces/{namespace}/tables/{table}": { GET: "icebergTable" },
  "/livez": { GET: "getLivez" },
  "/health": { GET: "getHealth" },
  "/startupz": { GET: "getStartupz" },
  "/ready": { GET: "getReady" },
  "/health/ready": { GET: "getHealthReady" },
  "/metrics": { GET: "getMetrics" },
  "/openapi.json": { GET: "getDescription" },
};

/** The paths of the routes by how many segments they have. */
const TEMPLATES = Map.groupBy(
  Object.keys(ROUTES).map((route) => ({ route, segments: route.split("/") })),
  ({ segments }) => segments.length,
);

/** A path as the routes have it. */
export interface FoundRoute {
  /** The route: `/v1/sync/{gatewayId}/push`. */
  readonly route: string;
  /** What stands where the route has a gateway, as it came. */
  readonly gatewayId: string | undefined;
}

/**
 * Finds the route of a request that is answered before any route is asked.
 *
 * @param path its path
 * @returns undefined when there is none
 */
export function findRoute(path: string): FoundRoute | undefined {
  const parts = path.split("/");
  const found = TEMPLATES.get(parts.length)?.find(({ segments }) =>
    segments.every((segment, i) => segment === parts[i] || (segment[0] === "{" && parts[i] !== ""))
  );
  if (found === undefined) return undefined;
  return { route: found.route, gatewayId: parts[found.segments.indexOf("{gatewayId}")] };
}

/** What whoever operates the server asks for; it is answered at any time, to anybody. */
const OPERATIONS: ReadonlySet<string> = new Set([
  "/livez",
  "/health",
  "/startupz",
  "/ready",
  "/health/ready",
  "/metrics",
  "/openapi.json",
]);

/** Whether a path is a probe, the metrics or the description of the routes. */
export function isOperations(path: string): boolean {
  return OPERATIONS.has(path);
}
