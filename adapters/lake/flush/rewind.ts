/**
 * Gives up the end of a history that the gateway lost, and begins to fill a lake from rows.
 *
 * A rewind moves the lake's own position first, then takes the changes after it out of one table
 * after the other. Was the position last, a crash in between would leave a lake that says it has
 * changes which some of its tables have no more. So it has tables that are ahead of it, which is
 * told, and whoever rewinds again goes on where this one ended.
 *
 * @module
 */

import type { Move } from "../../adapter.ts";
import { atMost, type Lake } from "./lake.ts";
import { PROPERTY } from "./properties.ts";
import { readyPosition } from "./ready.ts";
import { rewindTable } from "./rewind_table.ts";
import { kept, rewound } from "./standing.ts";
import { type LakeTables, ownPosition } from "./tables.ts";
import { movePosition } from "./write_batch.ts";

/** So many tables go back at once; each may have a large file in memory. */
const REWINDS_AT_ONCE = 2;

/**
 * Goes back to a place.
 *
 * @param lake the lake
 * @param tables its tables; changed
 * @param move the rewind
 */
export async function rewindLake(lake: Lake, tables: LakeTables, move: Move): Promise<void> {
  const main = await readyPosition(lake, tables);
  const own = ownPosition(tables);
  const forgotten = Number(main.metadata.properties?.[PROPERTY.forgottenSeq] ?? 0);
  tables.main = await movePosition(lake, main, rewound(own, move), own, {
    [PROPERTY.forgottenSeq]: String(Math.min(forgotten, move.to.seq)),
  });
  await atMost(
    [...tables.changes.values()].map((table) => () => rewindTable(lake, table, move.to)),
    REWINDS_AT_ONCE,
  );
}

/**
 * Begins to fill a lake from rows. Changes are kept; rows are made anew of what comes from then on.
 *
 * @param lake the lake
 * @param tables its tables; changed
 * @param move where to
 */
export async function refillLake(lake: Lake, tables: LakeTables, { to }: Move): Promise<void> {
  const main = await readyPosition(lake, tables);
  tables.main = await movePosition(lake, main, kept(to), ownPosition(tables), {
    [PROPERTY.refillSeq]: String(to.seq),
  });
}
