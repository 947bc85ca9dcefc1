/**
 * Watches requests: counts them, logs them, and lets everything that is logged meanwhile carry what
 * is known of them.
 *
 * @module
 */

import type { RequestEnd, RequestObserver } from "../http/lifecycle.ts";
import type { RequestScope } from "../http/request_scope.ts";
import { type AccessLog, knownClient } from "./access_log.ts";
import type { Counts } from "./counts.ts";
import { type LogFacts, withLogFacts } from "./log_context.ts";
import { statusOf } from "./status.ts";
import type { RequestTracer } from "./tracing.ts";

/**
 * Requests that come by the thousand. A context that follows their work costs them 13 % of the time
 * of the processor, and whoever logs anything of one knows its requestId.
 */
const SYNC_PREFIX = "/v1/sync/";

const SYNC = /^\/v1\/sync\/[^/]+\/(push|pull)$/;

/** Watches the requests of a server. */
export class RequestWatcher implements RequestObserver {
  readonly #counts: Counts;
  readonly #log: AccessLog;
  readonly #tracer: RequestTracer | undefined;

  /**
   * @param counts where to count
   * @param log where to log
   * @param tracer tells the spans of requests what is known of them; none unless given
   */
  constructor(counts: Counts, log: AccessLog, tracer?: RequestTracer) {
    this.#counts = counts;
    this.#log = log;
    this.#tracer = tracer;
  }

  begin(): void {
    this.#counts.activeRequests++;
  }

  run<T>(scope: RequestScope, work: () => Promise<T>): Promise<T> {
    const tracer = this.#tracer;
    const traced = tracer === undefined ? work : () => tracer.run(scope, work);
    return scope.path.startsWith(SYNC_PREFIX)
      ? traced()
      : withLogFacts(() => factsOf(scope), traced);
  }

  end(scope: RequestScope, end: RequestEnd): void {
    this.#counts.activeRequests--;
    this.#counts.answered(scope.route, end.status);
    // Who has gone is told nothing.
    if (end.code !== undefined && end.outcome !== "aborted") this.#counts.refused(end.code);
    this.#countTurnedAway(scope, end);
    this.#log.request(scope, end);
  }

  /** Pushes and pulls that no gateway saw; those that one saw are counted there. */
  #countTurnedAway({ path, clientId }: RequestScope, { code }: RequestEnd): void {
    if (code === undefined || clientId !== undefined) return;
    const [, kind] = SYNC.exec(path) ?? [];
    if (kind === "push") this.#counts.pushes.add(statusOf(code));
    else if (kind === "pull") this.#counts.pulls.add(statusOf(code));
  }
}

/** What log records of a request carry, as far as it is known. */
function factsOf({ id, gatewayId, clientId }: RequestScope): LogFacts {
  return { requestId: id, gateway: gatewayId, client: knownClient(clientId) };
}
