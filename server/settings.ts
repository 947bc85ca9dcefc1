/**
 * Every flag of the command with its variable, default and help: the one table that parsing and
 * help are made of. Only what the command reads is here.
 *
 * @module
 */

import { DEFAULT_AUDIT_KEEP_DAYS } from "./audit/audit.ts";
import { MIN_SECRET_CHARS } from "./auth/token.ts";
import { DEFAULT_SERVER_LIMITS, LIMIT_SETTINGS, limitFlag } from "./limits.ts";

/** A flag with the variable that stands in for it. */
export interface Setting {
  /** The flag without its dashes. */
  readonly flag: string;
  /** The environment variable. */
  readonly env?: string;
  /** What stands for its value in the help; empty for a switch. */
  readonly value: string;
  /** What it is for. */
  readonly help: string;
  /** What holds when it is not given. */
  readonly fallback?: string;
  /** Whether it may be given several times. */
  readonly multiple?: boolean;
  /** Whether it is on or off: `--flag`, `--flag=false`, `--no-flag`, variables `1` and `0`. */
  readonly onOff?: boolean;
  /** Whether a configuration file gives a number. */
  readonly number?: boolean;
}

/**
 * What a setting is called in a configuration file.
 *
 * @param flag its flag: `log-level`
 * @returns `logLevel`
 */
export function settingKey(flag: string): string {
  return flag.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

const DATA: Setting = {
  flag: "data",
  env: "LAKESYNC_DATA",
  value: "<folder>",
  help: "where data, lock and secret are kept",
  fallback: "./lakesync-data",
};
const SECRET: Setting = {
  flag: "secret",
  env: "LAKESYNC_SECRET",
  value: "<text>",
  help: `signs tokens, at least ${MIN_SECRET_CHARS} characters`,
};
const ISSUER: Setting = {
  flag: "issuer",
  env: "LAKESYNC_ISSUER",
  value: "<iss>",
  help: "the iss that tokens have",
};
const AUDIENCE: Setting = {
  flag: "audience",
  env: "LAKESYNC_AUDIENCE",
  value: "<aud>",
  help: "the aud that tokens have",
};

/** The flags of `lakesync serve`. */
export const SERVE_SETTINGS: readonly Setting[] = [
  {
    flag: "config",
    env: "LAKESYNC_CONFIG",
    value: "<file>",
    help:
      "TypeScript, JavaScript or JSON with these settings and gateways;\nflags and variables win",
  },
  {
    flag: "host",
    env: "LAKESYNC_HOST",
    value: "<address>",
    help: "the address to listen on; not loopback only with a secret or JWKS",
    fallback: "127.0.0.1",
  },
  {
    flag: "port",
    env: "LAKESYNC_PORT",
    value: "<number>",
    help: "the port to listen on, 0 for any",
    fallback: "8787",
    number: true,
  },
  {
    flag: "trust-proxy",
    env: "LAKESYNC_TRUST_PROXY",
    value: "<who>",
    help: "proxies whose X-Forwarded-For tells the address: how many there are,\n" +
      "or their addresses and networks such as 10.0.0.0/8; none unless given",
  },
  DATA,
  {
    flag: "store",
    env: "LAKESYNC_STORE",
    value: "<kind>",
    help: "sqlite, kv or memory (which forgets)",
    fallback: "sqlite",
  },
  {
    ...SECRET,
    help: `${SECRET.help}; else that of <data>/secret`,
  },
  {
    flag: "jwks-url",
    env: "LAKESYNC_JWKS_URL",
    value: "<url>",
    help: "public keys that check tokens, beside or instead of a secret",
  },
  ISSUER,
  AUDIENCE,
  {
    flag: "tls-cert",
    env: "LAKESYNC_TLS_CERT",
    value: "<file>",
    help: "certificate and chain as PEM, for https and wss;\nread again when it changes",
  },
  {
    flag: "tls-key",
    env: "LAKESYNC_TLS_KEY",
    value: "<file>",
    help: "its private key as PEM",
  },
  {
    flag: "cors-origins",
    env: "LAKESYNC_CORS_ORIGINS",
    value: "<origins>",
    help:
      "origins of pages that may read answers, with commas between,\n* for all; else none but its own",
  },
  {
    flag: "dev",
    env: "LAKESYNC_DEV",
    value: "",
    help: "lets every token into gateways without sync rules; --no-dev does not;\n" +
      "on unless given, on loopback without --secret and --jwks-url",
    onOff: true,
  },
  {
    flag: "to",
    env: "LAKESYNC_TO",
    value: "<url>",
    help: "where changes are flushed to: postgres://… or mysql://…, or as Iceberg\n" +
      "tables to lake (in the data folder), file:///… or s3://bucket/…;\n" +
      "{gateway} in it stands for the gateway; more by --config",
  },
  {
    flag: "log-keep-days",
    env: "LAKESYNC_LOG_KEEP_DAYS",
    value: "<days>",
    help: "how long changes stay in the log when no destination needs them",
    fallback: "7",
    number: true,
  },
  {
    flag: "log-max-bytes",
    env: "LAKESYNC_LOG_MAX_BYTES",
    value: "<bytes>",
    help: "how large the log of a gateway may grow",
    fallback: "1073741824",
    number: true,
  },
  {
    flag: "log-when-full",
    env: "LAKESYNC_LOG_WHEN_FULL",
    value: "<what>",
    help: "refuse: refuse pushes until destinations have caught up;\n" +
      "trim: fill them from rows later",
    fallback: "refuse",
  },
  {
    flag: "audit-keep-days",
    env: "LAKESYNC_AUDIT_KEEP_DAYS",
    value: "<days>",
    help: "how long the audit log is kept",
    fallback: String(DEFAULT_AUDIT_KEEP_DAYS),
    number: true,
  },
  {
    flag: "log-level",
    env: "LAKESYNC_LOG_LEVEL",
    value: "<level>",
    help: "debug, info, warning or error",
    fallback: "info",
  },
  {
    flag: "log-format",
    env: "LAKESYNC_LOG_FORMAT",
    value: "<format>",
    help: "pretty or json",
    fallback: "pretty",
  },
  ...LIMIT_SETTINGS.map(({ limit, help }): Setting => ({
    flag: limitFlag(limit),
    env: `LAKESYNC_${limitFlag(limit).toUpperCase().replaceAll("-", "_")}`,
    value: "<number>",
    help,
    fallback: String(DEFAULT_SERVER_LIMITS[limit]),
    number: true,
  })),
];

const CLAIMS: Setting = {
  flag: "claims",
  value: "<json>",
  help: "further claims of any type as an object",
};

/** The flags of `lakesync token`. */
export const TOKEN_SETTINGS: readonly Setting[] = [
  { flag: "sub", value: "<user>", help: "the user; needed" },
  {
    flag: "gw",
    value: "<gateway>",
    help: "the gateway it is for, * for all",
    fallback: "default",
  },
  {
    flag: "role",
    value: "<role>",
    help: "client or admin",
    fallback: "client",
  },
  {
    flag: "ttl",
    value: "<time>",
    help: "how long it is valid: 30s, 15m, 1h, 7d",
    fallback: "1h",
  },
  {
    flag: "claim",
    value: "<name=text>",
    help: "a further claim; may be repeated",
    multiple: true,
  },
  CLAIMS,
  { ...DATA, help: "whose secret signs it" },
  { ...SECRET, help: `${SECRET.help}; instead of the data folder's` },
  ISSUER,
  AUDIENCE,
];

const SERVER: readonly Setting[] = [
  {
    flag: "url",
    value: "<url>",
    help: "a server that runs",
    fallback: "http://127.0.0.1:8787",
  },
  { flag: "gw", value: "<gateway>", help: "its gateway", fallback: "default" },
  {
    flag: "token",
    env: "LAKESYNC_TOKEN",
    value: "<token>",
    help: "a token of role admin; else one is signed by the secret",
  },
  { ...DATA, help: "whose secret signs it" },
  { ...SECRET, help: `${SECRET.help}; instead of the data folder's` },
  ISSUER,
  AUDIENCE,
];

/** The flags of `lakesync rules check`. */
export const RULES_CHECK_SETTINGS: readonly Setting[] = [
  {
    flag: "rules",
    value: "<file>",
    help: "the rules, JSON or a module's export rules or default; needed",
  },
  {
    flag: "schema",
    value: "<file>",
    help: "the schema, likewise (export schema); else that of a server:",
  },
  ...SERVER,
];

/** The flags of `lakesync rules explain`. */
export const RULES_EXPLAIN_SETTINGS: readonly Setting[] = [
  { flag: "sub", value: "<user>", help: "the user; needed" },
  {
    flag: "claim",
    value: "<name=text>",
    help: "a further claim of the user; may be repeated",
    multiple: true,
  },
  CLAIMS,
  { flag: "table", value: "<table>", help: "the table; needed" },
  { flag: "row", value: "<rowId>", help: "the row's id; needed" },
  ...SERVER,
];

/** The flags of `lakesync access list`. */
export const ACCESS_LIST_SETTINGS: readonly Setting[] = SERVER;

/** The flags of `lakesync access deny` and `access allow`. */
export const ACCESS_CHANGE_SETTINGS: readonly Setting[] = [
  { flag: "client", value: "<clientId>", help: "a device; may be repeated", multiple: true },
  { flag: "user", value: "<user>", help: "the sub of tokens; may be repeated", multiple: true },
  { flag: "table", value: "<table>", help: "a table; may be repeated", multiple: true },
  ...SERVER,
];

/** The flags of `lakesync keys list`. */
export const KEYS_SETTINGS: readonly Setting[] = [
  { ...DATA, help: "whose keys" },
  { ...SECRET, help: "the secret that the server is given, if it is given one" },
];

/** The flags of `lakesync keys rotate`. */
export const KEYS_ROTATE_SETTINGS: readonly Setting[] = [
  {
    flag: "keep",
    value: "<time>",
    help: "for how long the keys before still check tokens",
    fallback: "24h",
  },
  ...KEYS_SETTINGS,
];

/** The flags of `lakesync keys retire`. */
export const KEYS_RETIRE_SETTINGS: readonly Setting[] = KEYS_SETTINGS;

/** The flags of `lakesync migrate`. */
export const MIGRATE_SETTINGS: readonly Setting[] = [
  {
    flag: "from",
    value: "<destination>",
    help: "an address as --to of serve has it, or a name in --config; needed",
  },
  { flag: "to", value: "<destination>", help: "likewise; needed" },
  {
    flag: "config",
    env: "LAKESYNC_CONFIG",
    value: "<file>",
    help: "the configuration that names destinations",
  },
  {
    flag: "gw",
    value: "<gateway>",
    help: "the gateway whose destinations they are",
    fallback: "default",
  },
  { ...DATA, help: "whose lake is meant by lake" },
  { flag: "tables", value: "<names>", help: "only these tables, with commas between" },
  {
    flag: "batch-size",
    value: "<number>",
    help: "changes or rows that are written at once",
    fallback: "10000",
  },
];

/** The flags of `lakesync lake maintain`. */
export const LAKE_MAINTAIN_SETTINGS: readonly Setting[] = [
  {
    flag: "to",
    env: "LAKESYNC_TO",
    value: "<url>",
    help: "the lake: lake, file:///… or s3://bucket/…; else of --config, or lake",
  },
  {
    flag: "config",
    env: "LAKESYNC_CONFIG",
    value: "<file>",
    help: "the configuration that the gateway is started with",
  },
  {
    flag: "gw",
    value: "<gateway>",
    help: "the gateway whose tables they are",
    fallback: "default",
  },
  { ...DATA, help: "the gateway's data folder, where lake is" },
];

const ASKED: readonly Setting[] = [
  {
    flag: "lake",
    env: "LAKESYNC_TO",
    value: "<url>",
    help: "lake, file:///…, s3://bucket/… or a name in --config;\n" +
      "else the one that --config has, or the one in the data folder",
  },
  {
    flag: "config",
    env: "LAKESYNC_CONFIG",
    value: "<file>",
    help: "the configuration that the gateway is started with",
  },
  {
    flag: "as-of",
    value: "<moment>",
    help: "a time such as 2026-01-31T09:30:00Z, a commit such as 120,\n" +
      "or snapshot:<id>; else now",
  },
  {
    flag: "tail",
    value: "<from>",
    help: "where what is not flushed yet is read: from the server that runs,\n" +
      "from the data folder, none, or auto, which tries them in this order",
    fallback: "auto",
  },
];

/** The flags of `lakesync query`. */
export const QUERY_SETTINGS: readonly Setting[] = [
  ...ASKED,
  { flag: "format", value: "<format>", help: "table, csv, json or parquet", fallback: "table" },
  { flag: "out", value: "<file>", help: "where rows are written; else standard output" },
  ...SERVER,
];

/** The flags of `lakesync history`. */
export const HISTORY_SETTINGS: readonly Setting[] = [
  ...ASKED,
  { flag: "format", value: "<format>", help: "table or json", fallback: "table" },
  ...SERVER,
];

/** The flags of `lakesync backup`. */
export const BACKUP_SETTINGS: readonly Setting[] = [
  { ...DATA, help: "what is copied; a server may run on it" },
  { flag: "out", value: "<folder>", help: "the backup, a folder that is made; needed" },
  { flag: "gw", value: "<gateway>", help: "only this gateway" },
  {
    flag: "with-secrets",
    value: "",
    help: "copies secret and keys too; keep that backup as safe as they are",
    onOff: true,
  },
];

/** The flags of `lakesync restore`. */
export const RESTORE_SETTINGS: readonly Setting[] = [
  { flag: "from", value: "<folder>", help: "the backup; needed" },
  { ...DATA, help: "where to: empty, or not there" },
  {
    flag: "to",
    value: "<moment>",
    help: "replays the log onto the backup up to a time with its zone such as\n" +
      "2026-01-31T09:30:00Z, or a commit such as 120",
  },
  { flag: "log", value: "<folder>", help: "whose log: the old data folder, or a newer backup" },
];

/** The flags of `lakesync cursors`. */
export const CURSORS_SETTINGS: readonly Setting[] = [
  { flag: "name", value: "<name>", help: "the cursor that is reset; needed by reset" },
  ...SERVER,
];

/** The flags of `lakesync audit`. */
export const AUDIT_SETTINGS: readonly Setting[] = [
  {
    flag: "since",
    value: "<time>",
    help: "from then on: 15m, 1h or 7d ago, or a time with its zone",
  },
  { flag: "until", value: "<time>", help: "until then, likewise" },
  {
    flag: "who",
    value: "<user>",
    help: "what this user did; server and configuration are users too",
  },
  { flag: "what", value: "<action>", help: "only this action, such as schema.put" },
  { flag: "limit", value: "<number>", help: "at most so many entries", fallback: "1000" },
  { flag: "format", value: "<format>", help: "table or json", fallback: "table" },
  ...SERVER.map((setting) =>
    setting.flag === "gw"
      ? { ...setting, help: "about this gateway; * for all and the server", fallback: "*" }
      : setting
  ),
];
