/**
 * Columns of tables as buffers: built from values, read back, put together and compared.
 *
 * @module
 */

export * from "./build.ts";
export * from "./column.ts";
export * from "./compare.ts";
export * from "./gather.ts";
export { byteLengthOf, isNull, kindOf, nullColumn } from "./layout.ts";
export * from "./value_at.ts";
