/**
 * `lakesync cursors`: how far sources and destinations of a gateway are, and forgetting one of them.
 *
 * @module
 */

import { fetchCursors, requestCursorReset } from "./admin_client.ts";
import type { CursorsConfig } from "./backup_arguments.ts";

/**
 * Lists cursors or resets one, at a server that runs.
 *
 * @param config what to do
 * @returns lines to print
 * @throws {UsageError} when there is nothing to sign a token with
 * @throws {Error} when the server does not answer or refuses
 */
export async function runCursors(
  { command, server, name }: CursorsConfig,
): Promise<readonly string[]> {
  if (command === "cursors reset") {
    const { filled } = await requestCursorReset(server, name);
    return [filled ? `${name}: is filled from all rows anew` : `${name}: was forgotten`];
  }
  const cursors = await fetchCursors(server);
  const width = Math.max(0, ...cursors.map(({ name }) => name.length));
  return cursors.map(({ name, value, savedAt }) => `${name.padEnd(width)}  ${savedAt}  ${value}`);
}
