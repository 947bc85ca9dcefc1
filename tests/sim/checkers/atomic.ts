/**
 * G5: no reader sees half of a transaction. Each transaction puts its name into two tables, so
 * wherever rows are seen together (in a read, in a device's tables at the end, in a destination
 * that keeps rows) the two hold the same names.
 *
 * @module
 */
import type { Checker, TableRows, Violation } from "../history.ts";
import { runOf } from "./run.ts";

/** Looks for transactions that are visible in part. */
export const atomic: Checker = (history) => {
  const run = runOf(history);
  const found: Violation[] = [];
  const note = (where: string, name: string, there: string, missing: string) =>
    found.push({
      checker: "atomic",
      what: `${where}: transaction ${name} is in ${there} and not in ${missing}`,
    });
  for (const { at, device, marks, twins } of run.reads) {
    const where = `Read ${at} of device ${device}`;
    for (const index of marks.without(twins)) note(where, nameOf(index), "marks", "twins");
    for (const index of twins.without(marks)) note(where, nameOf(index), "twins", "marks");
  }
  for (const { device, tables } of history.devices) compare(`Device ${device} at the end`, tables);
  for (const { gateway, destinations } of history.gateways) {
    for (const { name, tables } of destinations) {
      if (tables !== undefined) compare(`Destination ${name} of ${gateway}`, tables);
    }
  }
  return found;

  function compare(where: string, { marks = {}, twins = {} }: TableRows): void {
    for (const name of missing(marks, twins)) note(where, name, "marks", "twins");
    for (const name of missing(twins, marks)) note(where, name, "twins", "marks");
  }

  function nameOf(index: number): string {
    return run.txs[index]?.name ?? "";
  }
};

function missing(some: object, others: object): string[] {
  return Object.keys(some).filter((name) => !Object.hasOwn(others, name));
}
