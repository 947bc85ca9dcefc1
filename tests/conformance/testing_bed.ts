/**
 * A log, a flusher and a composed destination over databases in memory, in virtual time: processes
 * end anywhere, calls get lost, the log is put back. In the end everything is equal.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  type DatabaseAdapter,
  memoryAdapter,
  MemoryData,
  memoryObjects,
  type ObjectStore,
} from "@lakesync/adapters";
import { type FlushEnvironment, Flusher, type FlushSettings } from "@lakesync/adapters/flush";
import { Random } from "../oracle/random.ts";
import { TestTime } from "../sim/destinations/testing_time.ts";
import { allChanges, allRows } from "./expect.ts";
import { type Fate, TestProcess } from "./testing_faults.ts";
import { numbered, TestLog, TODOS, type Written } from "./testing_log.ts";
import { TestSource } from "./testing_source.ts";

/** What a destination is made of. */
export interface Parts {
  /** A database, the same for the same name, over a connection of this process. */
  database(name: string): DatabaseAdapter;
  /** The bed's objects, over a connection of this process. */
  readonly objects: ObjectStore;
  /** Time and chance. */
  readonly env: FlushEnvironment;
  /** For flushers within. */
  readonly settings: Partial<FlushSettings>;
}

/** Makes a destination. */
export type Build = (parts: Parts) => DatabaseAdapter;

/** How likely what is, from 0 to 1. */
export interface Odds {
  readonly lost: number;
  readonly answerLost: number;
  /** Of calls to objects: an error now, and what was asked for some time later. */
  readonly late?: number;
}

/** Odds of a bad network. */
export const BAD: Odds = { lost: 0.06, answerLost: 0.06 };

const SETTINGS: Partial<FlushSettings> = {
  maxChanges: 4,
  everyMs: 20,
  retryMs: 10,
  maxRetryMs: 200,
  answerMs: 2_000,
};

/** A log and what follows it. */
export class Bed {
  readonly time: TestTime = new TestTime(Date.UTC(2026, 1, 1));
  readonly source: TestSource;
  readonly data: Map<string, MemoryData> = new Map();
  readonly objects: ObjectStore = memoryObjects();
  readonly random: Random;
  #build: Build;
  readonly #log: TestLog;
  #odds: Odds;
  #process = new TestProcess();
  #flusher: Flusher | undefined;
  #lives = 1;
  #calls = 0;
  /** Ends the process at the n-th call. */
  endAt: { readonly call: number; readonly hasArrived: boolean } | undefined;
  destination: DatabaseAdapter;

  /**
   * @param seed chance
   * @param build makes the destination
   * @param odds what fails
   */
  constructor(seed: number, build: Build, odds: Odds = BAD) {
    this.random = new Random(seed);
    this.#build = build;
    this.#odds = odds;
    const schema = numbered(TODOS);
    this.#log = new TestLog(memoryAdapter(), schema);
    this.source = new TestSource(schema);
    this.destination = this.start();
  }

  /** How many calls there were. */
  get calls(): number {
    return this.#calls;
  }

  /** Ends the process wherever it is, and starts another one. */
  start(build: Build = this.#build): DatabaseAdapter {
    this.#process.isDead = true;
    this.#build = build;
    const process = this.#process = new TestProcess();
    const random = () => this.random.below(1e9) / 1e9;
    const env: FlushEnvironment = {
      now: () => this.time.nowMs,
      setTimer: (ms, callback) => this.time.setTimer(ms, () => process.isDead || callback()),
      random,
    };
    const database = (name: string) => {
      const data = this.data.get(name) ?? new MemoryData();
      this.data.set(name, data);
      return process.adapter(memoryAdapter(name, data), this.#fate(process));
    };
    const objects = process.objects(this.objects, this.#fate(process));
    const parts = { database, objects, env, settings: SETTINGS };
    this.destination = build(parts);
    this.#flusher = new Flusher({
      source: this.source,
      destination: this.destination,
      env,
      settings: SETTINGS,
    });
    return this.destination;
  }

  /** Commits a transaction of one slice or more. */
  commit(...slices: readonly (readonly Written[])[]): void {
    const seq = this.source.seq + 1;
    this.source.commit(slices.map((written, slice) => this.#log.changes(seq, written, slice)));
  }

  /** Puts the gateway back by some commits. */
  restore(by: number): void {
    this.source.restore(Math.max(0, this.source.seq - by), `life-${++this.#lives}`);
  }

  /** Lets time pass. */
  pass(ms: number): Promise<void> {
    return this.time.pass(ms);
  }

  /** Flushes everything over a network that does not fail. */
  async heal(): Promise<void> {
    this.#odds = { lost: 0, answerLost: 0 };
    if (this.#process.isDead) this.start();
    const { destination } = this;
    // A write that was under way may yet bring what the log has lost meanwhile.
    for (let i = 0; i < 3; i++) {
      await this.time.pass(500);
      await this.time.awaiting(this.#flusher?.flushNow() ?? Promise.resolve());
      if ("caughtUp" in destination && destination.caughtUp instanceof Function) {
        await this.time.awaiting(destination.caughtUp());
      }
    }
  }

  /** Ends everything in good order. */
  async close(): Promise<void> {
    await this.time.awaiting(this.#flusher?.close() ?? Promise.resolve());
    await this.time.awaiting(this.destination.close());
  }

  /** Holds an adapter against the log. */
  async check(adapter: DatabaseAdapter = this.destination): Promise<void> {
    const reading = Promise.all([allRows(adapter, 3), adapter.unsettled(9)]);
    const [rows, unsettled] = await this.time.awaiting(reading);
    assert.deepEqual(shown(rows), shown(this.source.rowsNow), `rows of ${adapter.name}`);
    assert.deepEqual(unsettled, [], `unsettled rows of ${adapter.name}`);
    const position = await this.time.awaiting(adapter.position());
    const since = Math.max(position?.floor ?? 0, await this.time.awaiting(adapter.forgottenSeq()));
    const changes = await this.time.awaiting(allChanges(adapter, 3));
    const expected = this.source.changes.filter(({ seq }) => seq > since);
    assert.deepEqual(
      changes.filter(({ seq }) => seq > since).map(({ seq, slice, deltaId }) => [
        ...[seq, slice, deltaId],
      ]),
      expected.map(({ seq, slice, deltaId }) => [seq, slice, deltaId]),
      `changes of ${adapter.name}`,
    );
  }

  /** Holds each database that follows another one against that. */
  async checkSecondaries(): Promise<void> {
    for (const [name, data] of this.data) {
      const primary = this.data.get(name.replace(/secondary(-\d)?/, "primary"));
      if (primary === undefined || primary === data) continue;
      const [own, other] = [memoryAdapter(name, data), memoryAdapter("primary", primary)];
      assert.deepEqual(shown(await allRows(own)), shown(await allRows(other)), `rows of ${name}`);
      assert.deepEqual(await own.unsettled(9), [], `unsettled rows of ${name}`);
      const since = Math.max(data.position?.floor ?? 0, primary.position?.floor ?? 0);
      const [ids, others] = await Promise.all(
        [own, other].map(async (adapter) =>
          (await allChanges(adapter)).filter(({ seq }) => seq > since).map(({ deltaId }) => deltaId)
        ),
      );
      assert.deepEqual(ids, others, `changes of ${name}`);
    }
  }

  #fate(process: TestProcess): Fate {
    return {
      pause: () => this.time.sleep(1 + this.random.below(20)),
      next: () => {
        if (++this.#calls === this.endAt?.call) {
          const { hasArrived } = this.endAt;
          process.isDead = true;
          return hasArrived ? "arrives" : "lost";
        }
        const chance = this.random.below(1_000) / 1_000;
        const { lost, answerLost, late = 0 } = this.#odds;
        if (chance < lost) return "lost";
        if (chance < lost + answerLost) return "answer lost";
        return chance < lost + answerLost + late ? "late" : "arrives";
      },
    };
  }
}

/** Rows as far as readers and later changes can tell them apart. */
function shown(rows: Awaited<ReturnType<typeof allRows>>): unknown {
  return rows
    .filter(({ isVisible, cells }) => isVisible || cells.length > 0)
    .map(({ key, isVisible, cells }) => [key.table, key.rowId, isVisible, cells]);
}
