/**
 * Mistakes that the oracle must find: each is a small change of the code, made in a copy.
 *
 * @module
 */

import type { Mutant } from "../mutation/copy.ts";

const ROW_TELLER = "server/gateway/row_teller.ts";
const WORKING = "server/gateway/working.ts";

/** The mistakes. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "filters are judged on the delta",
    changes: [{
      file: WORKING,
      find: "return placementsOf(families, name, rowReader(table, key.rowId, record.state));",
      replace: `const last = Math.max(0, ...record.state.cells.map((cell) => cell.seq));
    const cells = record.state.cells.filter((cell) => cell.seq === last);
    const written = { born: record.state.born, died: record.state.died, cells };
    return placementsOf(families, name, rowReader(table, key.rowId, written));`,
    }],
  },
  {
    name: "a row that leaves one bucket is removed though another holds it",
    changes: [{
      file: ROW_TELLER,
      find: "if (judged.is.any) return this.#put(judged);",
      replace: "if (judged.is.buckets.includes(bucket)) return this.#put(judged);",
    }],
  },
  {
    name: "columns that are no longer shown are not unset",
    changes: [{
      file: ROW_TELLER,
      find: "const unset = this.#unset(judged);",
      replace: "const unset: readonly string[] = [];",
    }],
  },
  {
    name: "the client ignores unset",
    changes: [{
      file: "tests/oracle/model_client.ts",
      find: "for (const name of unset) row.cells.delete(name);",
      replace: "void unset;",
    }],
  },
  {
    name: "deleted rows are named to a client that came later",
    changes: [
      {
        file: ROW_TELLER,
        find: "return judged.was.any || judged.maybe.any ? this.#remove(judged) : undefined;",
        replace: "return this.#remove(judged);",
      },
      {
        file: "server/gateway/scans.ts",
        find: "gone: held?.base ?? Math.max(0, scan.sentFrom),",
        replace: "gone: held?.base ?? 0,",
      },
    ],
  },
  {
    name: "a membership that changes moves no rows",
    changes: [{
      file: "server/gateway/lookups.ts",
      find: "if (kept === undefined || kept.seq !== seq) return undefined;",
      replace: "if (kept === undefined || seq < 0) return undefined;",
    }, {
      file: "server/gateway/lookups.ts",
      find: "if (kept === undefined || kept.seq !== beforeSeq) return;",
      replace: "if (kept === undefined || beforeSeq >= 0) return;",
    }],
  },
  {
    name: "write rules look up what was before the transaction",
    changes: [{
      file: WORKING,
      find: "if (families.length === 0 || !isVisible(state)) return;",
      replace: "if (by !== 0) return;",
    }],
  },
  {
    name: "write rules do not see the row before",
    changes: [{
      file: "server/gateway/write_guard.ts",
      find: "if (isVisible(before) && !holds(before)) return false;",
      replace: "if (isVisible(before) && !isVisible(after) && !holds(before)) return false;",
    }],
  },
  {
    name: "rows at the end of a page are lost",
    changes: [{
      file: "server/gateway/pull.ts",
      find: "stopped: { current: place, position: { gone, after: after.after } },",
      replace: `stopped: {
                current: place,
                position: { gone, after: { seq: after.after.seq + 1, tie: "" } },
              },`,
    }],
  },
  {
    name: "rows written while rules are built are not placed by them",
    changes: [{
      file: WORKING,
      find: `const { name } = table.table;
    const families = this.#ledger.book.placing(name);
    if (families.length === 0) return [];`,
      replace: `const { name } = table.table;
    const families = this.#ledger.book.placing(name)
      .filter(({ liveSeq }) => liveSeq !== undefined);
    if (families.length === 0) return [];`,
    }],
  },
  {
    name: "a row that leaves a bucket stays in its checksum",
    changes: [{
      file: WORKING,
      find: "wasIn ? was ?? NO_SUMS : undefined,",
      replace: "wasIn && isIn ? was ?? NO_SUMS : undefined,",
    }],
  },
  {
    name: "cells of a column that a newer schema knows are not told",
    changes: [{
      file: ROW_TELLER,
      find: "if (had && !this.#isNew(column.since)) return;",
      replace: "if (had) return;",
    }],
  },
  {
    name: "a damaged bucket is not sent again",
    changes: [{
      file: "server/gateway/pull.ts",
      find: "repair.has(publicBucketId(record.id, placed));",
      replace: "repair.has(publicBucketId(record.id, placed)) && repair.size > 99;",
    }],
  },
  {
    name: "values that residual conditions read are kept from before",
    changes: [{
      file: "server/gateway/placement.ts",
      find: "if (values === undefined || sameValues(membership.values?.at(-1), values)) {",
      replace: "if (values === undefined || membership.values !== undefined) {",
    }],
  },
  {
    name: "a client that waits is not told of memberships",
    changes: [{
      file: "server/gateway/scope.ts",
      find: "watched: new Set([...ids, ...lookups.ids])",
      replace: "watched: new Set(ids)",
    }],
  },
  {
    name: "residual conditions are judged as they were when the row was first told",
    changes: [{
      file: "server/gateway/scans.ts",
      find: "same(held.residual, scan.residual);",
      replace: "held.base >= 0;",
    }],
  },
];
