/**
 * The configuration file of a server: the settings of the flags, and what its gateways are to
 * hold from the start.
 *
 * @module
 */

import { isGatewayId, type RulesSpec, type SchemaSpec } from "@lakesync/core";
import { type AccessConfig, readAccessConfig } from "./access/model.ts";
import type { KeySpec } from "./auth/key.ts";
import { parseDestinations } from "./destinations/parse.ts";
import type { DestinationSpecs } from "./destinations/spec.ts";
import type { ServerLimits } from "./limits.ts";
import { loadModule } from "./load_module.ts";
import { SERVE_SETTINGS, type Setting, settingKey } from "./settings.ts";
import { UsageError } from "./values.ts";

/** What a gateway holds from the start. */
export interface GatewayConfig {
  /** Its schema; what is stored stays unless given. */
  readonly schema?: SchemaSpec;
  /** Its rules; what is stored stays unless given. */
  readonly rules?: RulesSpec;
  /** Who and what is kept out of it; nobody unless given. */
  readonly access?: AccessConfig;
  /** Where its changes are flushed to, by name; those of the server unless given. */
  readonly destinations?: DestinationSpecs;
}

/** Gateways by id. */
export type GatewayConfigs = Readonly<Record<string, GatewayConfig>>;

/** What a configuration file says. Each setting has the name of its flag, in camel case. */
export interface LakeSyncConfig extends Partial<ServerLimits> {
  /** The address to listen on. */
  readonly host?: string;
  /** The port to listen on, 0 for any. */
  readonly port?: number;
  /** How many proxies there are before the server, or their networks: `"1"`, `"10.0.0.0/8"`. */
  readonly trustProxy?: string;
  /** The data folder. */
  readonly data?: string;
  /** What keeps the data. */
  readonly store?: "sqlite" | "kv" | "memory";
  /** Signs tokens, at least 32 characters; better kept in `LAKESYNC_SECRET`. */
  readonly secret?: string;
  /** Where the public keys are that check tokens, beside or instead of a secret. */
  readonly jwksUrl?: string;
  /** Keys with names; tokens give the name as `kid`. */
  readonly keys?: readonly KeySpec[];
  /** The `iss` that tokens must have. */
  readonly issuer?: string;
  /** The `aud` that tokens must have. */
  readonly audience?: string;
  /** The file of the certificate for https, and of its chain, as PEM. */
  readonly tlsCert?: string;
  /** The file of its private key, as PEM. */
  readonly tlsKey?: string;
  /** Origins of pages that may read answers, with commas between, `*` for all. */
  readonly corsOrigins?: string;
  /** Whether gateways without sync rules are open to every valid token. */
  readonly dev?: boolean;
  /** The least level that is logged. */
  readonly logLevel?: "debug" | "info" | "warning" | "error";
  /** How log records are written. */
  readonly logFormat?: "pretty" | "json";
  /** How long the log is kept when no destination needs it, in days; 7 unless given. */
  readonly logKeepDays?: number;
  /** How large the log of a gateway may grow, in bytes; 1 GiB unless given. */
  readonly logMaxBytes?: number;
  /**
   * What happens when a destination still needs all of such a log: pushes are refused with
   * `BACKPRESSURE` (`refuse`, unless given), or it is trimmed and the destination filled from rows
   * (`trim`).
   */
  readonly logWhenFull?: "refuse" | "trim";
  /** How long the audit log is kept, in days; 400 unless given. */
  readonly auditKeepDays?: number;
  /** Schema, rules and destinations by gateway id; they hold before the server is ready. */
  readonly gateways?: GatewayConfigs;
  /** Where changes are flushed to, by name, for gateways that have no destinations of their own. */
  readonly destinations?: DestinationSpecs;
}

/** A configuration file as it was read. */
export interface ConfigFile {
  /** The settings by flag, as texts. */
  readonly settings: Readonly<Record<string, string>>;
  /** The gateways. */
  readonly gateways: GatewayConfigs;
  /** The destinations of gateways that have none of their own. */
  readonly destinations: DestinationSpecs;
  /** Keys with names, as they were written. */
  readonly keys?: readonly KeySpec[] | undefined;
}

/**
 * Declares a configuration in TypeScript, as the default export of the file that `--config` names.
 *
 * @param config the configuration
 * @returns the same
 *
 * @example
 * ```ts
 * import { defineRules, defineSchema } from "@lakesync/core";
 * import { defineConfig } from "@lakesync/server";
 *
 * const schema = defineSchema({
 *   version: 1,
 *   tables: { todos: { primaryKey: ["id"], columns: { id: "string", owner: "string" } } },
 * });
 * const rules = defineRules(schema, {
 *   buckets: [{
 *     name: "mine",
 *     tables: ["todos"],
 *     filters: [{ column: "owner", op: "eq", value: "jwt:sub" }],
 *   }],
 * });
 * const config = defineConfig({ port: 8787, gateways: { default: { schema, rules } } });
 * console.assert(config.port === 8787);
 * ```
 */
export function defineConfig(config: LakeSyncConfig): LakeSyncConfig {
  return config;
}

function valueType({ onOff, number }: Setting): "boolean" | "number" | "string" {
  if (onOff === true) return "boolean";
  return number === true ? "number" : "string";
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const SETTINGS = new Map(
  SERVE_SETTINGS.filter(({ flag }) => flag !== "config").map((setting) => [
    settingKey(setting.flag),
    setting,
  ]),
);

const GATEWAY_KEYS: readonly string[] = ["schema", "rules", "access", "destinations"];

function readGateways(input: unknown): GatewayConfigs {
  if (!isRecord(input)) throw new UsageError("gateways must be an object");
  for (const [id, gateway] of Object.entries(input)) {
    const place = `gateways.${id.slice(0, 64)}`;
    if (!isGatewayId(id)) throw new UsageError(`${place} is not named like a gateway`);
    if (!isRecord(gateway)) throw new UsageError(`${place} must be an object`);
    for (const key of Object.keys(gateway)) {
      if (!GATEWAY_KEYS.includes(key)) {
        throw new UsageError(
          `${place}.${key.slice(0, 64)} is not known, there are ${GATEWAY_KEYS.join(", ")}`,
        );
      }
    }
    const { destinations, access } = gateway;
    if (access !== undefined) readAccessConfig(access, `${place}.access`);
    if (destinations !== undefined) parseDestinations(destinations, `${place}.destinations`);
  }
  return input as GatewayConfigs;
}

/**
 * Reads what a configuration file exports.
 *
 * @param input its default export
 * @returns settings, gateways and destinations; schemas and rules are checked by the gateway they are put to
 * @throws {UsageError} for keys that do not exist and values of another type
 */
export function readConfig(input: unknown): ConfigFile {
  if (!isRecord(input)) throw new UsageError("it must be an object");
  const { gateways = {}, destinations = {}, keys, ...others } = input;
  const settings: Record<string, string> = {};
  for (const [key, value] of Object.entries(others)) {
    const setting = SETTINGS.get(key);
    if (setting === undefined) {
      const known = [...SETTINGS.keys(), "gateways", "destinations", "keys"].join(", ");
      throw new UsageError(`${key.slice(0, 64)} is not known, there are ${known}`);
    }
    if (value === undefined) continue;
    const type = valueType(setting);
    const actual: string = typeof value;
    if (actual !== type) throw new UsageError(`${key} must be a ${type}`);
    settings[setting.flag] = String(value);
  }
  return {
    settings,
    gateways: readGateways(gateways),
    destinations: parseDestinations(destinations, "destinations"),
    // Their content is read where the server starts.
    ...(keys === undefined || Array.isArray(keys) && keys.length === 0
      ? {}
      : { keys: keys as readonly KeySpec[] }),
  };
}

/**
 * Loads a configuration file.
 *
 * @param path TypeScript, JavaScript or JSON
 * @returns settings and gateways
 * @throws {UsageError} when it cannot be loaded or says what is not known
 */
export async function loadConfig(path: string): Promise<ConfigFile> {
  try {
    return readConfig(await loadModule(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const what = error instanceof Error ? error.message : String(error);
    throw new UsageError(`The configuration ${path}: ${what}`);
  }
}
