/**
 * How long the event loop keeps whatever comes waiting. A timer tells by how much it is late; a
 * long stall counts as often as the timer should have come meanwhile, so that one of a second weighs
 * what it cost and not as one look among many.
 *
 * @module
 */

/** How often it is looked at, in milliseconds. */
const EVERY_MS = 20;

/** A stall counts at most so often. */
const MAX_COUNTED = 1_000;

/** What a watch stands on. */
export interface EventLoopClock {
  /** The monotonic clock, in milliseconds. */
  readonly now: () => number;
  /** Calls back once after a time in milliseconds; gives what cancels it. */
  readonly setTimer: (ms: number, callback: () => void) => () => void;
}

const RUNTIME_CLOCK: EventLoopClock = {
  now: () => performance.now(),
  setTimer: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    Deno.unrefTimer(timer);
    return () => clearTimeout(timer);
  },
};

/**
 * Watches the event loop.
 *
 * @param observe told of each delay, in seconds
 * @param clock time, in place of the runtime's
 * @returns ends the watching
 */
export function watchEventLoop(
  observe: (seconds: number) => void,
  { now, setTimer }: EventLoopClock = RUNTIME_CLOCK,
): () => void {
  let dueMs = now() + EVERY_MS;
  let cancel = () => {};
  const look = () => {
    const delayMs = Math.max(0, now() - dueMs);
    for (let ms = delayMs, i = 0; i === 0 || (ms > 0 && i < MAX_COUNTED); ms -= EVERY_MS, i++) {
      observe(ms / 1000);
    }
    next();
  };
  const next = () => {
    dueMs = now() + EVERY_MS;
    cancel = setTimer(EVERY_MS, look);
  };
  next();
  return () => cancel();
}
