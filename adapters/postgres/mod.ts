/**
 * Postgres as a destination: the changes, the state of each row, and ordinary tables that people
 * query.
 *
 * @module
 */

export { postgresAdapter } from "./adapter.ts";
export type { PostgresOptions, PostgresTls } from "./options.ts";
