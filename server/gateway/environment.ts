/**
 * Everything that is not deterministic reaches a gateway through here, so that one seed can
 * replay a whole run: time, randomness, turns of the event loop, hashing and settings.
 *
 * @module
 */

import { DEFAULT_LIMITS, type Limits, type TextHash } from "@lakesync/core";
import type { CheckpointSettings } from "./checkpoint_settings.ts";
import type { TableNames } from "./table_reach.ts";
import type { GatewayObserver } from "./observer.ts";

/** What keeps a gateway's history in bounds. */
export interface Retention {
  /** How long a deleted row's key is kept, in days; older writes are refused `STALE_WRITE`. */
  readonly tombstoneDays: number;
  /** How long log entries are kept, in milliseconds. */
  readonly logKeepMs: number;
  /** How large the log may grow, in bytes of payload. */
  readonly logMaxBytes: number;
  /**
   * What happens when the log is as large as it may be and a destination still needs all of it:
   * pushes are refused with `BACKPRESSURE` until it has caught up, or the oldest changes are dropped
   * and the destination is filled from rows.
   */
  readonly logWhenFull: "refuse" | "trim";
  /** How long answers of requests with an Idempotency-Key are kept, in milliseconds. */
  readonly answerKeepMs: number;
  /**
   * What the kept answers of a gateway may take, in bytes; pushes with an Idempotency-Key are refused
   * then with `BACKPRESSURE` until some of them are no longer kept.
   */
  readonly answerMaxBytes: number;
  /** What those of one user may take, in bytes; more are refused with `RATE_LIMITED`. */
  readonly answerMaxUserBytes: number;
  /** How long a part of a large transaction waits for the others, in milliseconds. */
  readonly partKeepMs: number;
}

/** The retention that holds unless configured otherwise. */
export const DEFAULT_RETENTION: Retention = {
  tombstoneDays: 400,
  logKeepMs: 7 * 24 * 60 * 60 * 1000,
  logMaxBytes: 1024 * 1024 * 1024,
  logWhenFull: "refuse",
  answerKeepMs: 24 * 60 * 60 * 1000,
  answerMaxBytes: 1024 * 1024 * 1024,
  answerMaxUserBytes: 64 * 1024 * 1024,
  partKeepMs: 7 * 24 * 60 * 60 * 1000,
};

/** What a gateway needs of the world. */
export interface GatewayEnvironment {
  /** The physical clock, in milliseconds since 1970. */
  readonly now: () => number;
  /**
   * Resolves in a later turn of the event loop, after input that is already there was read.
   * Pushes that arrive meanwhile are committed together.
   */
  readonly nextTurn: () => Promise<void>;
  /** Calls back once after a time in milliseconds; gives what cancels it. */
  readonly setTimer: (ms: number, callback: () => void) => () => void;
  /** A random name, unlike any other. */
  readonly randomId: () => string;
  /** SHA-256 of a text in lower-case hex; a runtime's own is faster. */
  readonly hash: TextHash;
  /** Whether clients may read and write everything in a gateway that was given no rules. */
  readonly openAccess?: boolean;
  /** Which tables clients of a gateway reach; those they reached so far unless given. */
  readonly tablesOf?: (gatewayId: string) => TableNames | undefined;
  /** The limits of the protocol. */
  readonly limits?: Limits;
  /** What keeps history in bounds. */
  readonly retention?: Retention;
  /** How checkpoints are kept; without it everything comes by pull. */
  readonly checkpoints?: CheckpointSettings;
  /**
   * Waits until a page of a pull may be read.
   *
   * @returns what is called when it was read
   * @throws {LakeSyncError} `BACKPRESSURE` when there is no room for it
   */
  readonly pageTurn?: () => Promise<() => void>;
  /** Told what commits did. */
  readonly observer?: GatewayObserver;
  /** Told of failures that no caller is to hear of in detail. */
  readonly onError?: (what: string, error: unknown) => void;
}

/** The limits of an environment. */
export function limitsOf(env: GatewayEnvironment): Limits {
  return env.limits ?? DEFAULT_LIMITS;
}

/** The retention of an environment. */
export function retentionOf(env: GatewayEnvironment): Retention {
  return env.retention ?? DEFAULT_RETENTION;
}
