/**
 * The metrics of the table as Prometheus gets them. What is counted often is counted in
 * {@linkcode Tally}, and only brought here when somebody asks.
 *
 * @module
 */

import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { METRICS, type MetricSpec } from "./metric_table.ts";

/** The values of a metric's labels. */
export type Labels = Readonly<Record<string, string>>;

/** Counts by one label whose values are few. */
export class Tally {
  readonly #counts = new Map<string, number>();

  /** @param values those that are told also while they are 0 */
  constructor(values: readonly string[] = []) {
    for (const value of values) this.#counts.set(value, 0);
  }

  /** Counts. */
  add(value: string, count = 1): void {
    this.#counts.set(value, (this.#counts.get(value) ?? 0) + count);
  }

  /** The count of a value. */
  get(value: string): number {
    return this.#counts.get(value) ?? 0;
  }

  /** All counts. */
  entries(): Iterable<readonly [value: string, count: number]> {
    return this.#counts;
  }
}

/** All metrics of the table. */
export class MetricSet {
  readonly #registry = new Registry();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();

  /** Makes all of them, empty. */
  constructor() {
    for (const spec of METRICS) this.#make(spec);
  }

  /** The type of the text. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Sets a counter without labels. */
  setCount(name: string, count: number): void {
    const counter = known(this.#counters, name);
    counter.reset();
    counter.inc(count);
  }

  /** Sets a counter with labels to counts. */
  setCounts(name: string, counts: Iterable<readonly [labels: Labels, count: number]>): void {
    const counter = known(this.#counters, name);
    counter.reset();
    for (const [labels, count] of counts) counter.inc(labels, count);
  }

  /** Sets a counter with one label. */
  setTally(name: string, label: string, tally: Tally): void {
    const counts = [...tally.entries()].map(([value, n]) => [{ [label]: value }, n] as const);
    this.setCounts(name, counts);
  }

  /** Sets a gauge without labels. */
  setGauge(name: string, value: number): void {
    known(this.#gauges, name).set(value);
  }

  /** Sets a gauge with labels to these values and no others. */
  setGauges(name: string, values: Iterable<readonly [labels: Labels, value: number]>): void {
    const gauge = known(this.#gauges, name);
    gauge.reset();
    for (const [labels, value] of values) gauge.set(labels, value);
  }

  /** Leaves a metric out for good. */
  leaveOut(name: string): void {
    this.#registry.removeSingleMetric(name);
  }

  /** Gives what takes values into a histogram without labels. */
  histogram(name: string): (value: number) => void {
    const histogram = known(this.#histograms, name);
    return (value) => histogram.observe(value);
  }

  /** Gives what takes values into a histogram with labels. */
  labeledHistogram(name: string): (labels: Labels, value: number) => void {
    const histogram = known(this.#histograms, name);
    return (labels, value) => histogram.observe(labels, value);
  }

  /** All of them as text. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #make({ name, type, help, labels = [], buckets = [] }: MetricSpec): void {
    const options = { name, help, labelNames: labels, registers: [this.#registry] };
    if (type === "counter") this.#counters.set(name, new Counter(options));
    else if (type === "gauge") this.#gauges.set(name, new Gauge(options));
    else this.#histograms.set(name, new Histogram({ ...options, buckets: [...buckets] }));
  }
}

function known<T>(metrics: ReadonlyMap<string, T>, name: string): T {
  const metric = metrics.get(name);
  if (metric === undefined) throw new Error(`The table has no such metric: ${name}`);
  return metric;
}
