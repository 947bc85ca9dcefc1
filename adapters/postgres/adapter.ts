/**
 * Postgres as a destination.
 *
 * @module
 */

import type { DatabaseAdapter } from "../adapter.ts";
import { SqlAdapter } from "../database/sql_adapter.ts";
import { PostgresBackend } from "./backend.ts";
import { completeOptions, type PostgresOptions } from "./options.ts";

/**
 * Opens a Postgres database as a destination. Nothing is sent to it before the first call.
 *
 * @param options how to reach and use it
 * @throws {DestinationError} `stop` when an option is out of bounds
 *
 * @example
 * ```ts
 * import { postgresAdapter } from "@lakesync/adapters/postgres";
 *
 * const adapter = postgresAdapter({ url: "postgres://lakesync@127.0.0.1:5432/app" });
 * console.assert(adapter.capabilities.materialised);
 * await adapter.close();
 * ```
 */
export function postgresAdapter(options: PostgresOptions): DatabaseAdapter {
  const settings = completeOptions(options);
  return new SqlAdapter(settings.name, new PostgresBackend(settings));
}
