/**
 * Asking questions to a lake: SQL by DuckDB, at any moment, and the history of a row.
 *
 * @module
 */

export {
  QueryError,
  type ResultColumn,
  type ResultRows,
  type ResultStream,
  TailError,
} from "./duck.ts";
export type { CacheOptions } from "./file_cache.ts";
export type { CellChange, RowChange } from "./history.ts";
export type { AsOf } from "./moment.ts";
export {
  LakeQuery,
  type LakeQueryOptions,
  openLakeQuery,
  type QueryOptions,
  type QueryResult,
  type QueryStream,
} from "./query.ts";
export {
  decodeTailPage,
  encodeTailPage,
  gatewayTail,
  type GatewayTailOptions,
  type QueryTail,
  type TailPage,
} from "./tail.ts";
