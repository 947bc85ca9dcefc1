/**
 * What a MySQL adapter is made of.
 *
 * @module
 */

import { isIP } from "node:net";
import { DestinationError } from "../adapter.ts";

/** How a connection is encrypted. */
export interface MysqlTls {
  /** Certificates in PEM to trust instead of the system's. */
  readonly ca?: string;
  /** The client's certificate in PEM. */
  readonly cert?: string;
  /** The key of the client's certificate in PEM. */
  readonly key?: string;
  /** Whether the server's certificate must be valid for its name; true unless given. */
  readonly verify?: boolean;
}

/** How to reach and use a MySQL or MariaDB database. */
export interface MysqlOptions {
  /** `mysql://user:password@host:port/database`, or `mariadb://…`. */
  readonly url: string;
  /** Connections at once, 2 or more; 10 unless given. */
  readonly poolMax?: number;
  /** How long an unused connection is kept, in milliseconds; 10,000 unless given. */
  readonly idleTimeoutMs?: number;
  /** How long to wait for a connection, in milliseconds; 30,000 unless given. */
  readonly connectionTimeoutMs?: number;
  /**
   * How long a statement may take or wait for a lock, in milliseconds; 30,000 unless given. The
   * server counts waiting for locks in whole seconds. What must walk over all rows after a restore
   * or for a new schema may take longer.
   */
  readonly statementTimeoutMs?: number;
  /** How long a connection is used at most, in milliseconds; an hour unless given. */
  readonly maxLifetimeMs?: number;
  /** Encrypts connections; as the URL's `ssl-mode` says unless given, and else not. */
  readonly tls?: boolean | MysqlTls;
  /** Tables that were not made by LakeSync and that it may take over. */
  readonly adopt?: readonly string[];
  /** How long changes are kept, in days; for ever unless given. */
  readonly retentionDays?: number;
  /** The destination's name, for status and log; `mysql` unless given. */
  readonly name?: string;
  /** The gateway whose changes it gets; a database that holds another's is refused. */
  readonly gatewayId?: string;
}

/** Where a database is. */
export interface MysqlAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** {@linkcode MysqlOptions} with all that was not given. */
export interface MysqlSettings {
  readonly address: MysqlAddress;
  readonly poolMax: number;
  readonly idleTimeoutMs: number;
  readonly connectionTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly maxLifetimeMs: number;
  readonly tls: boolean | MysqlTls;
  readonly adopt: readonly string[];
  readonly retentionDays: number | undefined;
  readonly name: string;
  readonly gatewayId: string | undefined;
}

const TIMES = ["idleTimeoutMs", "connectionTimeoutMs", "statementTimeoutMs", "maxLifetimeMs"];

/**
 * Completes and checks options.
 *
 * @param options what was given
 * @throws {DestinationError} `stop` when an option is out of bounds
 */
export function completeOptions(options: MysqlOptions): MysqlSettings {
  const url = URL.canParse(options.url) ? new URL(options.url) : undefined;
  if (url === undefined || !/^(mysql|mariadb):$/.test(url.protocol)) {
    refuse("url must be like mysql://user:password@host:3306/database");
  }
  const database = decodeURIComponent(url.pathname.slice(1));
  if (database === "") refuse("url must name a database, like mysql://host:3306/database");
  const settings: MysqlSettings = {
    address: {
      host: url.hostname.replace(/^\[(.*)\]$/, "$1") || "localhost",
      port: Number(url.port || 3306),
      user: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      database,
    },
    poolMax: options.poolMax ?? 10,
    idleTimeoutMs: options.idleTimeoutMs ?? 10_000,
    connectionTimeoutMs: options.connectionTimeoutMs ?? 30_000,
    statementTimeoutMs: options.statementTimeoutMs ?? 30_000,
    maxLifetimeMs: options.maxLifetimeMs ?? 3_600_000,
    tls: options.tls ?? tlsOf(url.searchParams.get("ssl-mode")),
    adopt: options.adopt ?? [],
    retentionDays: options.retentionDays,
    name: options.name ?? "mysql",
    gatewayId: options.gatewayId,
  };
  const { poolMax } = settings;
  if (!Number.isInteger(poolMax) || poolMax < 2) refuse("poolMax must be a whole number from 2");
  const { tls, address: { host } } = settings;
  const isVerified = tls === true || (typeof tls === "object" && tls.verify !== false);
  // The driver would look for the name localhost in the certificate.
  if (isVerified && isIP(host) > 0) {
    refuse("url must have the server's name as its certificate has it, not an IP address");
  }
  for (const [name, value] of Object.entries(settings)) {
    const isTime = TIMES.includes(name) || (name === "retentionDays" && value !== undefined);
    if (isTime && !(typeof value === "number" && value > 0)) refuse(`${name} must be above 0`);
  }
  return settings;
}

function tlsOf(mode: string | null): boolean | MysqlTls {
  switch (mode?.toUpperCase()) {
    case undefined:
    case "DISABLED":
      return false;
    case "REQUIRED":
      return { verify: false };
    case "VERIFY_CA":
    case "VERIFY_IDENTITY":
      return true;
    default:
      refuse("url takes ssl-mode DISABLED, REQUIRED or VERIFY_IDENTITY");
  }
}

function refuse(what: string): never {
  throw new DestinationError("stop", `MySQL option ${what}`);
}
