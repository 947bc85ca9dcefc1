/**
 * The port of the audit log: who did what, when, from where, with what outcome. Tokens, bodies
 * and values of rows are never in it.
 *
 * @module
 */

import type { ErrorCode, JsonValue } from "@lakesync/core";
import type { RecordWrite } from "../store/records.ts";
import type { AuditAction } from "./actions.ts";

/** How long entries are kept unless set otherwise, in days. */
export const DEFAULT_AUDIT_KEEP_DAYS = 400;

/** What came of an action: it was done, it was refused to its caller, or it failed. */
export type AuditOutcome = "done" | "refused" | "failed";

/** Something to be remembered. What is not known is left out. */
export interface AuditEvent {
  /** Which action. */
  readonly what: AuditAction;
  /** What came of it. */
  readonly outcome: AuditOutcome;
  /** Whose token it was; `server` and `configuration` did it without one. */
  readonly sub?: string;
  /** The role of the token. */
  readonly role?: string;
  /** The address it came from. */
  readonly ip?: string;
  /** Finds the request in the log. */
  readonly requestId?: string;
  /** The gateway it is about; left out for the whole server. */
  readonly gatewayId?: string;
  /** Why it was not done. */
  readonly code?: ErrorCode;
  /** Further facts, small and fit to be shown: versions, names, counts, hashes. */
  readonly details?: Readonly<Record<string, JsonValue>>;
}

/** An event as it is kept. */
export interface AuditEntry extends AuditEvent {
  /** Its place in the log, a text in the order of time. */
  readonly id: string;
  /** When it was written, in milliseconds since 1970. */
  readonly atMs: number;
}

/** Which entries are asked for; what is not given does not matter. */
export interface AuditQuery {
  /** Entries at or after this time, in milliseconds since 1970. */
  readonly fromMs?: number;
  /** Entries before this time, in milliseconds since 1970. */
  readonly toMs?: number;
  /** Entries about this gateway. */
  readonly gatewayId?: string;
  /** Entries of this user. */
  readonly sub?: string;
  /** Entries of this action. */
  readonly what?: AuditAction;
  /** At most so many, at least 1. */
  readonly limit: number;
  /** Where the page before ended. */
  readonly cursor?: string;
}

/** Entries, the newest first. */
export interface AuditPage {
  /** The entries. */
  readonly entries: readonly AuditEntry[];
  /** Where to go on; there may be no more. Left out at the end. */
  readonly cursor?: string;
}

/** The audit log. */
export interface Audit {
  /**
   * An event as a record, to be committed with what it tells of, so that there are both or neither.
   * It is for what was done: refusals are counted by {@linkcode write}.
   */
  entry(event: AuditEvent): RecordWrite;
  /**
   * Remembers an event; it is durable once this resolves. Refusals of one caller that come in
   * quick succession are told once, with how many there were (`details.times`).
   *
   * @throws {LakeSyncError} `INTERNAL_ERROR` or `BACKPRESSURE` when it cannot be kept
   */
  write(event: AuditEvent): Promise<void>;
  /** Reads entries, the newest first. */
  list(query: AuditQuery): Promise<AuditPage>;
}
