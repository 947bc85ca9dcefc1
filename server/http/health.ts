/**
 * Probes and metrics, without a token: alive, started, ready.
 *
 * @module
 */

import type { Handler, ServerContext } from "./context.ts";

/** The gateway that exists from the start. */
export const DEFAULT_GATEWAY = "default";

function probe(body: object, status: number): Response {
  return Response.json(body, {
    status,
    headers: {
      "Cache-Control": "no-store",
      ...(status === 503 ? { "Retry-After": "1" } : {}),
    },
  });
}

/** `GET /livez`: 200 while the process can answer. */
export const livezHandler: Handler = () => probe({ status: "ok" }, 200);

/** `GET /startupz`: 200 once the stores are open. */
export function startupzHandler(context: ServerContext): Handler {
  return () =>
    context.phase() === "starting"
      ? probe({ status: "starting" }, 503)
      : probe({ status: "started" }, 200);
}

/** `GET /ready`: 200 while requests are welcome, the store answers, and no destination lags by more
 * than it may. */
export function readyHandler(context: ServerContext): Handler {
  return async () => {
    const phase = context.phase();
    if (phase !== "ready") {
      return probe({ status: "not_ready", reason: phase, checks: {} }, 503);
    }
    try {
      const gateway = await context.gateways.get(DEFAULT_GATEWAY);
      await gateway?.stats();
    } catch {
      const checks = { store: "failed" };
      return probe({ status: "not_ready", reason: "store", checks }, 503);
    }
    const late = context.destinations?.late() ?? [];
    if (late.length > 0) {
      const checks = { store: "ok", destinations: `late: ${late.join(", ")}` };
      return probe({ status: "not_ready", reason: "destinations", checks }, 503);
    }
    return probe({ status: "ready", checks: { store: "ok", destinations: "ok" } }, 200);
  };
}

/** `GET /metrics`: what Prometheus is told. */
export function metricsHandler({ metrics }: ServerContext): Handler {
  return async () =>
    new Response(await metrics?.text() ?? "", {
      headers: {
        "Content-Type": metrics?.contentType ?? "text/plain; charset=utf-8",
        "Cache-Control": "no-store",
      },
    });
}
