/**
 * The rules of the game: clock, schema, deltas, merge, checksums, protocol and error codes. Pure:
 * no input or output, no clock of its own, no runtime API; it runs anywhere.
 *
 * @module
 */

export * from "./checksum.ts";
export * from "./clock.ts";
export * from "./delta.ts";
export * from "./errors.ts";
export * from "./forked_name.ts";
export * from "./evolution.ts";
export * from "./limits.ts";
export * from "./merge.ts";
export * from "./protocol/binary.ts";
export * from "./protocol/json.ts";
export * from "./protocol/messages.ts";
export { compareValues, keyText } from "./rules/compare.ts";
export * from "./rules/compile.ts";
export * from "./rules/define.ts";
export * from "./rules/explain.ts";
export type { Judged, RowReader } from "./rules/judge.ts";
export type * from "./rules/model.ts";
export * from "./rules/parse.ts";
export * from "./rules/scope.ts";
export * from "./rules/spec.ts";
export * from "./schema.ts";
export * from "./value.ts";
