import assert from "node:assert/strict";
import { compositeAdapter, fanOutAdapter, lifecycleAdapter } from "@lakesync/adapters";
import fc from "fast-check";
import { Bed, type Build } from "./testing_bed.ts";
import { life, live } from "./testing_lives.ts";

const composite: Build = ({ database }) =>
  compositeAdapter({ routes: { lists: database("lists") }, default: database("others") });

const compositeOfComposites: Build = ({ database }) =>
  compositeAdapter({
    routes: { none: database("none") },
    default: compositeAdapter({
      routes: { lists: database("lists") },
      default: database("others"),
    }),
  });

const fanOut: Build = ({ database, ...world }) =>
  fanOutAdapter({
    primary: database("primary"),
    secondaries: [database("secondary-1"), database("secondary-2")],
    ...world,
  });

const fanOutOfComposites: Build = ({ database, ...world }) => {
  const two = (name: string) =>
    compositeAdapter({
      routes: { lists: database(`${name}-lists`) },
      default: database(`${name}-others`),
    });
  return fanOutAdapter({ primary: two("primary"), secondaries: [two("secondary")], ...world });
};

const compositeOfFanOuts: Build = ({ database, ...world }) => {
  const two = (name: string) =>
    fanOutAdapter({
      primary: database(`${name}-primary`),
      secondaries: [database(`${name}-secondary`)],
      ...world,
    });
  return compositeAdapter({ routes: { lists: two("lists") }, default: two("others") });
};

const lifecycle: Build = ({ database, ...world }) =>
  lifecycleAdapter({
    hot: database("hot"),
    cold: database("cold"),
    hotMs: 100,
    rows: true,
    everyMs: 50,
    ...world,
  });

const nested: Build = (parts) => {
  const { database, ...world } = parts;
  return fanOutAdapter({
    primary: compositeAdapter({ routes: { lists: database("lists") }, default: lifecycle(parts) }),
    secondaries: [database("follower")],
    ...world,
  });
};

const BUILDS: readonly (readonly [name: string, build: Build])[] = [
  ["a database", ({ database }) => database("alone")],
  ["a composite", composite],
  ["a composite of composites", compositeOfComposites],
  ["a fan-out", fanOut],
  ["a fan-out of composites", fanOutOfComposites],
  ["a composite of fan-outs", compositeOfFanOuts],
  ["a lifecycle", lifecycle],
  ["a fan-out of a composite with a lifecycle", nested],
];

for (const [name, build] of BUILDS) {
  Deno.test(`G10: whatever fails and ends, ${name} holds in the end what the log holds`, async () => {
    await fc.assert(
      fc.asyncProperty(life, ([seed, events]) => live(seed, events, build)),
      { numRuns: 150 },
    );
  });
}

/** Two commits, a restore that loses one of them, a transaction in slices. */
async function script(bed: Bed): Promise<void> {
  const row = (table: string, rowId: string, n: number) =>
    table === "lists"
      ? { table, rowId, cells: { name: `${n}` } }
      : { table, rowId, cells: { n, title: `${n}` } };
  bed.commit([row("todos", "r1", 1), row("lists", "r1", 1)]);
  await bed.pass(300);
  bed.commit([row("lists", "r2", 2), row("todos", "r2", 2)]);
  bed.commit([row("todos", "r1", 3)]);
  await bed.pass(300);
  bed.restore(1);
  bed.commit([row("lists", "r1", 4)], [row("todos", "r3", 5), row("lists", "r3", 5)]);
  await bed.pass(400);
}

for (const [name, build] of BUILDS) {
  Deno.test(`G10: the process that writes to ${name} may end at every call`, async () => {
    for (const hasArrived of [false, true]) {
      for (let call = 1;; call++) {
        const bed = new Bed(1, build, { lost: 0, answerLost: 0 });
        bed.endAt = { call, hasArrived };
        await script(bed);
        const wasReached = bed.calls >= call;
        bed.endAt = undefined;
        await bed.heal();
        await bed.check();
        await bed.checkSecondaries();
        await bed.close();
        if (!wasReached) break;
      }
    }
  });
}

Deno.test("what follows another adapter is made ready for the schema before its first change", async () => {
  for (const [name, build] of [["fan-out", fanOut], ["lifecycle", lifecycle]] as const) {
    const bed = new Bed(1, build, { lost: 0, answerLost: 0 });
    bed.commit([{ table: "todos", rowId: "t1", cells: { n: 1 } }]);
    await bed.pass(5_000);
    const versions = [...bed.data].map(([name, { schema }]) => [name, schema?.version]);
    assert.ok(versions.length > 1);
    assert.deepEqual(versions, versions.map(([name]) => [name, bed.source.schema.version]), name);
    await bed.close();
  }
});
