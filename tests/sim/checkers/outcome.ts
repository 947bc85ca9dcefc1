/**
 * G2, G6: every transaction that a device committed ends accepted, refused or lost with its device,
 * and keeps its outcome; what was refused is visible nowhere at the end, and its device was told;
 * what was never begun, not yet begun, or rolled back is visible nowhere ever.
 *
 * A transaction is accepted when an answer said so or the log has it: a device may learn it from a
 * checkpoint alone. Two answers may differ when the gateway went back to an older copy between
 * them. A transaction that was neither committed nor rolled back was under way when its device
 * died, and may have any outcome.
 *
 * @module
 */
import type { Checker, TxName, Violation } from "../history.ts";
import { endedRefused, restoresOf, type Run, runOf, type Tx } from "./run.ts";
import { TxSet } from "./tx_set.ts";

/** Looks for transactions without an outcome, with two, or visible against theirs. */
export const outcome: Checker = (history) => {
  const run = runOf(history);
  const found: Violation[] = [];
  const note = (what: string) => found.push({ checker: "outcome", what });
  for (const tx of run.txs) {
    const isOpen = tx.answers.length === 0 && !tx.logged && !tx.forgotten;
    if (tx.committed !== Infinity && isOpen) note(`Transaction ${tx.name} has no outcome`);
    if (changesItsOutcome(run, tx)) {
      note(`Transaction ${tx.name} is both acknowledged and refused`);
    }
    if (endedRefused(run, tx) && tx.logged) note(`Refused transaction ${tx.name} is in the log`);
    if (tx.begun === Infinity && tx.logged) {
      note(`Transaction ${tx.name} is in the log and was never begun`);
    }
    if (tx.aborted !== Infinity && tx.logged) {
      note(`Transaction ${tx.name} is in the log and was rolled back`);
    }
  }
  for (const what of untold(run)) note(what);
  for (const what of seenTooEarly(run)) note(what);
  const byName = new Map(run.txs.map((tx) => [tx.name, tx]));
  for (const { device, settled, tables: { marks = {}, twins = {} } } of history.devices) {
    for (const name of new Set([...Object.keys(marks), ...Object.keys(twins)])) {
      const reason = whyInvisible(run, byName.get(name), settled);
      if (reason !== undefined) note(`Device ${device} shows ${name} at the end, ${reason}`);
    }
  }
  return found;
};

function changesItsOutcome(run: Run, { device, answers }: Tx): boolean {
  const [first] = answers;
  if (first === undefined || answers.every(({ accepted }) => accepted === first.accepted)) {
    return false;
  }
  return answers.some((answer, index) => {
    const before = answers[index - 1];
    return before !== undefined && before.accepted !== answer.accepted &&
      !restoresOf(run, device).some((at) => before.at < at && at < answer.at);
  });
}

/** A device that lost its database, or a gateway that went back, may have lost the refusal too. */
function* untold(run: Run): Generator<string> {
  const { history: { devices }, losses, txs } = run;
  for (const { device, settled, letters } of devices) {
    const restores = restoresOf(run, device);
    if (!settled || letters === undefined) continue;
    const told = new Set(letters);
    for (const tx of txs) {
      if (tx.device !== device || told.has(tx.name) || !endedRefused(run, tx)) continue;
      const isLost = losses.some((loss) => loss.device === device && loss.at > tx.begun);
      if (isLost || tx.forgotten || restores.some((at) => at > tx.begun)) continue;
      yield `Device ${device} was not told that ${tx.name} was refused`;
    }
  }
}

function* seenTooEarly(run: Run): Generator<string> {
  const rolledBack = new TxSet();
  for (const tx of run.txs) if (tx.aborted !== Infinity) rolledBack.add(tx.index);
  const begun = new TxSet();
  const inOrder = run.txs.filter((tx) => tx.begun !== Infinity).sort((a, b) => a.begun - b.begun);
  const reported = new Set<TxName>();
  let next = 0;
  for (const read of run.reads) {
    for (; (inOrder[next]?.begun ?? Infinity) < read.at; next++) {
      begun.add(inOrder[next]?.index ?? 0);
    }
    for (const rows of [read.marks, read.twins]) {
      for (
        const [set, reason] of [
          [rows.without(begun), "before it was begun"],
          [rows.and(rolledBack), "although it was rolled back"],
        ] as const
      ) {
        for (const index of set) {
          const name = run.txs[index]?.name ?? "";
          if (!reported.has(name)) {
            yield `Read ${read.at} of ${read.device} shows ${name} ${reason}`;
          }
          reported.add(name);
        }
      }
    }
  }
}

function whyInvisible(run: Run, tx: Tx | undefined, settled: boolean): string | undefined {
  if (tx === undefined || tx.begun === Infinity) return "which was never begun";
  if (tx.aborted !== Infinity) return "which was rolled back";
  return endedRefused(run, tx) && settled ? "which was refused" : undefined;
}
