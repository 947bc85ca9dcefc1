/**
 * Causal order, for each device and across devices that saw each other:
 *
 * - read your writes and monotonic writes: what a device committed does not vanish from its reads,
 *   and no later transaction of it is visible anywhere without the earlier ones;
 * - monotonic reads: what a device has seen it goes on seeing;
 * - writes follow reads: where a transaction is visible, so is what its author saw when it began
 *   it. The log keeps that order too.
 *
 * What is excused, and why, is said in `views.ts`. Of the log, transactions begun before the
 * gateway last went back to an older copy are excused: they are given back in another order.
 *
 * @module
 */
import type { Checker, Violation } from "../history.ts";
import { type Run, runOf } from "./run.ts";
import { TxSet } from "./tx_set.ts";
import { type Missing, missingIn } from "./views.ts";

/** Looks for effects that are visible without their causes. */
export const causal: Checker = (history) => {
  const run = runOf(history);
  const whats = [...missingIn(run).map(tell), ...inLogs(run)];
  return whats.map((what): Violation => ({ checker: "causal", what }));
};

function tell({ read, tx, reason, because }: Missing): string {
  const missing = `Read ${read.at} of ${read.device} lacks ${tx.name}`;
  switch (reason) {
    case "own":
      return `${missing}, which the device committed before`;
    case "seen":
      return `${missing}, which the device had seen before`;
    case "cause":
      return `${missing} and shows ${because?.name}, whose author had seen it`;
  }
}

function* inLogs(run: Run): Generator<string> {
  for (const { gateway, log } of run.history.gateways) {
    const restored = run.history.events.findLastIndex((event) =>
      event.kind === "restored" && event.gateway === gateway
    );
    const indices = log.map(({ tx }) => run.numberOf(tx) ?? -1);
    const later = new TxSet();
    for (const index of indices) {
      if ((run.txs[index]?.begun ?? -1) > restored) later.add(index);
    }
    const before = new TxSet();
    for (const index of indices) {
      const tx = run.txs[index];
      if (tx === undefined || !later.has(index)) continue;
      for (const cause of tx.after.and(later).without(before)) {
        const name = run.txs[cause]?.name;
        yield `The log of ${gateway} has ${tx.name} before ${name}, which its author had seen`;
      }
      before.add(index);
    }
  }
}
