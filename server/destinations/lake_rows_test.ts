import assert from "node:assert/strict";
import { memoryObjects } from "@lakesync/adapters";
import type { Value } from "@lakesync/core";
import fc from "fast-check";
import { BackedUpStores } from "../store/testing_backups.ts";
import { NOTES, RULES } from "../gateway/testing_checkpoint.ts";
import { START_MS } from "../gateway/testing_fixture.ts";
import { checkSteps, stepWithRows } from "../gateway/testing_checkpoint_steps.ts";
import { openWorldWith, type RowsWorld } from "../gateway/testing_rows.ts";
import { LakeSource } from "./testing_lake_rows.ts";

type LakeWorld = RowsWorld<LakeSource>;

/** Lets a first pull begin by a checkpoint, and compares it with a plain one. */
async function bootstrap({ world }: LakeWorld, version = 1, sub = "ann"): Promise<void> {
  const client = world.client(sub, 1_000, version);
  assert(await client.bootstrap());
  await client.pull();
  assert.deepEqual(client.table(), await world.expected(sub, version));
}

const numRuns = Number(Deno.env.get("CHECKPOINT_RUNS") ?? 8);

Deno.test("G4 G7: chunks of a lake's rows and the tail give exactly the scope", async () => {
  let reads = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(stepWithRows, { minLength: 5, maxLength: 40 }),
      fc.constantFrom(2, 100),
      fc.constantFrom(2, 10),
      async (steps, limit, staleShare) => {
        const settings = { minRows: 3, chunkRows: 2, staleShare };
        await using open = await openWorldWith((gateway) => new LakeSource(gateway), settings);
        await using source = open.source;
        await checkSteps(open.world, steps, limit, source);
        assert.deepEqual(open.failures, []);
        reads += source.reads;
      },
    ),
    { numRuns },
  );
  assert(reads > 50, `${reads} rows`);
});

/** Notes with a time and a price, a second table in each list, and one that is only uploaded. */
const PRICED = {
  version: 2,
  tables: {
    ...NOTES.tables,
    notes: {
      primaryKey: ["id"],
      columns: { ...NOTES.tables.notes.columns, at: "timestamp", price: "decimal(10,3)" },
    },
    parts: {
      primaryKey: ["list_id", "no"],
      columns: {
        ...{ list_id: "string", no: "integer", meta: "json" },
        votes: { type: "integer", merge: "counter" },
        tags: { type: "json", merge: "set" },
      },
    },
    logs: { primaryKey: ["id"], columns: { id: "string", list_id: "string" } },
  },
} as const;

function rulesWith(...tables: readonly string[]) {
  const [first, mine] = RULES.buckets;
  const shown = [
    { table: "notes", key: "list_id" },
    ...tables.map((table) => ({ table, key: "list_id" })),
  ];
  return { ...RULES, buckets: [{ ...first, tables: shown }, mine] };
}

async function openPriced(...tables: readonly string[]): Promise<LakeWorld> {
  const open = await openWorldWith((gateway) => new LakeSource(gateway), { staleShare: 0.5 });
  await open.world.gateway.putSchema(PRICED);
  open.world.version = 2;
  await open.world.gateway.putRules(rulesWith(...tables), 5_000);
  await open.world.join("ann", "a");
  return open;
}

const FORMS: readonly (readonly [string, boolean, (i: number) => Record<string, Value>])[] = [
  ["milliseconds and cents", true, (i) => ({
    at: new Date(1.7e12 + i * 110).toISOString(),
    price: (i * 0.55).toFixed(2),
  })],
  ["as few digits as can be", true, (i) => ({
    at: `2026-01-01T00:00:00${[".5", "", ".125"][i % 3]}Z`,
    price: String(i / 4),
  })],
  ["all digits", true, (i) => ({
    at: `2026-01-01T00:00:00.${String(i * 1_000).padStart(6, "0")}Z`,
    price: (i * 0.5).toFixed(3),
  })],
  ["now so, now otherwise", false, (i) => ({
    at: i % 2 === 0 ? "2026-01-01T00:00:00.500Z" : "2026-01-01T00:00:00.5Z",
  })],
];

Deno.test("times and decimals come as they were written, or with the gateway's rows", async () => {
  for (const [what, isRead, columnsOf] of FORMS) {
    await using open = await openPriced();
    await using source = open.source;
    for (let i = 0; i < 40; i++) {
      await open.world.write(["INSERT", "notes", `n${i}`, { list_id: "a", ...columnsOf(i) }]);
    }
    await open.world.write(["INSERT", "notes", "none", { list_id: "a" }]);
    await source.copy();
    await bootstrap(open, 2);
    assert.equal(source.reads, isRead ? 41 : 0, what);
    assert.deepEqual(open.failures, [], what);
  }
});

Deno.test("a list's rows come from several tables, each with its kinds and keys", async () => {
  await using open = await openPriced("parts");
  await using source = open.source;
  const part = (list: string, no: number) => JSON.stringify([list, no]);
  for (let i = 0; i < 20; i++) {
    const list = "abc"[i % 3] ?? "a";
    await open.world.write(["INSERT", "notes", `n${i}`, { list_id: list }], [
      "INSERT",
      "parts",
      part(list, i),
      { list_id: list, no: i, votes: i, tags: ["x", i], meta: { z: i, a: [null] } },
    ]);
  }
  await source.copy();
  // The notes are behind from here on, and the parts of that flush are in the lake already.
  await open.world.write(["UPDATE", "parts", part("a", 3), {
    votes: { add: 5 },
    tags: { remove: ["x"] },
  }]);
  await open.world.write(["DELETE", "parts", part("a", 6)]);
  await source.copy();
  await bootstrap(open, 2);
  assert.equal(source.reads, 39);
  // A table in which nothing happens holds the others back neither here nor there.
  for (let i = 0; i < 20; i++) await open.world.write(["UPDATE", "notes", `n${i}`, { n: i }]);
  await source.copy();
  await open.world.join("bob", "b");
  await bootstrap(open, 2, "bob");
  assert.equal(source.reads, 78);
  assert.deepEqual(open.failures, []);
});

Deno.test("G7: rows that were only uploaded once are in the lake, and reach nobody", async () => {
  await using open = await openPriced();
  await using source = open.source;
  const rules = { ...rulesWith(), tables: { logs: { mode: "upload-only" } } };
  await open.world.gateway.putRules(rules, 5_000);
  for (let i = 0; i < 10; i++) {
    await open.world.write(["INSERT", "notes", `n${i}`, { list_id: "a" }]);
    await open.world.write(["INSERT", "logs", `l${i}`, { list_id: "a" }]);
  }
  await open.world.gateway.putRules(rulesWith("logs"), 5_000);
  await open.world.write(["INSERT", "notes", "n10", { list_id: "a" }]);
  await source.copy();
  await bootstrap(open, 2);
  assert.equal(source.reads, 21);
  assert.equal(open.failures.length, 1);
  assert.match(open.failures[0] ?? "", /not the rows that the gateway has/);
});

Deno.test("rows are read once the lake has them all, and not while it is filled or set anew", async () => {
  const stores = new BackedUpStores();
  const start = () =>
    openWorldWith((gateway) => new LakeSource(gateway), { staleShare: 50 }, stores.open());
  let backup = stores.backup();
  let objects: LakeSource["objects"] | undefined;
  {
    await using open = await start();
    await using source = open.source;
    objects = source.objects;
    await open.world.fill("a", 10);
    await open.world.fill("b", 10);
    await open.world.join("ann", "a");
    await bootstrap(open);
    assert.equal(source.reads, 0);
    await source.copy();
    backup = stores.backup();
    for (let i = 0; i < 5; i++) {
      await open.world.write(["DELETE", "notes", `a-${i}`]);
      await open.world.write(["UPDATE", "notes", `b-${i}`, { list_id: "a" }]);
    }
    await source.copy();
  }
  stores.restore(backup);
  await using open = await openWorldWith(
    (gateway) => new LakeSource(gateway, objects),
    { staleShare: 50 },
    stores.open(),
  );
  await using source = open.source;
  const { world } = open;
  world.fixture.clock.ms += 1_000_000;
  await world.write(["UPDATE", "notes", "a-9", { n: -1 }]);
  await world.join("bob", "b");
  // The rows of the lake are of what was lost.
  await bootstrap(open, 1, "ann");
  assert.equal(source.reads, 0);
  await source.flush();
  await world.gateway.putRules(RULES, 5_000);
  await bootstrap(open, 1, "bob");
  assert.equal(source.reads, 0);
  await source.copy();
  await world.fill("c", 10);
  await world.join("cyd", "c");
  await source.copy();
  await bootstrap(open, 1, "cyd");
  assert.equal(source.reads, 30);
  assert.deepEqual(open.failures, []);
});

type RestoreStep =
  | { readonly kind: "put"; readonly row: number; readonly list: string; readonly n: number }
  | { readonly kind: "delete"; readonly row: number }
  | { readonly kind: "flush" | "merge" | "backup" | "restore" | "boot" };

const row = fc.nat(11);
const restoreStep: fc.Arbitrary<RestoreStep> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      ...{ kind: fc.constant("put" as const), row, n: fc.nat(9) },
      list: fc.constantFrom("a", "b"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("delete" as const), row }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom("flush", "merge", "merge", "backup", "restore", "boot", "boot"),
    }),
  },
);

Deno.test("G7 G13: whatever a gateway was put back to, first pulls are of what it has", async () => {
  let reads = 0;
  let restores = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(restoreStep, { minLength: 10, maxLength: 40 }), async (steps) => {
      const stores = new BackedUpStores();
      const objects = memoryObjects();
      const start = () =>
        openWorldWith(
          (gateway) => new LakeSource(gateway, objects),
          { staleShare: 50, minRows: 1 },
          stores.open(),
        );
      let open = await start();
      const stop = async () => {
        reads += open.source.reads;
        await open.source[Symbol.asyncDispose]();
        await open[Symbol.asyncDispose]();
      };
      await open.world.join("ann", "a");
      for (let i = 0; i < 6; i++) {
        await open.world.write(["INSERT", "notes", `r${i}`, { list_id: "ab"[i % 2] ?? "a" }]);
      }
      let backup = stores.backup();
      const all: readonly RestoreStep[] = [...steps, { kind: "merge" }, { kind: "boot" }];
      for (const [i, step] of all.entries()) {
        const { world, source } = open;
        world.fixture.clock.ms = START_MS + (i + 1) * 1_000_000;
        if (step.kind === "put") {
          const { row, list, n } = step;
          await world.write(["INSERT", "notes", `r${row}`, { list_id: list, n }]);
        }
        if (step.kind === "delete") await world.write(["DELETE", "notes", `r${step.row}`]);
        if (step.kind === "flush") await source.flush();
        if (step.kind === "merge") await source.copy();
        if (step.kind === "backup") backup = stores.backup();
        if (step.kind === "restore") {
          await stop();
          stores.restore(backup);
          open = await start();
          restores++;
        }
        if (step.kind !== "boot") continue;
        const client = world.client("ann", 1_000);
        assert(await client.bootstrap());
        await client.pull();
        assert.deepEqual(client.table(), await world.expected("ann"));
        assert.deepEqual([...client.named].sort(), [...client.rows.keys()].sort());
      }
      await stop();
    }),
    { numRuns },
  );
  assert(reads > 0 && restores > 0, `${reads} rows, ${restores} restores`);
});
