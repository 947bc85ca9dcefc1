/**
 * Keeps secrets and row values out of the log, whatever brought them into a message: by the secrets
 * that the process knows, by what secrets look like, and by saying of errors of others only what
 * cannot hold a value.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import type { RedactionPattern } from "@logtape/redaction";

/** What stands where something was left out. */
export const REDACTED = "[redacted]";

/** Longer texts are cut, in UTF-16 code units. */
const MAX_TEXT_LENGTH = 4_000;

/** Shorter secrets are none, and would take pieces out of other words. */
const MIN_SECRET_LENGTH = 8;

/** What secrets and values look like in messages. */
export const SECRET_PATTERNS: readonly RedactionPattern[] = [
  { pattern: /\beyJ[\w-]{8,}(?:\.[\w-]*)*/g, replacement: REDACTED },
  { pattern: /\b(bearer|basic)[ .]+[\w.~+/=-]{8,}/gi, replacement: `$1 ${REDACTED}` },
  {
    // But for those of messages that say what an address looks like.
    pattern: /\b([a-z][a-z0-9+.-]*:\/\/)(?!user:password@host)[^\s"'<>@]*@/gi,
    replacement: `$1${REDACTED}@`,
  },
  {
    pattern:
      /\b(password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|credential|cookie|signature)(["']?\s*[=:]\s*["']?)[^\s"'&,;}]+/gi,
    replacement: `$1$2${REDACTED}`,
  },
  { pattern: /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, replacement: REDACTED },
  {
    pattern: /-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,30}-----)?/g,
    replacement: REDACTED,
  },
  // Values in what databases say of rows.
  { pattern: /\)=\([^)]*\)/g, replacement: ")=(…)" },
  { pattern: /\b(Duplicate entry |[Ii]ncorrect [\w ]+ value: )'.*'/g, replacement: "$1'…'" },
  { pattern: /\b(invalid [\w ]+ for [\w ]+: )".*"/g, replacement: '$1"…"' },
];

/** Fields of log records that are never told. */
export const SECRET_FIELDS: readonly RegExp[] = [
  /pass(?:word|phrase|wd)/i,
  /secret/i,
  /token/i,
  /credential/i,
  /authorization/i,
  /cookie/i,
  /^(?:api|private|access)[_-]?key$/i,
  /^(?:body|columns|values?|rows?|parameters|headers)$/i,
];

/** The secrets that this process knows. */
const known = new Set<string>();

/** Never tells a text from now on; one that is too short to be a secret is not kept. */
export function hideSecret(secret: string | undefined): void {
  if (secret !== undefined && secret.length >= MIN_SECRET_LENGTH) known.add(secret);
}

/**
 * Never tells the secrets of a configuration from now on: what has the name of one, and the
 * passwords of addresses.
 *
 * @param value the configuration, or a part of it
 */
export function hideSecretsOf(value: unknown, name = ""): void {
  if (typeof value === "string") {
    if (SECRET_FIELDS.some((field) => field.test(name))) hideSecret(value);
    const password = URL.parse(value)?.password ?? "";
    hideSecret(password);
    hideSecret(decoded(password));
  } else if (Array.isArray(value)) { for (const item of value) hideSecretsOf(item, name); }
  else if (isPlain(value)) {
    for (const [key, item] of Object.entries(value)) hideSecretsOf(item, key);
  }
}

/** A text without secrets. */
export function redactText(text: string): string {
  let clean = text.length > MAX_TEXT_LENGTH ? `${text.slice(0, MAX_TEXT_LENGTH)}…` : text;
  for (const secret of known) clean = clean.replaceAll(secret, REDACTED);
  for (const { pattern, replacement } of SECRET_PATTERNS) {
    if (typeof replacement === "string") clean = clean.replace(pattern, replacement);
  }
  return clean;
}

/** Errors whose messages are ours, so they hold neither secrets nor values. */
const OURS = new Set([
  "LakeSyncError",
  "DestinationError",
  "CatalogError",
  "ObjectStoreError",
  "UsageError",
]);

/** How much of an error is told. */
export interface ErrorDetail {
  /** Whether also the stack and the causes of errors of ours are told. */
  readonly full: boolean;
}

/** So deep are causes told. */
const MAX_CAUSES = 3;

/**
 * An error as text. What others have thrown may quote what they were given, so of that only the kind
 * and the place are told.
 *
 * @param error whatever was thrown
 * @param detail how much of it
 */
export function errorText(error: unknown, { full }: ErrorDetail, depth = 0): string {
  if (!(error instanceof Error)) return typeof error === "string" ? unquoted(error) : typeof error;
  const isOurs = error instanceof LakeSyncError || OURS.has(error.name);
  const code = "code" in error && typeof error.code === "string" ? ` ${error.code}` : "";
  const head = isOurs ? error.message : `${error.name}${code}${foreign(error)}`;
  const lines = isOurs && !full ? [] : framesOf(error);
  const hasCause = error.cause !== undefined && depth < MAX_CAUSES && (full || !isOurs);
  const cause = hasCause ? [`because of ${errorText(error.cause, { full }, depth + 1)}`] : [];
  return [head, ...lines, ...cause].join("\n");
}

function foreign(error: Error): string {
  // It says what it could not read, without quotes too.
  if (error instanceof SyntaxError) return "";
  // The system names files and addresses.
  const isSystem = Object.values(Deno.errors).some((kind) => error instanceof kind) ||
    ("syscall" in error);
  return `: ${isSystem ? error.message : unquoted(error.message)}`;
}

/** A message without what it quotes, but for the property that somebody wanted to read. */
function unquoted(message: string): string {
  const read = /^(Cannot (?:read|set) properties of \w+) \((reading|setting) '([\w$#]{1,40})'\)$/;
  if (read.test(message)) return message.replace(read, "$1 ($2 $3)");
  return message.replace(/["'`].*["'`]/s, '"…"');
}

function framesOf({ stack = "" }: Error): readonly string[] {
  return stack.split("\n").filter((line) => /^\s+at /.test(line));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
