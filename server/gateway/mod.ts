/**
 * The gateway as a library: the domain on its ports, for hosts other than the command `lakesync`
 * and for tests that bring a clock and a store of their own.
 *
 * @module
 */

export type { CheckpointRequest, CheckpointStream } from "./checkpoint.ts";
export type { RowSource, SourceRow, SourceRows } from "./checkpoint_rows.ts";
export { type CheckpointSettings, checkpointSettings, Slots } from "./checkpoint_settings.ts";
export type { CursorStore, SavedCursor } from "./cursors.ts";
export { DEFAULT_RETENTION, type GatewayEnvironment, type Retention } from "./environment.ts";
export type { Follower } from "./followers.ts";
export * from "./gateway.ts";
export type {
  GatewayHistory,
  HistoryChange,
  HistoryEffect,
  HistoryEntry,
  HistoryHead,
  HistoryLimit,
  HistoryPage,
  HistoryPlace,
  HistoryRow,
  HistoryRows,
  HistorySchema,
  HistoryTable,
  HistoryWalk,
  NumberedCell,
} from "./history.ts";
export type { Life } from "./lives.ts";
export type { CommitCounts, GatewayObserver } from "./observer.ts";
export { openGateways } from "./open.ts";
export type { TableNames } from "./table_reach.ts";
