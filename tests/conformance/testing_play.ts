/**
 * Random lives of an adapter: what a flusher may send it, in any order that can happen.
 *
 * @module
 */

import type { Change, DatabaseAdapter } from "@lakesync/adapters";
import type { Value } from "@lakesync/core";
import fc from "fast-check";
import { numbered, START_MS, TestLog, TODOS, type Written } from "./testing_log.ts";

/** Something that happens to an adapter. */
export type Step =
  | { readonly kind: "flush"; readonly commits: readonly (readonly Written[])[] }
  | { readonly kind: "slices"; readonly slices: readonly (readonly Written[])[] }
  | { readonly kind: "rewind"; readonly by: number }
  | { readonly kind: "settle"; readonly count: number; readonly value: number }
  | { readonly kind: "refill"; readonly ahead: number }
  | { readonly kind: "forget"; readonly keep: number; readonly rows: boolean }
  | { readonly kind: "schema" };

const ROW_IDS = ["r1", "r2", "R1", "é", "🎈"] as const;

const cells: fc.Arbitrary<Record<string, Value>> = fc.record({
  title: fc.constantFrom("a", "", null),
  done: fc.boolean(),
  n: fc.constantFrom(0, 2n ** 62n, -1),
}, { requiredKeys: [], noNullPrototype: true });

/** A change whose effect is known. */
export const known: fc.Arbitrary<Written> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constantFrom("INSERT" as const, "UPDATE" as const, "DELETE" as const),
      table: fc.constant("todos"),
      rowId: fc.constantFrom(...ROW_IDS),
      cells,
      replaces: fc.boolean(),
    }).map(({ op, ...rest }) => op === "DELETE" ? { ...rest, op, cells: {} } : { ...rest, op }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      table: fc.constant("lists"),
      rowId: fc.constantFrom(...ROW_IDS),
      cells: fc.record({ name: fc.constantFrom("x", "y") }, { noNullPrototype: true }),
      isVisible: fc.boolean(),
    }),
  },
);

const written: fc.Arbitrary<Written> = fc.oneof(
  { weight: 10, arbitrary: known },
  { weight: 2, arbitrary: known.map((each) => ({ ...each, isUnstamped: true })) },
  {
    weight: 1,
    arbitrary: fc.record({
      table: fc.constantFrom("todos", "lists"),
      rowId: fc.constantFrom(...ROW_IDS),
      effect: fc.constantFrom("unsettles" as const, "unknown" as const),
    }),
  },
);

const commit = fc.array(written, { minLength: 0, maxLength: 4 });

/** Any step. */
export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(commit, { minLength: 1, maxLength: 4 })
      .map((commits): Step => ({ kind: "flush", commits })),
  },
  {
    weight: 2,
    arbitrary: fc.array(commit, { minLength: 2, maxLength: 3 })
      .map((slices): Step => ({ kind: "slices", slices })),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 0, max: 6 }).map((by): Step => ({ kind: "rewind", by })),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("settle" as const),
      count: fc.integer({ min: 1, max: 9 }),
      value: fc.integer({ min: 0, max: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 0, max: 3 }).map((ahead): Step => ({ kind: "refill", ahead })),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("forget" as const),
      keep: fc.integer({ min: 0, max: 5 }),
      rows: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "schema" }) },
);

/** A player of steps; two that play the same send the same. */
export class Player {
  readonly #adapter: DatabaseAdapter;
  readonly #log: TestLog;
  #lives = 1;

  /** @param adapter what is played with */
  constructor(adapter: DatabaseAdapter) {
    this.#adapter = adapter;
    this.#log = new TestLog(adapter);
  }

  /** Makes it ready. */
  async begin(): Promise<void> {
    await this.#log.begin();
  }

  /** Plays one step. */
  async play(step: Step): Promise<void> {
    const log = this.#log;
    switch (step.kind) {
      case "flush": {
        const changes = step.commits.flatMap((commit) => log.commit(...commit));
        await log.insert(changes, { to: await this.#to(log.seq) });
        return;
      }
      case "slices": {
        const seq = ++log.seq;
        for (const [slice, written] of step.slices.entries()) {
          const isWhole = slice === step.slices.length - 1;
          const changes: readonly Change[] = log.changes(seq, written, slice);
          await log.insert(changes, {
            to: await this.#to(seq, isWhole ? undefined : slice),
            isWhole,
          });
        }
        return;
      }
      case "rewind": {
        const floor = Math.max(await this.#adapter.forgottenSeq(), await this.#floor());
        if (log.seq - step.by >= floor) {
          await log.rewind(log.seq - step.by, `life-${++this.#lives}`);
        }
        return;
      }
      case "settle":
        return await this.#settle(step.count, step.value);
      case "refill": {
        const from = await this.#adapter.position();
        log.seq += step.ahead;
        const to = log.at({ seq: log.seq }, { filled: "", floor: log.seq });
        await this.#adapter.refill({ from, to });
        return await log.insert([], { to: log.at({ seq: log.seq }, { floor: log.seq }) }).then();
      }
      case "forget": {
        const committedBeforeMs = START_MS + (log.seq - step.keep) * 1_000;
        const what = { committedBeforeMs, throughSeq: log.seq, rows: step.rows };
        while (await this.#adapter.forget(what));
        return;
      }
      case "schema":
        log.schema = { ...numbered(TODOS), version: log.schema.version + 1 };
        await this.#adapter.ensureSchema(log.schema);
    }
  }

  async #settle(count: number, value: number): Promise<void> {
    const log = this.#log;
    const keys = [...await this.#adapter.unsettled(1_000)].sort((a, b) =>
      a.table - b.table || (a.rowId < b.rowId ? -1 : a.rowId > b.rowId ? 1 : 0)
    );
    const rows = keys.slice(0, count).map(({ table, rowId }) => {
      const name = log.schema.tables.find(({ id }) => id === table)?.table.name ?? "";
      const cells: Record<string, Value> = name === "todos" ? { n: value } : { name: `${value}` };
      const isVisible = value > 0;
      return log.effect({
        table: name,
        rowId,
        replaces: true,
        isVisible,
        cells: isVisible ? cells : {},
      }, value > 1 ? log.stamp() : undefined);
    });
    await log.insert([], { rows, to: await this.#to(log.seq) });
  }

  async #floor(): Promise<number> {
    return (await this.#adapter.position())?.floor ?? 0;
  }

  async #to(seq: number, slice?: number): Promise<ReturnType<TestLog["at"]>> {
    const floor = await this.#floor();
    return this.#log.at(slice === undefined ? { seq } : { seq, slice }, floor > 0 ? { floor } : {});
  }
}
