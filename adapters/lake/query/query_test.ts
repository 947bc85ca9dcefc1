import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Value } from "@lakesync/core";
import fc from "fast-check";
import { openFileObjects } from "../../object-store/fs.ts";
import { memoryObjects } from "../../object-store/memory.ts";
import { mergeLake } from "../table/merge_lake.ts";
import { TestGateway } from "../table/testing_gateway.ts";
import { changes, type GivenChange, NUMBERS, testSchema } from "../table/testing_history.ts";
import { openTestLake, type TestLake } from "../table/testing_lake.ts";
import { canonicalValue } from "../flush/values.ts";
import { openLakeQuery, type QueryOptions } from "./mod.ts";
import type { LakeQuery } from "./query.ts";

type Rows = ReadonlyMap<string, ReadonlyMap<number, Value>>;

/** The rows of `tasks` as the lake's questions answer them. */
async function askedRows(query: LakeQuery, options: QueryOptions = {}): Promise<Rows> {
  const { columns, rows } = await query.query("SELECT * FROM tasks", options);
  const types = new Map(
    testSchema(2).tables.get("tasks")?.columns.map(({ name, type }) => [name, type]),
  );
  return new Map(rows.map((row): [string, ReadonlyMap<number, Value>] => {
    const cells = columns.flatMap(({ name }, i): [number, Value][] => {
      const value = row[i] ?? null;
      if (name === "id" || name === "n" || value === null) return [];
      const number = NUMBERS.get(name) ?? 0;
      const type = types.get(name) ?? "string";
      return [[number, type === "json" ? JSON.parse(String(value)) : canonicalValue(type, value)]];
    });
    const id = JSON.stringify([row[0] ?? null, row[1] ?? null]);
    return [id, new Map(cells.sort(([a], [b]) => a - b))];
  }));
}

function byId(rows: Rows): Rows {
  return new Map([...rows].sort(([a], [b]) => a < b ? -1 : 1));
}

function asked({ lake }: TestLake): LakeQuery {
  const { store, location, namespace } = lake;
  return openLakeQuery({ store, location, namespace });
}

Deno.test("G10: each moment is answered exactly, however far the rows are merged", async () => {
  const step = (version: 1 | 2) =>
    fc.record({
      changes: fc.array(changes(version), { maxLength: 5 }),
      isSliced: fc.boolean(),
      isMerged: fc.boolean(),
    });
  const history = fc.record({
    old: fc.array(step(1), { maxLength: 3 }),
    young: fc.array(step(2), { minLength: 1, maxLength: 4 }),
  });
  await fc.assert(
    fc.asyncProperty(history, async ({ old, young }) => {
      const test = openTestLake(memoryObjects());
      const gateway = new TestGateway(test.adapter);
      const query = asked(test);
      const seen: Rows[] = [];
      const play = async (steps: typeof young) => {
        for (const { changes, isSliced, isMerged } of steps) {
          if (isSliced) await gateway.flushSlices([changes.slice(0, 2), changes.slice(2)]);
          else await gateway.flush([changes], false);
          if (isMerged) await mergeLake(test.lake);
          seen.push(gateway.visible);
        }
      };
      try {
        await gateway.begin();
        seen.push(gateway.visible);
        await play(old);
        await gateway.evolve();
        await play(young);
        assert.deepEqual(byId(await askedRows(query)), byId(seen.at(-1) ?? new Map()));
        for (const [seq, rows] of seen.entries()) {
          assert.deepEqual(byId(await askedRows(query, { asOf: { seq } })), byId(rows), `${seq}`);
        }
      } finally {
        await query.close();
        await test.close();
      }
    }),
    { numRuns: 8 },
  );
});
