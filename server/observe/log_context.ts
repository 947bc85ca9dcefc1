/**
 * Which request a log record belongs to, without passing a logger along: whatever is logged while a
 * request is worked on carries what is known of it by then. Work that outlives the request that
 * happened to begin it, such as a flush, is logged outside of it.
 *
 * What a record carries is only put together when there is one: most requests log nothing on their
 * way, and should not pay for it.
 *
 * @module
 */

import type { ContextLocalStorage } from "@logtape/logtape";
import { AsyncLocalStorage } from "node:async_hooks";

/** What log records carry. */
export type LogFacts = Record<string, unknown>;

const facts = new AsyncLocalStorage<() => LogFacts>();

/** Where LogTape finds the facts; whoever configures it gives it this. */
export const logContext: ContextLocalStorage<LogFacts> = {
  run: (store, work) => facts.run(() => store, work),
  getStore: () => facts.getStore()?.(),
};

/**
 * Does work whose log records carry facts.
 *
 * @param tell gives them, such as the requestId, when something is logged
 * @param work the work
 */
export function withLogFacts<T>(tell: () => LogFacts, work: () => T): T {
  return facts.run(tell, work);
}

/** Does work whose log records belong to no request. */
export function outsideRequests<T>(work: () => T): T {
  return facts.exit(work);
}
