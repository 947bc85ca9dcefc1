/**
 * Which request a log record belongs to, without passing a logger along: whatever is logged while a
 * request is worked on carries what is known of it by then. Work that outlives the request that
 * happened to begin it, such as a flush, is logged outside of it.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";

/** What log records carry; read when something is logged, so it may become more. */
export type LogFacts = Record<string, unknown>;

/** Where LogTape finds the facts; whoever configures it gives it this. */
export const logContext: AsyncLocalStorage<LogFacts> = new AsyncLocalStorage();

/**
 * Does work whose log records carry facts.
 *
 * @param facts such as the requestId
 * @param work the work
 */
export function withLogFacts<T>(facts: LogFacts, work: () => T): T {
  return logContext.run(facts, work);
}

/** Does work whose log records belong to no request. */
export function outsideRequests<T>(work: () => T): T {
  return logContext.exit(work);
}
