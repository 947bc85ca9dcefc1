/**
 * What many runs come to.
 *
 * @module
 */

import type { Summary } from "./summary.ts";

/** Violations of one kind that are shown. */
const SHOWN_SEEDS = 8;

function alike({ checker, what }: Summary["violations"][number]): string {
  return `${checker}: ${what.slice(0, 200)}`.replaceAll(/\b[\w-]*\d[\w.:@#-]*/g, "…");
}

function share(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

/** Adds runs up. */
export class Report {
  /** How many runs there were. */
  runs = 0;
  /** How many of them broke a promise. */
  violated = 0;
  #writes = 0;
  #transactions = 0;
  #fired = 0;
  #virtualMs = 0;
  #leastWrites = Infinity;
  #leastKinds = Infinity;
  readonly #faults = new Map<string, number>();
  readonly #convergedMs: number[] = [];
  readonly #kinds = new Map<string, { readonly seeds: number[]; runs: number; what: string }>();

  /** Adds a run. */
  add(summary: Summary): void {
    const { seed, violations, writes, transactions, faults, convergedMs, virtualMs } = summary;
    this.runs++;
    this.#writes += writes;
    this.#transactions += transactions;
    this.#virtualMs += virtualMs;
    this.#leastWrites = Math.min(this.#leastWrites, writes);
    this.#leastKinds = Math.min(this.#leastKinds, faults.size);
    for (const [name, count] of faults) {
      this.#fired += count;
      this.#faults.set(name, (this.#faults.get(name) ?? 0) + count);
    }
    if (violations.length === 0) return void this.#convergedMs.push(convergedMs);
    this.violated++;
    const kinds = new Map(violations.map((one) => [alike(one), `${one.checker}: ${one.what}`]));
    for (const [kind, what] of kinds) {
      const known = this.#kinds.get(kind) ?? { seeds: [], runs: 0, what };
      known.runs++;
      if (known.seeds.length < SHOWN_SEEDS) known.seeds.push(seed);
      this.#kinds.set(kind, known);
    }
  }

  /** The report. */
  text(): string {
    const lines: string[] = [];
    for (const { seeds, runs, what } of [...this.#kinds.values()].sort((a, b) => b.runs - a.runs)) {
      lines.push(`${runs} × ${what.slice(0, 400)} (seeds ${seeds.join(", ")})`);
    }
    const sorted = this.#convergedMs.sort((a, b) => a - b);
    const seconds = (ms: number) => (ms / 1_000).toFixed(1);
    const fired = [...this.#faults].sort(([, a], [, b]) => b - a)
      .map(([name, count]) => `  ${count} × ${name}`);
    return [
      ...lines,
      "Faults that fired:",
      ...fired,
      `${this.runs} runs, ${this.#transactions} acknowledged transactions with ${this.#writes} ` +
      `writes (at least ${this.#leastWrites} in each run), ${this.#fired} faults fired ` +
      `(at least ${this.#leastKinds} kinds in each run), ` +
      `${(this.#virtualMs / 3_600_000).toFixed(1)} hours of virtual time`,
      `converged after the last fault within ${
        seconds(share(sorted, 0.5))
      } s in half of the runs, ` +
      `${seconds(share(sorted, 0.99))} s in 99 of 100, ${seconds(sorted.at(-1) ?? 0)} s in all`,
      `${this.violated} of ${this.runs} runs break a promise`,
    ].join("\n");
  }
}
