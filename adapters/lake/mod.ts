/**
 * The lake: Iceberg tables on object storage as a destination.
 *
 * @module
 */

export { lakeAdapter } from "./adapter.ts";
export { jsonLakeAdapter, type JsonLakeOptions } from "./json/adapter.ts";
export { type LakeLocation, lakeLocation } from "./location.ts";
export type { LakeOptions } from "./options.ts";
