/**
 * G3, G7: at the end all settled devices of a user hold the same rows, and these are exactly what
 * the user is to see by the rules over everything in the log.
 *
 * @module
 */
import type { Checker, DeviceEnd, TableRows, Violation } from "../history.ts";
import { firstDifference } from "./rows.ts";
import { expectedOf, runOf } from "./run.ts";

/** Looks for devices that ended with other rows than they should have. */
export const convergence: Checker = (history) => {
  const run = runOf(history);
  const found: Violation[] = [];
  const note = (what: string) => found.push({ checker: "convergence", what });
  const firsts = new Map<TableRows, DeviceEnd>();
  for (const end of history.devices) {
    if (!end.settled) continue;
    const { device, user, tables } = end;
    const expected = expectedOf(run, end);
    if (expected === undefined) {
      note(`Nothing says what ${user} of device ${device} is to see`);
      continue;
    }
    const difference = firstDifference(tables, expected);
    if (difference !== undefined) note(`Device ${device} of ${user}: ${difference}`);
    const first = firsts.get(expected);
    if (first === undefined) {
      firsts.set(expected, end);
      continue;
    }
    const between = firstDifference(tables, first.tables);
    if (between !== undefined) {
      note(`Device ${device} of ${user} differs from device ${first.device}: ${between}`);
    }
  }
  return found;
};
