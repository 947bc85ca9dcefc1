/**
 * MySQL and MariaDB as a destination.
 *
 * @module
 */

import type { DatabaseAdapter } from "../adapter.ts";
import { SqlAdapter } from "../database/sql_adapter.ts";
import { MysqlBackend } from "./backend.ts";
import { completeOptions, type MysqlOptions } from "./options.ts";

/**
 * Opens a MySQL or MariaDB database as a destination. Nothing is sent to it before the first call.
 *
 * @param options how to reach and use it
 * @throws {DestinationError} `stop` when an option is out of bounds
 *
 * @example
 * ```ts
 * import { mysqlAdapter } from "@lakesync/adapters/mysql";
 *
 * const adapter = mysqlAdapter({ url: "mysql://lakesync@127.0.0.1:3306/app" });
 * console.assert(adapter.capabilities.materialised);
 * await adapter.close();
 * ```
 */
export function mysqlAdapter(options: MysqlOptions): DatabaseAdapter {
  const settings = completeOptions(options);
  return new SqlAdapter(settings.name, new MysqlBackend(settings));
}
