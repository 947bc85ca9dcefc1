/**
 * The fixed cost of the client's smallest steps on a file database with six tables of few rows: a
 * transaction of two rows, what the sync loop does to push it, a checkpoint of one row, and the
 * comparison that follows one. Time and calls to SQLite of each.
 *
 * @module
 */

import { makeHlc, type PullResult } from "@lakesync/core";
import { type LocalDatabase, openLocal } from "@lakesync/client";
import { CountingDriver } from "../client/testing_counting.ts";
import { machine, percentile, show, spread } from "./support.ts";

const ROUNDS = 5;
const STEPS = 400;
const WARM_UP = 50;
const ROWS = 20;
const LIMITS = { transactions: 1_000, deltas: 10_000, bytes: 4_000_000 };
const NAMES = ["a", "b", "c", "d", "e", "f"] as const;
const TABLE = {
  primaryKey: ["id"],
  columns: { id: "string", list: "string", title: "string", n: "integer" },
} as const;
const SCHEMA = {
  version: 1,
  tables: { a: TABLE, b: TABLE, c: TABLE, d: TABLE, e: TABLE, f: TABLE },
} as const;

/** The steps that are measured, in the order in which a client makes them. */
const KINDS = ["transaction of two rows", "push of it", "checkpoint of one row", "comparison"];

interface Cost {
  readonly ms: number;
  readonly calls: number;
}

/** A client's database and the gateway's part in its life. */
class Device {
  #seq = 0;
  #n = 0;
  #mutationId = 0;
  #cursor: string | undefined;

  constructor(
    readonly local: LocalDatabase<typeof SCHEMA>,
    readonly driver: CountingDriver,
  ) {}

  static async open(folder: string): Promise<Device> {
    const driver = new CountingDriver();
    const database = `${folder}/${crypto.randomUUID()}.db`;
    const local = await openLocal({ database, schema: SCHEMA, driver, watchMs: 0 });
    const device = new Device(local, driver);
    await local.receive(
      device.#page(
        NAMES.flatMap((table) =>
          Array.from({ length: ROWS }, (_, i) => [table, `${table}${i}`] as const)
        ),
      ),
    );
    return device;
  }

  #page(rows: readonly (readonly [table: string, rowId: string])[]): PullResult {
    const seq = ++this.#seq;
    const columns = ["list", "title", "n"];
    const cursor = `cursor-${seq}`;
    this.#cursor = cursor;
    return {
      changes: rows.map(([table, rowId]) => ({
        shape: { op: "PUT", table, columns, buckets: [0] },
        rowId,
        values: ["l1", `Title ${seq}`, seq],
      })),
      cursor,
      complete: true,
      lastMutationId: this.#mutationId,
      serverHlc: makeHlc(Date.now(), 0),
      checkpoint: { seq, buckets: [{ id: "all", rows: NAMES.length * ROWS, checksum: seq }] },
    };
  }

  async #cost(work: () => Promise<unknown>): Promise<Cost> {
    const started = performance.now();
    const calls = await this.driver.during(work);
    return { ms: performance.now() - started, calls };
  }

  /** One of each kind. */
  async steps(): Promise<Cost[]> {
    const { local } = this;
    const n = ++this.#n;
    const clientId = (await local.state()).clientId;
    const write = await this.#cost(() =>
      local.transaction(async (tx) => {
        await tx.exec("UPDATE a SET title = ? WHERE id = ?", [`Mine ${n}`, `a${n % ROWS}`]);
        await tx.exec("UPDATE b SET n = ? WHERE id = ?", [n, `b${n % ROWS}`]);
      })
    );
    const push = await this.#cost(async () => {
      await local.seal();
      const { settledMutationId } = await local.state();
      const batch = await local.nextBatch({ mutationId: settledMutationId, part: 0 }, LIMITS);
      this.#mutationId = batch?.next.mutationId ?? 0;
      await local.pushed({
        lastMutationId: this.#mutationId,
        rejected: [],
        seq: this.#seq,
        serverTime: new Date().toISOString(),
        serverHlc: makeHlc(Date.now(), 0),
      });
      await local.state();
    });
    const origin = { clientId, cursor: this.#cursor };
    const checkpoint = await this.#cost(async () => {
      await local.receive(this.#page([["c", `c${n % ROWS}`]]), origin);
      await local.state();
    });
    const compare = await this.#cost(() => local.verify());
    return [write, push, checkpoint, compare];
  }
}

/** Runs the benchmark and prints its table. */
export async function benchClientStep(): Promise<void> {
  console.log("\nClient, smallest steps, six tables, file database");
  const folder = await Deno.makeTempDir({ prefix: "lakesync-step-" });
  const rounds: Cost[][] = [];
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const device = await Device.open(folder);
      const costs: Cost[][] = [];
      for (let i = 0; i < WARM_UP; i++) await device.steps();
      for (let i = 0; i < STEPS; i++) costs.push(await device.steps());
      await device.local.close();
      rounds.push(KINDS.map((_, kind) => {
        const all = costs.flatMap((steps) => steps[kind] ?? []);
        const sorted = (values: number[]) => values.sort((a, b) => a - b);
        return {
          ms: percentile(sorted(all.map(({ ms }) => ms)), 0.5),
          calls: percentile(sorted(all.map(({ calls }) => calls)), 0.5),
        };
      }));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  for (const [kind, name] of KINDS.entries()) {
    const costs = rounds.flatMap((round) => round[kind] ?? []);
    const us = spread(costs.map(({ ms }) => ms * 1_000));
    const calls = spread(costs.map(({ calls }) => calls));
    console.log(`${name.padEnd(24)}${show(us)} µs, ${show(calls)} calls to SQLite`);
  }
}

if (import.meta.main) {
  console.log(machine());
  await benchClientStep();
}
