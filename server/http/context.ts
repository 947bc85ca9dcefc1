/**
 * What the routes stand on, and what each request brings along.
 *
 * @module
 */

import type { Context as HonoContext, Hono } from "@hono/hono";
import type { AccessLists } from "../access/lists.ts";
import type { TokenFailures } from "../access/failures.ts";
import type { Audit } from "../audit/audit.ts";
import type { Authenticator } from "../auth/verify.ts";
import type { Destinations } from "../destinations/destinations.ts";
import type { Lakes } from "../destinations/lakes.ts";
import type { LiveObserver } from "../observe/live.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Gateways } from "../gateway/gateway.ts";
import type { ServerLimits } from "../limits.ts";
import type { RecordStore } from "../store/records.ts";
import type { ByteLease } from "./budget.ts";
import type { DeadlineClock } from "./deadline.ts";
import type { AccessGate, PressureGate, RateGate } from "./gates.ts";
import type { HeaderOptions } from "./headers.ts";
import type { RequestObserver } from "./lifecycle.ts";
import type { Readiness } from "./readiness.ts";
import type { RequestScope } from "./request_scope.ts";

/** Where the server is in its life. */
export type Phase = "starting" | "ready" | "draining";

/** The live connections, as far as HTTP has to do with them. */
export interface LiveConnections {
  /** How many there are to a gateway. */
  count(gatewayId: string): number;
  /** Turns a request into a live connection, or throws what refuses it. */
  accept(scope: RequestScope, gatewayId: string): Promise<Response>;
}

/** The destinations, as far as HTTP has to do with them. */
export type FlushedDestinations = Pick<
  Destinations,
  "status" | "problems" | "flushNow" | "reset" | "late" | "all" | "checks" | "tolerated"
>;

/** What the routes stand on. */
export interface ServerContext {
  /** The gateways. */
  readonly gateways: Gateways;
  /** Where changes are flushed to; nowhere unless given. */
  readonly destinations?: FlushedDestinations;
  /** The lakes among them; none unless given. */
  readonly lakes?: Pick<Lakes, "all">;
  /** What Prometheus is told; nothing unless given. */
  readonly metrics?: Metrics;
  /** Checks tokens. */
  readonly authenticator: Authenticator;
  /** What the headers of answers go by. */
  readonly http?: HeaderOptions;
  /** What the process holds its callers to. */
  readonly limits: ServerLimits;
  /** Records of the whole server. */
  readonly records: RecordStore;
  /** Remembers what admins do. */
  readonly audit: Audit;
  /** Turns work away while memory is short; never unless given. */
  readonly pressure?: PressureGate;
  /** Turns away those who ask too often; nobody unless given. */
  readonly rates?: RateGate;
  /** Keeps out who is on a list; nobody unless given. */
  readonly access?: AccessGate;
  /** Counts tokens that are refused; nobody unless given. */
  readonly failures?: Pick<TokenFailures, "refused">;
  /** Its lists, for admins; none unless given. */
  readonly lists?: AccessLists;
  /** Whether what the server depends on works; not looked at unless given. */
  readonly readiness?: Pick<Readiness, "results" | "isAsked">;
  /** What the time of requests goes by; the runtime's clock unless given. */
  readonly clock?: DeadlineClock;
  /** Is told of every request; nobody unless given. */
  readonly observer?: RequestObserver;
  /** Is told of every live connection; nobody unless given. */
  readonly liveObserver?: LiveObserver;
  /** The live connections. */
  readonly live: LiveConnections;
  /** Where the server is in its life. */
  readonly phase: () => Phase;
  /** Settles when the server has started or stops; requests that come before wait for it. */
  readonly started?: Promise<void>;
  /** Aborts when the server stops, so that held answers are given at once. */
  readonly stopping: AbortSignal;
}

/** What each request brings along, in Hono's terms. */
export interface Env {
  /** Hono's name for it. */
  Bindings: {
    /** What is known of the request. */
    readonly scope: RequestScope;
    /** What it holds of the server's memory. */
    readonly lease: ByteLease;
  };
}

/** A request on its way through the routes. */
export type RequestContext = HonoContext<Env>;

/** Answers a request. */
export type Handler = (c: RequestContext) => Response | Promise<Response>;

/** The Hono app that holds the routes. */
export type App = Hono<Env>;
