/**
 * Reads destinations of a configuration file: every key is known, every value of its type, before
 * anything is opened.
 *
 * @module
 */

import { UsageError } from "../values.ts";
import type { DestinationSpec, DestinationSpecs } from "./spec.ts";

type Fields = Readonly<Record<string, (value: unknown, place: string) => void>>;

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function of(type: "string" | "boolean" | "function"): Fields[string] {
  return (value, place) => {
    const actual: string = typeof value;
    if (actual !== type) throw new UsageError(`${place} must be a ${type}`);
  };
}

/** A whole number from a least one on. */
function whole(least: number): Fields[string] {
  return (value, place) => {
    if (Number.isSafeInteger(value) && Number(value) >= least) return;
    throw new UsageError(`${place} must be a whole number from ${least}`);
  };
}

const days: Fields[string] = (value, place) => {
  if (typeof value === "number" && value > 0 && value <= 36_500) return;
  throw new UsageError(`${place} must be a number of days above 0`);
};

const names: Fields[string] = (value, place) => {
  if (Array.isArray(value) && value.every((name) => typeof name === "string")) return;
  throw new UsageError(`${place} must be a list of table names`);
};

const adapter: Fields[string] = (value, place) => checkAdapter(value, place, {});

const routes: Fields[string] = (value, place) => {
  if (!isRecord(value)) throw new UsageError(`${place} must be an object`);
  for (const [table, spec] of Object.entries(value)) adapter(spec, `${place}.${table}`);
};

const adapters: Fields[string] = (value, place) => {
  if (!Array.isArray(value)) throw new UsageError(`${place} must be a list`);
  for (const [i, spec] of value.entries()) adapter(spec, `${place}[${i}]`);
};

function address(...protocols: readonly string[]): Fields[string] {
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

const tls: Fields[string] = (value, place) => {
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

interface Kind {
  readonly needed: Fields;
  readonly optional?: Fields;
}

const KINDS: Readonly<Record<string, Kind>> = {
  postgres: {
    needed: { url: address("postgres:", "postgresql:") },
    optional: { ...POOL, schema: of("string"), prepare: of("boolean") },
  },
  mysql: { needed: { url: address("mysql:", "mariadb:") }, optional: POOL },
  memory: { needed: {} },
  composite: { needed: { routes, default: adapter } },
  fanout: { needed: { primary: adapter, secondaries: adapters } },
  lifecycle: {
    needed: { hot: adapter, cold: adapter, hotDays: days },
    optional: { rows: of("boolean") },
  },
  custom: { needed: { open: of("function") } },
};

function checkFields(
  input: Readonly<Record<string, unknown>>,
  place: string,
  needed: Fields,
  optional: Fields,
): void {
  const known = { ...needed, ...optional };
  for (const [key, value] of Object.entries(input)) {
    const check = Object.hasOwn(known, key) ? known[key] : undefined;
    if (check === undefined) {
      const all = Object.keys(known).join(", ");
      throw new UsageError(`${place}.${key.slice(0, 64)} is not known, there are ${all}`);
    }
    if (value !== undefined) check(value, `${place}.${key}`);
  }
  for (const key of Object.keys(needed)) {
    if (input[key] === undefined) throw new UsageError(`${place}.${key} is needed`);
  }
}

function checkAdapter(input: unknown, place: string, more: Fields): void {
  if (!isRecord(input)) throw new UsageError(`${place} must be an object with a type`);
  const { type, ...rest } = input;
  const kind = typeof type === "string" && Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
  if (kind === undefined) {
    throw new UsageError(`${place}.type must be one of ${Object.keys(KINDS).join(", ")}`);
  }
  checkFields(rest, place, kind.needed, { ...kind.optional, ...more });
}

const flush: Fields[string] = (value, place) => {
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
    checkAdapter(spec, `${place}.${name}`, { flush });
  }
  return input as DestinationSpecs;
}

/**
 * The destination at an address, as `--to` gives it.
 *
 * @param url `postgres://…`, `mysql://…` or `memory:`
 * @throws {UsageError} for any other
 */
export function destinationAt(url: string): DestinationSpec {
  const protocol = URL.parse(url)?.protocol;
  switch (protocol) {
    case "postgres:":
    case "postgresql:":
      return { type: "postgres", url };
    case "mysql:":
    case "mariadb:":
      return { type: "mysql", url };
    case "memory:":
      return { type: "memory" };
    default:
      throw new UsageError("--to is an address such as postgres://… or mysql://…");
  }
}
