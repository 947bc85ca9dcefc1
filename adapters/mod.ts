/**
 * Where data goes to and comes from: ports and their implementations.
 *
 * @module
 */

export type {
  Capabilities,
  Cell,
  Change,
  DatabaseAdapter,
  DeltaPage,
  Destination,
  DestinationKey,
  DestinationSchema,
  DestinationTable,
  FlushBatch,
  FlushPosition,
  Forget,
  LatestState,
  Move,
  Place,
  PositionLife,
  ProblemKind,
  RetryKind,
  RowEffect,
  RowProblem,
  StoredChange,
} from "./adapter.ts";
export { DestinationError } from "./adapter.ts";
export { DelegateAdapter } from "./delegate.ts";
export { compositeAdapter, type CompositeOptions } from "./composite/adapter.ts";
export { type FanOutAdapter, fanOutAdapter, type FanOutOptions } from "./fanout/adapter.ts";
export {
  type LifecycleAdapter,
  lifecycleAdapter,
  type LifecycleOptions,
} from "./lifecycle/adapter.ts";
export { memoryAdapter, MemoryData } from "./memory.ts";
export {
  migrateAdapter,
  MigrationError,
  type MigrationOptions,
  type MigrationProgress,
  type MigrationResult,
} from "./migrate/migrate.ts";
export type { TableFigures } from "./migrate/compare.ts";
export { openFileObjects } from "./object-store/fs.ts";
export { memoryObjects } from "./object-store/memory.ts";
export {
  type ByteRange,
  checkObjectKey,
  type ObjectHead,
  type ObjectStore,
  ObjectStoreError,
  type ObjectStoreFailure,
} from "./object-store/object_store.ts";
