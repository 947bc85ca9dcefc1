/**
 * Makes a world of a seed.
 *
 * @module
 */

import type { BucketSpec, Op, RulesSpec, Value } from "@lakesync/core";
import {
  type ClientPlan,
  type ColumnPlan,
  columnsIn,
  type DeltaPlan,
  type Event,
  type Plan,
  type PushPlan,
  type Step,
  type TablePlan,
  tablesIn,
} from "./plan.ts";
import { Random } from "./random.ts";
import { RuleMaker, SHARED } from "./random_rules.ts";
import { COLUMNS, randomClaims, randomValue, USERS } from "./random_values.ts";

/** Between two steps, in milliseconds. */
const STEP_MS = 1_000;
/** More rows than new rules are built with at once. */
const BULK_ROWS = 700;
/** Longer than history is kept. */
const LONG_MS = 9 * 24 * 60 * 60 * 1_000;

function columnPlan(random: Random, name: string, first: number, versions: number): ColumnPlan {
  const column = { name, since: first, ...COLUMNS[name] } as ColumnPlan;
  if (SHARED.includes(name) || first === versions) return column;
  const since = random.chance(0.25) ? random.between(first + 1, versions) : first;
  const renames = since < versions && random.chance(0.15);
  return {
    ...column,
    since,
    ...(renames ? { renamedAt: random.between(since + 1, versions) } : {}),
  };
}

function tablePlan(random: Random, index: number, versions: number, rows: number): TablePlan {
  const composite = random.chance(0.25);
  const others = Object.keys(COLUMNS).filter((name) => !SHARED.includes(name));
  const names = [...SHARED, ...random.some(others, 0.35, 2)];
  const since = index > 1 && versions > 1 && random.chance(0.4) ? random.between(2, versions) : 1;
  const renames = since < versions && random.chance(0.1);
  const columns = names.map((name) => columnPlan(random, name, since, versions));
  return {
    name: `t${index}`,
    primaryKey: composite ? ["k", "id"] : ["id"],
    columns: [
      { name: "id", type: "string", since },
      ...columns,
    ],
    since,
    ...(renames ? { renamedAt: random.between(since + 1, versions) } : {}),
    rowIds: random.list(
      rows > 8 ? rows : 3,
      rows,
      () =>
        composite ? JSON.stringify([random.pick(["k0", "k1"]), random.token()]) : random.token(),
    ),
  };
}

class Maker {
  readonly #random: Random;
  readonly #tables: readonly TablePlan[];
  readonly #clients: readonly ClientPlan[];
  readonly #rowIds: readonly string[];
  #versions: number;
  /** Whether there are so many rows that rules are built in several pieces. */
  readonly #bulk: boolean;
  /** Whether the first table is one of members that others are found by. */
  readonly #members: boolean;
  #version = 1;
  #nowMs = 0;
  #counter = 0;
  #buckets: BucketSpec[] = [];

  constructor(readonly seed: number) {
    const random = new Random(seed);
    this.#random = random;
    this.#versions = random.weighted([[4, 1], [3, 2], [3, 3]]);
    this.#bulk = random.chance(0.015);
    this.#tables = random.list(
      2,
      4,
      (i) => tablePlan(random, i, this.#versions, this.#bulk && i === 0 ? BULK_ROWS : 8),
    );
    this.#rowIds = this.#tables.flatMap(({ rowIds }) => rowIds);
    this.#members = random.chance(0.5);
    const withAdmin = random.chance(0.6);
    this.#clients = random.list(3, 5, (i): ClientPlan => {
      const admin = withAdmin && i === 0;
      const sub = admin ? "root" : USERS[i % USERS.length] ?? "u0";
      return { clientId: `c${i}`, sub, admin, claims: randomClaims(random) };
    });
  }

  make(): Plan {
    const random = this.#random;
    const steps: Step[] = [];
    const add = (event: Event) => {
      this.#nowMs += STEP_MS;
      steps.push({ atMs: this.#nowMs, ...event });
    };
    for (const first of this.#beginning()) add(first);
    for (let left = this.#bulk ? 8 : random.between(12, 40); left > 0; left--) {
      if (random.chance(0.01)) this.#nowMs += LONG_MS;
      add(this.#event());
    }
    for (const client of this.#clients.keys()) {
      add({
        kind: "pull",
        client,
        mode: "complete",
        limit: this.#bulk ? 1_000 : random.pick([1, 3, 1_000]),
      });
    }
    const store = this.#bulk
      ? "memory"
      : random.weighted<Plan["store"]>([[98, "memory"], [1, "sqlite"], [1, "kv"]]);
    const { seed } = this;
    return { seed, store, tables: this.#tables, clients: this.#clients, steps };
  }

  #beginning(): Event[] {
    const random = this.#random;
    const rows: Event[] = random.list(0, 2, () => ({ kind: "push", pushes: [this.#push(0, 6)] }));
    if (this.#bulk) rows.push({ kind: "push", pushes: [this.#everything()] });
    const rules: Event = { kind: "rules", rules: this.#rules(), pushes: [], delay: 0 };
    return this.#bulk || random.chance(0.7) ? [...rows, rules] : [rules, ...rows];
  }

  #event(): Event {
    const random = this.#random;
    const client = random.below(this.#clients.length);
    return random.weighted<() => Event>([
      [40, () => ({ kind: "push", pushes: this.#pushes() })],
      [34, () => this.#pull(client)],
      [7, () => ({ kind: "claims", client, claims: randomClaims(random) })],
      [this.#bulk ? 40 : 6, () => ({
        kind: "rules",
        rules: this.#rules(),
        pushes: this.#bulk || random.chance(0.4) ? this.#pushes() : [],
        // In bulk most of them come between two pieces.
        delay: this.#bulk ? random.between(30, 300) : random.below(random.pick([2, 200])),
      })],
      [this.#version < this.#versions ? 9 : 0, () => {
        this.#version++;
        return { kind: "schema", version: this.#version };
      }],
      [this.#version > 1 ? 8 : 0, () => ({ kind: "upgrade", client })],
      [1, () => ({ kind: "forget", client })],
      [2, () => ({ kind: "restart" })],
      [4, () => {
        const table = random.pick(tablesIn({ tables: this.#tables } as Plan, this.#version));
        return { kind: "explain", client, table: table.name, rowId: random.pick(table.rowIds) };
      }],
    ])();
  }

  #pull(client: number): Event {
    const random = this.#random;
    const mode = random.weighted(
      [
        [12, "complete"],
        [6, "page"],
        [2, "lost"],
        [1, "anew"],
      ] as const,
    );
    const limit = this.#bulk
      ? random.pick([100, 1_000])
      : random.weighted([[3, 1], [3, 2], [2, 4], [4, 1_000]]);
    const pull = { kind: "pull", client, mode, limit } as const;
    return random.chance(0.08) ? { ...pull, repair: random.below(2 ** 31) } : pull;
  }

  #pushes(): readonly PushPlan[] {
    const random = this.#random;
    const clients = [...this.#clients.keys()];
    if (random.chance(0.8)) return [this.#push(random.pick(clients))];
    return random.some(clients, 0.4, 1).map((client) => this.#push(client));
  }

  #push(client: number, most = 3): PushPlan {
    const random = this.#random;
    return {
      client,
      transactions: random.list(
        1,
        most,
        () =>
          this.#members && random.chance(0.3)
            ? this.#joins(client)
            : random.list(1, 4, () => this.#delta()),
      ),
      again: random.chance(0.05),
    };
  }

  /** A transaction of somebody who becomes, or ceases to be, a member and writes what that allows. */
  #joins(client: number): readonly DeltaPlan[] {
    const random = this.#random;
    const [members] = this.#tables;
    if (members === undefined) return [];
    const k = random.pick(["k0", "k1", "k2"]);
    const user = random.chance(0.8) ? this.#clients[client]?.sub ?? "u0" : random.pick(USERS);
    const member = this.#write(
      random.weighted<Op>([[5, "INSERT"], [2, "UPDATE"], [2, "DELETE"]]),
      members,
    );
    const joined = member.op === "DELETE" || members.primaryKey.includes("k")
      ? { ...member, columns: member.op === "DELETE" ? {} : { ...member.columns, user } }
      : { ...member, columns: { ...member.columns, user, k } };
    const others = random.list(1, 3, () => {
      const delta = this.#delta();
      const table = this.#tables.find(({ name }) => name === delta.table);
      const fits = delta.op !== "DELETE" && !table?.primaryKey.includes("k") && random.chance(0.7);
      return fits ? { ...delta, columns: { ...delta.columns, k } } : delta;
    });
    return random.chance(0.8) ? [joined, ...others] : [...others, joined];
  }

  /** Every row of the first table. */
  #everything(): PushPlan {
    const [table] = this.#tables;
    const deltas = table?.rowIds.map((rowId) => ({ ...this.#write("INSERT", table), rowId })) ?? [];
    return { client: 0, transactions: [deltas], again: false };
  }

  #delta(): DeltaPlan {
    const random = this.#random;
    const table = random.pick(tablesIn({ tables: this.#tables } as Plan, this.#version));
    return this.#write(random.weighted<Op>([[9, "INSERT"], [8, "UPDATE"], [3, "DELETE"]]), table);
  }

  #write(op: Op, table: TablePlan): DeltaPlan {
    const random = this.#random;
    const rowId = random.pick(table.rowIds);
    const late = random.chance(0.25);
    const ms = late ? random.below(this.#nowMs + 1) : this.#nowMs;
    const stamp = [ms, ++this.#counter % 60_000] as const;
    return { op, table: table.name, rowId, stamp, columns: this.#cells(table, op) };
  }

  #cells(table: TablePlan, op: Op): Readonly<Record<string, Value>> {
    const random = this.#random;
    if (op === "DELETE") return {};
    const names = columnsIn(table, this.#version).map(({ name }) => name)
      .filter((name) => !table.primaryKey.includes(name));
    const written = op === "INSERT" && random.chance(0.8)
      ? names
      : random.some(names, op === "INSERT" ? 0.7 : 0.3, op === "INSERT" ? 0 : 1);
    return Object.fromEntries(
      written.map((name) => [name, randomValue(random, name, op, this.#rowIds)]),
    );
  }

  /** Other rules, with buckets of earlier ones among them. */
  #rules(): RulesSpec {
    const random = this.#random;
    const tables = tablesIn({ tables: this.#tables } as Plan, this.#version).map((table) => ({
      ...table,
      columns: columnsIn(table, this.#version),
    }));
    const maker = new RuleMaker(random, tables);
    if (this.#parameters === undefined || random.chance(0.2)) {
      this.#parameters = maker.parameters(this.#members);
      this.#buckets = [];
    }
    const parameters = this.#parameters;
    const kept = random.some(this.#buckets, 0.7);
    const free = ["one", "two", "three"].filter((name) =>
      kept.every((bucket) => bucket.name !== name)
    );
    const added = random.some(free, 0.4, kept.length === 0 ? 1 : 0)
      .map((name) => maker.bucket(name, parameters));
    const buckets = [...kept, ...added];
    this.#buckets = [...this.#buckets.filter(({ name }) => free.includes(name)), ...buckets]
      .filter((bucket, i, all) => all.findLastIndex(({ name }) => name === bucket.name) === i);
    return maker.rules(random.chance(0.2) ? buckets.reverse() : buckets, parameters);
  }

  #parameters: ReturnType<RuleMaker["parameters"]> | undefined;
}

/**
 * Makes a world.
 *
 * @param seed any whole number from 0
 * @returns the same world for the same seed
 */
export function generate(seed: number): Plan {
  return new Maker(seed).make();
}
