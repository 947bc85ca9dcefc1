/**
 * Names in statements.
 *
 * @module
 */

/** Quotes a name. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes a text. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** LakeSync's own tables in a schema, quoted. */
export interface OwnTables {
  /** The schema, quoted. */
  readonly schema: string;
  /** A table of the schema, quoted. */
  readonly table: (name: string) => string;
  /** Append-only changes, partitioned by month. */
  readonly deltas: string;
  /** One row for each synced row. */
  readonly state: string;
  /** One row. */
  readonly position: string;
  /** One row for each table. */
  readonly tables: string;
}

/**
 * The tables of a schema.
 *
 * @param schema the schema's name
 */
export function ownTables(schema: string): OwnTables {
  const quoted = quoteName(schema);
  const table = (name: string) => `${quoted}.${quoteName(name)}`;
  return {
    schema: quoted,
    table,
    deltas: table("lakesync_deltas"),
    state: table("lakesync_state"),
    position: table("lakesync_position"),
    tables: table("lakesync_tables"),
  };
}
