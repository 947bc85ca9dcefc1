/**
 * From a command line to what it asks for. Flags win over `LAKESYNC_*` variables, those over the
 * configuration file, that over defaults; the table of them is `settings.ts`.
 *
 * @module
 */

import { DEFAULT_AUDIT_KEEP_DAYS } from "./audit/audit.ts";
import { type AccessCommand, accessCommand } from "./access_command.ts";
import type { KeySpec } from "./auth/key.ts";
import { RESERVED_CLAIMS, type Role } from "./auth/token.ts";
import { type AuditConfig, auditConfig } from "./audit_command.ts";
import type { ConfigFile, GatewayConfigs } from "./config_file.ts";
import { completeAll, type LakeDefaults } from "./destinations/lake_defaults.ts";
import { destinationAt } from "./destinations/parse.ts";
import type { DestinationSpecs } from "./destinations/spec.ts";
import type { Retention } from "./gateway/environment.ts";
import { parseTime } from "./durations.ts";
import { type KeysCommand, keysCommand } from "./keys_command.ts";
import { lakeCommand, type LakeMaintainConfig } from "./lake_arguments.ts";
import { type BackupCommand, backupCommand } from "./backup_arguments.ts";
import { parseOrigin } from "./http/headers.ts";
import { isLoopback } from "./loopback.ts";
import { DEFAULT_SERVER_LIMITS, LIMIT_SETTINGS, limitFlag, type ServerLimits } from "./limits.ts";
import { type MigrateConfig, migrateConfig } from "./migrate_command.ts";
import {
  type HistoryConfig,
  historyConfig,
  type QueryConfig,
  queryConfig,
  queryConfigPath,
} from "./query_arguments.ts";
import { type RulesCommand, rulesCommand } from "./rules_arguments.ts";
import { NO_PROXIES, parseTrustedProxies, type TrustedProxies } from "./rates/trusted_proxy.ts";
import {
  LAKE_MAINTAIN_SETTINGS,
  MIGRATE_SETTINGS,
  SERVE_SETTINGS,
  TOKEN_SETTINGS,
} from "./settings.ts";
import type { CertificateFiles } from "./tls/certificate_files.ts";
import { UsageError, Values } from "./values.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/** How a server is to be started. */
export interface ServeConfig {
  /** What to do. */
  readonly command: "serve";
  /** The address to listen on. */
  readonly host: string;
  /** The port to listen on, 0 for any. */
  readonly port: number;
  /** The data folder. */
  readonly data: string;
  /** What keeps the data. */
  readonly store: "sqlite" | "kv" | "memory";
  /** The secret, if one was given. */
  readonly secret: string | undefined;
  /** Where public keys are, if that was given. */
  readonly jwksUrl: string | undefined;
  /** Keys with names, from the configuration file, as they were written there. */
  readonly keys?: readonly KeySpec[];
  /** The `iss` that tokens must have. */
  readonly issuer: string | undefined;
  /** The `aud` that tokens must have. */
  readonly audience: string | undefined;
  /** The certificate that the server is reached with; plain HTTP unless given. */
  readonly tls?: CertificateFiles;
  /** Origins of pages that may read answers; none unless given. */
  readonly corsOrigins?: readonly string[];
  /** Whether every valid token gets into gateways that have no sync rules. */
  readonly dev: boolean;
  /** The least level that is logged. */
  readonly logLevel: "debug" | "info" | "warning" | "error";
  /** How log records are written. */
  readonly logFormat: "pretty" | "json";
  /** What keeps logs in bounds; what is not given is as the gateway has it. */
  readonly retention: Partial<Pick<Retention, "logKeepMs" | "logMaxBytes" | "logWhenFull">>;
  /** How long the audit log is kept, in days. */
  readonly auditKeepDays: number;
  /** What the process holds its callers and itself to. */
  readonly limits: ServerLimits;
  /** The proxies that tell where a request comes from. */
  readonly proxies: TrustedProxies;
  /** Schema, rules and destinations by gateway id, from the configuration file. */
  readonly gateways: GatewayConfigs;
  /** The destinations of gateways that have none of their own. */
  readonly destinations: DestinationSpecs;
}

/** Which token to make. */
export interface TokenConfig {
  /** What to do. */
  readonly command: "token";
  /** The user. */
  readonly sub: string;
  /** The gateway, or `*`. */
  readonly gw: string;
  /** The role. */
  readonly role: Role;
  /** How long it is valid, in seconds. */
  readonly ttlSeconds: number;
  /** Further claims. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** The data folder. */
  readonly data: string;
  /** The secret, if one was given. */
  readonly secret: string | undefined;
  /** The `iss` claim. */
  readonly issuer: string | undefined;
  /** The `aud` claim. */
  readonly audience: string | undefined;
}

/** What a command line asks for. */
export type Command =
  | ServeConfig
  | TokenConfig
  | RulesCommand
  | KeysCommand
  | AccessCommand
  | MigrateConfig
  | LakeMaintainConfig
  | QueryConfig
  | HistoryConfig
  | BackupCommand
  | AuditConfig
  | {
    /** What to do. */
    readonly command: "help" | "version";
  };

function portOf(values: Values): number {
  const text = values.needed("port");
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (port <= 65535) return port;
  throw values.wrong("port", "is a number from 0 to 65535");
}

function jwksUrlOf(values: Values): string | undefined {
  const text = values.optional("jwks-url");
  if (text === undefined) return undefined;
  const url = URL.parse(text);
  if (
    url?.protocol === "https:" ||
    url?.protocol === "http:" && isLoopback(url.hostname)
  ) return text;
  throw values.wrong("jwks-url", "is an https address");
}

function tlsConfig(values: Values): CertificateFiles | undefined {
  const certPath = values.optional("tls-cert");
  const keyPath = values.optional("tls-key");
  if (certPath === undefined && keyPath === undefined) return undefined;
  if (certPath !== undefined && keyPath !== undefined) return { certPath, keyPath };
  throw new UsageError("Give both --tls-cert and --tls-key");
}

function originsOf(values: Values): readonly string[] | undefined {
  return values.optional("cors-origins")?.split(",").map((part) => {
    const origin = parseOrigin(part.trim());
    if (origin !== undefined) return origin;
    throw values.wrong("cors-origins", "is * or origins such as https://app.example");
  });
}

function parseTtl(text: string): number {
  const seconds = parseTime("ttl", text);
  if (seconds > 0) return seconds;
  throw new UsageError("--ttl is a time such as 30s, 15m, 1h or 7d");
}

function numberFrom(values: Values, flag: string, least: number): number | undefined {
  const text = values.optional(flag);
  if (text === undefined) return undefined;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= Number.MAX_SAFE_INTEGER) return value;
  throw values.wrong(flag, `is a number from ${least}`);
}

function retentionConfig(values: Values): ServeConfig["retention"] {
  const keepDays = numberFrom(values, "log-keep-days", 0);
  const maxBytes = numberFrom(values, "log-max-bytes", 1_000_000);
  return {
    ...(keepDays === undefined ? {} : { logKeepMs: keepDays * DAY_MS }),
    ...(maxBytes === undefined ? {} : { logMaxBytes: maxBytes }),
    logWhenFull: values.oneOf("log-when-full", ["refuse", "trim"]),
  };
}

function limitsConfig(values: Values): ServerLimits {
  const limits: Partial<Record<keyof ServerLimits, number>> = {};
  for (const { limit, least } of LIMIT_SETTINGS) {
    const value = numberFrom(values, limitFlag(limit), least);
    if (value !== undefined) limits[limit] = value;
  }
  return { ...DEFAULT_SERVER_LIMITS, ...limits };
}

function proxiesConfig(values: Values): TrustedProxies {
  const text = values.optional("trust-proxy");
  const proxies = text === undefined ? NO_PROXIES : parseTrustedProxies(text);
  if (proxies !== undefined) return proxies;
  throw values.wrong(
    "trust-proxy",
    "is a number of proxies, or addresses and networks with commas between",
  );
}

/** The destinations of the file, or instead the one that `--to` names. */
function destinationsConfig(values: Values, given: DestinationSpecs): DestinationSpecs {
  const url = values.optional("to");
  if (url === undefined) return given;
  const destination = destinationAt(url);
  return { [destination.type]: destination };
}

/** The gateways of the file, their lakes completed. */
function gatewaysConfig(gateways: GatewayConfigs, defaults: LakeDefaults): GatewayConfigs {
  return Object.fromEntries(
    Object.entries(gateways).map(([id, { destinations, ...others }]) => [id, {
      ...others,
      ...(destinations === undefined ? {} : { destinations: completeAll(destinations, defaults) }),
    }]),
  );
}

function serveConfig(
  values: Values,
  { gateways, destinations, keys }: Omit<ConfigFile, "settings">,
  env: LakeDefaults["env"],
): ServeConfig {
  const data = values.needed("data");
  const jwksUrl = jwksUrlOf(values);
  const host = values.needed("host");
  const secret = values.secret();
  const dev = values.onOff("dev");
  const origins = originsOf(values);
  const tls = tlsConfig(values);
  const isTrusted = secret !== undefined || jwksUrl !== undefined || keys !== undefined;
  const config: ServeConfig = {
    command: "serve",
    host,
    port: portOf(values),
    data,
    store: values.oneOf("store", ["sqlite", "kv", "memory"]),
    secret,
    jwksUrl,
    ...(keys === undefined ? {} : { keys }),
    issuer: values.optional("issuer"),
    audience: values.optional("audience"),
    ...(tls === undefined ? {} : { tls }),
    ...(origins === undefined ? {} : { corsOrigins: origins }),
    dev: dev ?? (isLoopback(host) && !isTrusted),
    logLevel: values.oneOf("log-level", ["debug", "info", "warning", "error"]),
    logFormat: values.oneOf("log-format", ["pretty", "json"]),
    retention: retentionConfig(values),
    auditKeepDays: numberFrom(values, "audit-keep-days", 1) ?? DEFAULT_AUDIT_KEEP_DAYS,
    limits: limitsConfig(values),
    proxies: proxiesConfig(values),
    gateways: gatewaysConfig(gateways, { env, data }),
    destinations: completeAll(destinationsConfig(values, destinations), { env, data }),
  };
  if (!isTrusted && !isLoopback(config.host)) {
    throw new UsageError(
      `To listen on ${config.host}, which others can reach, give --secret or --jwks-url`,
    );
  }
  if (config.dev && !isLoopback(host)) {
    throw values.wrong(
      "dev",
      `would open gateways to all who can reach ${host}, it is for loopback only`,
    );
  }
  return config;
}

function tokenClaims(values: Values): Record<string, unknown> {
  const claims = values.claims();
  for (const name of RESERVED_CLAIMS) {
    if (!Object.hasOwn(claims, name)) continue;
    throw new UsageError(
      `The claim ${name} is not given by --claim or --claims, the command sets it by other flags`,
    );
  }
  return claims;
}

function tokenConfig(values: Values): TokenConfig {
  return {
    command: "token",
    sub: values.needed("sub"),
    gw: values.needed("gw"),
    role: values.oneOf("role", ["client", "admin"]),
    ttlSeconds: parseTtl(values.needed("ttl")),
    claims: tokenClaims(values),
    data: values.needed("data"),
    secret: values.secret(),
    issuer: values.optional("issuer"),
    audience: values.optional("audience"),
  };
}

/** The flags of `lakesync serve`, or undefined when another command is given. */
function serveFlags(args: readonly string[]): readonly string[] | undefined {
  const [first = "serve", ...rest] = args;
  if (first === "serve") return rest;
  return first.startsWith("-") ? args : undefined;
}

function isHelp(args: readonly string[]): boolean {
  return args[0] === "help" || args.includes("--help") || args.includes("-h");
}

/**
 * Finds the configuration file that a command line or `LAKESYNC_CONFIG` names.
 *
 * @param args the arguments
 * @param env reads an environment variable
 * @returns its path; undefined without one, and for commands that read none
 * @throws {UsageError}
 */
export function configPath(
  args: readonly string[],
  env: (name: string) => string | undefined,
): string | undefined {
  if (isHelp(args) || args.includes("--version")) return undefined;
  const [first, ...rest] = args;
  if (first === "migrate") return new Values(rest, MIGRATE_SETTINGS, env).optional("config");
  if (first === "lake" && rest[0] === "maintain") {
    return new Values(rest.slice(1), LAKE_MAINTAIN_SETTINGS, env).optional("config");
  }
  if (first === "query" || first === "history") return queryConfigPath(first, rest, env);
  const flags = serveFlags(args);
  if (flags === undefined) return undefined;
  return new Values(flags, SERVE_SETTINGS, env).optional("config");
}

/**
 * Reads a command line.
 *
 * @param args the arguments
 * @param env reads an environment variable
 * @param file what the file at {@linkcode configPath} says
 * @returns what to do
 * @throws {UsageError}
 */
export function parseCommand(
  args: readonly string[],
  env: (name: string) => string | undefined,
  file: ConfigFile = { settings: {}, gateways: {}, destinations: {} },
): Command {
  if (isHelp(args)) return { command: "help" };
  if (args.includes("--version")) return { command: "version" };
  const flags = serveFlags(args);
  if (flags !== undefined) {
    return serveConfig(new Values(flags, SERVE_SETTINGS, env, file.settings), file, env);
  }
  const [first, ...rest] = args;
  if (first === "token") return tokenConfig(new Values(rest, TOKEN_SETTINGS, env));
  if (first === "migrate") return migrateConfig(rest, env, file);
  if (first === "lake") return lakeCommand(rest, env, file);
  if (first === "rules") return rulesCommand(rest, env);
  if (first === "audit") return auditConfig(rest, env);
  if (first === "access") return accessCommand(rest, env);
  if (first === "keys") return keysCommand(rest, env);
  if (first === "query") return queryConfig(rest, env, file);
  if (first === "history") return historyConfig(rest, env, file);
  if (first === "backup" || first === "restore" || first === "cursors") {
    return backupCommand(first, rest, env);
  }
  throw new UsageError(`There is no command ${first}`);
}
