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
export { mergeLake, mergeOne, refillOf } from "../table/merge_lake.ts";
export {
  DEFAULT_MAINTENANCE,
  maintain,
  type MaintenanceReport,
  type MaintenanceSettings,
  type TableMaintenance,
} from "./maintain.ts";
export {
  DEFAULT_SCHEDULE,
  LakeKeeper,
  type LakeSchedule,
  type LakeStatus,
  type LakeTableStatus,
  type LakeWork,
} from "./scheduler.ts";
