/**
 * Where data goes to and comes from: ports and their implementations.
 *
 * @module
 */

export type {
  Change,
  Destination,
  DestinationKey,
  DestinationSchema,
  DestinationTable,
  FlushBatch,
  FlushPosition,
  Move,
  PositionLife,
  RowEffect,
} from "./adapter.ts";
export { openFileObjects } from "./object-store/fs.ts";
export { memoryObjects } from "./object-store/memory.ts";
export { checkObjectKey, type ObjectHead, type ObjectStore } from "./object-store/object_store.ts";
