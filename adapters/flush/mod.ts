/**
 * The flush as a library: brings the changes of a source to a destination, each once.
 *
 * @module
 */

export { type AdapterSource, adapterSource } from "./adapter_source.ts";
export { Flusher, type FlusherOptions } from "./flusher.ts";
export {
  DEFAULT_FLUSH,
  type DestinationCall,
  type FlushEnvironment,
  type FlushObserver,
  type FlushSettings,
} from "./settings.ts";
export type {
  ChangeSource,
  SourceEntry,
  SourceHead,
  SourceLimit,
  SourceNews,
  SourcePage,
  SourceRows,
  SourceWalk,
} from "./source.ts";
export type { FlushError, FlushState, FlushStatus } from "./status.ts";
