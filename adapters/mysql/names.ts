/**
 * Names in statements, and LakeSync's own tables.
 *
 * @module
 */

/** The longest name of a table or a column, in characters. */
export const MAX_NAME_LENGTH = 64;

/** Quotes a name. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}

/** Append-only changes, partitioned by month. */
export const DELTAS = "lakesync_deltas";
/** One row for each synced row. */
export const STATE = "lakesync_state";
/** One row for each row that is not in its table and should be. */
export const PROBLEMS = "lakesync_problems";
/** The `props` of rows that left their table until they are mended. */
export const KEPT_PROPS = "lakesync_kept_props";
/** One row. */
export const POSITION = "lakesync_position";
/** One row for each table. */
export const TABLES = "lakesync_tables";
