/**
 * The smallest steps of a client, one of each kind in the order in which a client makes them, for
 * tests and benchmarks of what they cost.
 *
 * @module
 */

import { defineSchema, type PullResult, type TableSpec, ZERO_HLC } from "@lakesync/core";
import { type AnyLocalDatabase, openLocal } from "./local.ts";
import { BucketGateway } from "./testing_buckets.ts";
import { CountingDriver } from "./testing_counting.ts";
import { WIDE } from "./testing_local.ts";

const ROWS = 10;
const TABLE: TableSpec = {
  primaryKey: ["id"],
  columns: { id: "string", list: "string", title: "string", n: "integer" },
};

/** What is measured of each step. */
export interface Steps<T> {
  /** A transaction of two rows. */
  readonly transaction: T;
  /** What is done to push it and to store the answer. */
  readonly push: T;
  /** The checkpoint that contains it. */
  readonly covering: T;
  /** A checkpoint of one row of another. */
  readonly plain: T;
  /** Comparing all rows with what the gateway told. */
  readonly comparison: T;
}

/** A client's database in a file, in step with a gateway. */
export class StepDevice {
  /** Counts its calls to SQLite. */
  readonly driver: CountingDriver;
  readonly #local: AnyLocalDatabase;
  readonly #gateway = new BucketGateway();
  #n = 0;

  private constructor(local: AnyLocalDatabase, driver: CountingDriver) {
    this.#local = local;
    this.driver = driver;
    this.#gateway.granted.add("all");
  }

  /**
   * Opens one with some rows in each table.
   *
   * @param folder where its file goes
   * @param tables how many tables, at least three
   */
  static async open(folder: string, tables: number): Promise<StepDevice> {
    const names = Array.from({ length: tables }, (_, i) => `t${i}`);
    const driver = new CountingDriver();
    const schema = defineSchema({
      version: 1,
      tables: Object.fromEntries(names.map((name) => [name, TABLE])),
    });
    const database = `${folder}/${crypto.randomUUID()}.db`;
    const device = new StepDevice(
      await openLocal({ database, schema, driver, watchMs: 0 }),
      driver,
    );
    for (const name of names) for (let i = 0; i < ROWS; i++) device.#put(name, i, "first");
    await device.#local.receive(device.#page());
    return device;
  }

  #put(table: string, row: number, title: string): void {
    const cells = { list: "l1", title, n: row };
    this.#gateway.put(table, `${table}-${row}`, cells, ["all"]);
  }

  #page(): PullResult {
    const [page, ...more] = this.#gateway.pull();
    if (page === undefined || more.length > 0) throw new Error("One page was to come");
    return page;
  }

  /**
   * Makes one step of each kind.
   *
   * @param measure runs a step and gives what it cost
   */
  async steps<T>(measure: (step: () => Promise<unknown>) => Promise<T>): Promise<Steps<T>> {
    const local = this.#local;
    const title = `mine ${++this.#n}`;
    const row = this.#n % ROWS;
    const transaction = await measure(() =>
      local.transaction(async (tx) => {
        await tx.exec("UPDATE t0 SET title = ? WHERE id = ?", [title, `t0-${row}`]);
        await tx.exec("UPDATE t1 SET title = ? WHERE id = ?", [title, `t1-${row}`]);
      })
    );
    this.#put("t0", row, title);
    this.#put("t1", row, title);
    const push = await measure(() => this.#push());
    const covers = this.#page();
    const covering = await measure(() => local.receive(covers));
    this.#put("t2", row, `theirs ${this.#n}`);
    const theirs = this.#page();
    const plain = await measure(() => local.receive(theirs));
    const comparison = await measure(async () => {
      const { drifts } = await local.verify() ?? { drifts: ["nothing to compare with"] };
      if (drifts.length > 0) throw new Error(`Not in step: ${JSON.stringify(drifts)}`);
    });
    return { transaction, push, covering, plain, comparison };
  }

  async #push(): Promise<void> {
    const local = this.#local;
    await local.seal();
    const { settledMutationId } = await local.state();
    const batch = await local.nextBatch({ mutationId: settledMutationId, part: 0 }, WIDE);
    if (batch?.transactions.length !== 1) throw new Error("One transaction was to be sent");
    this.#gateway.lastMutationId = batch.next.mutationId;
    await local.pushed({
      lastMutationId: batch.next.mutationId,
      rejected: [],
      seq: 1,
      serverTime: "2026-01-01T00:00:00Z",
      serverHlc: ZERO_HLC,
    });
  }

  /** Closes the database. */
  async close(): Promise<void> {
    await this.#local.close();
  }
}
