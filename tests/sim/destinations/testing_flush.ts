/**
 * A gateway, destinations that fail by chance and flushers that end anywhere, to hold the law of the
 * flush against: in the end each destination has what the log has, and the rows of the gateway.
 *
 * @module
 */

import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import type { Destination } from "@lakesync/adapters";
import { Flusher, type FlushSettings } from "@lakesync/adapters/flush";
import { type FollowedGateway, gatewaySource } from "@lakesync/server/flush";
import type { Gateway } from "../../../server/gateway/gateway.ts";
import { ALICE, Puller } from "../../../server/gateway/testing_fixture.ts";
import type { TableRows } from "../history.ts";
import type { DestinationFaults, DestinationWorld } from "./faults.ts";
import { ModelDatabase } from "./model_database.ts";
import { ModelLake } from "./model_lake.ts";
import { SimLake } from "./sim_lake.ts";
import { TestTime } from "./testing_time.ts";

/** A destination that can be looked into. */
export type ModelDestination = ModelDatabase | ModelLake | SimLake;

/** Faults of every kind. */
export const ALL_FAULTS: DestinationFaults = {
  lost: 0.08,
  answerLost: 0.12,
  refused: 0.05,
  late: 0.12,
  stalled: 0.1,
};

/** Small batches, so that a few changes need several. */
export const SMALL: Partial<FlushSettings> = {
  maxChanges: 3,
  everyMs: 20,
  retryMs: 10,
  maxRetryMs: 200,
  answerMs: 150,
};

/** The next turn of the event loop, without a timer. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** A flusher that can end at any await: nothing that it waits for comes any more. */
class Instance {
  readonly flusher: Flusher;
  #dead = false;

  constructor(gateway: Gateway, destination: Destination, time: TestTime, random: () => number) {
    const source: FollowedGateway = {
      history: this.#mortal(gateway.history),
      onCommit: (listener) => gateway.onCommit((commit) => this.#dead || listener(commit)),
    };
    this.flusher = new Flusher({
      source: gatewaySource(source),
      destination: this.#mortal(destination),
      env: {
        now: () => time.nowMs,
        setTimer: (ms, callback) => time.setTimer(ms, () => this.#dead || callback()),
        random,
      },
      settings: SMALL,
    });
  }

  end(): void {
    this.#dead = true;
  }

  /** An object none of whose answers comes to an instance that has ended. */
  #mortal<T extends object>(object: T): T {
    return new Proxy(object, {
      get: (_, name) => {
        const member = Reflect.get(object, name);
        if (typeof member !== "function") return member;
        return (...given: unknown[]) => {
          if (this.#dead) return new Promise(() => {});
          const answer = member.apply(object, given);
          if (!(answer instanceof Promise)) return answer;
          return new Promise((resolve, reject) =>
            answer.then(
              (value) => this.#dead || resolve(value),
              (error) => this.#dead || reject(error),
            )
          );
        };
      },
    });
  }
}

/** Destinations of a gateway, with a flusher each. */
export class FlushWorld {
  readonly time: TestTime = new TestTime();
  readonly destinations: readonly [ModelDatabase, ModelLake, SimLake];
  readonly #random: () => number;
  readonly #wrap: (destination: Destination) => Destination;
  #faults: DestinationFaults = ALL_FAULTS;
  #instances: Instance[] = [];
  gateway: Gateway;

  /**
   * @param gateway what is flushed
   * @param random chance
   * @param wrap puts something between flusher and destination
   */
  constructor(
    gateway: Gateway,
    random: () => number,
    wrap: (destination: Destination) => Destination = (destination) => destination,
  ) {
    this.gateway = gateway;
    this.#random = random;
    this.#wrap = wrap;
    const faults = () => this.#faults;
    const world: DestinationWorld = {
      random,
      pause: (ms) => this.time.sleep(ms ?? 1 + Math.floor(random() * 60)),
      get faults() {
        return faults();
      },
    };
    this.destinations = [
      new ModelDatabase("database", world),
      new ModelLake("model of a lake", world),
      new SimLake("lake", world),
    ];
    this.start();
  }

  /** Starts a flusher for each destination. */
  start(): void {
    for (const each of this.destinations) if (each instanceof SimLake) each.restart();
    this.#instances = this.destinations.map((destination) =>
      new Instance(this.gateway, this.#wrap(destination), this.time, this.#random)
    );
  }

  /** Ends the flushers wherever they are. */
  end(): void {
    for (const instance of this.#instances) instance.end();
  }

  /** Ends the database's process and starts it again. */
  restartDatabase(): void {
    for (const destination of this.destinations) {
      if (destination instanceof ModelDatabase) destination.restart();
    }
  }

  /** Lets nothing fail any more, and flushes what there is. */
  async heal(): Promise<void> {
    this.#faults = {};
    for (const { flusher } of this.#instances) {
      await this.time.awaiting(flusher.flushNow());
      assert.equal(flusher.status.lagCommits, 0);
      await this.time.awaiting(flusher.close());
    }
  }

  /** Holds the destinations against the log and the gateway's rows. */
  async check(): Promise<void> {
    const log = await loggedIds(this.gateway);
    const rows = await gatewayRows(this.gateway);
    for (const destination of this.destinations) {
      const ids = this.time.awaiting(Promise.resolve(destination.deltaIds(log)));
      assert.deepEqual(await ids, log, destination.name);
      const found = await this.time.awaiting(Promise.resolve(destination.rows()));
      assert.deepEqual(withoutNulls(found), rows, destination.name);
    }
  }
}

/** The identities of the changes in a gateway's log, in order. */
export async function loggedIds({ history }: Gateway): Promise<readonly string[]> {
  const { entries } = await history.read({ seq: 0 }, { changes: 100_000, bytes: 1e9 });
  const ids = entries.flatMap(({ changes }) => changes.map(({ delta }) => delta.deltaId));
  return [...new Set(ids)];
}

let pullers = 0;

/** The rows that a client of a gateway has, by their other cells than keys and nulls. */
async function gatewayRows(gateway: Gateway): Promise<Record<string, unknown>> {
  const version = gateway.schema?.version ?? 1;
  const puller = new Puller(gateway, `puller-${++pullers}`, 1_000, version, ALICE);
  await puller.pull();
  for (const row of puller.rows.values()) delete row.id;
  return puller.table();
}

function withoutNulls(tables: TableRows): Record<string, unknown> {
  const rows: [string, unknown][] = [];
  for (const [table, byId] of Object.entries(tables)) {
    for (const [rowId, cells] of Object.entries(byId)) {
      const known = Object.entries(cells).filter(([name, value]) => name !== "id" && value !== null)
        .sort();
      rows.push([`${table}/${rowId}`, Object.fromEntries(known)]);
    }
  }
  return Object.fromEntries(rows.sort(([a], [b]) => (a < b ? -1 : 1)));
}
