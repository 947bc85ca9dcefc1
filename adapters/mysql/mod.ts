/**
 * MySQL and MariaDB as a destination: the changes, the state of each row, and ordinary tables that
 * people query.
 *
 * @module
 */

export { mysqlAdapter } from "./adapter.ts";
export type { MysqlOptions, MysqlTls } from "./options.ts";
