/**
 * Mistakes of the client.
 *
 * @module
 */

import type { Change } from "../mutation/copy.ts";
import type { SimMutant } from "./mutants.ts";

const COPIES = {
  faults: 1,
  only: ["client's database is copied to another device", "client goes back to a copy"],
};

/**
 * A name by chance, without its origin, for a fork: with the name that the history leads to, the
 * gateway sees what it knows under the name before, and sends the client back to that.
 */
const NAMED_BY_CHANCE: Change = {
  file: "client/local_replica.ts",
  find: "await forkAfter(db, layout, mutationId, name, before);",
  replace: "await forkAfter(db, layout, mutationId, this.#options.newClientId(), []);",
};

/** The mistakes. */
export const CLIENT_MUTANTS: readonly SimMutant[] = [
  {
    name: "counters and all else re-sent under a new clientId",
    checker: "exactly_once",
    run: COPIES,
    changes: [{
      file: "client/upload.ts",
      find: "const last = await lastCommon(",
      replace: "const last = 0 * await lastCommon(",
    }, NAMED_BY_CHANCE],
  },
  {
    name: "after a lost answer a push goes again under a new clientId",
    checker: "exactly_once",
    run: { faults: 1, only: ["connections break", "nothing comes down"] },
    isQuick: true,
    changes: [{
      file: "client/upload.ts",
      find: "const remedy = remedyFor(error);",
      replace: `const remedy = remedyFor(error);
    if (!(error instanceof LakeSyncError)) {
      const { settledMutationId } = await this.#context.replica.state();
      await this.#rename(() => this.#context.replica.fork(settledMutationId));
    }`,
    }, NAMED_BY_CHANCE],
  },
  {
    name: "what was accepted is not kept, so that nothing is given back",
    checker: "durability",
    run: { faults: 1, only: ["server is restored in a new epoch"] },
    isQuick: true,
    changes: [{
      file: "client/purge.ts",
      find: "SELECT t.sealed_ms < ${NOW_MS} - ?\n",
      replace: "SELECT t.sealed_ms < ${NOW_MS} + ?\n",
    }, {
      file: "client/purge.ts",
      find: "AND t.sealed_ms < ${NOW_MS} - ?\n",
      replace: "AND t.sealed_ms < ${NOW_MS} + ?\n",
    }],
  },
  {
    name: "what was refused is not undone",
    checker: "outcome",
    changes: [{
      file: "client/refusals.ts",
      find: "await this.#undo(dead, last);",
      replace: "void this.#undo;",
    }],
  },
  {
    name: "an answer is stored before its refusals",
    checker: "outcome",
    run: { faults: 1, only: ["client dies between two steps"] },
    changes: [{
      file: "client/local_replica.ts",
      find: "const { answered, letters } = refused",
      replace: `if (refused) {
      const accepted = { ...result, rejected: [] };
      await this.#session.note((db) => storeAnswer(db, layout, accepted));
    }
    const { answered, letters } = refused`,
    }],
  },
  {
    name: "a new base forgets what was not sent",
    checker: "outcome",
    run: { faults: 1, only: ["server goes back to a backup", "partition"] },
    changes: [{
      file: "client/checkpoint.ts",
      find: 'await forgetStaged(db);\n  await db.run("UPDATE _lakesync_state SET cursor = NULL',
      replace: `await forgetStaged(db);
  await db.run(\`DELETE FROM _lakesync_tx WHERE mutation_id >
    (SELECT settled_mutation_id FROM _lakesync_state)\`);
  await db.run(\`UPDATE _lakesync_state SET highest_mutation_id = settled_mutation_id\`);
  await db.run("UPDATE _lakesync_state SET cursor = NULL`,
    }],
  },
  {
    name: "a new base hides what is pending",
    checker: "causal",
    run: { faults: 1, only: ["server goes back to a backup", "server's disk is full"] },
    changes: [{
      file: "client/apply.ts",
      find: "await this.#showUnseen(coveredBefore, replacing ? newest : coveredAfter);",
      replace: "await this.#showUnseen(coveredBefore, newest < 0 ? newest : coveredAfter);",
    }, {
      file: "client/apply.ts",
      find: `           AND NOT EXISTS (SELECT 1 FROM _lakesync_outbox
             WHERE tbl = ? AND row_id = \${rowId} AND n > ?)\`,
          [...params, table.id, table.id, table.id, covered],`,
      replace: `          \`,
          [...params, table.id, table.id].slice(0, covered < 0 ? 0 : undefined),`,
    }],
  },
  {
    name: "a checkpoint is applied in several transactions",
    checker: "atomic",
    run: { faults: 1, only: ["client dies between two steps", "partition"] },
    isQuick: true,
    changes: [{
      file: "client/apply.ts",
      find: "await apply(table, shape, changes.slice(i, i + CHUNK));\n",
      replace: `await apply(table, shape, changes.slice(i, i + CHUNK));
        await this.#db.script("COMMIT");
        await new Promise((resolve) => setTimeout(resolve, 1_000));
        await this.#db.script("BEGIN IMMEDIATE");
`,
    }],
  },
  {
    name: "the cursor is stored before the page",
    checker: "convergence",
    run: { faults: 1, only: ["client dies between two steps"] },
    changes: [{
      file: "client/local_replica.ts",
      find: "const done = await this.#session.step(async (db) => {\n      const state",
      replace: `if (page.complete && origin !== undefined) {
      await this.#session.note(async (db) => {
        await db.run(
          \`UPDATE _lakesync_state SET cursor = ?, staged_cursor = NULL WHERE staged_cursor IS NULL\`,
          [page.cursor],
        );
      });
      origin = { ...origin, cursor: page.cursor };
    }
    const done = await this.#session.step(async (db) => {
      const state`,
    }],
  },
  {
    name: "pending writes hold back pulls",
    checker: "never_stuck",
    isQuick: true,
    changes: [{
      file: "client/local_replica.ts",
      find: 'if (origin !== undefined && !follows(state, origin)) return "dropped";',
      replace: `if (origin !== undefined && !follows(state, origin)) return "dropped";
      if (state.highestMutationId > state.lastMutationId) return "dropped";`,
    }],
  },
  {
    name: "a timer is lost",
    checker: "never_stuck",
    run: { faults: 1, only: ["server's disk is full"] },
    changes: [{
      file: "client/upload.ts",
      find: 'await this.#wait(error instanceof LakeSyncError ? "timed" : "offline", ms);',
      replace: `await this.#wait("timed", error instanceof LakeSyncError ? undefined : ms);`,
    }],
  },
];
