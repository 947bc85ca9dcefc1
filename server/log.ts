/**
 * Where the command's log goes: standard error, as lines for people or as JSON, without secrets and
 * row values. Apps that embed the server configure LogTape themselves, category `lakesync`.
 *
 * @module
 */

import {
  configureSync,
  getAnsiColorFormatter,
  getLogger,
  getTextFormatter,
  jsonLinesFormatter,
  type LogRecord,
  type TextFormatter,
} from "@logtape/logtape";
import { redactByField } from "@logtape/redaction";
import type { ServeConfig } from "./config.ts";
import { LineBudget } from "./observe/line_budget.ts";
import { logContext } from "./observe/log_context.ts";
import {
  type ErrorDetail,
  errorText,
  REDACTED,
  redactText,
  SECRET_FIELDS,
} from "./observe/redact.ts";

const CATEGORY = ["lakesync", "server"] as const;

const logger = getLogger(CATEGORY);

/** Beside lines of what went well there may be so many a second, but for level `debug`. */
const MAX_OTHER_LINES_PER_SECOND = 500;

/** What of the configuration the log goes by. */
export type LogConfig = Pick<ServeConfig, "logLevel" | "logFormat">;

/**
 * Sends log records to standard error.
 *
 * @param config the least level, the form, and how many lines there may be
 */
export function configureLog(config: LogConfig & Pick<ServeConfig, "limits">): void {
  const colors = Deno.stderr.isTerminal() && !Deno.noColor;
  const format = logFormatter(config, colors);
  const encoder = new TextEncoder();
  const write = (record: LogRecord) => writeAll(encoder.encode(format(record)));
  const maxLines = config.limits.maxLogLinesPerSecond + MAX_OTHER_LINES_PER_SECOND;
  const budget = new LineBudget(maxLines, (lines) => write(leftOut(lines)));
  const isFull = config.logLevel === "debug";
  configureSync({
    reset: true,
    contextLocalStorage: logContext,
    sinks: {
      stderr: redactByField((record) => {
        if (isFull || budget.take()) write(record);
      }, {
        fieldPatterns: [...SECRET_FIELDS],
        // A count is no value of a row.
        action: (value) => typeof value === "number" ? value : REDACTED,
      }),
    },
    loggers: [
      { category: "lakesync", lowestLevel: config.logLevel, sinks: ["stderr"] },
      {
        category: ["logtape", "meta"],
        lowestLevel: "warning",
        sinks: ["stderr"],
      },
    ],
  });
}

/** A record of records that were not written. */
function leftOut(lines: number): LogRecord {
  return {
    category: CATEGORY,
    level: "warning",
    timestamp: Date.now(),
    message: ["", lines, " lines were left out, there were too many in a second"],
    rawMessage: "{lines} lines were left out, there were too many in a second",
    properties: { lines },
  };
}

/**
 * Makes lines of records.
 *
 * @param config the form, and whether errors are told in full: at level `debug`
 * @param colors whether it is for a terminal with colors
 */
export function logFormatter({ logLevel, logFormat }: LogConfig, colors = false): TextFormatter {
  const detail: ErrorDetail = { full: logLevel === "debug" };
  const value = (value: unknown, inspect: (value: unknown) => string) =>
    typeof value === "string" ? value : inspect(value);
  const pretty = colors ? getAnsiColorFormatter({ value }) : getTextFormatter({ value });
  const format = logFormat === "json" ? jsonLinesFormatter : pretty;
  return (record) => {
    const clean = cleaned(record, detail);
    return format(logFormat === "json" ? { ...clean, message: [brief(clean)] } : clean);
  };
}

/** A record of texts, numbers and what consists of them; no text has a secret. */
function cleaned(record: LogRecord, detail: ErrorDetail): LogRecord {
  const clean = (value: unknown) => cleanValue(value, detail);
  return {
    ...record,
    message: record.message.map((part, i) => i % 2 === 0 ? part : clean(part)),
    properties: Object.fromEntries(
      Object.entries(record.properties).map(([name, value]) => [name, clean(value)]),
    ),
  };
}

/** A message as one text; stacks are among the properties. */
function brief({ message }: LogRecord): string {
  return message.map((part) => String(part).replaceAll(/\n[^]*$/g, "")).join("");
}

function cleanValue(value: unknown, detail: ErrorDetail): unknown {
  if (typeof value === "string") return redactText(value);
  if (value instanceof Error) return redactText(errorText(value, detail));
  if (typeof value !== "object" || value === null) return value;
  return redactText(
    JSON.stringify(value, (_, item) => typeof item === "bigint" ? `${item}` : item),
  );
}

/**
 * Tells people something on standard error. The runtime sends what goes to the console to a collector
 * of traces as well; this it does not.
 *
 * @param text without its last line break
 */
export function writeText(text: string): void {
  writeAll(new TextEncoder().encode(`${text}\n`));
}

/** Logging must not fail what logs: a reader that is gone gets nothing. */
function writeAll(bytes: Uint8Array): void {
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
  } catch {
    return;
  }
}

/** Logs what nobody has caught, and ends the process with 1, as the runtime would. */
export function logCrashes(): void {
  const crash = (event: Event, error: unknown) => {
    event.preventDefault();
    logger.fatal("The process ends, since nobody expected this: {error}", { error });
    Deno.exit(1);
  };
  globalThis.addEventListener("unhandledrejection", (event) => crash(event, event.reason));
  globalThis.addEventListener("error", (event) => crash(event, event.error));
}
