/**
 * Iceberg's format, as far as LakeSync's tables need it.
 *
 * @module
 */

export { formatJson, parseJson, toLong } from "./json.ts";
export type { LakeFiles } from "./lake_files.ts";
export * from "./metadata.ts";
export type * from "./schema.ts";
export type * from "./updates.ts";
