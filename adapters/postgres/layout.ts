/**
 * LakeSync's own tables.
 *
 * @module
 */

import type { OwnTables } from "./names.ts";

/** The version of the layout of the tables. */
export const FORMAT = 1;

/**
 * The statements that make the tables.
 *
 * @param own their names
 */
export function layoutOf({ deltas, state, position, tables }: OwnTables): string {
  return `
CREATE TABLE IF NOT EXISTS ${position} (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  format integer NOT NULL,
  position json,
  generation integer NOT NULL DEFAULT 0,
  forgotten_seq bigint NOT NULL DEFAULT 0,
  schema json,
  moved_at timestamptz
);
COMMENT ON TABLE ${position} IS 'LakeSync: how far changes have arrived';
INSERT INTO ${position} (format) VALUES (${FORMAT}) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS ${tables} (
  id integer PRIMARY KEY,
  name text NOT NULL,
  is_adopted boolean NOT NULL,
  extras json NOT NULL,
  columns json NOT NULL
);
COMMENT ON TABLE ${tables} IS 'LakeSync: the numbers of tables and columns';

CREATE TABLE IF NOT EXISTS ${state} (
  table_id integer NOT NULL,
  row_id text COLLATE "C" NOT NULL,
  is_visible boolean NOT NULL,
  cells text NOT NULL,
  seq bigint NOT NULL,
  committed_ms bigint NOT NULL,
  settled integer NOT NULL,
  problem text CHECK (problem IN ('parked', 'dead')),
  problem_reason text,
  problem_code text,
  problem_seq bigint,
  problem_at timestamptz,
  waits_table integer,
  waits_row text COLLATE "C",
  kept_props jsonb,
  PRIMARY KEY (table_id, row_id)
);
COMMENT ON TABLE ${state} IS 'LakeSync: each row with the stamps of its cells, seen or not';
CREATE INDEX IF NOT EXISTS lakesync_state_settled ON ${state} (settled, seq);
CREATE INDEX IF NOT EXISTS lakesync_state_hidden ON ${state} (settled, seq) WHERE NOT is_visible;
CREATE INDEX IF NOT EXISTS lakesync_state_problem ON ${state} (problem_seq, table_id, row_id)
  WHERE problem IS NOT NULL;
CREATE INDEX IF NOT EXISTS lakesync_state_waits ON ${state} (waits_table, waits_row)
  WHERE problem = 'parked';
CREATE INDEX IF NOT EXISTS lakesync_state_props ON ${state} (table_id)
  WHERE kept_props IS NOT NULL;

CREATE TABLE IF NOT EXISTS ${deltas} (
  delta_id bytea NOT NULL,
  op text NOT NULL,
  table_name text NOT NULL,
  table_id integer,
  row_id text NOT NULL,
  columns json NOT NULL,
  hlc bigint NOT NULL,
  client_id text NOT NULL,
  mutation_id bigint NOT NULL,
  seq bigint NOT NULL,
  slice integer NOT NULL,
  n integer NOT NULL,
  committed_at timestamptz NOT NULL,
  schema_version integer NOT NULL,
  PRIMARY KEY (delta_id, committed_at)
) PARTITION BY RANGE (committed_at);
COMMENT ON TABLE ${deltas} IS 'LakeSync: every change, in the order of (seq, slice, n)';
CREATE INDEX IF NOT EXISTS lakesync_deltas_order ON ${deltas} (seq, slice, n);`;
}
