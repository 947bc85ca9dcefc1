/**
 * What a Postgres adapter is made of.
 *
 * @module
 */

import { isIP } from "node:net";
import { DestinationError } from "../adapter.ts";

/** How a connection is encrypted. */
export interface PostgresTls {
  /** Certificates in PEM to trust instead of the system's. */
  readonly ca?: string;
  /** The client's certificate in PEM. */
  readonly cert?: string;
  /** The key of the client's certificate in PEM. */
  readonly key?: string;
  /** Whether the server's certificate must be valid for its name; true unless given. */
  readonly verify?: boolean;
}

/** How to reach and use a Postgres database. */
export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`. */
  readonly url: string;
  /** The schema that all tables are in; made when it is not there. `public` unless given. */
  readonly schema?: string;
  /** Connections at once, 2 or more; 10 unless given. One of them writes. */
  readonly poolMax?: number;
  /** How long an unused connection is kept, in milliseconds; 10,000 unless given. */
  readonly idleTimeoutMs?: number;
  /** How long to wait for a connection, in milliseconds; 30,000 unless given. */
  readonly connectionTimeoutMs?: number;
  /**
   * How long a statement may take, wait for a lock, or leave its transaction idle, in milliseconds;
   * 30,000 unless given. What must walk over all rows after a restore or for a new schema may take
   * longer.
   */
  readonly statementTimeoutMs?: number;
  /** How long a connection is used at most, in milliseconds; an hour unless given. */
  readonly maxLifetimeMs?: number;
  /** Encrypts connections; as the URL's `sslmode` says unless given. */
  readonly tls?: boolean | PostgresTls;
  /** Tables that were not made by LakeSync and that it may take over. */
  readonly adopt?: readonly string[];
  /** How long changes are kept, in days; for ever unless given. */
  readonly retentionDays?: number;
  /** The destination's name, for status and log; `postgres` unless given. */
  readonly name?: string;
  /** Whether statements are prepared; true unless given. Some connection poolers need false. */
  readonly prepare?: boolean;
}

/** {@linkcode PostgresOptions} with all that was not given. */
export interface PostgresSettings extends Required<Omit<PostgresOptions, "tls" | "retentionDays">> {
  readonly tls: boolean | PostgresTls | undefined;
  readonly retentionDays: number | undefined;
}

/** The longest name of a schema or a table, in bytes. */
export const MAX_NAME_LENGTH = 63;

const DEFAULTS = {
  schema: "public",
  poolMax: 10,
  idleTimeoutMs: 10_000,
  connectionTimeoutMs: 30_000,
  statementTimeoutMs: 30_000,
  maxLifetimeMs: 3_600_000,
  adopt: [],
  name: "postgres",
  prepare: true,
} as const;

/**
 * Completes and checks options.
 *
 * @param options what was given
 * @throws {DestinationError} `stop` when an option is out of bounds
 */
export function completeOptions(options: PostgresOptions): PostgresSettings {
  const { tls, retentionDays, ...given } = options;
  const settings: PostgresSettings = { ...DEFAULTS, ...given, tls, retentionDays };
  const { schema, poolMax } = settings;
  if (!URL.canParse(settings.url) || !/^postgres(ql)?:$/.test(new URL(settings.url).protocol)) {
    refuse("url must be like postgres://user:password@host:5432/database");
  }
  checkUrl(new URL(settings.url));
  if (schema === "" || new TextEncoder().encode(schema).length > MAX_NAME_LENGTH) {
    refuse(`schema must have 1 to ${MAX_NAME_LENGTH} bytes`);
  }
  if (!Number.isInteger(poolMax) || poolMax < 2) refuse("poolMax must be a whole number from 2");
  const times = ["idleTimeoutMs", "connectionTimeoutMs", "statementTimeoutMs", "maxLifetimeMs"];
  for (const [name, value] of Object.entries(settings)) {
    const isTime = times.includes(name) || (name === "retentionDays" && value !== undefined);
    if (isTime && !(typeof value === "number" && value > 0)) refuse(`${name} must be above 0`);
  }
  // The driver would look for the name localhost in the certificate.
  if (isVerified(settings) && hostsOf(settings.url).some((host) => isIP(host) > 0)) {
    refuse("url must have the server's name as its certificate has it, not an IP address");
  }
  return settings;
}

const SSL_MODES = ["disable", "false", "allow", "prefer", "require", "verify-ca", "verify-full"];

function checkUrl({ username, password, searchParams }: URL): void {
  try {
    decodeURIComponent(username + password);
  } catch {
    refuse("url must have % as %25 in user and password");
  }
  const mode = searchParams.get("sslmode") ?? "disable";
  if (!SSL_MODES.includes(mode)) refuse(`url must have an sslmode of ${SSL_MODES.join(", ")}`);
}

/** Where a server is. The driver reads neither IPv6 nor the folder of a socket from an address. */
export interface PostgresAddress {
  /** The address, for the driver. */
  readonly url: string;
  /** Where the server is, when the driver would not read it. */
  readonly at: {
    readonly host?: readonly string[];
    readonly port?: readonly number[];
    readonly path?: string;
  };
}

/**
 * Tells where the server of an address is: `postgres://[::1]:5432/database`, or with the folder of
 * its socket `postgres://user@localhost/database?host=/run/postgresql`.
 *
 * @param url a valid address
 */
export function addressOf(url: string): PostgresAddress {
  const parsed = new URL(url);
  const { hostname, searchParams } = parsed;
  const port = Number(parsed.port || 5432);
  const folder = searchParams.get("host");
  if (folder?.startsWith("/")) {
    searchParams.delete("host");
    return { url: parsed.href, at: { path: `${folder}/.s.PGSQL.${port}` } };
  }
  if (!hostname.startsWith("[")) return { url, at: {} };
  return { url, at: { host: [hostname.slice(1, -1)], port: [port] } };
}

/** Whether the server's certificate is checked. */
function isVerified({ url, tls }: Pick<PostgresSettings, "url" | "tls">): boolean {
  if (tls !== undefined) return tls === true || (typeof tls === "object" && tls.verify !== false);
  const { searchParams } = new URL(url);
  return searchParams.get("sslrootcert") === "system" ||
    /^verify-/.test(searchParams.get("sslmode") ?? searchParams.get("ssl") ?? "");
}

/** The servers of an address, which may name several. */
function hostsOf(url: string): readonly string[] {
  const [, list = ""] = /^\w+:\/\/(?:[^@/]*@)?([^/?]*)/.exec(url) ?? [];
  return list.split(",").map((host) => host.replace(/:\d*$/, "").replace(/^\[(.*)\]$/, "$1"));
}

function refuse(what: string): never {
  throw new DestinationError("stop", `Postgres option ${what}`);
}
