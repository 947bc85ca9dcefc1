/**
 * Turns a history into a run: one pass over its events, and one over the logs.
 *
 * @module
 */
import type { History, HistoryEvent, TxName } from "../history.ts";
import { Membership } from "./membership.ts";
import type { Loss, Missed, Read, Restore, Run, Tx } from "./run.ts";
import { TxSet } from "./tx_set.ts";

/** Reads one history. */
export class Indexing {
  readonly #numbers = new Map<TxName, number>();
  readonly #txs: Tx[] = [];
  readonly #reads: Read[] = [];
  readonly #losses: Loss[] = [];
  readonly #byList = new Map<string, TxSet>();
  readonly #byDevice = new Map<string, TxSet>();
  readonly #membership = new Membership();
  readonly #users = new Map<string, string>();
  readonly #restores: Restore[] = [];
  readonly #missed: Missed[] = [];
  readonly #lives = new Map<string, TxSet>();

  /** @param history The history. */
  constructor(readonly history: History) {}

  /** Reads it from its first event to its end. */
  run(): Run {
    this.history.events.forEach((event, at) => this.#take(event, at));
    for (const { log } of this.history.gateways) {
      for (const { tx, deltaIds } of log) if (deltaIds.length > 0) this.#named(tx).logged = true;
    }
    return {
      history: this.history,
      txs: this.#txs,
      reads: this.#reads,
      losses: this.#losses,
      membership: this.#membership,
      byList: this.#byList,
      byDevice: this.#byDevice,
      numberOf: (name) => this.#numbers.get(name),
      userOf: this.#users,
      restores: this.#restores,
      gatewayOf: new Map(
        this.history.devices.flatMap(({ device, gateway }) =>
          gateway === undefined ? [] : [[device, gateway] as const]
        ),
      ),
      missed: this.#missed,
    };
  }

  #take(event: HistoryEvent, at: number): void {
    switch (event.kind) {
      case "begin": {
        const { device, user, list } = event;
        const tx = this.#named(event.tx);
        Object.assign(tx, { device, user, list, begun: at });
        addTo(this.#byList, list, tx.index);
        addTo(this.#byDevice, device, tx.index);
        this.#membership.began(at);
        this.#users.set(device, user);
        return;
      }
      case "commit": {
        const tx = this.#named(event.tx);
        tx.committed = at;
        tx.after = this.#setOf(event.saw);
        const life = this.#lives.get(event.device);
        if (life !== undefined) tx.after.addAll(life);
        addTo(this.#lives, event.device, tx.index);
        return;
      }
      case "abort":
        this.#named(event.tx).aborted = at;
        return;
      case "acknowledged":
        this.#named(event.tx).answers.push({ at, accepted: true });
        return;
      case "refused":
        this.#named(event.tx).answers.push({ at, accepted: false });
        return;
      case "read": {
        const { device, user, lists, elements } = event;
        const marks = this.#setOf(event.marks);
        const twins = isSame(event.marks, event.twins) ? marks : this.#setOf(event.twins);
        const pending = this.#setOf(event.pending);
        this.#users.set(device, user);
        this.#reads.push({ at, device, user, marks, twins, pending, lists, elements });
        return;
      }
      case "member":
        return this.#membership.join(event.user, event.list, at);
      case "unmember":
        return this.#membership.leave(event.user, event.list, at);
      case "forgot":
        for (const tx of event.txs) this.#named(tx).forgotten = true;
        this.#lives.delete(event.device);
        this.#losses.push({ at, device: event.device });
        return;
      case "restored":
        this.#membership.restored(at);
        this.#restores.push({ at, gateway: event.gateway });
        return;
      case "lost":
        for (const tx of event.txs) {
          this.#missed.push({ at, gateway: event.gateway, tx: this.#named(tx) });
        }
        return;
      case "fault":
      case "healed":
      case "settled":
        return;
    }
  }

  #named(name: TxName): Tx {
    const known = this.#txs[this.#numbers.get(name) ?? -1];
    if (known !== undefined) return known;
    const tx: Tx = {
      index: this.#txs.length,
      name,
      device: "",
      user: "",
      list: "",
      begun: Infinity,
      committed: Infinity,
      aborted: Infinity,
      answers: [],
      forgotten: false,
      logged: false,
      after: new TxSet(),
    };
    this.#numbers.set(name, tx.index);
    this.#txs.push(tx);
    return tx;
  }

  #setOf(names: readonly TxName[]): TxSet {
    const set = new TxSet();
    for (const name of names) set.add(this.#numbers.get(name) ?? this.#named(name).index);
    return set;
  }
}

function addTo(sets: Map<string, TxSet>, key: string, index: number): void {
  const set = sets.get(key) ?? new TxSet();
  set.add(index);
  sets.set(key, set);
}

function isSame(some: readonly TxName[], others: readonly TxName[]): boolean {
  return some.length === others.length && some.every((name, at) => name === others[at]);
}
