import type { Delta } from "@lakesync/core";
import fc from "fast-check";
import { openSqliteStores } from "../../../server/store/sqlite.ts";
import { tempFolder } from "../../../server/store/testing_folders.ts";
import {
  at,
  delta,
  type Fixture,
  openFixture,
  push,
  tx,
} from "../../../server/gateway/testing_fixture.ts";
import { Random } from "../../oracle/random.ts";
import { FlushWorld, nextTurn } from "./testing_flush.ts";

async function copyFolder(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    const copy = isDirectory ? copyFolder : Deno.copyFile;
    await copy(`${from}/${name}`, `${to}/${name}`);
  }
}

const change = fc.tuple(
  fc.constantFrom("INSERT" as const, "UPDATE" as const, "DELETE" as const),
  fc.constantFrom("r1", "r2", "r3", "r4"),
  fc.integer({ min: 0, max: 4_000 }),
  fc.record({ title: fc.constantFrom("a", "b"), n: fc.integer({ min: 1, max: 9 }) }, {
    requiredKeys: [],
  }),
).map(([op, rowId, ms, columns]) => delta(op, rowId, at(ms), op === "DELETE" ? {} : columns));

const changes = fc.array(fc.array(change, { minLength: 1, maxLength: 3 }), { maxLength: 5 });

/** Transactions before the copy, those that are lost, how many come again, and those after it. */
const restores = fc.record({
  seed: fc.integer({ min: 0, max: 1e6 }),
  before: changes,
  lost: changes,
  again: fc.integer({ min: 0, max: 5 }),
  after: changes,
  midLife: fc.boolean(),
  restarts: fc.boolean(),
  flushesBetween: fc.boolean(),
});

async function pushAll(
  { gateway }: Fixture,
  clientId: string,
  transactions: readonly (readonly Delta[])[],
  from = 0,
): Promise<void> {
  for (const [i, deltas] of transactions.entries()) {
    await push(gateway, clientId, [tx(from + i + 1, ...deltas)]);
  }
}

Deno.test("G10 G13: after a restore each destination is brought to the history that holds", async () => {
  await fc.assert(
    fc.asyncProperty(restores, async (plan) => {
      const { seed, before, lost, again, after, midLife, restarts, flushesBetween } = plan;
      await using folder = await tempFolder();
      const [live, copy] = [`${folder.path}/live`, `${folder.path}/copy`];
      const open = async () => await openFixture(await openSqliteStores(live), { nextTurn });
      const random = new Random(seed);
      let fixture = await open();
      const world = new FlushWorld(fixture.gateway, () => random.below(1e9) / 1e9);
      const reopen = async (change?: () => Promise<void>) => {
        world.end();
        await fixture[Symbol.asyncDispose]();
        await change?.();
        fixture = await open();
        world.gateway = fixture.gateway;
        world.start();
      };
      try {
        await pushAll(fixture, "before", before);
        await world.time.pass(random.below(400));
        if (midLife) await copyFolder(live, copy);
        else await reopen(() => copyFolder(live, copy));
        await pushAll(fixture, "lost", lost);
        if (restarts) await reopen();
        await pushAll(fixture, "later", lost.slice(0, 1));
        await world.time.pass(random.below(1_500));
        await reopen(async () => {
          await Deno.remove(live, { recursive: true });
          await copyFolder(copy, live);
        });
        await pushAll(fixture, "after", after);
        if (flushesBetween) await world.time.pass(random.below(1_500));
        await pushAll(fixture, "lost", lost.slice(0, again));
        // A copy of the middle of a life is known for one when another life commits.
        await pushAll(fixture, "last", [[delta("INSERT", "r5", at(0), {})]]);
        await world.heal();
        await world.check();
      } finally {
        world.end();
        await fixture[Symbol.asyncDispose]();
      }
    }),
    { numRuns: 40 },
  );
});

Deno.test("G10 G13: what a restored gateway commits while a destination is asked is not lost", async () => {
  await using folder = await tempFolder();
  const [live, copy] = [`${folder.path}/live`, `${folder.path}/copy`];
  const open = async () => await openFixture(await openSqliteStores(live), { nextTurn });
  const rows = (names: string) => [...names].map((id, i) => [delta("INSERT", id, at(i), { n: i })]);
  let fixture = await open();
  const world = new FlushWorld(fixture.gateway, () => 0.999);
  try {
    await pushAll(fixture, "before", rows("a"));
    // In the middle of a life, so that the copy alone does not tell that the life went on.
    await copyFolder(live, copy);
    await pushAll(fixture, "lost", rows("bcd"));
    await world.heal();
    await fixture[Symbol.asyncDispose]();
    await Deno.remove(live, { recursive: true });
    await copyFolder(copy, live);
    fixture = await open();
    world.gateway = fixture.gateway;
    world.start();
    await pushAll(fixture, "after", rows("efghi"));
    await world.heal();
    await world.check();
  } finally {
    world.end();
    await fixture[Symbol.asyncDispose]();
  }
});
