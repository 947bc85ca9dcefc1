/**
 * Opens gateways on their stores when they are asked for, and closes idle ones when too many are open.
 *
 * @module
 */

import type { StoreFactory } from "../store/store.ts";
import type { GatewayEnvironment } from "./environment.ts";
import type { Gateway, Gateways } from "./gateway.ts";
import { OpenGateway } from "./open_gateway.ts";

/** The gateway that exists from the start. */
const DEFAULT_GATEWAY = "default";

/** How many gateways stay open without need; each costs some MB. */
const MAX_IDLE = 32;

/** How long a gateway must not have been asked for before it is closed, in milliseconds. */
const IDLE_MS = 10_000;

interface Entry {
  readonly opening: Promise<OpenGateway | undefined>;
  /** Whether it is made when it is not there. */
  readonly create: boolean;
  gateway?: OpenGateway;
  usedMs: number;
}

class OpenGateways implements Gateways {
  readonly #entries = new Map<string, Entry>();
  readonly #closing = new Map<string, Promise<void>>();

  constructor(
    readonly factory: StoreFactory,
    readonly env: GatewayEnvironment,
    readonly opened: (gateway: Gateway) => void,
  ) {}

  get(gatewayId: string): Promise<Gateway | undefined> {
    return this.#opened(gatewayId, gatewayId === DEFAULT_GATEWAY);
  }

  async create(gatewayId: string): Promise<Gateway> {
    const gateway = await this.#opened(gatewayId, true);
    if (gateway === undefined) {
      throw new Error(`The store of gateway ${gatewayId} was not made`);
    }
    return gateway;
  }

  #opened(gatewayId: string, create: boolean): Promise<OpenGateway | undefined> {
    const known = this.#entries.get(gatewayId);
    if (known !== undefined && (known.create || !create)) {
      known.usedMs = this.env.now();
      return known.opening;
    }
    const opening = known === undefined
      ? this.#openOne(gatewayId, create)
      : this.#createAfter(known.opening, gatewayId);
    const entry: Entry = { opening, create, usedMs: this.env.now() };
    this.#entries.set(gatewayId, entry);
    const forget = () => {
      if (this.#entries.get(gatewayId) === entry) this.#entries.delete(gatewayId);
    };
    opening.then((gateway) => {
      if (gateway === undefined) return forget();
      entry.gateway = gateway;
      this.#closeIdle();
    }, forget);
    return opening;
  }

  /** Makes a gateway that may turn out to be there; whoever asks meanwhile waits for this. */
  async #createAfter(
    opening: Promise<OpenGateway | undefined>,
    gatewayId: string,
  ): Promise<OpenGateway | undefined> {
    return await opening.catch(() => undefined) ?? await this.#openOne(gatewayId, true);
  }

  async #openOne(gatewayId: string, create: boolean): Promise<OpenGateway | undefined> {
    await this.#closing.get(gatewayId);
    const store = await this.factory.open(gatewayId, create);
    if (store === undefined) return undefined;
    const gateway = await OpenGateway.open(gatewayId, store, this.env);
    this.opened(gateway);
    return gateway;
  }

  /** Closes the gateways that nobody uses, the longest unused first, down to the bound. */
  #closeIdle(): void {
    let excess = this.#entries.size - MAX_IDLE;
    if (excess <= 0) return;
    const beforeMs = this.env.now() - IDLE_MS;
    const oldestFirst = [...this.#entries].sort(([, a], [, b]) => a.usedMs - b.usedMs);
    for (const [gatewayId, { gateway, usedMs }] of oldestFirst) {
      if (excess <= 0 || usedMs > beforeMs) return;
      if (gateway === undefined || gateway.busy) continue;
      this.#entries.delete(gatewayId);
      this.#closing.set(gatewayId, this.#close(gatewayId, gateway));
      excess--;
    }
  }

  async #close(gatewayId: string, gateway: OpenGateway): Promise<void> {
    try {
      await gateway.close();
    } catch (error) {
      this.env.onError?.("An idle gateway did not close", error);
    }
    this.#closing.delete(gatewayId);
  }

  async list(): Promise<readonly string[]> {
    const ids = new Set(await this.factory.list());
    ids.add(DEFAULT_GATEWAY);
    return [...ids].sort();
  }

  async close(): Promise<void> {
    await Promise.all(this.#closing.values());
    const opened = await Promise.all([...this.#entries.values()].map(({ opening }) => opening));
    await Promise.all(opened.map((gateway) => gateway?.close()));
    this.#entries.clear();
    await this.factory.close();
  }
}

/**
 * Opens the gateways of a server. Each is opened when it is first asked for.
 *
 * @param factory keeps their data; closed with them
 * @param env time, turns of the event loop, hashing and settings
 * @param opened told of each gateway when it is opened
 * @returns the gateways
 */
export function openGateways(
  factory: StoreFactory,
  env: GatewayEnvironment,
  opened: (gateway: Gateway) => void = () => {},
): Gateways {
  return new OpenGateways(factory, env, opened);
}
