/**
 * A client's first checkpoint in chunks against a model of buckets: whatever changed, was granted or
 * revoked while the chunks were on their way, or pages behind them, it holds exactly what its buckets show, with what is
 * pending here laid over it.
 */

import { defineSchema, parseSchema, type Value } from "@lakesync/core";
import fc from "fast-check";
import assert from "node:assert/strict";
import { toValue } from "./convert.ts";
import { openLocal } from "./local.ts";
import { BucketGateway } from "./testing_buckets.ts";
import { zip } from "./testing_chunks.ts";
import { type Cells, layOver, rowName, WIDE } from "./testing_local.ts";

const SCHEMA = defineSchema({
  version: 1,
  tables: {
    items: { primaryKey: ["id"], columns: { id: "string", title: "string", n: "integer" } },
    links: { primaryKey: ["id"], columns: { id: "string", title: "string", n: "integer" } },
  },
});
const PARSED = parseSchema(SCHEMA);
const PROJECTIONS = new Map([
  ["c", { items: ["title"] }],
  ["d", { items: ["n"], links: ["title"] }],
]);
const IDS = ["a", "b", "c", "d"];

const put = fc.record({
  do: fc.constant("put" as const),
  table: fc.constantFrom("items", "links"),
  rowId: fc.constantFrom("r1", "r2", "r3", "r4", "r5"),
  cells: fc.record(
    { title: fc.constantFrom("red", "green", null), n: fc.integer({ min: 0, max: 2 }) },
    { requiredKeys: [] },
  ),
  buckets: fc.subarray(IDS),
});
const change = fc.oneof(
  { weight: 4, arbitrary: put },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("flip" as const), id: fc.constantFrom(...IDS) }),
  },
);
const write = fc.constantFrom(
  "UPDATE items SET n = 7 WHERE id IN ('r1', 'r2')",
  "DELETE FROM links WHERE id = 'r3'",
  "INSERT OR REPLACE INTO items (id, title) VALUES ('r4', 'mine')",
  "INSERT OR REPLACE INTO links VALUES ('r1', 'mine', 9)",
);
const plan = fc.record({
  before: fc.array(put, { maxLength: 12 }),
  writes: fc.array(write, { maxLength: 3 }),
  first: fc.array(put, { maxLength: 12 }),
  granted: fc.subarray(IDS),
  chunked: fc.subarray(IDS),
  chunkRows: fc.constantFrom(1, 2, 100),
  meanwhile: fc.array(change, { maxLength: 6 }),
  pageRows: fc.constantFrom(1, 3, 100),
  loses: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.subarray(IDS)),
  resyncs: fc.boolean(),
});

type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function apply(gateway: BucketGateway, step: Change): void {
  if (step.do === "flip") {
    if (!gateway.granted.delete(step.id)) gateway.granted.add(step.id);
  } else if (step.buckets.length === 0) gateway.rows.delete(rowName(step.table, step.rowId));
  else gateway.put(step.table, step.rowId, step.cells, step.buckets);
}

Deno.test("G7 G9: chunks of several buckets and the pages behind them make what the buckets show", async () => {
  await fc.assert(
    fc.asyncProperty(plan, async (plan) => {
      const db = await openLocal({ database: ":memory:", schema: SCHEMA, watchMs: 0 });
      try {
        const gateway = new BucketGateway(PROJECTIONS);
        for (const id of plan.granted) gateway.granted.add(id);
        for (const step of plan.before) apply(gateway, step);
        if (plan.resyncs) {
          for (const page of gateway.pull()) await db.receive(page);
        }
        for (const sql of plan.writes) await db.exec(sql);
        if (plan.resyncs) await db.resync();
        for (const step of plan.first) apply(gateway, step);

        const chunked = plan.chunked.filter((id) => gateway.granted.has(id));
        const { clientId } = await db.state();
        const header = { etag: "e", totalRows: 0, buckets: chunked.length };
        await db.storePart({ kind: "begin", header }, clientId);
        let number = 0;
        for (const { place, page } of gateway.chunks(chunked, plan.chunkRows)) {
          const rows = page.changes.length;
          const part = { kind: "chunk", etag: "e", number, place, rows, bytes: await zip(page) };
          assert.ok(await db.storePart({ ...part, kind: "chunk" }, clientId));
          number++;
        }
        const end = { kind: "end", etag: "e", chunks: number, cursor: "after chunks" } as const;
        assert.ok(await db.storePart(end, clientId));
        for (const step of plan.meanwhile) apply(gateway, step);
        let cursor: string | undefined = "after chunks";
        for (const page of gateway.pull([], plan.pageRows, plan.loses)) {
          const { clientId } = await db.state();
          assert.equal((await db.receive(page, { clientId, cursor })).dropped, undefined);
          cursor = page.cursor;
        }

        assert.deepEqual((await db.verify())?.drifts, []);
        const base = new Map([...gateway.held()].map(([name, { cells }]) => [name, cells]));
        const pending = await db.nextBatch({ mutationId: 0, part: 0 }, WIDE);
        const visible = layOver(base, pending?.transactions ?? [], PARSED);
        const here = new Map<string, Cells>();
        for (const { name, columns } of PARSED.tables.values()) {
          for (const row of await db.query(`SELECT * FROM ${name}`)) {
            const cells: Record<string, Value> = {};
            for (const { name: column, type, key } of columns) {
              if (!key) cells[column] = toValue(row[column] ?? null, type);
            }
            here.set(rowName(name, String(row["id"])), cells);
          }
        }
        for (const [name, cells] of visible) {
          visible.set(name, { title: null, n: null, ...cells });
        }
        assert.deepEqual(new Map([...here].sort()), new Map([...visible].sort()));
        const [left] = await db.query("SELECT count(*) AS n FROM _lakesync_chunk");
        assert.equal(left?.["n"], 0);
      } finally {
        await db.close();
      }
    }),
    { numRuns: 400 },
  );
});
