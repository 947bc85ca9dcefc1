/**
 * Time and chance as the runtime has them, for adapters that flush on their own.
 *
 * @module
 */

import type { FlushEnvironment } from "./flush/settings.ts";

/** Time and chance of the runtime. */
export const SYSTEM: FlushEnvironment = {
  now: () => Date.now(),
  setTimer: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};
