/**
 * What a server process holds its callers and itself to, in one place. Limits of the protocol,
 * which clients know of, are in core; those of history are a gateway's retention.
 *
 * @module
 */

/** The limits of a server process. Each can be set by the flag of its name in kebab case. */
export interface ServerLimits {
  /** How long requests that are under way may take once the server stops, in milliseconds. */
  readonly drainTimeoutMs: number;
  /** How long a request may take; what it waits for by `wait` comes on top, in milliseconds. */
  readonly requestTimeoutMs: number;
  /** How long one write to a destination may take before it is given up, in milliseconds. */
  readonly flushTimeoutMs: number;
  /** Live connections of one process. */
  readonly maxConnections: number;
  /** Live connections of one user to one process. */
  readonly maxUserConnections: number;
  /** Messages that one live connection may send in a second, for long. */
  readonly maxMessagesPerSecond: number;
  /** How long a live connection may be silent, pings unanswered too, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** Requests that one user may send in a second, for long; 0 is without limit. */
  readonly rateUserPerSecond: number;
  /** Requests that one user may send at once after a pause. */
  readonly rateUserBurst: number;
  /** Requests that one address may send in a second, for long; 0 is without limit. */
  readonly rateIpPerSecond: number;
  /** Requests that one address may send at once after a pause. */
  readonly rateIpBurst: number;
  /** Memory of the process above which new work is turned away, in bytes; 0: by the machine. */
  readonly maxMemoryBytes: number;
  /** Lines of the log in a second for what went well or was shed; what failed has its own always. */
  readonly maxLogLinesPerSecond: number;
}

/** The limits that hold unless others are set. */
export const DEFAULT_SERVER_LIMITS: ServerLimits = {
  drainTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  flushTimeoutMs: 60_000,
  maxConnections: 1_000,
  maxUserConnections: 100,
  maxMessagesPerSecond: 50,
  idleTimeoutMs: 60_000,
  rateUserPerSecond: 1_000,
  rateUserBurst: 10_000,
  rateIpPerSecond: 2_000,
  rateIpBurst: 20_000,
  maxMemoryBytes: 0,
  maxLogLinesPerSecond: 100,
};

/** A limit as it is set from outside. */
export interface LimitSetting {
  /** Which limit. */
  readonly limit: keyof ServerLimits;
  /** The least that may be set. */
  readonly least: number;
  /** What it is for, in the help. */
  readonly help: string;
}

/** All limits, in the order of the help. */
export const LIMIT_SETTINGS: readonly LimitSetting[] = [
  {
    limit: "drainTimeoutMs",
    least: 0,
    help: "how long requests under way may take once it stops",
  },
  { limit: "requestTimeoutMs", least: 1, help: "how long a request may take, else 504" },
  { limit: "flushTimeoutMs", least: 1, help: "how long one write to a destination may take" },
  { limit: "maxConnections", least: 0, help: "live connections of the process" },
  { limit: "maxUserConnections", least: 0, help: "live connections of one user" },
  {
    limit: "maxMessagesPerSecond",
    least: 1,
    help: "messages a second that a live connection may send",
  },
  { limit: "idleTimeoutMs", least: 1_000, help: "when a silent live connection is ended" },
  {
    limit: "rateUserPerSecond",
    least: 0,
    help: "requests a second of one user, 0 for no limit",
  },
  { limit: "rateUserBurst", least: 1, help: "requests of one user at once after a pause" },
  {
    limit: "rateIpPerSecond",
    least: 0,
    help: "requests a second of one address, 0 for no limit",
  },
  { limit: "rateIpBurst", least: 1, help: "requests of one address at once after a pause" },
  {
    limit: "maxMemoryBytes",
    least: 0,
    help:
      "memory above which new work is turned away, 0 for a share of\nwhat the machine or container has",
  },
  {
    limit: "maxLogLinesPerSecond",
    least: 0,
    help: "lines of the log a second for requests that went well",
  },
];

/** The flag of a limit: its name in kebab case. */
export function limitFlag(limit: keyof ServerLimits): string {
  return limit.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
