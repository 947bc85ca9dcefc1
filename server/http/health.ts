/**
 * Probes and metrics, without a token: alive, started, ready.
 *
 * @module
 */

import type { Handler, ServerContext } from "./context.ts";
import type { CheckResults, Dependency } from "./readiness.ts";

/** The gateway that exists from the start. */
export const DEFAULT_GATEWAY = "default";

/** The record that is written to see that records can be. */
const PROBE_KEY = "probe";

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

/**
 * `GET /startupz`: 200 once the stores are open, schemas and rules hold, and every destination was
 * asked once where it stands. One that is down does not keep it from having started.
 */
export function startupzHandler({ phase, readiness }: ServerContext): Handler {
  return () =>
    phase() === "starting" || !(readiness?.isAsked ?? true)
      ? probe({ status: "starting" }, 503)
      : probe({ status: "started" }, 200);
}

/** The name of the store among the dependencies. */
const STORE = "store";

/**
 * What a server depends on: that the store of the gateway `default` and the server's own records are
 * written durably, and that destinations answer.
 */
export function dependenciesOf(
  { gateways, records, destinations }: Pick<ServerContext, "gateways" | "records" | "destinations">,
): readonly Dependency[] {
  return [
    { name: STORE, check: async () => await (await gateways.get(DEFAULT_GATEWAY))?.probe() },
    {
      name: "records",
      check: () => records.commit({ set: [{ key: PROBE_KEY, value: String(Date.now()) }] }),
    },
    ...destinations?.checks() ?? [],
  ];
}

/** What the answers come to: why the server is not ready, if it is not. */
export function reasonOf(
  results: CheckResults,
  destinations: ServerContext["destinations"],
  excluded: ReadonlySet<string> = new Set(),
): string | undefined {
  for (const name of [STORE, "records"]) if ((results[name] ?? "ok") !== "ok") return name;
  if (excluded.has("destinations")) return undefined;
  const tolerated = destinations?.tolerated() ?? new Set();
  const down = Object.entries(results).some(([name, result]) =>
    result === "late" || result !== "ok" && !tolerated.has(name)
  );
  return down ? "destinations" : undefined;
}

/**
 * `GET /ready`: 200 while requests are welcome and what the server depends on works. With
 * `?exclude=destinations` these are told and do not count.
 */
export function readyHandler({ phase, readiness, destinations }: ServerContext): Handler {
  return async (c) => {
    if (phase() !== "ready") {
      return probe({ status: "not_ready", reason: phase(), checks: {} }, 503);
    }
    const found = await readiness?.results() ?? {};
    const late = (destinations?.late() ?? []).map((name) => [name, "late"] as const);
    const results = { ...found, ...Object.fromEntries(late) };
    const excluded = new Set(c.req.queries("exclude"));
    const reason = reasonOf(results, destinations, excluded);
    return reason === undefined
      ? probe({ status: "ready", checks: results }, 200)
      : probe({ status: "not_ready", reason, checks: results }, 503);
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
