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

/** After a restore: transactions, how many of the lost ones come again, and milliseconds between. */
const restore = fc.record({
  newer: fc.boolean(),
  ms: fc.integer({ min: 0, max: 1_500 }),
  again: fc.integer({ min: 0, max: 5 }),
  after: changes,
});

/** Transactions before the copy, those that are lost, and what comes after each restore. */
const restores = fc.record({
  seed: fc.integer({ min: 0, max: 1e6 }),
  before: changes,
  lost: changes,
  restored: fc.array(restore, { minLength: 1, maxLength: 3 }),
  midLife: fc.boolean(),
  restarts: fc.boolean(),
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
      const { seed, before, lost, restored, midLife, restarts } = plan;
      await using folder = await tempFolder();
      const live = `${folder.path}/live`;
      const [older, newer] = [`${folder.path}/older`, `${folder.path}/newer`];
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
        if (midLife) await copyFolder(live, older);
        else await reopen(() => copyFolder(live, older));
        await pushAll(fixture, "lost", lost);
        await copyFolder(live, newer);
        if (restarts) await reopen();
        await pushAll(fixture, "later", lost.slice(0, 1));
        await world.time.pass(random.below(1_500));
        for (const restore of restored) {
          const { ms, again, after } = restore;
          await reopen(async () => {
            await Deno.remove(live, { recursive: true });
            await copyFolder(restore.newer ? newer : older, live);
          });
          await pushAll(fixture, "after", after);
          await world.time.pass(ms);
          await pushAll(fixture, "lost", lost.slice(0, again));
          await world.time.pass(ms);
        }
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

/** A gateway that can be put back to a copy of its data, and flushes as long as writes are let. */
class Restorable implements AsyncDisposable {
  readonly world: FlushWorld;
  isLet = true;
  readonly #path: string;
  #fixture: Fixture;

  private constructor(path: string, fixture: Fixture) {
    this.#path = path;
    this.#fixture = fixture;
    this.world = new FlushWorld(fixture.gateway, () => 0.999, (destination) => ({
      name: destination.name,
      position: () => destination.position(),
      ensureSchema: (schema) => destination.ensureSchema(schema),
      unsettled: (limit) => destination.unsettled(limit),
      rewind: (move) => destination.rewind(move),
      refill: (move) => destination.refill(move),
      close: () => destination.close(),
      insertDeltas: (batch) =>
        this.isLet || batch.changes.length === 0
          ? destination.insertDeltas(batch)
          : Promise.reject(new Error("No changes are let through")),
    }));
  }

  static async open(path: string): Promise<Restorable> {
    return new Restorable(path, await Restorable.#opened(path));
  }

  static async #opened(path: string): Promise<Fixture> {
    return await openFixture(await openSqliteStores(`${path}/live`), { nextTurn });
  }

  async push(clientId: string, ...deltas: readonly Delta[]): Promise<void> {
    await pushAll(this.#fixture, clientId, deltas.map((delta) => [delta]));
  }

  /** Copies the data in the middle of a life: the copy alone does not tell that it went on. */
  async copy(name = "copy"): Promise<void> {
    await copyFolder(`${this.#path}/live`, `${this.#path}/${name}`);
  }

  async restore(name = "copy"): Promise<void> {
    await this.restart(async () => {
      await Deno.remove(`${this.#path}/live`, { recursive: true });
      await copyFolder(`${this.#path}/${name}`, `${this.#path}/live`);
    });
  }

  async restart(change?: () => Promise<void>): Promise<void> {
    this.world.end();
    await this.#fixture[Symbol.asyncDispose]();
    await change?.();
    this.#fixture = await Restorable.#opened(this.#path);
    this.world.gateway = this.#fixture.gateway;
    this.world.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.world.end();
    await this.#fixture[Symbol.asyncDispose]();
  }
}

function inserts(rowIds: string): readonly Delta[] {
  return [...rowIds].map((rowId, i) => delta("INSERT", rowId, at(i), { n: i }));
}

Deno.test("G10 G13: what a restored gateway commits while a destination is asked is not lost", async () => {
  await using folder = await tempFolder();
  await using played = await Restorable.open(folder.path);
  const { world } = played;
  await played.push("before", ...inserts("a"));
  await played.copy();
  await played.push("lost", ...inserts("bcd"));
  await world.time.pass(1_000);
  await played.restore();
  await played.push("after", ...inserts("efghi"));
  await world.heal();
  await world.check();
});

Deno.test("G10 G13: a gateway restored before a flush caught up leaves nothing of what it lost", async () => {
  await using folder = await tempFolder();
  await using played = await Restorable.open(folder.path);
  const { world } = played;
  await played.push("before", ...inserts("ab"));
  await played.copy();
  await played.push("lost", delta("UPDATE", "a", at(10), { n: 10 }));
  await world.time.pass(1_000);
  played.isLet = false;
  await played.restore();
  await played.push("lost-too", delta("UPDATE", "a", at(11), { title: "lost" }));
  await world.time.pass(1_000);
  played.isLet = true;
  await played.restore();
  await played.push("after", delta("UPDATE", "b", at(12), { n: 12 }));
  await world.heal();
  await world.check();
});

Deno.test("G10 G13: a gateway that went back and then forth again, before it committed, loses no rows", async () => {
  await using folder = await tempFolder();
  await using played = await Restorable.open(folder.path);
  const { world } = played;
  await played.push("before", ...inserts("a"));
  await played.copy("older");
  await played.push("kept", ...inserts("b"));
  await played.copy("newer");
  await played.restart();
  await played.push("lost", delta("UPDATE", "b", at(10), { n: 10 }));
  await world.time.pass(1_000);
  for (const name of ["older", "newer"]) {
    await played.restore(name);
    await world.time.pass(1_000);
  }
  await played.push("after", delta("UPDATE", "b", at(12), { title: "after" }));
  await world.heal();
  await world.check();
});
