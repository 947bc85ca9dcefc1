/**
 * The flush as a library: brings the changes of a gateway to a destination, each once.
 *
 * @module
 */

export { Flusher, type FlusherOptions, type FlushSource } from "./flusher.ts";
export { DEFAULT_FLUSH, type FlushEnvironment, type FlushSettings } from "./settings.ts";
export type { FlushState, FlushStatus } from "./status.ts";
