/**
 * Makes rows of the changes of a lake, and keeps it in shape: in the background, or once.
 *
 * @module
 */

export type { Lake } from "../flush/lake.ts";
export { type OpenLake, openLake } from "../open.ts";
export {
  DEFAULT_MERGE,
  type MergeReport,
  type MergeSettings,
  mergeTable,
  type Refill,
  type TablePair,
} from "../table/merge.ts";
export { isLake } from "../flush/tables.ts";
export { mergeLake } from "../table/merge_lake.ts";
export type { RewriteSettings } from "../table/rewrite_plan.ts";
export type { RowFileSettings } from "../table/rewrite_rows.ts";
export type { Compacted } from "./compact_changes.ts";
export type { RowCompactionSettings } from "./compact_rows.ts";
export type { CompactionSettings } from "./compaction_plan.ts";
export {
  DEFAULT_MAINTENANCE,
  maintain,
  type MaintenanceReport,
  type MaintenanceSettings,
  type TableMaintenance,
} from "./maintain.ts";
export { Reach } from "./reach.ts";
export {
  DEFAULT_SCHEDULE,
  LakeKeeper,
  type LakeSchedule,
  type LakeStatus,
  type LakeTableStatus,
  type LakeWork,
} from "./scheduler.ts";
export type { Thinning } from "./thinning.ts";
