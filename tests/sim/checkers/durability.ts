/**
 * G1: what was acknowledged is there for ever: in the log whenever a gateway is opened again, even
 * if its device can give it back; at the end in the log and, where in scope, on every settled device;
 * and no device that has shown it ever stops showing it while it is in scope.
 *
 * Excused are transactions that were lost with a device before anybody else had them, and those
 * acknowledged only before the gateway went back to an older copy that nobody can give back: their
 * device lost its database since, is gone, or has had them for longer than it keeps what was
 * accepted; or the gateway refused them when they were given back.
 *
 * @module
 */
import type { Checker, Violation } from "../history.ts";
import { endOf, expectedOf, restoresOf, type Run, runOf, type Tx } from "./run.ts";
import { missingIn } from "./views.ts";

/** How long a device keeps accepted transactions (`keepAcceptedDays`), in milliseconds. */
const KEEP_ACCEPTED_MS = 7 * 24 * 3_600_000;

/** Looks for acknowledged transactions that are gone. */
export const durability: Checker = (history) => {
  const run = runOf(history);
  const found: Violation[] = [];
  const note = (what: string) => found.push({ checker: "durability", what });
  const kept = run.txs.filter((tx) => isAcknowledged(tx) && !isExcused(run, tx));
  for (const tx of kept) {
    if (!tx.logged) note(`Acknowledged transaction ${tx.name} is in no log at the end`);
  }
  for (const { at, gateway, tx } of run.missed) {
    const restored = run.restores.findLast((restore) =>
      restore.gateway === gateway && restore.at < at
    )?.at ?? -1;
    if (!tx.answers.some((answer) => answer.accepted && restored < answer.at && answer.at < at)) {
      continue;
    }
    note(`The log of ${gateway} lacks acknowledged transaction ${tx.name} when it is opened again`);
  }
  const end = endOf(run);
  for (const ended of history.devices) {
    if (!ended.settled) continue;
    const { device, tables: { marks = {} } } = ended;
    const user = run.userOf.get(device) ?? ended.user;
    const inScope = expectedOf(run, ended)?.["marks"];
    for (const tx of kept) {
      if (Object.hasOwn(marks, tx.name)) continue;
      const isInScope = inScope === undefined
        ? run.membership.throughout(user, tx.list, end, end)
        : Object.hasOwn(inScope, tx.name);
      if (!isInScope) continue;
      note(`Device ${device} of ${user} lacks acknowledged transaction ${tx.name} at the end`);
    }
  }
  for (const { read, tx, reason } of missingIn(run)) {
    const first = tx.answers.find(({ accepted }) => accepted)?.at ?? Infinity;
    if (reason !== "seen" || first > read.at) continue;
    note(`Device ${read.device} showed acknowledged transaction ${tx.name}, read ${read.at} not`);
  }
  return found;
};

function isAcknowledged(tx: Tx): boolean {
  return tx.answers.at(-1)?.accepted === true;
}

function isExcused(run: Run, tx: Tx): boolean {
  if (tx.forgotten) return true;
  const { history: { events, devices }, losses } = run;
  const last = tx.answers.findLast(({ accepted }) => accepted)?.at ?? -1;
  const restore = restoresOf(run, tx.device).find((at) => at > last);
  if (restore === undefined) return false;
  if (!devices.some(({ device }) => device === tx.device)) return true;
  if (losses.some(({ device, at }) => device === tx.device && at > tx.committed)) return true;
  return (events[restore]?.atMs ?? 0) - (events[last]?.atMs ?? 0) > KEEP_ACCEPTED_MS;
}
