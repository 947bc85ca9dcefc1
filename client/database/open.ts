/**
 * Chooses this runtime's binding of SQLite; nothing else knows which one it is.
 *
 * @module
 */

import type { SqliteDriver } from "./driver.ts";

/**
 * Loads the driver of the runtime this runs on.
 *
 * @returns `bun:sqlite` under Bun, `node:sqlite` under Deno and Node
 */
export async function loadDriver(): Promise<SqliteDriver> {
  if ("Bun" in globalThis) return (await import("./bun.ts")).bunDriver;
  return (await import("./node.ts")).nodeDriver;
}
