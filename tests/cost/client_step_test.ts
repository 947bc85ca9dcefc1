/**
 * The smallest steps of a client make few calls to SQLite, and as many of them with six tables as
 * with twelve, but for the one that each table is compared by.
 */

import assert from "node:assert/strict";
import { defineSchema, type PullResult, type TableSpec, ZERO_HLC } from "@lakesync/core";
import { type AnyLocalDatabase, openLocal } from "@lakesync/client";
import { BucketGateway } from "../../client/testing_buckets.ts";
import { CountingDriver } from "../../client/testing_counting.ts";

const LIMITS = { transactions: 1_000, deltas: 10_000, bytes: 4_000_000 };
const ROWS = 10;
const TABLE: TableSpec = {
  primaryKey: ["id"],
  columns: { id: "string", title: "string", n: "integer" },
};

interface Calls {
  readonly transaction: number;
  readonly push: number;
  readonly covering: number;
  readonly plain: number;
  readonly comparison: number;
}

/** A client's database, and the gateway it is in step with. */
class Device {
  readonly gateway = new BucketGateway();
  #n = 0;

  constructor(readonly local: AnyLocalDatabase, readonly driver: CountingDriver) {}

  put(table: string, row: number, title: string): void {
    this.gateway.put(table, `${table}${row}`, { title, n: row }, ["all"]);
  }

  page(): PullResult {
    const [page, ...more] = this.gateway.pull();
    if (page === undefined || more.length > 0) throw new Error("One page was to come");
    return page;
  }

  /** How many calls each step makes. */
  async steps(): Promise<Calls> {
    const { driver, gateway, local } = this;
    const n = ++this.#n % ROWS;
    const transaction = await driver.during(() =>
      local.transaction(async (tx) => {
        await tx.exec("UPDATE t0 SET title = ? WHERE id = ?", [`mine ${this.#n}`, `t0${n}`]);
        await tx.exec("UPDATE t1 SET title = ? WHERE id = ?", [`mine ${this.#n}`, `t1${n}`]);
      })
    );
    this.put("t0", n, `mine ${this.#n}`);
    this.put("t1", n, `mine ${this.#n}`);
    gateway.lastMutationId++;
    const push = await driver.during(async () => {
      const after = { mutationId: gateway.lastMutationId - 1, part: 0 };
      assert.equal((await local.nextBatch(after, LIMITS))?.transactions[0]?.deltas.length, 2);
      await local.pushed({
        lastMutationId: gateway.lastMutationId,
        rejected: [],
        seq: 1,
        serverTime: "2026-01-01T00:00:00Z",
        serverHlc: ZERO_HLC,
      });
    });
    const own = this.page();
    const covering = await driver.during(() => local.receive(own));
    this.put("t2", n, `theirs ${this.#n}`);
    const theirs = this.page();
    const plain = await driver.during(() => local.receive(theirs));
    const comparison = await driver.during(async () => {
      assert.deepEqual((await local.verify())?.drifts, []);
    });
    return { transaction, push, covering, plain, comparison };
  }
}

async function measure(tables: number): Promise<Calls> {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-cost-" });
  const names = Array.from({ length: tables }, (_, i) => `t${i}`);
  const driver = new CountingDriver();
  const schema = defineSchema({
    version: 1,
    tables: Object.fromEntries(names.map((name) => [name, TABLE])),
  });
  const database = `${folder}/cost.db`;
  const local = await openLocal({ database, schema, driver, watchMs: 0, now: () => 1e12 });
  try {
    const device = new Device(local, driver);
    device.gateway.granted.add("all");
    for (const name of names) for (let i = 0; i < ROWS; i++) device.put(name, i, "first");
    await local.receive(device.page());
    for (let i = 0; i < 3; i++) await device.steps();
    return await device.steps();
  } finally {
    await local.close();
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the client's smallest steps make few calls to SQLite, however many tables there are", async () => {
  const six = await measure(6);
  assert.deepEqual(six, { transaction: 9, push: 13, covering: 24, plain: 15, comparison: 17 });
  const twelve = await measure(12);
  assert.deepEqual(twelve, { ...six, comparison: six.comparison + 6 });
});
