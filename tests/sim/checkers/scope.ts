/**
 * G7: a device never shows a row of a list that its user had no right to: of a list it was never a
 * member of, and, of those it once was, nothing that was begun after it had left.
 *
 * What a device wrote itself is its own to see until the gateway has judged it. What a member saw
 * it may go on seeing until the device hears that the membership has ended; that it does hear is
 * for convergence. After the gateway went back to an older copy, whoever was ever a member may be
 * one again.
 *
 * @module
 */
import type { Checker, Violation } from "../history.ts";
import { type Read, type Run, runOf } from "./run.ts";
import { TxSet } from "./tx_set.ts";

/** Looks for rows that a user had no right to see. */
export const scope: Checker = (history) => {
  const run = runOf(history);
  const whats = new Set<string>();
  const judged = new Map<string, TxSet>();
  for (const read of run.reads) {
    const seen = judged.get(read.device) ?? new TxSet();
    judged.set(read.device, seen);
    for (const what of foreignLists(run, read)) whats.add(what);
    for (const what of foreignRows(run, read, seen)) whats.add(what);
  }
  return [...whats].map((what): Violation => ({ checker: "scope", what }));
};

function* foreignLists(run: Run, read: Read): Generator<string> {
  for (const list of read.lists) {
    if (run.membership.sometime(read.user, list, 0, read.at)) continue;
    const own = new TxSet();
    own.addAll(run.byDevice.get(read.device) ?? own);
    own.addAll(read.pending);
    if (read.marks.and(own).meets(run.byList.get(list) ?? new TxSet())) continue;
    yield `Device ${read.device} shows rows of list ${list}, ` +
      `of which ${read.user} was never a member`;
  }
}

function* foreignRows(run: Run, read: Read, seen: TxSet): Generator<string> {
  const { device, user, at } = read;
  const own = run.byDevice.get(device) ?? new TxSet();
  for (const rows of [read.marks, read.twins]) {
    for (const index of rows.without(seen, own, read.pending)) {
      seen.add(index);
      const tx = run.txs[index];
      if (tx === undefined || tx.begun === Infinity) continue;
      if (run.membership.sometime(user, tx.list, tx.begun, at)) continue;
      yield `Device ${device} shows transaction ${tx.name} of list ${tx.list}, ` +
        `of which ${user} was no member since it was begun`;
    }
  }
}
