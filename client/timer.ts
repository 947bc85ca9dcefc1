/**
 * Time as a port, so that a test or a simulation decides when it passes.
 *
 * @module
 */

/** Calls a function after some milliseconds; gives what prevents it. */
export type Timer = (ms: number, callback: () => void) => () => void;

/** The runtime's own timer. */
export const systemTimer: Timer = (ms, callback) => {
  const id = setTimeout(callback, ms);
  return () => clearTimeout(id);
};

/** Lets everything else that waits for the event loop run first. */
export function nextTurn(): Promise<void> {
  const immediate: unknown = Reflect.get(globalThis, "setImmediate");
  return new Promise((resolve) => {
    if (typeof immediate === "function") immediate(resolve);
    else setTimeout(resolve, 0);
  });
}

/** How long a long work may keep the event loop to itself. */
const SLICE_MS = 8;

/**
 * Cuts a long work into slices.
 *
 * @returns to be awaited between two steps: gives way when the slice is used up
 */
export function slicer(): () => Promise<void> {
  let start = performance.now();
  return async () => {
    if (performance.now() - start < SLICE_MS) return;
    await nextTurn();
    start = performance.now();
  };
}
