/**
 * Where the command's log goes: standard error. Apps that embed the server configure LogTape
 * themselves, category `lakesync`.
 *
 * @module
 */

import {
  ansiColorFormatter,
  configureSync,
  getTextFormatter,
  jsonLinesFormatter,
} from "@logtape/logtape";
import type { ServeConfig } from "./config.ts";

/**
 * Sends log records to standard error.
 *
 * @param config the least level and the form
 */
export function configureLog(
  { logLevel, logFormat }: Pick<ServeConfig, "logLevel" | "logFormat">,
): void {
  const colors = Deno.stderr.isTerminal() && !Deno.noColor;
  const pretty = colors ? ansiColorFormatter : getTextFormatter();
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
