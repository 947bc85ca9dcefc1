/**
 * What the audit log tells of: the closed list of its actions, and which action each route is.
 *
 * @module
 */

/** An action of the audit log. */
export type AuditAction =
  | "server.start"
  | "server.stop"
  | "schema.put"
  | "rules.put"
  | "rules.explain"
  | "flush.force"
  | "access.change"
  | "keys.change"
  | "cursors.reset"
  | "backup.make"
  | "backup.restore"
  | "token.failures"
  | "admin.read";

/** Each action and what it means; the operations page is made of it. */
export const AUDIT_ACTIONS: Readonly<Record<AuditAction, string>> = {
  "server.start": "the server began to serve",
  "server.stop": "the server was asked to stop",
  "schema.put": "a schema was put, by request or by the configuration file",
  "rules.put": "sync rules were put, by request or by the configuration file",
  "rules.explain": "somebody asked why a user sees a row, and was shown the row",
  "flush.force": "a flush to all destinations was asked for",
  "access.change": "a list of who is kept out was changed",
  "keys.change": "the keys that check tokens were changed",
  "cursors.reset": "a cursor was reset",
  "backup.make": "a copy of gateways was made",
  "backup.restore": "a gateway was restored from a copy",
  "token.failures": "many tokens were refused in a short time",
  "admin.read": "somebody asked an admin path; only refusals are told",
};

/** Tells whether a text is an action. */
export function isAuditAction(text: string): text is AuditAction {
  return Object.hasOwn(AUDIT_ACTIONS, text);
}
