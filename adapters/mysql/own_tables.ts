/**
 * LakeSync's own tables.
 *
 * @module
 */

import { DELTAS, KEPT_PROPS, POSITION, PROBLEMS, STATE, TABLES } from "./names.ts";
import { FIRST_MONTHS, monthAfter, partitionText } from "./months.ts";

/** The version of the layout of the tables. */
export const FORMAT = 1;

/**
 * The statements that make the tables, the one that is read first last: where it is, all are there.
 *
 * @param collation compares texts byte by byte, trailing spaces included
 * @param nowMs now, in milliseconds since 1970
 */
export function ownTables(collation: string, nowMs: number): readonly string[] {
  const options = `ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET utf8mb4 ` +
    `COLLATE ${collation}`;
  const months = FIRST_MONTHS.map((i) => partitionText(monthAfter(nowMs, i))).join(", ");
  return [
    `CREATE TABLE IF NOT EXISTS ${TABLES} (
  id int NOT NULL PRIMARY KEY,
  name varchar(64) NOT NULL,
  is_adopted boolean NOT NULL,
  is_filled boolean NOT NULL,
  extras longtext NOT NULL,
  columns longtext NOT NULL
) ${options} COMMENT = 'LakeSync: the numbers of tables and columns'`,
    // Unsettled rows, the oldest rows, hidden ones and those that are newer than a commit are found
    // by one index. Its first two parts are mostly the same, so that new rows are at its end.
    `CREATE TABLE IF NOT EXISTS ${STATE} (
  table_id int NOT NULL,
  row_id varbinary(1024) NOT NULL,
  is_visible boolean NOT NULL,
  cells longtext NOT NULL,
  seq bigint NOT NULL,
  committed_ms bigint NOT NULL,
  settled int NOT NULL,
  PRIMARY KEY (table_id, row_id),
  KEY lakesync_state_settled (settled, is_visible, seq)
) ${options} COMMENT = 'LakeSync: each row with the stamps of its cells, seen or not'`,
    `CREATE TABLE IF NOT EXISTS ${PROBLEMS} (
  table_id int NOT NULL,
  row_id varbinary(1024) NOT NULL,
  kind varchar(8) NOT NULL,
  reason longtext NOT NULL,
  code varchar(64),
  seq bigint NOT NULL,
  found_at datetime(3) NOT NULL,
  waits_table int,
  waits_row varbinary(1024),
  PRIMARY KEY (table_id, row_id),
  KEY lakesync_problems_oldest (seq),
  KEY lakesync_problems_waits (waits_table, waits_row)
) ${options} COMMENT = 'LakeSync: rows that are not in their tables, and why'`,
    `CREATE TABLE IF NOT EXISTS ${KEPT_PROPS} (
  table_id int NOT NULL,
  row_id varbinary(1024) NOT NULL,
  props longtext NOT NULL,
  PRIMARY KEY (table_id, row_id)
) ${options} COMMENT = 'LakeSync: props of rows that left their tables until they are mended'`,
    `CREATE TABLE IF NOT EXISTS ${DELTAS} (
  seq bigint NOT NULL,
  slice int NOT NULL,
  n int NOT NULL,
  delta_id binary(32) NOT NULL,
  committed_at datetime(3) NOT NULL,
  op varchar(16) NOT NULL,
  table_name varchar(64) NOT NULL,
  table_id int,
  row_id varbinary(1024) NOT NULL,
  columns longtext NOT NULL,
  hlc bigint NOT NULL,
  client_id text NOT NULL,
  mutation_id bigint NOT NULL,
  schema_version bigint NOT NULL,
  PRIMARY KEY (seq, slice, n, delta_id, committed_at),
  UNIQUE KEY lakesync_deltas_id (delta_id, committed_at)
) ${options} COMMENT = 'LakeSync: every change, in the order of (seq, slice, n)'
PARTITION BY RANGE COLUMNS (committed_at) (${months})`,
    `CREATE TABLE IF NOT EXISTS ${POSITION} (
  only_row int NOT NULL PRIMARY KEY,
  format int NOT NULL,
  gateway_id text,
  position longtext,
  generation int NOT NULL,
  forgotten_seq bigint NOT NULL,
  schema_json longtext,
  doing longtext,
  moved_at datetime(3)
) ${options} COMMENT = 'LakeSync: how far changes have arrived'`,
  ];
}
