/**
 * A history turned once into what the checkers ask for: its transactions by number with what became
 * of each, its reads as sets of those numbers, and who was a member of what. Positions are indices
 * in the history's events; `Infinity` is a position that never came.
 *
 * @module
 */
import type { DeviceEnd, History, ListRead, TableRows, TxName } from "../history.ts";
import { Indexing } from "./indexing.ts";
import type { Membership } from "./membership.ts";
import type { TxSet } from "./tx_set.ts";

/** An answer of the gateway to a transaction. */
export interface Answer {
  readonly at: number;
  readonly accepted: boolean;
}

/** A transaction and what became of it. One that somebody saw but nobody began has no device. */
export interface Tx {
  readonly index: number;
  readonly name: TxName;
  device: string;
  user: string;
  list: string;
  begun: number;
  committed: number;
  aborted: number;
  readonly answers: Answer[];
  /** Its device lost it before anybody else had it. */
  forgotten: boolean;
  /**
   * Whether the log of a gateway has it at the end. An entry without changes says nothing: one is
   * written for a number whose transaction was refused when it is given back after a restore.
   */
  logged: boolean;
  /**
   * What was visible to it when it was begun, and what its device had committed before it since it
   * last lost its database.
   */
  after: TxSet;
}

/** A read of a device's tables. */
export interface Read {
  readonly at: number;
  readonly device: string;
  readonly user: string;
  readonly marks: TxSet;
  readonly twins: TxSet;
  readonly pending: TxSet;
  readonly lists: readonly string[];
  readonly elements: readonly ListRead[];
}

/** A device's database was lost or went back. */
export interface Loss {
  readonly at: number;
  readonly device: string;
}

/** A gateway went back to an older copy. */
export interface Restore {
  readonly at: number;
  readonly gateway: string;
}

/** A gateway that was opened again lacks a transaction that its log had. */
export interface Missed {
  readonly at: number;
  readonly gateway: string;
  readonly tx: Tx;
}

/** A history in the checkers' terms. */
export interface Run {
  readonly history: History;
  readonly txs: readonly Tx[];
  readonly reads: readonly Read[];
  readonly losses: readonly Loss[];
  readonly membership: Membership;
  /** Of each list, its transactions. */
  readonly byList: ReadonlyMap<string, TxSet>;
  /** Of each device, its own transactions. */
  readonly byDevice: ReadonlyMap<string, TxSet>;
  /** The number of a transaction, if it is mentioned anywhere in the run. */
  numberOf(name: TxName): number | undefined;
  /** Whose a device is. */
  readonly userOf: ReadonlyMap<string, string>;
  /** When gateways went back to older copies, in order. */
  readonly restores: readonly Restore[];
  /** The gateway of each device, as far as that is told. */
  readonly gatewayOf: ReadonlyMap<string, string>;
  /** What logs lacked when their gateways were opened again. */
  readonly missed: readonly Missed[];
}

const runs = new WeakMap<History, Run>();

/**
 * Gives a history in the checkers' terms; all checkers of one history share the work.
 *
 * @param history The history; not changed afterwards.
 * @returns The run.
 */
export function runOf(history: History): Run {
  const known = runs.get(history);
  if (known !== undefined) return known;
  const run = new Indexing(history).run();
  runs.set(history, run);
  return run;
}

/** The position after the last event. */
export function endOf(run: Run): number {
  return run.history.events.length;
}

/**
 * Says whether a transaction ended refused: the last answer was that, and it was not given back and
 * accepted after its gateway went back to an older copy.
 *
 * @param run The run.
 * @param tx The transaction.
 * @returns Whether it ended refused.
 */
export function endedRefused(run: Run, { device, answers, logged }: Tx): boolean {
  const last = answers.at(-1);
  if (last === undefined || last.accepted) return false;
  return !(logged && restoresOf(run, device).some((at) => at > last.at));
}

/**
 * Finds when a device's gateway went back to older copies. Where it is not told which gateway that
 * is, it may have been any.
 *
 * @param run The run.
 * @param device The device.
 * @returns The positions, ascending.
 */
export function restoresOf(run: Run, device: string): readonly number[] {
  const own = run.gatewayOf.get(device);
  return run.restores.filter(({ gateway }) => own === undefined || gateway === own)
    .map(({ at }) => at);
}

/**
 * Finds what a device is to see at the end.
 *
 * @param run The run.
 * @param end The device.
 * @returns The tables, or nothing when no gateway or more than one says so.
 */
export function expectedOf(run: Run, end: DeviceEnd): TableRows | undefined {
  const view = end.view ?? end.user;
  let homes = run.history.gateways.filter(({ gateway, expected }) =>
    (end.gateway ?? gateway) === gateway && Object.hasOwn(expected, view)
  );
  if (homes.length > 1) {
    homes = homes.filter(({ log }) => log.some(({ tx }) => isOf(run, tx, end.device)));
  }
  return homes.length === 1 ? homes[0]?.expected[view] : undefined;
}

function isOf(run: Run, name: TxName, device: string): boolean {
  return run.txs[run.numberOf(name) ?? -1]?.device === device;
}
