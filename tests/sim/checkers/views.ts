/**
 * What each read has to show, by what its device has seen and done before.
 *
 * A device goes from checkpoint to checkpoint of its gateway and never back, and its own writes lie
 * over that. So what it has once seen it sees for ever, what its own user did too, and with a
 * transaction all that its author saw when it was begun; as far as that is in scope. Excused are
 *
 * - transactions that the gateway refused (they are undone) and those that were lost with a device;
 * - rows of a list that the reader's user may not have had at the reader's checkpoint. It is known
 *   to have had it when the read shows somebody else's transaction in the same list (a checkpoint
 *   has the exact scope), or when its user was a member of the list all the time from before the
 *   transaction was begun that puts the checkpoint behind it (one of its own that waits to be sent
 *   does not);
 * - after the device lost its database or went back to an older copy, what it saw and did before;
 * - after the gateway went back to an older copy, everything that was begun before that but the
 *   device's own: what was lost is given back by its authors, each in its own time, so that it comes
 *   in another order and may be missing meanwhile.
 *
 * @module
 */
import { type Read, restoresOf, type Run, type Tx } from "./run.ts";
import { TxSet } from "./tx_set.ts";

/** Why a read has to show a transaction. */
export type Reason = "own" | "seen" | "cause";

/** A transaction that a read does not show although it has to. */
export interface Missing {
  readonly read: Read;
  readonly tx: Tx;
  /** `own`: the device's; `seen`: in an earlier read; `cause`: seen by the author of another. */
  readonly reason: Reason;
  /** The transaction whose author saw it, for a cause. */
  readonly because?: Tx;
}

interface Device {
  readonly own: TxSet;
  readonly seen: TxSet;
  readonly causes: TxSet;
}

const known = new WeakMap<Run, readonly Missing[]>();

/**
 * Finds what reads do not show although they have to, each transaction once per device and reason.
 *
 * @param run The run.
 * @returns What is missing, in the order of the reads.
 */
export function missingIn(run: Run): readonly Missing[] {
  const before = known.get(run);
  if (before !== undefined) return before;
  const missing = [...find(run)];
  known.set(run, missing);
  return missing;
}

function* find(run: Run): Generator<Missing> {
  const excused = new TxSet();
  const commits: Tx[] = [];
  for (const tx of run.txs) {
    if (tx.forgotten || tx.answers.some(({ accepted }) => !accepted)) excused.add(tx.index);
    if (tx.committed !== Infinity) commits.push(tx);
  }
  commits.sort((a, b) => a.committed - b.committed);
  const devices = new Map<string, Device>();
  const reported = new Set<string>();
  const losses = [...run.losses];
  let committed = 0;
  for (const read of run.reads) {
    for (; (commits[committed]?.committed ?? Infinity) < read.at; committed++) {
      const tx = commits[committed];
      while (losses[0] !== undefined && tx !== undefined && losses[0].at < tx.committed) {
        devices.delete(losses.shift()?.device ?? "");
      }
      if (tx !== undefined) deviceOf(tx.device).own.add(tx.index);
    }
    while (losses[0] !== undefined && losses[0].at < read.at) {
      devices.delete(losses.shift()?.device ?? "");
    }
    const device = deviceOf(read.device);
    for (const missing of inRead(run, read, device, excused)) {
      const key = `${missing.reason} ${read.device} ${missing.tx.index}`;
      if (!reported.has(key)) yield missing;
      reported.add(key);
    }
    for (const index of read.marks.without(device.seen)) {
      device.seen.add(index);
      const tx = run.txs[index];
      if (tx !== undefined) device.causes.addAll(tx.after);
    }
  }

  function deviceOf(name: string): Device {
    const device = devices.get(name) ??
      { own: new TxSet(), seen: new TxSet(), causes: new TxSet() };
    devices.set(name, device);
    return device;
  }
}

function* inRead(run: Run, read: Read, device: Device, excused: TxSet): Generator<Missing> {
  const { marks, user, at } = read;
  const restored = restoresOf(run, read.device).findLast((position) => position < at) ?? -1;
  const own = run.byDevice.get(read.device) ?? new TxSet();
  const others = marks.without(own, read.pending);
  const shown = shownLists(run, read.device, others);
  const inScope = new TxSet();
  for (const [list, txs] of run.byList) {
    if (shown.has(list) || run.membership.throughout(user, list, at, at)) inScope.addAll(txs);
  }
  const had = (list: string, since: number) =>
    shown.has(list) || run.membership.throughout(user, list, since, at);

  for (const tx of txsIn(run, device.own.without(marks, excused).and(inScope))) {
    if (had(tx.list, tx.begun)) yield { read, tx, reason: "own" };
  }
  for (const tx of txsIn(run, device.seen.without(marks, excused).and(inScope))) {
    if (tx.begun > restored && had(tx.list, tx.begun)) yield { read, tx, reason: "seen" };
  }
  const causes = device.causes.copy();
  for (const tx of txsIn(run, marks.without(device.seen))) causes.addAll(tx.after);
  for (const tx of txsIn(run, causes.without(marks, excused).and(inScope))) {
    if (tx.begun < restored) continue;
    const because = [...txsIn(run, marks)].find((other) =>
      other.after.has(tx.index) && other.begun > restored &&
      (shown.has(tx.list) || others.has(other.index) && had(tx.list, other.begun))
    );
    if (because !== undefined) yield { read, tx, reason: "cause", because };
  }
}

/**
 * Finds the lists that were in scope at a device's checkpoint: those in which it shows what it did
 * not write itself.
 *
 * @param run The run.
 * @param device The device.
 * @param marks What it shows.
 * @returns The lists.
 */
export function shownLists(run: Run, device: string, marks: TxSet): ReadonlySet<string> {
  const others = marks.without(run.byDevice.get(device) ?? new TxSet());
  return new Set([...run.byList].filter(([, txs]) => others.meets(txs)).map(([list]) => list));
}

function* txsIn(run: Run, set: TxSet): Generator<Tx> {
  for (const index of set) {
    const tx = run.txs[index];
    if (tx !== undefined) yield tx;
  }
}
