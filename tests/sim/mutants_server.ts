/**
 * Mistakes of the gateway, its store, its merge and its flush.
 *
 * @module
 */

import type { SimMutant } from "./mutants.ts";

/** Faults between a commit and its fsync. */
const POWER = {
  faults: 1,
  only: ["server dies between two steps", "server loses power", "server's disk is slow"],
};

const COPIES = {
  faults: 1,
  only: ["client's database is copied to another device", "partition"],
};

const RESTORES = {
  faults: 1,
  only: ["server is restored in a new epoch", "partition"],
};

/** The mistakes. */
export const SERVER_MUTANTS: readonly SimMutant[] = [
  {
    name: "answer before fsync",
    checker: "durability",
    run: POWER,
    isQuick: true,
    changes: [{
      file: "tests/sim/disk_store.ts",
      find: "await this.#sync();",
      replace: "void this.#sync().catch(() => {});",
    }],
  },
  {
    name: "synchronous=OFF",
    checker: "durability",
    run: POWER,
    changes: [{
      file: "tests/sim/disk.ts",
      find: "lying = false;",
      replace: "lying = true;",
    }],
  },
  {
    name: "a push is answered before its commit",
    checker: "durability",
    run: { faults: 1, only: ["server dies between two steps", "server's disk is slow"] },
    changes: [{
      file: "server/gateway/committer.ts",
      find: "await this.guarded(() => this.store.commit(batch));",
      replace: "void this.guarded(() => this.store.commit(batch)).catch(() => {});",
    }],
  },
  {
    name: "copies of a database are not told apart",
    checker: "durability",
    run: COPIES,
    changes: [{
      file: "server/gateway/clients.ts",
      find: "if (kept === undefined ? tooOld : !chain.startsWith(kept)) {",
      replace: "if (kept === undefined && tooOld) {",
    }, {
      file: "server/gateway/clients.ts",
      find: "chain !== undefined && expected !== undefined && chain !== expected",
      replace: "mutationId < 0",
    }],
  },
  {
    name: "a transaction that is sent again is taken again",
    checker: "exactly_once",
    changes: [{
      file: "server/gateway/group.ts",
      find: "if (transaction.mutationId <= consumed) continue;",
      replace: "if (transaction.mutationId < consumed) continue;",
    }, {
      file: "server/gateway/group.ts",
      find:
        "if (transaction.mutationId <= client.lastMutationId) {\n        this.tally.duplicates++;",
      replace:
        "if (transaction.mutationId < client.lastMutationId) {\n        this.tally.duplicates++;",
    }],
  },
  {
    name: "a refusal is told once, and links do not keep it",
    checker: "outcome",
    run: { faults: 1, only: ["connections break", "nothing comes down"] },
    isQuick: true,
    changes: [{
      file: "server/gateway/group.ts",
      find: "request.refusalsSeen,",
      replace: "known?.lastMutationId,",
    }, {
      file: "server/gateway/clients.ts",
      find: "...(rejection === undefined ? {} : { refused: rejection.code, refusedMs }),",
      replace: "",
    }],
  },
  {
    name: "what came before a refused delta is kept",
    checker: "atomic",
    changes: [{
      file: "server/gateway/working.ts",
      find: 'if ("code" in outcome) {\n          takeBack();',
      replace: 'if ("code" in outcome) {',
    }],
  },
  {
    name: "cursor by HLC",
    checker: "convergence",
    changes: [{
      file: "server/gateway/pull.ts",
      find: "function resync(why: string)",
      replace: `const HEARD = new Map<string, bigint>();

function isNewer(data: Uint8Array, heard = -1n): boolean {
  const { cells, born, died } = readRecord(data).state;
  return [...cells, born, died].some((stamp) => stamp !== undefined && stamp.hlc > heard);
}

function resync(why: string)`,
    }, {
      file: "server/gateway/pull.ts",
      find: "if (told !== undefined) rows.push(told);",
      replace: `const heard = HEARD.get(this.#request.cursor ?? "");
            if (told !== undefined && isNewer(row.data, heard)) rows.push(told);`,
    }, {
      file: "server/gateway/pull.ts",
      find: "return this.#context.seal.seal(writeCursor(cursor), this.#caller.sub);",
      replace: `const sealed = this.#context.seal.seal(writeCursor(cursor), this.#caller.sub);
    HEARD.set(sealed, parseHlc(this.#head.hlc) ?? ZERO_HLC);
    return sealed;`,
    }, {
      file: "server/gateway/pull.ts",
      find: 'from "./bucket_state.ts";',
      replace: 'from "./bucket_state.ts";\nimport { readRecord } from "./record.ts";',
    }],
  },
  {
    name: "row-level stamps",
    checker: "convergence",
    changes: [{
      file: "core/merge.ts",
      find: 'const born = change.op === "INSERT" ? greater(row.born, change) : row.born;',
      replace: `const born = change.op === "INSERT" ? greater(row.born, change) : row.born;
  if (row.cells.some((group) => compareStamps(group, change) > 0)) {
    return rowOf(born, row.died, row.cells, row.merged);
  }`,
    }],
  },
  {
    name: "last stamp as presence",
    checker: "flush",
    run: { faults: 1, writes: 400, only: ["partition"] },
    changes: [{
      file: "core/merge.ts",
      find: "  if (row.born === undefined) return false;\n",
      replace: `  const { died } = row;
  if (row.cells.some((group) => died === undefined || compareStamps(group, died) > 0)) return true;
  if (row.born === undefined) return false;
`,
    }],
  },
  {
    name: "scope judged on the delta",
    checker: "convergence",
    isQuick: true,
    changes: [{
      file: "server/gateway/working.ts",
      find: "return placementsOf(families, name, rowReader(table, key.rowId, record.state));",
      replace: `const last = Math.max(0, ...record.state.cells.map((cell) => cell.seq));
    const cells = record.state.cells.filter((cell) => cell.seq === last);
    const written = { born: record.state.born, died: record.state.died, cells };
    return placementsOf(families, name, rowReader(table, key.rowId, written));`,
    }],
  },
  {
    name: "what a user may read is looked up once",
    checker: "scope",
    isQuick: true,
    changes: [{
      file: "server/gateway/scope.ts",
      find: "const grants = await askLoaded(",
      replace: `const known = GRANTS.get(book.active) ?? new Map<string, readonly Grant[]>();
  GRANTS.set(book.active, known);
  const grants = known.get(caller.sub) ?? await askLoaded(`,
    }, {
      file: "server/gateway/scope.ts",
      find: "const ids = grants.map(",
      replace: `if (grants.length > 2) known.set(caller.sub, grants);
  const ids = grants.map(`,
    }, {
      file: "server/gateway/scope.ts",
      find: "/** A bucket that is granted and has had a row. */",
      replace: `type Grant = ReturnType<Scope["grants"]>[number];
const GRANTS = new WeakMap<object, Map<string, readonly Grant[]>>();

/** A bucket that is granted and has had a row. */`,
    }],
  },
  {
    name: "look-ups are kept for ever",
    checker: "authority",
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
    name: "a restore keeps the epoch of its backup, and no process begins a life",
    checker: "flush",
    run: RESTORES,
    isQuick: true,
    changes: [{
      file: "server/gateway/new_epoch.ts",
      find: `withLife(lives ?? before.lives, epoch, before.head.seq),
    horizonSeq: seq,`,
      replace: `lives ?? withLife(before.lives, before.lives[0]?.id ?? epoch, before.head.seq),
    horizonSeq: before.horizonSeq,`,
    }, {
      file: "server/gateway/committer.ts",
      find: "this.#life = env.randomId();",
      replace: "this.#life = base.lives.at(-1)?.id ?? env.randomId();",
    }],
  },
  {
    name: "the flush position is saved apart from the data",
    checker: "flush",
    run: { faults: 2, only: ["server is killed", "destinations fail"] },
    isQuick: true,
    changes: [{
      file: "adapters/flush/flusher.ts",
      find: 'await this.#answer("write", this.#destination.insertDeltas(batch));',
      replace: `await this.#destination.insertDeltas({ ...batch, changes: [] });
    await this.#destination.insertDeltas({ ...batch, from: batch.to });`,
    }],
  },
];
