/**
 * Commits of maintenance, which never win against a flush: whoever was first has committed, and
 * maintenance is made anew on top of that, or given up.
 *
 * @module
 */

import { CatalogError, type LoadedTable, type TableName } from "../catalog/catalog.ts";
import type { Lake } from "../flush/lake.ts";
import type { SnapshotPlan } from "../iceberg/snapshot.ts";
import { commitPlan } from "../table/merge.ts";

/** So often a commit is made anew. */
const MAX_TRIES = 5;

/**
 * Commits to a table as it is now.
 *
 * @param lake the lake
 * @param name the table
 * @param make makes the commit for the table as it is; undefined when there is nothing to do any more
 * @returns the table after it; undefined when nothing was done
 * @throws {CatalogError} when others were first again and again, or the outcome is not known
 */
export async function commitRebased(
  lake: Lake,
  name: TableName,
  make: (base: LoadedTable) => Promise<SnapshotPlan | undefined>,
): Promise<LoadedTable | undefined> {
  for (let tries = 1;; tries++) {
    const base = await lake.catalog.load(name);
    const plan = base && await make(base);
    if (base === undefined || plan === undefined) return undefined;
    try {
      return await commitPlan(lake, base, plan, []);
    } catch (error) {
      const isConflict = error instanceof CatalogError && error.failure === "conflict";
      if (!isConflict || tries === MAX_TRIES) throw error;
    }
  }
}

/**
 * What a snapshot says of LakeSync, which the one that replaces it is to say too.
 *
 * @param table the table
 */
export function carriedSummary({ snapshot }: LoadedTable): Readonly<Record<string, string>> {
  const all = Object.entries(snapshot?.summary ?? {});
  return Object.fromEntries(all.filter(([name]) => name.startsWith("lakesync.")));
}
