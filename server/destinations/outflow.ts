/**
 * The destinations of one gateway and the flushers that bring its changes there.
 *
 * @module
 */

import type { DatabaseAdapter, Destination, RowProblem } from "@lakesync/adapters";
import { type FlushEnvironment, Flusher, type FlushStatus } from "@lakesync/adapters/flush";
import { type FollowedGateway, gatewaySource } from "../flush/mod.ts";
import type { Gateway } from "../gateway/gateway.ts";
import type { Dependency } from "../http/readiness.ts";
import { cursorOf, keeping, KeptPosition } from "./kept_position.ts";
import type { DestinationSpecs, FlushSpec, OpenAdapter } from "./spec.ts";

/** How a destination of a gateway stands. */
export interface DestinationStatus extends FlushStatus {
  /** Its name in the configuration. */
  readonly name: string;
  /** The lag past which the server is not ready, in milliseconds; undefined for none. */
  readonly maxLagMs: number | undefined;
}

/** Whether a destination can be asked what a database can. */
function isDatabase(destination: Destination): destination is DatabaseAdapter {
  return "problems" in destination;
}

function followersOf(destination: Destination): readonly FlushStatus[] {
  return isDatabase(destination) ? destination.followers ?? [] : [];
}

interface Outlet {
  readonly name: string;
  readonly kept: KeptPosition;
  readonly destination: Destination;
  readonly flusher: Flusher;
  readonly flush: FlushSpec;
}

/** What an outflow is made of. */
export interface OutflowOptions {
  /** The gateway. */
  readonly gateway: FollowedGateway & Pick<Gateway, "id" | "cursors">;
  /** Its destinations. */
  readonly specs: DestinationSpecs;
  /** Makes adapters. */
  readonly open: OpenAdapter;
  /** Time and chance. */
  readonly env: FlushEnvironment;
  /** Watches the flush to each; nobody unless given. */
  readonly watch?: WatchFlush | undefined;
  /** How long a destination may take for one write, in milliseconds; as is usual unless given. */
  readonly answerMs?: number | undefined;
}

/** Gives what watches the flush of a gateway to one of its destinations. */
export type WatchFlush = (
  gatewayId: string,
  destination: string,
) => Pick<FlushEnvironment, "onError" | "observer">;

/** States in which a destination does not take what it is given, though it may answer. */
const FAILING: ReadonlySet<FlushStatus["state"]> = new Set(["open", "stopped", "gap"]);

/** So many rows are told that a destination did not take. */
const MAX_PROBLEMS = 100;

/** The destinations of a gateway. */
export class Outflow {
  readonly #outlets: readonly Outlet[];
  readonly #cursors: Gateway["cursors"];

  /**
   * Begins to flush to all of them.
   *
   * @param options gateway, destinations and world
   */
  constructor({ gateway, specs, open, env, watch, answerMs }: OutflowOptions) {
    const source = gatewaySource(gateway);
    this.#cursors = gateway.cursors;
    this.#outlets = Object.entries(specs).map(([name, spec]) => {
      const { flush = {}, ...adapter } = spec;
      const { maxLagMs: _, ...settings } = flush;
      const destination = open(adapter, { gatewayId: gateway.id, name });
      const { onError } = env;
      const kept = new KeptPosition({ cursors: gateway.cursors, name: cursorOf(name), onError });
      return {
        name,
        kept,
        destination,
        flush,
        flusher: new Flusher({
          source,
          destination: keeping(destination, kept),
          env: { ...env, ...watch?.(gateway.id, name) },
          settings: { ...(answerMs === undefined ? {} : { answerMs }), ...settings },
        }),
      };
    });
  }

  /** How each stands, and what follows it. */
  get status(): readonly DestinationStatus[] {
    return this.#outlets.flatMap(({ name, destination, flusher, flush: { maxLagMs } }) => [
      { ...flusher.status, name, maxLagMs },
      ...followersOf(destination).map((status) => ({
        ...status,
        name: status.destination,
        maxLagMs,
      })),
    ]);
  }

  /** Asks each where it stands, whether or not it is being flushed to. */
  checks(): readonly Dependency[] {
    return this.#outlets.map(({ name, destination, flusher }) => ({
      name,
      check: async () => {
        const { state, lastError } = flusher.status;
        if (FAILING.has(state)) throw new Error(lastError?.message ?? `Its state is ${state}`);
        await destination.position();
      },
    }));
  }

  /**
   * Rows that a destination did not take, the oldest first.
   *
   * @param name the destination
   * @returns undefined when there is none of that name
   */
  async problems(name: string): Promise<readonly RowProblem[] | undefined> {
    const destination = this.#outlets.find((outlet) => outlet.name === name)?.destination;
    if (destination === undefined) return undefined;
    return isDatabase(destination) ? await destination.problems(MAX_PROBLEMS) : [];
  }

  /**
   * Forgets what is known of a destination. One whose rows could be others than its changes make of
   * them is filled from all rows anew; any other is asked again where it stands.
   *
   * @param cursor the name of its cursor
   * @returns undefined when there is none of that cursor; one that is filled has noted that then
   * @throws {Error} when it fails
   */
  async reset(cursor: string): Promise<"filled" | "asked" | undefined> {
    const outlet = this.#outlets.find(({ name }) => cursorOf(name) === cursor);
    if (outlet === undefined) return undefined;
    const { kept, flusher, destination } = outlet;
    await kept.done();
    kept.forget();
    if (isDatabase(destination) && destination.capabilities.mergesRows) {
      await flusher.fillAnew();
      return "filled";
    }
    await this.#cursors.reset(cursor);
    flusher.askAnew();
    return "asked";
  }

  /**
   * Flushes to all of them now.
   *
   * @returns the errors by name; empty when everything has arrived that was committed before
   */
  async flushNow(): Promise<ReadonlyMap<string, unknown>> {
    const errors = new Map<string, unknown>();
    await Promise.all(this.#outlets.map(async ({ name, flusher }) => {
      await flusher.flushNow().catch((error) => void errors.set(name, error));
    }));
    return errors;
  }

  /** Ends the flushing; what has not arrived stays in the log. */
  async close(): Promise<void> {
    await Promise.all(this.#outlets.map(async ({ destination, flusher, kept }) => {
      const closed = flusher.close();
      await destination.close();
      await closed;
      await kept.done();
    }));
  }
}
