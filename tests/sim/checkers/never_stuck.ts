/**
 * G6: once no fault fires any more, every device comes to have nothing to send and everything the
 * gateway has, in bounded time and without help.
 *
 * @module
 */
import type { Checker, History, Violation } from "../history.ts";

/** Looks for devices that did not settle, or not in time. */
export const neverStuck: Checker = (history) => {
  const found: Violation[] = [];
  const note = (what: string) => found.push({ checker: "never_stuck", what });
  if (!history.events.some(({ kind }) => kind === "healed")) note("The run never healed");
  const times = settleTimesMs(history);
  for (const { device, settled, status } of history.devices) {
    const time = times.get(device);
    if (!settled || time === undefined) {
      note(`Device ${device} did not settle: ${status}`);
    } else if (time > history.settleWithinMs) {
      note(
        `Device ${device} settled after ${time} ms, not ${history.settleWithinMs} ms: ${status}`,
      );
    }
  }
  return found;
};

/**
 * Tells how long devices took to settle after the last fault.
 *
 * @param history The history.
 * @returns Milliseconds by device; those that never settled are not in it.
 */
export function settleTimesMs(history: History): ReadonlyMap<string, number> {
  const times = new Map<string, number>();
  let healedMs: number | undefined;
  for (const event of history.events) {
    if (event.kind === "healed") healedMs = event.atMs;
    if (event.kind !== "settled" || healedMs === undefined || times.has(event.device)) continue;
    times.set(event.device, event.atMs - healedMs);
  }
  return times;
}
