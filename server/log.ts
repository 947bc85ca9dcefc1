/**
 * Where the command's log goes: standard error. Apps that embed the server configure LogTape
 * themselves, category `lakesync`.
 *
 * @module
 */

import { DestinationError } from "@lakesync/adapters";
import {
  configureSync,
  getAnsiColorFormatter,
  getTextFormatter,
  jsonLinesFormatter,
} from "@logtape/logtape";
import type { ServeConfig } from "./config.ts";

/**
 * A value of a log record as text. What a destination failed with says what to do in its message,
 * so neither its stack nor its causes follow, each time it is tried.
 *
 * @param value the value
 * @param inspect how others are written
 */
export function logText(value: unknown, inspect: (value: unknown) => string): string {
  if (typeof value === "string") return value;
  return value instanceof DestinationError ? value.message : inspect(value);
}

/**
 * Sends log records to standard error.
 *
 * @param config the least level and the form
 */
export function configureLog(
  { logLevel, logFormat }: Pick<ServeConfig, "logLevel" | "logFormat">,
): void {
  const colors = Deno.stderr.isTerminal() && !Deno.noColor;
  const value = logLevel === "debug" ? "bare" : logText;
  const pretty = colors ? getAnsiColorFormatter({ value }) : getTextFormatter({ value });
  const format = logFormat === "json" ? jsonLinesFormatter : pretty;
  const encoder = new TextEncoder();
  configureSync({
    reset: true,
    sinks: {
      stderr: (record) => {
        Deno.stderr.writeSync(encoder.encode(format(record)));
      },
    },
    loggers: [
      { category: "lakesync", lowestLevel: logLevel, sinks: ["stderr"] },
      {
        category: ["logtape", "meta"],
        lowestLevel: "warning",
        sinks: ["stderr"],
      },
    ],
  });
}
