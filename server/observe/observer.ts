/**
 * All that watches one server: its counts and metrics, its lines in the log, its spans.
 *
 * @module
 */

import type { Gateways } from "../gateway/gateway.ts";
import type { GatewayObserver } from "../gateway/observer.ts";
import type { RequestObserver } from "../http/lifecycle.ts";
import { AccessLog } from "./access_log.ts";
import { Counts } from "./counts.ts";
import { watchEventLoop } from "./event_loop.ts";
import { type FlushWatch, FlushWatcher } from "./flushes.ts";
import { measureGateways } from "./gateways.ts";
import { type LiveObserver, LiveWatcher } from "./live.ts";
import { createMetrics, type Metrics, type MetricSources } from "./metrics.ts";
import { MetricSet } from "./metric_set.ts";
import { RequestWatcher } from "./requests.ts";
import { findTracing } from "./tracing.ts";

/** How a server is watched. */
export interface ObserverOptions {
  /** Lines of requests that went well which are logged in a second. */
  readonly maxLinesPerSecond: number;
}

/** Watches one server, until it is closed. */
export class ServerObserver {
  readonly #counts = new Counts();
  readonly #set = new MetricSet();
  readonly #tracing = findTracing();
  readonly #flushes = new FlushWatcher(this.#counts, this.#set, this.#tracing);
  #stop = () => {};
  /** Watches requests. */
  readonly requests: RequestObserver;
  /** Watches live connections. */
  readonly live: LiveObserver;

  /** @param options how */
  constructor({ maxLinesPerSecond }: ObserverOptions) {
    const log = new AccessLog(maxLinesPerSecond);
    this.requests = new RequestWatcher(this.#counts, log, this.#tracing);
    this.live = new LiveWatcher(this.#counts, log);
  }

  /** Is told what commits did. */
  get commits(): GatewayObserver {
    return this.#counts;
  }

  /** Gateways whose pushes and pulls are measured. */
  gateways(gateways: Gateways): Gateways {
    const meter = {
      counts: this.#counts,
      pushMs: this.#set.histogram("lakesync_push_latency_ms"),
      pullSeconds: this.#set.histogram("lakesync_pull_latency_seconds"),
      pullPages: this.#set.histogram("lakesync_pull_pages"),
    };
    return measureGateways(gateways, meter, this.#tracing?.step);
  }

  /** Watches the flush of a gateway to one of its destinations. */
  flush(gatewayId: string, destination: string): FlushWatch {
    return this.#flushes.watch(gatewayId, destination);
  }

  /** The metrics, with what is looked at when somebody asks; the event loop from now on. */
  metrics(sources: Omit<MetricSources, "counts">): Metrics {
    this.#stop();
    this.#stop = watchEventLoop(this.#set.histogram("lakesync_event_loop_delay_seconds"));
    return createMetrics(this.#set, { ...sources, counts: this.#counts });
  }

  /** Ends the watching. */
  close(): void {
    this.#stop();
  }
}
