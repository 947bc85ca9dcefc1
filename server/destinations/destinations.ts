/**
 * The destinations of all gateways of a server: each gateway gets its flushers when it is opened.
 *
 * @module
 */

import type { RowProblem } from "@lakesync/adapters";
import type { FlushEnvironment } from "@lakesync/adapters/flush";
import type { Gateway } from "../gateway/gateway.ts";
import type { Dependency } from "../http/readiness.ts";
import { type DestinationStatus, Outflow, type WatchFlush } from "./outflow.ts";
import type { DestinationSpecs, OpenAdapter } from "./spec.ts";

/** What destinations are made of. */
export interface DestinationsOptions {
  /** The destinations of a gateway; none when it has none. */
  readonly specsOf: (gatewayId: string) => DestinationSpecs;
  /** Makes adapters. */
  readonly open: OpenAdapter;
  /** Time and chance. */
  readonly env: FlushEnvironment;
  /** Watches each flush; nobody unless given. */
  readonly watch?: WatchFlush;
  /** How long a destination may take for one write, in milliseconds; as is usual unless given. */
  readonly answerMs?: number;
}

/** What a destination is called among what a server depends on. */
function dependencyName(gatewayId: string, name: string): string {
  return `destination ${gatewayId}/${name}`;
}

/** The destinations of all gateways. */
export class Destinations {
  readonly #options: DestinationsOptions;
  readonly #outflows = new Map<string, Outflow>();

  /** @param options which there are, and the world */
  constructor(options: DestinationsOptions) {
    this.#options = options;
  }

  /** Whether a gateway has any. */
  has(gatewayId: string): boolean {
    return Object.keys(this.#options.specsOf(gatewayId)).length > 0;
  }

  /** Begins to flush what a gateway commits, once it is open. */
  attach(gateway: Gateway): void {
    const { specsOf, open, env, watch, answerMs } = this.#options;
    if (!this.has(gateway.id) || this.#outflows.has(gateway.id)) return;
    const specs = specsOf(gateway.id);
    this.#outflows.set(gateway.id, new Outflow({ gateway, specs, open, env, watch, answerMs }));
  }

  /** How the destinations of a gateway stand. */
  status(gatewayId: string): readonly DestinationStatus[] {
    return this.#outflows.get(gatewayId)?.status ?? [];
  }

  /** Those that lag by more than they may, by their names among the dependencies. */
  late(): readonly string[] {
    return [...this.#outflows].flatMap(([id, { status }]) =>
      status.filter(({ lagMs, maxLagMs }) => maxLagMs !== undefined && lagMs > maxLagMs)
        .map(({ name }) => dependencyName(id, name))
    );
  }

  /** Asks each destination whether it works. */
  checks(): readonly Dependency[] {
    return [...this.#outflows].flatMap(([id, outflow]) =>
      outflow.checks().map(({ name, check }) => ({ name: dependencyName(id, name), check }))
    );
  }

  /** Those whose lag says whether the server is ready, and not whether they answer. */
  tolerated(): ReadonlySet<string> {
    return new Set(
      [...this.#outflows].flatMap(([id, { status }]) =>
        status.filter(({ maxLagMs }) => maxLagMs !== undefined)
          .map(({ name }) => dependencyName(id, name))
      ),
    );
  }

  /** How all stand, by gateway. */
  all(): readonly (readonly [gatewayId: string, status: readonly DestinationStatus[]])[] {
    return [...this.#outflows].map(([id, { status }]) => [id, status]);
  }

  /**
   * Rows that a destination did not take.
   *
   * @returns undefined when there is no such destination
   */
  async problems(gatewayId: string, name: string): Promise<readonly RowProblem[] | undefined> {
    return await this.#outflows.get(gatewayId)?.problems(name);
  }

  /**
   * Forgets what is known of a destination of a gateway, as {@linkcode Outflow.reset} does.
   *
   * @param cursor the name of its cursor
   * @returns undefined when there is none of that cursor
   * @throws {Error} when it fails
   */
  async reset(gatewayId: string, cursor: string): Promise<"filled" | "asked" | undefined> {
    return await this.#outflows.get(gatewayId)?.reset(cursor);
  }

  /**
   * Flushes what a gateway has to all its destinations now.
   *
   * @returns the errors by name
   */
  async flushNow(gatewayId: string): Promise<ReadonlyMap<string, unknown>> {
    return await this.#outflows.get(gatewayId)?.flushNow() ?? new Map();
  }

  /** Flushes everything for a last time. */
  async flushAll(): Promise<void> {
    await Promise.all([...this.#outflows.values()].map((outflow) => outflow.flushNow()));
  }

  /** Ends the flushing. */
  async close(): Promise<void> {
    const outflows = [...this.#outflows.values()];
    this.#outflows.clear();
    await Promise.all(outflows.map((outflow) => outflow.close()));
  }
}
