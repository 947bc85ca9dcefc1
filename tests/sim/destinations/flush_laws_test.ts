import assert from "node:assert/strict";
import type { Destination } from "@lakesync/adapters";
import type { Delta, Value } from "@lakesync/core";
import fc from "fast-check";
import type { Gateway } from "../../../server/gateway/gateway.ts";
import { at, delta, openFixture, push, tx } from "../../../server/gateway/testing_fixture.ts";
import { Random } from "../../oracle/random.ts";
import { FlushWorld, nextTurn } from "./testing_flush.ts";

/** Columns of every merge kind. */
const KINDS = {
  version: 2,
  tables: {
    todos: {
      primaryKey: ["id"],
      columns: { id: "string", title: "string", done: "boolean", n: "integer" },
    },
    lists: { primaryKey: ["id"], columns: { id: "string", name: "string" } },
    sums: {
      primaryKey: ["id"],
      columns: {
        id: "string",
        note: "string",
        votes: { type: "integer", merge: "counter" },
        best: { type: "integer", merge: "max" },
        tags: { type: "json", merge: "set" },
      },
    },
  },
} as const;

type Step =
  | { readonly kind: "push"; readonly client: number; readonly deltas: readonly Delta[] }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "crash" | "restart" };

const small = fc.integer({ min: 1, max: 9 });
const element = fc.constantFrom("x", "y");

const cells: fc.Arbitrary<readonly [table: string, columns: Record<string, Value>]> = fc.oneof(
  fc.record({ title: fc.constantFrom("a", "b", null), n: small }, { requiredKeys: [] })
    .map((columns) => ["todos", columns] as const),
  fc.record({
    note: fc.constantFrom("p", "q"),
    votes: small,
    best: small,
    tags: element.map((x): Value => ({ add: [x] })),
  }, { requiredKeys: [] }).map((columns) => ["sums", columns] as const),
);

function written(op: Delta["shape"]["op"], columns: Record<string, Value>): Record<string, Value> {
  if (op === "DELETE") return {};
  const { votes, tags, ...rest } = columns;
  return {
    ...rest,
    ...(votes === undefined ? {} : { votes: op === "INSERT" ? votes : { add: Number(votes) } }),
    ...(tags === undefined ? {} : { tags: op === "INSERT" ? ["x"] : tags }),
  };
}

/** Stamps are anywhere in four seconds, so changes arrive in every order. */
const change = fc.tuple(
  fc.constantFrom("INSERT" as const, "UPDATE" as const, "DELETE" as const),
  fc.constantFrom("r1", "r2", "r3"),
  fc.integer({ min: 0, max: 4_000 }),
  cells,
).map(([op, rowId, ms, [table, columns]]) => delta(op, rowId, at(ms), written(op, columns), table));

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("push" as const),
      client: fc.integer({ min: 0, max: 2 }),
      deltas: fc.array(change, { minLength: 1, maxLength: 5 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("pass" as const),
      ms: fc.integer({ min: 1, max: 400 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom({ kind: "crash" } as const, { kind: "restart" } as const),
  },
);

/** Plays steps, heals, and holds each destination against the gateway. */
async function play(
  seed: number,
  steps: readonly Step[],
  wrap?: (destination: Destination) => Destination,
): Promise<void> {
  await using fixture = await openFixture(undefined, { nextTurn });
  await fixture.gateway.putSchema(KINDS);
  const random = new Random(seed);
  const world = new FlushWorld(fixture.gateway, () => random.below(1e9) / 1e9, wrap);
  const mutations = [0, 0, 0];
  for (const each of steps) {
    if (each.kind === "push") {
      const mutationId = mutations[each.client] = (mutations[each.client] ?? 0) + 1;
      await pushed(fixture.gateway, each.client, mutationId, each.deltas);
    } else if (each.kind === "pass") await world.time.pass(each.ms);
    else if (each.kind === "restart") world.restartDatabase();
    else {
      world.end();
      world.start();
    }
  }
  await world.heal();
  await world.check();
}

async function pushed(
  gateway: Gateway,
  client: number,
  mutationId: number,
  deltas: readonly Delta[],
): Promise<void> {
  await push(gateway, `client-${client}`, [tx(mutationId, ...deltas)], { schemaVersion: 2 });
}

const run = fc.tuple(fc.integer({ min: 0, max: 1e6 }), fc.array(step, { maxLength: 25 }));

Deno.test("G10: each change arrives once and in order, whatever fails and ends", async () => {
  await fc.assert(
    fc.asyncProperty(run, ([seed, steps]) => play(seed, steps)),
    { numRuns: 300 },
  );
});

/** A destination whose position is committed by itself, before the data. */
function savedApart(destination: Destination): Destination {
  return {
    name: destination.name,
    position: () => destination.position(),
    ensureSchema: (schema) => destination.ensureSchema(schema),
    unsettled: (limit) => destination.unsettled(limit),
    rewind: (move) => destination.rewind(move),
    refill: (move) => destination.refill(move),
    close: () => destination.close(),
    async insertDeltas(batch) {
      await destination.insertDeltas({ ...batch, changes: [] });
      await destination.insertDeltas({ ...batch, from: batch.to });
    },
  };
}

Deno.test("G10: a position that is saved apart from the data is found out", async () => {
  const result = await fc.check(
    fc.asyncProperty(run, ([seed, steps]) => play(seed, steps, savedApart)),
    { numRuns: 300, endOnFailure: true },
  );
  assert.equal(result.failed, true);
});
