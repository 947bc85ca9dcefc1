/**
 * A sync engine of a few lines that keeps every promise, to write histories for the checkers'
 * tests: what it writes has to pass, and what a test then breaks in it has to be found.
 *
 * @module
 */
import type {
  DeviceEnd,
  History,
  HistoryEvent,
  LoggedTx,
  TableRows,
  TxName,
  Violation,
} from "../history.ts";

interface Sealed {
  readonly tx: TxName;
  readonly list: string;
  readonly device: string;
  readonly refuse: boolean;
}

interface Device {
  readonly user: string;
  number: number;
  /** What its last checkpoint holds. */
  base: readonly TxName[];
  /** What it wrote that no checkpoint holds yet. */
  overlay: Sealed[];
  /** What was accepted, to give it back. */
  accepted: Sealed[];
}

type Timeless<Event> = Event extends unknown ? Omit<Event, "atMs"> : never;

/** A gateway `g`, a destination `copy`, and devices of users who are members of lists. */
export class Engine {
  readonly events: HistoryEvent[] = [];
  readonly #devices = new Map<string, Device>();
  readonly #members = new Map<string, Set<string>>();
  #log: Sealed[] = [];

  /** @param devices The user of each device. @param members The users of each list. */
  constructor(
    devices: Readonly<Record<string, string>>,
    members: Readonly<Record<string, readonly string[]>>,
  ) {
    for (const [list, users] of Object.entries(members)) {
      for (const user of users) this.join(user, list);
    }
    for (const [name, user] of Object.entries(devices)) {
      this.#devices.set(name, { user, number: 0, base: [], overlay: [], accepted: [] });
    }
  }

  /** A user becomes a member of a list. */
  join(user: string, list: string): void {
    this.#listsOf(user).add(list);
    this.#note({ kind: "member", user, list });
  }

  /** A user leaves a list. */
  leave(user: string, list: string): void {
    this.#listsOf(user).delete(list);
    this.#note({ kind: "unmember", user, list });
  }

  /** A device commits a transaction; the gateway will refuse it if so told. */
  write(name: string, list: string, refuse = false): TxName {
    const device = this.#device(name);
    const tx = `${name}.${++device.number}`;
    const saw = this.#visible(device);
    const key = `${name}:${list}`;
    const elements = saw.filter((seen) => seen.startsWith(`${name}.`))
      .filter((seen) => this.#listOf(seen) === list).map(numberOf);
    this.#note({
      kind: "begin",
      tx,
      device: name,
      user: device.user,
      list,
      writes: [],
      appends: [{ key, element: device.number }],
    });
    this.#note({ kind: "commit", tx, device: name, saw, reads: [{ key, elements }] });
    device.overlay.push({ tx, list, device: name, refuse });
    return tx;
  }

  /** A device rolls a transaction back. */
  rollBack(name: string, list: string): TxName {
    const device = this.#device(name);
    const tx = `${name}.${++device.number}`;
    const { user } = device;
    this.#note({ kind: "begin", tx, device: name, user, list, writes: [], appends: [] });
    this.#note({ kind: "abort", tx, device: name });
    return tx;
  }

  /** A device sends what it wrote and is answered. */
  push(name: string): void {
    const device = this.#device(name);
    for (const sealed of [...device.overlay]) {
      const { tx } = sealed;
      const known = this.#log.some((other) => other.tx === tx);
      if (!known && (sealed.refuse || !this.#listsOf(device.user).has(sealed.list))) {
        device.overlay = device.overlay.filter((other) => other !== sealed);
        this.#note({ kind: "refused", tx, clientId: name, code: "WRITE_DENIED" });
        continue;
      }
      if (!known) {
        this.#log.push(sealed);
        device.accepted.push(sealed);
      }
      this.#note({ kind: "acknowledged", tx, clientId: name });
    }
  }

  /** A device takes a checkpoint. */
  pull(name: string): void {
    const device = this.#device(name);
    const lost = device.accepted.filter(({ tx }) => !this.#log.some((other) => other.tx === tx));
    device.overlay = [...lost, ...device.overlay.filter((sealed) => !lost.includes(sealed))]
      .filter(({ tx }) => !this.#log.some((other) => other.tx === tx))
      .sort((a, b) => numberOf(a.tx) - numberOf(b.tx));
    device.accepted = device.accepted.filter((sealed) => !lost.includes(sealed));
    device.base = this.#inScopeOf(device.user).map(({ tx }) => tx);
  }

  /** A device's tables are read. */
  read(name: string): void {
    const device = this.#device(name);
    const visible = this.#visible(device);
    this.#note({
      kind: "read",
      device: name,
      user: device.user,
      marks: visible,
      twins: visible,
      lists: [...new Set(visible.map((tx) => this.#listOf(tx)))],
      pending: device.overlay.map(({ tx }) => tx),
      elements: [],
    });
  }

  /** A device loses its database. */
  lose(name: string): void {
    const device = this.#device(name);
    const logged = new Set(this.#log.map(({ tx }) => tx));
    const txs = device.overlay.map(({ tx }) => tx).filter((tx) => !logged.has(tx));
    this.#note({ kind: "forgot", device: name, txs });
    Object.assign(device, { base: [], overlay: [], accepted: [] });
  }

  /** The gateway goes back to when its log had so many transactions. */
  restore(length: number): void {
    this.#log = this.#log.slice(0, length);
    this.#note({ kind: "restored", gateway: "g" });
  }

  /** Ends the run and tells what was left. */
  finish(): History {
    this.#note({ kind: "healed" });
    const names = [...this.#devices.keys()];
    for (const step of ["pull", "push", "pull", "read"] as const) {
      for (const name of names) this[step](name);
    }
    for (const device of names) this.#note({ kind: "settled", device });
    return {
      seed: 1,
      events: this.events,
      settleWithinMs: 1_000,
      devices: names.map((name) => this.#end(name)),
      gateways: [{
        gateway: "g",
        log: this.#log.map((sealed, index) => logged(sealed, index + 1)),
        expected: {
          "*": tablesOf(this.#log),
          ...Object.fromEntries(
            [...this.#devices.values()].map(({ user }) => [user, tablesOf(this.#inScopeOf(user))]),
          ),
        },
        destinations: [{
          name: "copy",
          deltaIds: this.#log.flatMap(({ tx }) => deltaIdsOf(tx)),
          tables: tablesOf(this.#log),
        }],
      }],
    };
  }

  #end(name: string): DeviceEnd {
    const { user } = this.#device(name);
    return {
      device: name,
      user,
      settled: true,
      status: "current",
      tables: tablesOf(this.#inScopeOf(user)),
    };
  }

  #visible(device: Device): TxName[] {
    return [...new Set([...device.base, ...device.overlay.map(({ tx }) => tx)])];
  }

  #inScopeOf(user: string): Sealed[] {
    return this.#log.filter(({ list }) => this.#listsOf(user).has(list));
  }

  #listOf(tx: TxName): string {
    const event = this.events.find((event) => event.kind === "begin" && event.tx === tx);
    return event?.kind === "begin" ? event.list : "";
  }

  #listsOf(user: string): Set<string> {
    const lists = this.#members.get(user) ?? new Set();
    this.#members.set(user, lists);
    return lists;
  }

  #device(name: string): Device {
    const device = this.#devices.get(name);
    if (device === undefined) throw new Error(`No device ${name}`);
    return device;
  }

  #note(event: Timeless<HistoryEvent>): void {
    this.events.push({ ...event, atMs: this.events.length } as HistoryEvent);
  }
}

/**
 * Breaks a history.
 *
 * @param history The history; left as it is.
 * @param change Changes a copy of it, which is open to writes.
 * @returns The broken one.
 */
export function broken(history: History, change: (copy: Open<History>) => void): History {
  const copy = JSON.parse(JSON.stringify(history)) as Open<History>;
  change(copy);
  return copy as History;
}

/** A type with everything in it writable. */
export type Open<T> = T extends readonly (infer Item)[] ? Open<Item>[]
  : T extends object ? { -readonly [Key in keyof T]: Open<T[Key]> }
  : T;

/** The texts of violations. */
export function texts(violations: readonly Violation[]): string[] {
  return violations.map(({ what }) => what);
}

function numberOf(tx: TxName): number {
  return Number(tx.slice(tx.indexOf(".") + 1));
}

function deltaIdsOf(tx: TxName): string[] {
  return [`${tx}/marks`, `${tx}/twins`];
}

function logged({ tx, device }: Sealed, seq: number): LoggedTx {
  return { tx, seq, clientId: device, mutationId: numberOf(tx), deltaIds: deltaIdsOf(tx) };
}

function tablesOf(log: readonly Sealed[]): TableRows {
  const rows = Object.fromEntries(log.map(({ tx, list }) => [tx, { list }]));
  return { marks: rows, twins: rows };
}
