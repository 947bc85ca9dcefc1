/**
 * Reads destinations of a configuration file: every key is known, every value of its type, before
 * anything is opened.
 *
 * @module
 */

import { UsageError } from "../values.ts";
import {
  type Check,
  checkFields,
  checkKind,
  days,
  type Fields,
  isRecord,
  type Kind,
  of,
  whole,
} from "./fields.ts";
import { LAKE } from "./lake_fields.ts";
import { lakeAt } from "./lake_address.ts";
import type { DestinationSpec, DestinationSpecs } from "./spec.ts";

const names: Check = (value, place) => {
  if (Array.isArray(value) && value.every((name) => typeof name === "string")) return;
  throw new UsageError(`${place} must be a list of table names`);
};

const adapter: Check = (value, place) => checkKind(value, place, KINDS);

const routes: Check = (value, place) => {
  if (!isRecord(value)) throw new UsageError(`${place} must be an object`);
  for (const [table, spec] of Object.entries(value)) adapter(spec, `${place}.${table}`);
};

const adapters: Check = (value, place) => {
  if (!Array.isArray(value)) throw new UsageError(`${place} must be a list`);
  for (const [i, spec] of value.entries()) adapter(spec, `${place}[${i}]`);
};

function address(...protocols: readonly string[]): Check {
  return (value, place) => {
    const url = typeof value === "string" ? URL.parse(value) : null;
    if (url !== null && protocols.includes(url.protocol)) return;
    throw new UsageError(`${place} must be an address like ${protocols[0]}//user@host/database`);
  };
}

const TLS: Fields = {
  ca: of("string"),
  cert: of("string"),
  key: of("string"),
  verify: of("boolean"),
};

const tls: Check = (value, place) => {
  if (typeof value === "boolean") return;
  if (!isRecord(value)) throw new UsageError(`${place} must be true, false or an object`);
  checkFields(value, place, {}, TLS);
};

const POOL: Fields = {
  poolMax: whole(2),
  idleTimeoutMs: whole(1),
  connectionTimeoutMs: whole(1),
  statementTimeoutMs: whole(1),
  maxLifetimeMs: whole(1),
  adopt: names,
  retentionDays: days,
  tls,
};

const FLUSH: Fields = {
  everyMs: whole(0),
  maxBytes: whole(1),
  maxChanges: whole(1),
  maxRetryMs: whole(1),
  maxLagMs: whole(1),
};

/** Whether reading what a specification says means reading a lake, which cannot be read back. */
function readsLake(spec: unknown): boolean {
  if (!isRecord(spec)) return false;
  if (spec.type === "fanout") return readsLake(spec.primary);
  if (spec.type !== "composite" || !isRecord(spec.routes)) return spec.type === "lake";
  return [...Object.values(spec.routes), spec.default].some(readsLake);
}

/** Refuses a lake where others follow or read what is there. */
function readable(...keys: readonly string[]): NonNullable<Kind["together"]> {
  return (value, place) => {
    for (const key of keys) {
      if (!readsLake(value[key])) continue;
      throw new UsageError(
        `${place}.${key} cannot be a lake, which is written and not read back; ` +
          "it can be one of the secondaries of a fanout",
      );
    }
  };
}

const KINDS: Readonly<Record<string, Kind>> = {
  postgres: {
    needed: { url: address("postgres:", "postgresql:") },
    optional: { ...POOL, schema: of("string"), prepare: of("boolean") },
  },
  mysql: { needed: { url: address("mysql:", "mariadb:") }, optional: POOL },
  lake: LAKE,
  memory: {},
  composite: { needed: { routes, default: adapter } },
  fanout: {
    needed: { primary: adapter, secondaries: adapters },
    together: readable("primary"),
  },
  lifecycle: {
    needed: { hot: adapter, cold: adapter, hotDays: days },
    optional: { rows: of("boolean") },
    together: readable("hot", "cold"),
  },
  custom: { needed: { open: of("function") } },
};

const flush: Check = (value, place) => {
  if (!isRecord(value)) throw new UsageError(`${place} must be an object`);
  checkFields(value, place, {}, FLUSH);
};

const NAME = /^[A-Za-z][\w-]{0,63}$/;

/**
 * Reads destinations.
 *
 * @param input destinations by name
 * @param place where they stand in the configuration
 * @throws {UsageError} which names the place
 */
export function parseDestinations(input: unknown, place: string): DestinationSpecs {
  if (!isRecord(input)) throw new UsageError(`${place} must be an object`);
  for (const [name, spec] of Object.entries(input)) {
    if (!NAME.test(name)) {
      throw new UsageError(
        `${place}.${
          name.slice(0, 64)
        }: a name is a letter and then at most 63 letters, digits, _ or -`,
      );
    }
    checkKind(spec, `${place}.${name}`, KINDS, { flush });
  }
  return input as DestinationSpecs;
}

/**
 * The destination at an address, as `--to` gives it.
 *
 * @param url `postgres://…`, `mysql://…`, `file:///…`, `s3://…`, `lake` or `memory:`
 * @throws {UsageError} for any other
 */
export function destinationAt(url: string): DestinationSpec {
  if (url === "lake") return { type: "lake" };
  const protocol = URL.parse(url)?.protocol;
  switch (protocol) {
    case "postgres:":
    case "postgresql:":
      return { type: "postgres", url };
    case "mysql:":
    case "mariadb:":
      return { type: "mysql", url };
    case "file:":
    case "s3:":
      return lakeAt(url);
    case "memory:":
      return { type: "memory" };
    default:
      throw new UsageError(
        "A destination is lake or an address such as postgres://…, mysql://…, file:///… or s3://…",
      );
  }
}
