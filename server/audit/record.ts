/**
 * An event of the audit log as the text of a record. What callers can make long is cut, so that
 * any event can be kept.
 *
 * @module
 */

import { isErrorCode, type JsonValue } from "@lakesync/core";
import { isAuditAction } from "./actions.ts";
import type { AuditEvent } from "./audit.ts";

/** Texts are cut to so many characters; that of users may be as long as a token. */
const MAX_TEXT_CHARS = 512;

/** Details longer than this as JSON are left out. */
const MAX_DETAILS_CHARS = 8_000;

function cut(text: string): string {
  return text.length <= MAX_TEXT_CHARS ? text : `${text.slice(0, MAX_TEXT_CHARS - 1)}…`;
}

/** A user as the audit log names them, also when somebody asks for their entries. */
export function auditName(sub: string): string {
  return cut(sub);
}

/**
 * Writes an event as text.
 *
 * @param event the event
 * @returns JSON, within the bounds of a record
 */
export function encodeEvent(event: AuditEvent): string {
  const { what, outcome, sub, role, ip, requestId, gatewayId, code, details } = event;
  const text = (value: string | undefined) => value === undefined ? undefined : cut(value);
  const isLong = JSON.stringify(details ?? {}).length > MAX_DETAILS_CHARS;
  return JSON.stringify({
    what,
    outcome,
    sub: text(sub),
    role: text(role),
    ip: text(ip),
    requestId: text(requestId),
    gatewayId: text(gatewayId),
    code,
    details: isLong ? { leftOut: "they were too long" } : details,
  });
}

/**
 * Reads an event.
 *
 * @param value what {@linkcode encodeEvent} gave
 * @returns the event; undefined when it is none, for instance of a later version
 */
export function decodeEvent(value: string): AuditEvent | undefined {
  const record: unknown = JSON.parse(value);
  if (!isObject(record)) return undefined;
  const { what, outcome, code, details } = record;
  if (typeof what !== "string" || !isAuditAction(what)) return undefined;
  if (outcome !== "done" && outcome !== "refused" && outcome !== "failed") return undefined;
  const event: { -readonly [Field in keyof AuditEvent]: AuditEvent[Field] } = { what, outcome };
  for (const field of ["sub", "role", "ip", "requestId", "gatewayId"] as const) {
    const text = record[field];
    if (typeof text === "string") event[field] = text;
  }
  if (isErrorCode(code)) event.code = code;
  if (isObject(details)) event.details = details;
  return event;
}

function isObject(value: unknown): value is Record<string, JsonValue> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
