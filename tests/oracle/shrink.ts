/**
 * Makes a world that goes wrong smaller, as long as it goes wrong in the same way.
 *
 * @module
 */

import type { FilterSpec, RulesSpec } from "@lakesync/core";
import type { DeltaPlan, Event, Plan, PushPlan, Step } from "./plan.ts";
import type { Failure } from "./seed.ts";

/** Runs a world. */
export type Run = (plan: Plan) => Promise<Failure | undefined>;

/** What two failures have in common: the text without ids, numbers and names of columns. */
export function kindOf({ what }: Failure): string {
  return what.replace(/["[]*(~[a-z2-7]+|[a-z]+\d)["\],]*/g, "_").replace(/\d+/g, "0").slice(0, 40);
}

/** Leaves out ever smaller pieces of a list, as long as what is left is still bad. */
async function fewer<T>(
  items: readonly T[],
  isBad: (items: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  let kept = items;
  for (let size = Math.max(1, kept.length >> 1); size >= 1; size >>= 1) {
    for (let from = kept.length - size; from > -size; from -= size) {
      const start = Math.max(0, from);
      const rest = [...kept.slice(0, start), ...kept.slice(from + size)];
      if (rest.length < kept.length && await isBad(rest)) kept = rest;
    }
  }
  return kept;
}

/** Every way to write a world with a piece less of one step. */
function* variants(event: Event): Generator<Event> {
  if (event.kind === "push" || event.kind === "rules") {
    for (const pushes of smallerPushes(event.pushes)) yield { ...event, pushes };
  }
  if (event.kind === "rules") {
    for (const rules of smallerRules(event.rules)) yield { ...event, rules };
  }
  if (event.kind === "pull") {
    const { repair: _, ...plain } = event;
    if (event.repair !== undefined) yield plain;
    if (event.limit < 1_000) yield { ...event, limit: 1_000 };
    if (event.mode !== "complete") yield { ...event, mode: "complete" };
  }
  if (event.kind === "claims") {
    for (const name of Object.keys(event.claims)) {
      yield { ...event, claims: without(event.claims, name) };
    }
  }
}

function without<T>(record: Readonly<Record<string, T>>, name: string): Record<string, T> {
  return Object.fromEntries(Object.entries(record).filter(([key]) => key !== name));
}

function replaced<T>(items: readonly T[], at: number, item?: T): readonly T[] {
  return items.flatMap((old, i) => i !== at ? [old] : item === undefined ? [] : [item]);
}

function* smallerPushes(pushes: readonly PushPlan[]): Generator<readonly PushPlan[]> {
  for (const [i, push] of pushes.entries()) {
    yield replaced(pushes, i);
    if (push.again) yield replaced(pushes, i, { ...push, again: false });
    for (const [j, deltas] of push.transactions.entries()) {
      const write = (transactions: PushPlan["transactions"]) =>
        replaced(pushes, i, { ...push, transactions });
      if (push.transactions.length > 1) yield write(replaced(push.transactions, j));
      for (const smaller of smallerDeltas(deltas)) {
        yield write(replaced(push.transactions, j, smaller));
      }
    }
  }
}

function* smallerDeltas(deltas: readonly DeltaPlan[]): Generator<readonly DeltaPlan[]> {
  for (const [i, delta] of deltas.entries()) {
    if (deltas.length > 1) yield replaced(deltas, i);
    for (const name of Object.keys(delta.columns)) {
      yield replaced(deltas, i, { ...delta, columns: without(delta.columns, name) });
    }
  }
}

function* smallerRules(rules: RulesSpec): Generator<RulesSpec> {
  for (const [i, bucket] of rules.buckets.entries()) {
    yield { ...rules, buckets: replaced(rules.buckets, i) };
    const write = (more: Partial<typeof bucket>) => ({
      ...rules,
      buckets: replaced(rules.buckets, i, { ...bucket, ...more }),
    });
    for (const filters of smallerFilters(bucket.filters)) yield write({ filters });
    for (const [j, table] of bucket.tables.entries()) {
      if (bucket.tables.length > 1) yield write({ tables: replaced(bucket.tables, j) });
      if (typeof table === "string") continue;
      const { columns, ...all } = table;
      if (columns !== undefined) yield write({ tables: replaced(bucket.tables, j, all) });
      for (const filters of smallerFilters(table.filters)) {
        yield write({ tables: replaced(bucket.tables, j, { ...table, filters }) });
      }
    }
  }
  for (const [i, write] of (rules.write ?? []).entries()) {
    yield { ...rules, write: replaced(rules.write ?? [], i) };
    for (const filters of smallerFilters(write.filters)) {
      yield { ...rules, write: replaced(rules.write ?? [], i, { ...write, filters }) };
    }
  }
  for (const [name, parameter] of Object.entries(rules.parameters ?? {})) {
    yield { ...rules, parameters: without(rules.parameters ?? {}, name) };
    for (const filters of smallerFilters(parameter.filters)) {
      yield { ...rules, parameters: { ...rules.parameters, [name]: { ...parameter, filters } } };
    }
  }
  const { tables, exempt, ...rest } = rules;
  if (tables !== undefined) yield exempt === undefined ? rest : { ...rest, exempt };
}

function* smallerFilters(
  filters: readonly FilterSpec[] | undefined,
): Generator<readonly FilterSpec[]> {
  for (const [i, filter] of (filters ?? []).entries()) {
    yield replaced(filters ?? [], i);
    const parts = "any" in filter ? filter.any : "all" in filter ? filter.all : [];
    for (const part of parts) yield replaced(filters ?? [], i, part);
  }
}

/**
 * Makes a world smaller.
 *
 * @param plan a world that goes wrong
 * @param failure how it does
 * @param run runs a world
 * @param untilMs when to stop, by `performance.now()`
 * @returns a world that goes wrong in the same way, and how
 */
export async function shrink(
  plan: Plan,
  failure: Failure,
  run: Run,
  untilMs: number,
): Promise<{ readonly plan: Plan; readonly failure: Failure }> {
  let best = { plan: { ...plan, steps: plan.steps.slice(0, failure.step + 1) }, failure };
  const isBad = async (candidate: Plan) => {
    if (performance.now() > untilMs) return false;
    const found = await run(candidate);
    if (found === undefined || kindOf(found) !== kindOf(failure)) return false;
    best = {
      plan: { ...candidate, steps: candidate.steps.slice(0, found.step + 1) },
      failure: found,
    };
    return true;
  };
  if (plan.store !== "memory") await isBad({ ...best.plan, store: "memory" });
  for (let size = Infinity; weightOf(best.plan) < size && performance.now() < untilMs;) {
    size = weightOf(best.plan);
    await fewer(best.plan.steps, (steps) => isBad({ ...plan, store: best.plan.store, steps }));
    for (let at = best.plan.steps.length - 1; at >= 0; at--) {
      await smallerStep(best.plan, at, isBad);
    }
  }
  return best;
}

function weightOf({ steps }: Plan): number {
  return JSON.stringify(steps).length;
}

async function smallerStep(
  plan: Plan,
  at: number,
  isBad: (plan: Plan) => Promise<boolean>,
): Promise<void> {
  let now = plan;
  for (let again = true; again;) {
    again = false;
    const step = now.steps[at];
    if (step === undefined) return;
    for (const event of variants(step)) {
      const smaller: Step = { atMs: step.atMs, ...event };
      const candidate = { ...now, steps: replaced(now.steps, at, smaller) };
      if (!await isBad(candidate)) continue;
      now = candidate;
      again = true;
      break;
    }
  }
}
