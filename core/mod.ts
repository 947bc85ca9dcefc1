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
export * from "./evolution.ts";
export * from "./limits.ts";
export * from "./merge.ts";
export * from "./protocol/binary.ts";
export * from "./protocol/json.ts";
export * from "./protocol/messages.ts";
export * from "./schema.ts";
export * from "./value.ts";
