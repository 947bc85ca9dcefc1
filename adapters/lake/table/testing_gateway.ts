/**
 * A gateway that flushes to a lake, loses the end of its history and fills the lake anew, step by
 * step, for tests. It knows what the rows are to be.
 *
 * @module
 */

import type { Value } from "@lakesync/core";
import type {
  Change,
  DatabaseAdapter,
  FlushPosition,
  PositionLife,
  RowEffect,
} from "../../adapter.ts";
import { canonicalValue } from "../flush/values.ts";
import {
  destinationSchema,
  type GivenChange,
  NUMBERS,
  placed,
  TABLE,
  testSchema,
} from "./testing_history.ts";

/** A row as the gateway has it. */
interface GatewayRow {
  readonly isVisible: boolean;
  readonly cells: ReadonlyMap<number, Value>;
}

type Rows = ReadonlyMap<string, GatewayRow>;

/** A change, and whether the gateway no longer knows what it did. */
export interface GatewayChange extends GivenChange {
  /** Whether only its row is known. */
  readonly isForgotten?: boolean;
}

/** A gateway with one destination. */
export class TestGateway {
  readonly #adapter: DatabaseAdapter;
  readonly #clock: "steady" | "any";
  /** Rows after each commit. */
  #history: Rows[] = [new Map()];
  #lives: PositionLife[] = [{ id: "life-0", fromSeq: 0 }];
  #position: FlushPosition | undefined;
  #walk: string[] = [];
  #version: 1 | 2 = 1;

  /**
   * Makes a gateway that has no rows.
   *
   * @param adapter its destination
   * @param clock whether the times of its commits go forward only
   */
  constructor(adapter: DatabaseAdapter, clock: "steady" | "any" = "any") {
    this.#adapter = adapter;
    this.#clock = clock;
  }

  get #seq(): number {
    return this.#history.length - 1;
  }

  get #rows(): Rows {
    return this.#history.at(-1) ?? new Map();
  }

  get #from(): FlushPosition {
    if (this.#position === undefined) throw new Error("The gateway has not begun");
    return this.#position;
  }

  /** The rows that readers are to see when all has arrived. */
  get visible(): ReadonlyMap<string, ReadonlyMap<number, Value>> {
    const types = new Map(
      testSchema(2).tables.get("tasks")?.columns.map(({ name, type }) => [NUMBERS.get(name), type]),
    );
    return new Map([...this.#rows].flatMap(([rowId, { isVisible, cells }]) => {
      if (!isVisible) return [];
      const seen = [...cells].flatMap(([number, value]): [number, Value][] =>
        value === null ? [] : [[number, canonicalValue(types.get(number) ?? "string", value)]]
      );
      return [[rowId, new Map(seen.sort(([a], [b]) => a - b))]];
    }));
  }

  /** Makes the destination ready. */
  async begin(): Promise<void> {
    const to = { seq: 0, lives: this.#lives, writer: "w" };
    await this.#adapter.ensureSchema(destinationSchema(1));
    await this.#adapter.insertDeltas({ from: undefined, to, rows: [], changes: [], isWhole: true });
    this.#position = to;
  }

  /** Begins to use the second version of the schema. */
  async evolve(): Promise<void> {
    this.#version = 2;
    await this.#adapter.ensureSchema(destinationSchema(2));
  }

  /** Commits transactions and flushes them, with rows that are unsettled when asked to. */
  async flush(
    transactions: readonly (readonly GatewayChange[])[],
    settles: boolean,
  ): Promise<void> {
    const from = this.#from;
    const changes = transactions.flatMap((given) => this.#commit(given));
    const rows = settles ? await this.#settling(3) : [];
    const to = this.#at(from);
    await this.#adapter.insertDeltas({ from, to, rows, changes, isWhole: true });
    this.#position = to;
  }

  /** Flushes a transaction in two slices, a batch each. */
  async flushSlices(
    slices: readonly [readonly GatewayChange[], readonly GatewayChange[]],
  ): Promise<void> {
    const from = this.#from;
    const [first, second] = slices;
    const all = this.#commit([...first, ...second]);
    const changes = all.map((change, i) => ({ ...change, slice: i < first.length ? 0 : 1 }));
    const middle = { ...this.#at(from), slice: 0 };
    const parts = [changes.slice(0, first.length), changes.slice(first.length)];
    await this.#adapter.insertDeltas({
      ...{ from, to: middle, rows: [], changes: parts[0] ?? [], isWhole: false },
    });
    const to = this.#at(from);
    await this.#adapter.insertDeltas({
      ...{ from: middle, to, rows: [], changes: parts[1] ?? [], isWhole: true },
    });
    this.#position = to;
  }

  /** Loses commits, so many at most, and takes the destination back. */
  async rewind(commits: number): Promise<void> {
    const from = this.#from;
    if (from.filled !== undefined) return;
    const seq = Math.max(from.floor ?? 0, this.#seq - commits);
    this.#history = this.#history.slice(0, seq + 1);
    this.#lives = [
      ...this.#lives.filter(({ fromSeq }, i) => i === 0 || fromSeq < seq),
      { id: `life-${crypto.randomUUID()}`, fromSeq: seq },
    ];
    const to = this.#at(from);
    await this.#adapter.rewind({ from, to });
    this.#position = to;
  }

  /** Commits what the destination will never be told, and begins to fill it from rows. */
  async refill(untold: readonly GatewayChange[]): Promise<void> {
    const from = this.#from;
    if (untold.length > 0) this.#commit(untold);
    // What is left of rows that are gone may have been purged.
    this.#history.push(new Map([...this.#rows].filter(([, { isVisible }]) => isVisible)));
    const to = { ...this.#at(from), filled: "", floor: this.#seq };
    await this.#adapter.refill({ from, to });
    this.#position = to;
    this.#walk = [...this.#rows.keys()];
  }

  /** Fills some rows. */
  async fill(count: number): Promise<void> {
    const from = this.#from;
    if (from.filled === undefined) return;
    const ids = this.#walk.splice(0, count);
    const { filled: _, ...rest } = this.#at(from);
    const to = this.#walk.length === 0 ? rest : { ...rest, filled: ids.at(-1) ?? "" };
    const rows = ids.map((rowId) => this.#effectOf(rowId));
    await this.#adapter.insertDeltas({ from, to, rows, changes: [], isWhole: true });
    this.#position = to;
  }

  /** Fills and sets what is still to be filled and set. */
  async settle(): Promise<void> {
    while (this.#from.filled !== undefined) await this.fill(4);
    while ((await this.#adapter.unsettled(1)).length > 0) await this.flush([], true);
  }

  #at(from: FlushPosition): FlushPosition {
    const { slice: _, ...rest } = from;
    return { ...rest, seq: this.#seq, lives: this.#lives };
  }

  async #settling(limit: number): Promise<readonly RowEffect[]> {
    if (this.#from.filled !== undefined) return [];
    const keys = await this.#adapter.unsettled(limit);
    return keys.map(({ rowId }) => this.#effectOf(rowId));
  }

  #effectOf(rowId: string): RowEffect {
    const row = this.#rows.get(rowId);
    return {
      key: { table: TABLE, rowId },
      isVisible: row?.isVisible ?? false,
      replaces: true,
      cells: [...row?.cells ?? []],
    };
  }

  #commit(given: readonly GatewayChange[]): readonly Change[] {
    const rows = new Map(this.#rows);
    for (const { effect: { key, isVisible, replaces, cells } } of given) {
      const before = replaces ? [] : rows.get(key.rowId)?.cells ?? [];
      const after = new Map(before);
      for (const [column, value] of cells) after.set(column, value);
      rows.set(key.rowId, { isVisible, cells: after });
    }
    this.#history.push(rows);
    return given.map((change, i) => {
      const { effect, ...given } = placed(change, this.#seq, i, this.#version);
      const steadyMs = Date.UTC(2026, 0, 1) + this.#seq * 1_000;
      const rest = this.#clock === "steady" ? { ...given, committedMs: steadyMs } : given;
      return change.isForgotten === true
        ? { ...rest, slice: 0, effect: undefined, unsettles: change.effect.key }
        : { ...rest, slice: 0, effect };
    });
  }
}
