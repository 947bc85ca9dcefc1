/**
 * Makes adapters of what a configuration says. Drivers are loaded only where one is configured.
 *
 * @module
 */

import {
  compositeAdapter,
  type DatabaseAdapter,
  fanOutAdapter,
  lifecycleAdapter,
  memoryAdapter,
} from "@lakesync/adapters";
import type { Serving } from "./lakes.ts";
import { partsOf } from "./parts.ts";
import type { AdapterSpec, DestinationContext, LakeSpec, MysqlSpec, PostgresSpec } from "./spec.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

type Open<T> = (spec: T, context: DestinationContext) => DatabaseAdapter;

/** Opens databases whose drivers are loaded. */
interface Drivers {
  readonly postgres?: Open<PostgresSpec>;
  readonly mysql?: Open<MysqlSpec>;
  readonly lake?: Open<LakeSpec>;
}

function named(text: string, gatewayId: string): string {
  return text.replaceAll("{gateway}", gatewayId);
}

async function loadPostgres(): Promise<Open<PostgresSpec>> {
  const { postgresAdapter } = await import("@lakesync/adapters/postgres");
  return ({ type: _, ...options }, { gatewayId, name }) =>
    postgresAdapter({
      ...options,
      name,
      url: named(options.url, encodeURIComponent(gatewayId)),
      ...(options.schema === undefined ? {} : { schema: named(options.schema, gatewayId) }),
    });
}

async function loadMysql(): Promise<Open<MysqlSpec>> {
  const { mysqlAdapter } = await import("@lakesync/adapters/mysql");
  return ({ type: _, ...options }, { gatewayId, name }) =>
    mysqlAdapter({
      ...options,
      name,
      gatewayId,
      url: named(options.url, encodeURIComponent(gatewayId)),
    });
}

async function loadLake(serving: Serving | undefined): Promise<Open<LakeSpec>> {
  const { openLake } = await import("./lake_open.ts");
  const { LakeThreads } = await import("./lake_threads.ts");
  const threads = { flush: new LakeThreads(), upkeep: new LakeThreads() };
  return (spec, context) => openLake(spec, context, threads, serving);
}

async function loadDrivers(
  types: ReadonlySet<AdapterSpec["type"]>,
  serving: Serving | undefined,
): Promise<Drivers> {
  return {
    ...(types.has("postgres") ? { postgres: await loadPostgres() } : {}),
    ...(types.has("mysql") ? { mysql: await loadMysql() } : {}),
    ...(types.has("lake") ? { lake: await loadLake(serving) } : {}),
  };
}

/** Opens what a specification says, its parts first. */
class Opener {
  readonly #drivers: Drivers;

  constructor(drivers: Drivers) {
    this.#drivers = drivers;
  }

  open(spec: AdapterSpec, context: DestinationContext): DatabaseAdapter {
    const part = (spec: AdapterSpec, name: string) =>
      this.open(spec, { ...context, name: `${context.name}.${name}` });
    const { name } = context;
    switch (spec.type) {
      case "postgres":
        return loaded(this.#drivers.postgres)(spec, context);
      case "mysql":
        return loaded(this.#drivers.mysql)(spec, context);
      case "lake":
        return loaded(this.#drivers.lake)(spec, context);
      case "memory":
        return memoryAdapter(name);
      case "custom":
        return spec.open(context);
      case "composite": {
        const routes = Object.entries(spec.routes).map(([table, to]) => [table, part(to, table)]);
        return compositeAdapter({
          name,
          routes: Object.fromEntries(routes),
          default: part(spec.default, "default"),
        });
      }
      case "fanout":
        return fanOutAdapter({
          name,
          primary: part(spec.primary, "primary"),
          secondaries: spec.secondaries.map((to, i) => part(to, `secondaries.${i}`)),
        });
      case "lifecycle":
        return lifecycleAdapter({
          name,
          hot: part(spec.hot, "hot"),
          cold: part(spec.cold, "cold"),
          hotMs: spec.hotDays * DAY_MS,
          ...(spec.rows === undefined ? {} : { rows: spec.rows }),
        });
    }
  }
}

function loaded<T>(driver: T | undefined): T {
  if (driver === undefined) throw new Error("A driver that is needed was not loaded");
  return driver;
}

/**
 * Loads what adapters need.
 *
 * @param specs all that may be opened
 * @param serving what a server has for the lakes among them; else they are only written to
 * @returns opens them; `{gateway}` in addresses stands for the gateway
 */
export async function loadAdapters(
  specs: readonly AdapterSpec[],
  serving?: Serving,
): Promise<(spec: AdapterSpec, context: DestinationContext) => DatabaseAdapter> {
  const types = new Set(specs.flatMap((spec) => [...partsOf(spec)].map(({ type }) => type)));
  const opener = new Opener(await loadDrivers(types, serving));
  return (spec, context) => opener.open(spec, context);
}
