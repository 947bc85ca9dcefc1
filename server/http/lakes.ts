/**
 * How lakes stand, as JSON.
 *
 * @module
 */

import type { JsonValue } from "@lakesync/core";
import type { OpenLake } from "../destinations/lakes.ts";

/**
 * How a lake stands.
 *
 * @param lake the lake
 */
export function lakeJson({ name, namespace, status }: OpenLake): JsonValue {
  const { mergeLagCommits, mergeLagMs, mergedChanges, tables, failures, lastError } = status();
  return {
    name,
    namespace,
    mergeLagCommits,
    mergeLagSeconds: mergeLagMs / 1000,
    mergedChanges,
    failures,
    ...(lastError === undefined ? {} : {
      lastError: { message: lastError.message, at: new Date(lastError.atMs).toISOString() },
    }),
    tables: tables.map(({ table, files, bytes, rows, snapshots }) => ({
      table,
      files,
      bytes,
      rows,
      snapshots,
    })),
  };
}
