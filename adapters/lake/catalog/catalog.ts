/**
 * The port to what knows which metadata of a table is the current one. A commit is one step: it
 * comes into force whole, and only if the table is still what the commit was made from.
 *
 * @module
 */

import type { Snapshot, TableMetadata } from "../iceberg/metadata.ts";
import type { TableUpdate } from "../iceberg/updates.ts";

/** Names a table: a namespace of one level, and a name in it. */
export interface TableName {
  /** The namespace. */
  readonly namespace: string;
  /** The table. */
  readonly name: string;
}

/** A table as a catalog knows it. */
export interface LoadedTable {
  /** Its name. */
  readonly table: TableName;
  /** Its metadata; never changed in place. */
  readonly metadata: TableMetadata;
  /** Where the metadata is, as a location. */
  readonly metadataLocation: string;
  /** The current snapshot of `main`; undefined when there is none yet. */
  readonly snapshot: Snapshot | undefined;
}

/** Knows tables. */
export interface Catalog {
  /** The tables of a namespace. */
  list(namespace: string): Promise<readonly TableName[]>;
  /** Reads a table as it is now, past any cache; undefined when there is none. */
  load(table: TableName): Promise<LoadedTable | undefined>;
  /**
   * Creates a table.
   *
   * @param table its name
   * @param metadata its first metadata, with its location in it
   * @throws {CatalogError} `conflict` when there is one already
   */
  create(table: TableName, metadata: TableMetadata): Promise<LoadedTable>;
  /**
   * Commits changes to a table, if it is still as `base` has it.
   *
   * @param base the table that the changes were made from
   * @param updates what changes, in order
   * @throws {CatalogError} which tells whether somebody else was first or the outcome is not known
   */
  commit(base: LoadedTable, updates: readonly TableUpdate[]): Promise<LoadedTable>;
  /** Gives a table another name, where the catalog can; else it keeps the one it has. */
  rename(from: TableName, to: TableName): Promise<TableName>;
  /** Gives back what it holds. */
  close(): Promise<void>;
}

/**
 * What became of a commit that failed: `conflict`: nothing was changed, somebody else was first;
 * `unknown`: it may have come into force or may still do so, and nothing that it wrote may be
 * deleted; `refused`: the catalog does not allow it; `unreachable`: nothing was changed, and it may
 * be tried again later.
 */
export type CatalogFailure = "conflict" | "unknown" | "refused" | "unreachable";

/** A catalog failed. */
export class CatalogError extends Error {
  /** Always `CatalogError`. */
  override readonly name: string = "CatalogError";
  /** What became of it. */
  readonly failure: CatalogFailure;

  /**
   * Makes the error.
   *
   * @param failure what became of it
   * @param message what went wrong
   * @param options the cause
   */
  constructor(
    failure: CatalogFailure,
    message: string,
    options: { readonly cause?: unknown } = {},
  ) {
    super(message, options);
    this.failure = failure;
  }
}
