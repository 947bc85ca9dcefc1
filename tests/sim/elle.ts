/**
 * Writes the list-append part of a history down as Elle reads it: one EDN map per line, as Jepsen's
 * `elle.list-append` and elle-cli take them, so that a checker from outside can judge it.
 *
 * **By which model.** Devices work offline, so two of them may each miss what the other just wrote
 * (write skew), and two readers may see two independent writes in different orders (long fork):
 * snapshot isolation and serializability are not promised. What is promised is atomic visibility,
 * and causal order with sessions: no cycle of dependencies and session order with fewer than two
 * anti-dependencies. In Elle's terms that is `consistent-view` (no G0, G1 and G-single), and with
 * session edges no `G1c-process` and `G-single-process`; Elle's own `causal-cerone` and
 * `read-atomic` look for no cycles with an anti-dependency, and so prove less:
 *
 *     elle-cli --model list-append --consistency-models consistent-view \
 *       --anomalies G1c-process,G-single-process history.edn
 *
 * **What becomes what.** A device is a process. What it read before a transaction is an operation of
 * its own, since it is another snapshot. A transaction that ended accepted is `:ok`, one that was
 * refused or rolled back `:fail`, any other `:info`; after that, and when it lost its database, a
 * device goes on as another process. Every operation is invoked and completed in one go, at the
 * place where its database did it: real time is not judged.
 *
 * **What is left out.** A device sees what it wrote itself before it is judged, so the elements of
 * its own refused transactions are taken from its own reads (and from no others: those would be
 * aborted reads). A key of a list that the device's checkpoint may not hold is not read. The history
 * ends where a gateway goes back to an older copy.
 *
 * @module
 */
import { endedRefused, type Read, type Run, runOf, type Tx } from "./checkers/run.ts";
import { TxSet } from "./checkers/tx_set.ts";
import { shownLists } from "./checkers/views.ts";
import type { History, HistoryEvent, ListAppend, ListRead } from "./history.ts";

type Outcome = "ok" | "fail" | "info";

interface Key {
  readonly list: string;
  readonly device: string;
  /** The elements that transactions of its device appended and that ended refused. */
  readonly refused: Set<number>;
}

/**
 * Writes a history down for Elle.
 *
 * @param history The history; not changed afterwards.
 * @returns Lines of EDN, each an operation's invocation or completion.
 */
export function elleHistory(history: History): string {
  const run = runOf(history);
  const end = run.restores[0]?.at ?? history.events.length;
  const writer = new Writer(run);
  for (const [at, event] of history.events.slice(0, end).entries()) writer.take(event, at);
  return writer.lines.map((line) => `${line}\n`).join("");
}

class Writer {
  readonly lines: string[] = [];
  readonly #run: Run;
  readonly #processes = new Map<string, number>();
  readonly #readsAt: ReadonlyMap<number, Read>;
  readonly #keys = new Map<string, Key>();
  readonly #begins = new Map<string, HistoryEvent & { kind: "begin" }>();
  readonly #commits = new Map<string, HistoryEvent & { kind: "commit" }>();

  constructor(run: Run) {
    this.#run = run;
    this.#readsAt = new Map(run.reads.map((read) => [read.at, read]));
    for (const device of run.userOf.keys()) this.#processes.set(device, this.#processes.size);
    for (const event of run.history.events) {
      if (event.kind === "commit") this.#commits.set(event.tx, event);
    }
  }

  take(event: HistoryEvent, at: number): void {
    switch (event.kind) {
      case "begin": {
        const tx = this.#txOf(event.tx);
        const commit = this.#commits.get(event.tx);
        this.#begins.set(event.tx, event);
        if (commit !== undefined) {
          this.#reads(event, setOf(this.#run, commit.saw), commit.reads);
        }
        for (const { key, element } of event.appends) this.#know(key, element, event, tx);
        if (tx?.committed === Infinity && tx.aborted === Infinity) {
          this.#appends(event, event.appends, outcomeOf(this.#run, tx), event.device);
        }
        return;
      }
      case "commit":
      case "abort": {
        const tx = this.#txOf(event.tx);
        const begin = this.#begins.get(event.tx);
        if (tx === undefined || begin === undefined) return;
        this.#appends(event, begin.appends, outcomeOf(this.#run, tx), event.device);
        return;
      }
      case "read": {
        const read = this.#readsAt.get(at);
        const marks = read?.marks.without(read.pending) ?? new TxSet();
        this.#reads(event, marks, event.elements);
        return;
      }
      case "forgot":
        this.#nextProcess(event.device);
        return;
    }
  }

  #txOf(name: string): Tx | undefined {
    return this.#run.txs[this.#run.numberOf(name) ?? -1];
  }

  #know(key: string, element: number, begin: { list: string; device: string }, tx?: Tx): void {
    const { list, device } = begin;
    const known = this.#keys.get(key) ?? { list, device, refused: new Set() };
    this.#keys.set(key, known);
    if (tx !== undefined && endedRefused(this.#run, tx)) known.refused.add(element);
  }

  #reads(
    { atMs, device }: { atMs: number; device: string },
    marks: TxSet,
    reads: readonly ListRead[],
  ): void {
    const shown = shownLists(this.#run, device, marks);
    const values = new Map(reads.map(({ key, elements }) => [key, elements]));
    const asked: string[] = [];
    const found: string[] = [];
    for (const [key, { list, device: owner, refused }] of this.#keys) {
      if (!shown.has(list)) continue;
      const elements = (values.get(key) ?? [])
        .filter((element) => owner !== device || !refused.has(element));
      asked.push(`[:r ${text(key)} nil]`);
      found.push(`[:r ${text(key)} [${elements.join(" ")}]]`);
    }
    this.#operation(atMs, device, asked, "ok", found);
  }

  #appends(
    { atMs }: { atMs: number },
    appends: readonly ListAppend[],
    outcome: Outcome,
    device: string,
  ): void {
    const done = appends.map(({ key, element }) => `[:append ${text(key)} ${element}]`);
    this.#operation(atMs, device, done, outcome, done);
    if (done.length > 0 && outcome === "info") this.#nextProcess(device);
  }

  #operation(
    atMs: number,
    device: string,
    asked: readonly string[],
    outcome: Outcome,
    done: readonly string[],
  ): void {
    if (asked.length === 0) return;
    const process = this.#processes.get(device) ?? 0;
    const line = (type: string, value: readonly string[]) =>
      this.lines.push(
        `{:index ${this.lines.length}, :type :${type}, :process ${process}, ` +
          `:time ${Math.round(atMs * 1e6)}, :f :txn, :value [${value.join(" ")}]}`,
      );
    line("invoke", asked);
    line(outcome, done);
  }

  /** As Jepsen does: a process that does not know what became of its operation is followed by one
   * whose number is higher by the number of processes. */
  #nextProcess(device: string): void {
    const process = this.#processes.get(device);
    if (process !== undefined) this.#processes.set(device, process + this.#processes.size);
  }
}

function outcomeOf(run: Run, tx: Tx): Outcome {
  if (tx.aborted !== Infinity || endedRefused(run, tx)) return "fail";
  return tx.answers.length > 0 || tx.logged ? "ok" : "info";
}

function setOf(run: Run, names: readonly string[]): TxSet {
  const set = new TxSet();
  for (const name of names) {
    const index = run.numberOf(name);
    if (index !== undefined) set.add(index);
  }
  return set;
}

/** A string in EDN; its escapes are JSON's. */
function text(value: string): string {
  return JSON.stringify(value);
}
