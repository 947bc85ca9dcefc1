/**
 * Keeps callers from filling the audit log with what is refused to them: of equal refusals the
 * first ones of a minute are told one by one, the others by their number.
 *
 * @module
 */

import type { AuditEvent } from "./audit.ts";

/** Equal refusals that are told one by one in one window. */
const TOLD_ONE_BY_ONE = 10;

/** How long a window is, in milliseconds. */
const WINDOW_MS = 60_000;

/** Kinds of refusals that are told apart; any more of them in a window count as one. */
const MAX_KINDS = 1_000;

/** What stands for all the others. */
const OTHERS = "others";

interface Kind {
  readonly sinceMs: number;
  count: number;
  last: AuditEvent;
}

/** Counts what is refused. */
export class RefusalCounter {
  readonly #now: () => number;
  readonly #kinds = new Map<string, Kind>();

  /** @param now the clock, in milliseconds since 1970 */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Takes an event.
   *
   * @param event the event
   * @returns what is to be written now: the event unless it is only counted, and the numbers of
   * windows that have ended
   */
  count(event: AuditEvent): readonly AuditEvent[] {
    const told = this.#ended(this.#now());
    if (event.outcome === "done") return [...told, event];
    const { sub, ip, what, gatewayId, code } = event;
    const own = JSON.stringify([sub ?? ip, what, gatewayId, code]);
    const name = this.#kinds.has(own) || this.#kinds.size < MAX_KINDS ? own : OTHERS;
    const kind = this.#kinds.get(name) ?? { sinceMs: this.#now(), count: 0, last: event };
    kind.count++;
    kind.last = event;
    this.#kinds.set(name, kind);
    return kind.count <= TOLD_ONE_BY_ONE ? [...told, event] : told;
  }

  /** The numbers that are left, at the end. */
  rest(): readonly AuditEvent[] {
    return this.#ended(Infinity);
  }

  #ended(nowMs: number): readonly AuditEvent[] {
    const told: AuditEvent[] = [];
    for (const [name, { sinceMs, count, last }] of this.#kinds) {
      // Windows began in the order of the map.
      if (nowMs < sinceMs + WINDOW_MS) break;
      this.#kinds.delete(name);
      const times = count - TOLD_ONE_BY_ONE;
      if (times <= 0) continue;
      told.push(
        name === OTHERS
          ? { what: last.what, outcome: last.outcome, details: { times, callers: "several" } }
          : { ...last, details: { ...last.details, times } },
      );
    }
    return told;
  }
}
