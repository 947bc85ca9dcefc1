/**
 * What rules cost a push: batches of 100 rows that two buckets hold and a look-up allows, against
 * the same pushes without rules. Then what merge kinds cost: increments and changes of sets against
 * plain writes of the same rows.
 *
 * @module
 */

import { openLocal } from "@lakesync/client";
import type { Delta, Shape, Value } from "@lakesync/core";
import { inBatches, LISTS, LISTS_RULES, membership, pushOnce, pushRate, todo } from "./lists.ts";
import { BenchServer, show, spread } from "./support.ts";

const CLIENTS = 8;
const BATCH = 100;
const ROWS = 48_000;
const ROUNDS = 7;

const KINDS = {
  version: 1,
  tables: {
    tallies: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        plain: "integer",
        sum: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
        text: "json",
      },
    },
  },
} as const;

/** Rows that updates are spread over. */
const TALLIES = 2_000;

function share(deltas: readonly Delta[]): Delta[][][] {
  const each = Math.ceil(deltas.length / CLIENTS / BATCH) * BATCH;
  return inBatches(deltas, each).map((own) => inBatches(own, BATCH));
}

/** Pushes with rules, against development mode. */
export async function benchWriteRules(): Promise<void> {
  console.log(
    `\nPushes of ${BATCH} rows by ${CLIENTS} clients at once, ${ROUNDS} rounds: two buckets and a ` +
      "look-up, against no rules",
  );
  await using server = await BenchServer.start();
  const token = await server.userToken("alice");
  const rates = { open: [] as number[], ruled: [] as number[] };
  for (let round = -1; round < ROUNDS; round++) {
    for (const kind of ["open", "ruled"] as const) {
      const gateway = `${kind}-${round}`;
      await server.gateway(gateway, LISTS);
      if (kind === "ruled") {
        await server.putRules(gateway, LISTS_RULES);
        await pushOnce(server, gateway, [[membership(server, "m", "alice", "hers")]]);
      }
      const rows = Array.from(
        { length: ROWS },
        (_, i) => todo(server, crypto.randomUUID(), "alice", "hers", i),
      );
      const rate = await pushRate(server, gateway, token, share(rows));
      if (round >= 0) rates[kind].push(rate);
    }
  }
  const ratio = rates.ruled.map((rate, round) => rate / (rates.open[round] ?? NaN));
  console.log(
    `without ${show(spread(rates.open))} rows/s, with ${show(spread(rates.ruled))}, ratio ${
      show(spread(ratio), 2)
    }`,
  );
}

type Kind = "plain" | "sum" | "text" | "tags";

function valueOf(kind: Kind, i: number): Value {
  switch (kind) {
    case "plain":
      return i;
    case "sum":
      return { add: 1 };
    case "text":
      return ["red", `tag${i % 10}`];
    case "tags":
      return { add: [`tag${i % 10}`], remove: [`tag${(i + 5) % 10}`] };
  }
}

function showKinds(rates: Readonly<Record<Kind, readonly number[]>>): void {
  for (
    const [name, kind, against] of [
      ["counter against integer", "sum", "plain"],
      ["set against json", "tags", "text"],
    ] as const
  ) {
    const ratio = rates[kind].map((rate, round) => rate / (rates[against][round] ?? NaN));
    console.log(
      `${name}: ${show(spread(rates[against]))} rows/s, ${show(spread(rates[kind]))}, ratio ${
        show(spread(ratio), 2)
      }`,
    );
  }
}

/** Increments and set changes, against plain writes. */
export async function benchKinds(): Promise<void> {
  console.log(
    `\nUpdates of ${TALLIES} rows, ${BATCH} in a push, ${CLIENTS} clients at once, ${ROUNDS} rounds`,
  );
  await using server = await BenchServer.start();
  const gateway = "kinds";
  await server.gateway(gateway, KINDS);
  const shape: Shape = {
    op: "INSERT",
    table: "tallies",
    columns: ["plain", "sum", "tags", "text"],
  };
  const rows = Array.from({ length: TALLIES }, (_, i): Delta => ({
    shape,
    rowId: `t${i}`,
    hlc: server.clock.tick(),
    values: [0, 0, ["red"], ["red"]],
    deltaId: undefined,
  }));
  await pushOnce(server, gateway, [rows]);
  const rates: Record<Kind, number[]> = { plain: [], sum: [], text: [], tags: [] };
  for (let round = -1; round < ROUNDS; round++) {
    for (const kind of ["plain", "sum", "text", "tags"] as const) {
      const update: Shape = { op: "UPDATE", table: "tallies", columns: [kind] };
      const deltas = Array.from({ length: ROWS }, (_, i): Delta => ({
        shape: update,
        rowId: `t${i % TALLIES}`,
        hlc: server.clock.tick(),
        values: [valueOf(kind, i)],
        deltaId: undefined,
      }));
      const rate = await pushRate(server, gateway, server.token, share(deltas));
      if (round >= 0) rates[kind].push(rate);
    }
  }
  showKinds(rates);
}

const UPDATES: Readonly<Record<Kind, string>> = {
  plain: "UPDATE tallies SET plain = plain + 1 WHERE id = ?",
  sum: "UPDATE tallies SET sum = sum + 1 WHERE id = ?",
  text: `UPDATE tallies SET text = '["red","' || ? || '"]' WHERE id = ?1`,
  tags: `UPDATE tallies SET tags = '["red","' || ? || '"]' WHERE id = ?1`,
};

/** Increments and set changes that a client captures, against plain writes. */
export async function benchCapturedKinds(): Promise<void> {
  console.log(`\nCaptured updates of ${TALLIES} rows, one transaction, ${ROUNDS} rounds`);
  const folder = await Deno.makeTempDir({ prefix: "lakesync-kinds-" });
  const rates: Record<Kind, number[]> = { plain: [], sum: [], text: [], tags: [] };
  for (let round = -1; round < ROUNDS; round++) {
    for (const kind of ["plain", "sum", "text", "tags"] as const) {
      const database = `${folder}/${kind}-${round}.db`;
      const local = await openLocal({ database, schema: KINDS });
      await local.transaction(async (tx) => {
        for (let i = 0; i < TALLIES; i++) {
          await tx.exec(`INSERT INTO tallies VALUES (?, 0, 0, '["red"]', '["red"]')`, [`t${i}`]);
        }
      });
      const started = performance.now();
      await local.transaction(async (tx) => {
        for (let i = 0; i < TALLIES; i++) await tx.exec(UPDATES[kind], [`t${i}`]);
      });
      const rate = TALLIES / ((performance.now() - started) / 1000);
      if (round >= 0) rates[kind].push(rate);
      await local.close();
    }
  }
  await Deno.remove(folder, { recursive: true });
  showKinds(rates);
}

if (import.meta.main) {
  await benchWriteRules();
  await benchKinds();
  await benchCapturedKinds();
}
